"""Which pixels of a mask are the object, and how far they really are.

Masks are a few pixels too fat or too thin and depth cameras mix foreground and background at edges.
So inside a band around the outline a pixel belongs to whichever it resembles more: the object as
seen further inside, or what surrounds it. All functions work on a crop around one object: (h, w)
arrays, depth in metres with 0 = no reading, and its inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from calipers.types import Bools, Floats

Indices = NDArray[np.intp]

BAND_PX = 3
"""Masks are trusted to this many pixels."""
_FEW, _MORE = 128, 800
_WINDOW = 4 * BAND_PX + 3
CLEAN_NOISE = 1e-4
"""Below this deviation (metres at one metre) depth is taken as exact: no averaging."""
TRIM = 0.005
"""Share of points beyond each end of a box where depth is noisy."""
_ISLAND_STEP = 0.04
_CONTRAST = 0.015


@dataclass(frozen=True, slots=True)
class Clean:
    """The pixels of an object (h, w), and their inverse depth (mixed pixels replaced).

    Attributes:
        rim: the outermost of the pixels.
        hidden_share: part of the rim beyond which something nearer is seen: there it goes on.
    """

    pixels: Bools
    rim: Bools
    inverse_depth: Floats
    hidden_share: float


@dataclass(frozen=True, slots=True)
class Outline:
    """A mask with the distance of each pixel to its outline (steps of a king on a chess board).

    Attributes:
        inside: (h, w) 1 on the outermost pixels of the mask, growing inwards, 0 outside.
        outside: (h, w) 1 on the pixels next to the mask, growing outwards, 0 inside.
    """

    mask: Bools
    inside: NDArray[np.int32]
    outside: NDArray[np.int32]

    @classmethod
    def of(cls, mask: Bools) -> Outline:
        """Measure the distances of a (h, w) mask; what lies beyond the crop is unknown.

        >>> Outline.of(np.array([[False, True, True, True, False, False]])).inside.tolist()
        [[0, 1, 2, 1, 0, 0]]
        """
        return cls(mask, _depth(mask), _depth(~mask))


def _depth(mask: Bools) -> NDArray[np.int32]:
    """Steps to the nearest pixel outside the mask; many where there is none."""
    if mask.all():
        return np.full(mask.shape, 10_000, np.int32)
    distance: NDArray[np.int32] = ndimage.distance_transform_cdt(mask, "chessboard")
    return distance


def _rim(mask: Bools) -> Bools:
    """Pixels of the mask with one of their eight neighbours outside it or beyond the crop."""
    return mask & ~_rim_less(mask)


def _rim_less(mask: Bools) -> Bools:
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    rows = inner.copy()
    inner[:, 1:] &= rows[:, :-1]
    inner[:, :-1] &= rows[:, 1:]
    inner[[0, -1]] = False
    inner[:, [0, -1]] = False
    return inner


def quantiles(values: Floats, shares: tuple[float, ...]) -> tuple[float, ...]:
    """Quantiles (shares of 1) of at most about 2,000 evenly taken `values`."""
    ordered = np.sort(values[:: 1 + len(values) // 2000])
    return tuple(float(ordered[round(q * (len(ordered) - 1))]) for q in shares)


def _mean(values: Floats, where: Bools, size: int) -> tuple[Floats, Floats]:
    """Mean of `values` over the pixels `where` in a square window, and their share of it."""
    weight = where.astype(np.float32)
    total = ndimage.uniform_filter(values * weight, size, mode="constant")
    share = ndimage.uniform_filter(weight, size, mode="constant")
    share[share < 0.5 / size**2] = 0
    return total / np.where(share > 0, share, 1), share


def is_exact(depth_m: Floats, noise: float) -> bool:
    """Whether a (H, W) depth map has next to no noise and clean edges.

    Of three pixels in a row over which depth changes by more than 5 %, the middle one has either
    side's depth at a clean edge. Where a camera mixes both sides at random it often lies outside of
    them (a fifth of the triples, at most 6 % on 80 simulated frames with exact depth); in resized
    maps and those of a network it lies between them (60 %, and at most 47 %). Noise is the
    deviation of 1/depth.
    """
    if noise > CLEAN_NOISE:
        return False
    rows = depth_m[::4]
    a, b, c = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
    read = (np.minimum(np.minimum(a, b), c) > 0) & np.isfinite(a + b + c)
    edge = read & (np.abs(c - a) > 0.05 * np.minimum(a, c))
    share = (b[edge] - a[edge]) / (c[edge] - a[edge])
    between = int(np.count_nonzero((share > 0.15) & (share < 0.85)))
    outside = int(np.count_nonzero((share < -0.05) | (share > 1.05)))
    return between <= 0.5 * len(share) and outside <= 0.1 * len(share)


def smooth(inverse: Floats, valid: Bools) -> Floats:
    """Average of the valid readings in a window of 3x3 pixels, (h, w)."""
    return _mean(inverse, valid, 3)[0]


def clean(
    inverse: Floats,
    outline: Outline,
    taken: Bools,
    on_surface: Bools,
    noise: float,
    focal_px: float,
    exact: bool,
) -> Clean:
    """Find the pixels of a crop that belong to the object.

    Inside the band and in parts too thin to have an inside, a pixel goes to whichever its inverse
    depth is nearer: the object (mean over the solid inside in a window; where there is none, the
    nearest reading, since a thin part is seen before its background) or what lies around the mask.
    With noisy depth the neighbours vote.

    Args:
        inverse: (h, w) 1/depth, 0 = no reading.
        outline: of the mask as given.
        taken: (h, w) pixels of other objects' masks.
        on_surface: (h, w) pixels on surfaces that surround the object; bleed inside the band.
        noise: standard deviation of the inverse depth.
        focal_px: focal length in pixels of the crop.
        exact: every reading is believed (`is_exact`); else neighbours vote and are averaged.
    """
    valid = inverse > 0
    mask = outline.mask
    inner = outline.inside > BAND_PX
    solid = (outline.inside > BAND_PX + 2) & valid
    reach = (outline.outside <= BAND_PX) & valid
    object_, ground, clear = _two_sides(inverse, mask & ~taken, solid, valid & ~reach)
    contrast = object_ - ground
    clear &= np.abs(contrast) > np.maximum(_CONTRAST * object_, 4 * noise)
    alpha = np.where(clear, (inverse - ground) / np.where(clear, contrast, 1), mask)
    alpha = np.clip(alpha, 0, 1).astype(np.float32)
    vote = _mean(alpha, reach, 3)[0] if not exact else alpha + 0.25
    pixels = solid | (reach & (vote > 0.5))
    pixels &= mask | (clear & ~taken)
    pixels &= inner | ~on_surface
    pixels &= _plausible(inverse, solid & pixels, pixels, focal_px)
    settled = inverse
    if not exact:
        settled, pixels = _settle(inverse, pixels, pixels & (alpha > 0.85), noise)
        every = np.s_[::2, ::2]
        islands = _islands(settled[every], pixels[every], inner[every])
        pixels &= ~_fine(islands, pixels.shape)
    rim = _rim(pixels)
    outside = np.where(pixels | mask, 0, inverse)
    hidden = _hidden_share(outside, settled, rim, noise)
    return Clean(pixels, rim, settled, hidden)


def _two_sides(
    inverse: Floats, own: Bools, solid: Bools, around: Bools
) -> tuple[Floats, Floats, Bools]:
    """Inverse depth of the object and of what surrounds it, by pixel, and where both are known."""
    object_, near = _coarse_mean(inverse, solid, _WINDOW)
    front = ndimage.maximum_filter(np.where(own, inverse, 0), 5, mode="constant")
    object_ = np.where(near > 0, object_, front)
    ground, near_ground = _coarse_mean(inverse, around, _WINDOW)
    return object_, ground, (object_ > 0) & (near_ground > 0)


def _coarse_mean(values: Floats, where: Bools, size: int) -> tuple[Floats, Floats]:
    """`_mean` in a window of about `size` pixels, from every second pixel of every second row."""
    mean, share = _mean(values[::2, ::2], where[::2, ::2], size // 2)
    return _fine(mean, values.shape), _fine(share, values.shape)


def _fine(coarse: Any, shape: tuple[int, ...]) -> Any:
    """Bring what was worked out at every second pixel back to (h, w)."""
    return coarse.repeat(2, 0)[: shape[0]].repeat(2, 1)[:, : shape[1]]


def _hidden_share(outside: Floats, inverse: Floats, rim: Bools, noise: float) -> float:
    """Part of the rim beside which something is nearer by 3 % (and by four deviations)."""
    nearest = _fine(ndimage.maximum_filter(outside[::2, ::2], 3, mode="constant"), rim.shape)
    hidden = rim & (nearest > 1.03 * inverse + 4 * noise)
    return float(np.count_nonzero(hidden)) / max(1, int(np.count_nonzero(rim)))


def _settle(inverse: Floats, pixels: Bools, good: Bools, noise: float) -> tuple[Floats, Bools]:
    """Average the readings of the object, leaving out those that their neighbours contradict.

    Near the outline, where half of the readings are mixed with the background, a local plane of
    the good readings is extended instead.
    """
    for size in (10, 6):
        local, share = _coarse_mean(inverse, good, size)
        good = pixels & (share > 0) & (np.abs(inverse - local) < 0.015 * local + 4 * noise)
    settled, share = _mean(inverse, good, 5)
    rim = _rim(pixels)
    rows, columns = np.nonzero(rim)
    value, known = _extend(inverse, good, rows, columns, noise)
    settled[rows[known], columns[known]] = value[known]
    rest = np.zeros_like(rim)
    rest[rows[~known], columns[~known]] = True
    return settled, pixels & (share > 0) & ~rest


def _islands(inverse: Floats, pixels: Bools, inner: Bools) -> Bools:
    """Small pieces inside the mask at a depth of their own: false matches of a stereo camera."""
    far, near = np.where(pixels, inverse, np.inf), np.where(pixels, inverse, 0)
    spread = ndimage.maximum_filter(near, 3) - ndimage.minimum_filter(far, 3)
    labels, count = ndimage.label(pixels & (spread < _ISLAND_STEP * inverse))
    size = np.bincount(labels.ravel(), minlength=2)
    size[0] = 0
    small = size < 0.15 * size.sum()
    if count < 2 or not small[1:].any():
        return np.zeros_like(pixels)
    reaching = np.bincount(labels[~inner].ravel(), minlength=count + 1) > 0
    low, high = quantiles(inverse[labels == size.argmax()], (0.02, 0.98))
    odd = (inverse < (1 - _ISLAND_STEP) * low) | (inverse > (1 + _ISLAND_STEP) * high)
    odd &= (small & ~reaching)[labels] | (inverse < (1 - 3 * _ISLAND_STEP) * low)
    island = small[labels] & (labels > 0) & odd
    return np.asarray(odd & ndimage.maximum_filter(island, 3))


def _extend(
    inverse: Floats, good: Bools, rows: Indices, columns: Indices, noise: float
) -> tuple[Floats, Bools]:
    """Fit planes of inverse depth to the good readings around (N,) pixels; values there."""
    reach = 3
    offset = np.arange(-reach, reach + 1)
    v, u = (a.ravel().astype(np.float32) for a in np.meshgrid(offset, offset, indexing="ij"))
    padded = np.pad(inverse, reach)
    weights = np.pad(good, reach).astype(np.float32)
    width = padded.shape[1]
    flat = ((rows + reach) * width + columns + reach)[:, None] + (v * width + u).astype(np.intp)
    values, weight = padded.ravel()[flat], weights.ravel()[flat]
    for _ in range(2):
        mean, slope_u, slope_v, mu, mv, count = _fit_planes(values, weight, u, v)
        fitted = mean[:, None] + slope_u[:, None] * (u - mu[:, None])
        fitted += slope_v[:, None] * (v - mv[:, None])
        residual = np.abs(values - fitted)
        weight = weight * (residual < 2.5 * noise + 0.004 * fitted)
    mean, slope_u, slope_v, mu, mv, count = _fit_planes(values, weight, u, v)
    step = np.clip(-slope_u * mu - slope_v * mv, -0.04 * mean, 0.04 * mean)
    return mean + step, count >= 6


def _fit_planes(
    values: Floats, weight: Floats, u: Floats, v: Floats
) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Least squares per row of (N, K) values at offsets (K,), with a pull towards no slope."""
    basis = np.stack((np.ones_like(u), u, v, u * u, u * v, v * v), axis=1)
    count, su, sv, suu, suv, svv = (weight @ basis).T
    n = np.maximum(count, 1)
    mean = (weight * values).sum(1) / n
    centred = (values - mean[:, None]) * weight
    siu, siv = (centred @ basis[:, 1:3]).T
    mu, mv = su / n, sv / n
    pull = 4.0
    cuu, cvv = suu - n * mu * mu + pull, svv - n * mv * mv + pull
    cuv = suv - n * mu * mv
    determinant = cuu * cvv - cuv * cuv
    return (
        mean,
        (siu * cvv - siv * cuv) / determinant,
        (siv * cuu - siu * cuv) / determinant,
        mu,
        mv,
        count,
    )


