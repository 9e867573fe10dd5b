"""Which pixels of a mask are the object, and how far they really are.

Masks are a few pixels too fat or too thin and depth cameras mix foreground and background at edges.
So inside a band around the outline a pixel belongs to whichever it resembles more: the object as
seen further inside, or what surrounds it. All functions work on a crop around one object: (h, w)
arrays, depth in metres with 0 = no reading, and its inverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calipers.types import Bools, Floats

BAND_PX = 3
"""Masks are trusted to this many pixels."""
_WINDOW = 4 * BAND_PX + 3
_CLEAN_NOISE = 1e-4
"""Below this deviation (metres at one metre) depth is taken as exact: no averaging."""
_CONTRAST = 0.015


@dataclass(frozen=True, slots=True)
class Clean:
    """The pixels of an object (h, w), and their inverse depth (mixed pixels replaced)."""

    pixels: Bools
    inverse_depth: Floats
    hidden_share: float


def erode(mask: Bools, px: int) -> Bools:
    """Erode by a (2·px + 1) square; outside counts as background."""
    return ~dilate(~mask, px, outside=True)


def dilate(mask: Bools, px: int, outside: bool = False) -> Bools:
    """Dilate by a (2·px + 1) square; `outside` is the value beyond the crop.

    >>> int(dilate(np.eye(3, dtype=bool), 1).sum())
    9
    """
    out = np.pad(mask, px, constant_values=outside)
    for _ in range(2):
        grown = out.copy()
        for k in range(1, 2 * px + 1):
            grown[k:] |= out[:-k]
        out = grown[2 * px :].T
    return out


def _mean(values: Floats, where: Bools, size: int) -> tuple[Floats, Floats]:
    """Mean of `values` over the pixels `where` in a square window, and their share of it."""
    weight = where.astype(np.float32)
    total = ndimage.uniform_filter(values * weight, size, mode="constant")
    share = ndimage.uniform_filter(weight, size, mode="constant")
    share[share < 0.5 / size**2] = 0
    return total / np.where(share > 0, share, 1), share


def clean(inverse: Floats, mask: Bools, taken: Bools, on_surface: Bools, noise: float) -> Clean:
    """Find the pixels of a crop that belong to the object.

    Args:
        inverse: (h, w) 1/depth, 0 = no reading.
        mask: (h, w) the mask as given.
        taken: (h, w) pixels of other objects' masks.
        on_surface: (h, w) pixels on a large plane or on what the object stands on; believed to be
            bleed inside the band.
        noise: standard deviation of the inverse depth.
    """
    given = inverse
    valid = inverse > 0
    core = _core(mask)
    seen = core & valid
    deep = seen & erode(mask, BAND_PX + 2)
    if deep.sum() < 0.25 * seen.sum():
        deep = seen
    reach = dilate(mask, BAND_PX)
    around = ~reach & valid
    object_, near_object = _mean(inverse, deep, _WINDOW)
    ground, near_ground = _mean(inverse, around, _WINDOW)
    contrast = object_ - ground
    clear = (near_object > 0) & (near_ground > 0)
    clear &= np.abs(contrast) > np.maximum(_CONTRAST * object_, 4 * noise)
    alpha = np.where(clear, (inverse - ground) / np.where(clear, contrast, 1), mask)
    alpha = np.clip(alpha, 0, 1).astype(np.float32)
    usable = valid & reach
    vote = _mean(alpha, usable, 3)[0] if noise > _CLEAN_NOISE else alpha + 0.25
    flat = bool(on_surface[seen].mean() > 0.5) if seen.any() else True
    band = usable & ~core
    pixels = seen | (band & (vote > 0.5))
    pixels &= mask | (clear & ~taken)
    if not flat:
        pixels &= core | ~on_surface
    pixels &= _plausible(inverse, object_, near_object, pixels)
    if noise > _CLEAN_NOISE:
        inverse, pixels = _settle(inverse, pixels, pixels & (alpha > 0.85), noise)
    edge = pixels & ~erode(pixels, 1)
    outside = np.where(pixels | mask, 0, given)
    nearest = ndimage.maximum_filter(outside, 2 * BAND_PX + 1, mode="constant")
    hidden = edge & (nearest > 1.03 * inverse + 4 * noise)
    return Clean(pixels, inverse.astype(np.float32), float(hidden.sum() / max(1, edge.sum())))


def _settle(inverse: Floats, pixels: Bools, good: Bools, noise: float) -> tuple[Floats, Bools]:
    """Average the readings of the object, leaving out those that their neighbours contradict."""
    for size in (9, 7):
        local, share = _mean(inverse, good, size)
        good = pixels & (share > 0) & (np.abs(inverse - local) < 0.015 * local + 4 * noise)
    local, share = _mean(inverse, good, 5)
    return local, pixels & (share > 0)


def _core(mask: Bools) -> Bools:
    """The inside of the mask; of parts too thin to have one, their middle."""
    core = erode(mask, BAND_PX)
    thin = mask & ~dilate(core, BAND_PX + 1)
    if not thin.any():
        return core
    middle = erode(thin, 1)
    return core | middle | (thin & ~dilate(middle, 2))


def _plausible(inverse: Floats, object_: Floats, near: Floats, pixels: Bools) -> Bools:
    """Leave out readings that are nowhere near the rest of the object."""
    values = inverse[pixels]
    if len(values) < 8:
        return pixels
    low, high = np.percentile(values, (2, 98))
    slack = (high - low) + 0.03 * high
    return np.asarray((inverse > low - slack) & (inverse < high + slack))


def thin(points: Floats, most: int = 512) -> Floats:
    """Choose at most `most` of (N, 3) points: the ends along 26 directions, the rest evenly."""
    if len(points) <= most:
        return points
    ends = (points @ _DIRECTIONS.T).argmax(0)
    even = np.linspace(0, len(points) - 1, most - len(ends)).astype(np.intp)
    return np.asarray(points[np.unique(np.concatenate((ends, even)))])


def quantise(points: Floats) -> tuple[NDArray[np.int16], Floats, float]:
    """Store (N, 3) points as int16 steps from an origin: points ≈ origin + scale * steps.

    The step is 1/2000 of the largest extent, and at least 0.1 mm.
    """
    low, high = points.min(0), points.max(0)
    scale = max(1e-4, float((high - low).max()) / 2000)
    steps = np.rint((points - low) / scale).astype(np.int16)
    return steps, low.astype(np.float32), float(np.float32(scale))


_GRID = np.stack(np.meshgrid(*[(-1.0, 0.0, 1.0)] * 3), axis=-1).reshape(-1, 3)
_DIRECTIONS = (_GRID[np.abs(_GRID).sum(1) > 0]).astype(np.float32)