def _plausible(inverse: Floats, solid: Bools, pixels: Bools, focal_px: float) -> Bools:
    """Leave out readings farther from the solid inside than the object is large."""
    trusted = solid if np.count_nonzero(solid) >= 0.2 * np.count_nonzero(pixels) else pixels
    values = inverse[trusted]
    if len(values) < 8:
        return pixels
    low, middle, high = quantiles(values, (0.15, 0.5, 0.85))
    extent_px = max(np.ptp(np.flatnonzero(pixels.any(axis))) for axis in (0, 1))
    slack = middle * (0.7 * extent_px / focal_px + 0.02)
    return np.asarray((inverse > low - slack) & (inverse < high + slack))


MOST_POINTS = 512


def thin(points: Floats, most: int = MOST_POINTS) -> Floats:
    """Choose at most `most` of (N, 3) points: the ends along 26 directions, the rest evenly.

    The order stays, so that neighbours in the picture stay neighbours (and compress well).
    """
    if len(points) <= most:
        return points
    stride = 1 + len(points) // 2000
    ends = (points[::stride] @ _DIRECTIONS.T).argmax(0) * stride
    chosen = np.zeros(len(points), dtype=bool)
    chosen[np.linspace(0, len(points) - 1, most - len(ends)).astype(np.intp)] = True
    chosen[ends] = True
    return np.asarray(points[chosen])


def closest_pairs(clouds: Sequence[Floats]) -> list[tuple[tuple[int, int], Floats]]:
    """Find close points between every two clouds (N, 3): ((a, b), (2, 3) a point of each).

    The closest of 128 points a cloud, improved by going to the nearest point of the other cloud
    and back: among 800 points of each, and where that comes close, among all. This bounds the
    distance from above; it is exact for convex bodies and close for others.
    """
    count = len(clouds)
    if count < 2:
        return []
    first, second = np.triu_indices(count, 1)
    few = np.stack([_some(c, _FEW) for c in clouds])
    square = np.stack([_squares(few[a], few[b]) for a, b in zip(first, second, strict=True)])
    best = square.reshape(len(first), -1).argmin(1)
    at_a = few[first, best // _FEW]
    more = np.stack([_some(c, _MORE) for c in clouds])
    for _ in range(2):
        at_b = _nearest(more[second], at_a)
        at_a = _nearest(more[first], at_b)
    ends = np.stack((at_a, at_b), axis=1)
    extent = np.array([float(np.ptp(c, axis=0).max()) for c in more])
    sampled = np.maximum(extent[first], extent[second]) / _MORE**0.5
    for k in np.flatnonzero(np.linalg.norm(at_a - at_b, axis=1) < 5 * sampled):
        for _ in range(2):
            ends[k, 1] = _nearest(clouds[second[k]][None], ends[k, :1])[0]
            ends[k, 0] = _nearest(clouds[first[k]][None], ends[k, 1:])[0]
    return [((int(a), int(b)), e) for a, b, e in zip(first, second, ends, strict=True)]


def _some(cloud: Floats, count: int) -> Floats:
    return np.asarray(cloud[np.linspace(0, len(cloud) - 1, count).astype(np.intp)])


def _squares(a: Floats, b: Floats) -> Floats:
    return np.asarray((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T))


def _nearest(clouds: Floats, points: Floats) -> Floats:
    """Of each cloud (P, K, 3) the point nearest to points (P, 3)."""
    offset = clouds - points[:, None]
    nearest = np.einsum("pki,pki->pk", offset, offset).argmin(1)
    return np.asarray(clouds[np.arange(len(clouds)), nearest])


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
