"""Give an exact simulated frame the faults of a depth camera and of imperfect masks.

The noise follows structured light: its standard deviation grows with the square of distance, from
1.42 mm at 1 m to about 4 cm at 5 m (Khoshelham and Elberink, "Accuracy and Resolution of Kinect
Depth Data for Indoor Mapping Applications", Sensors 2012, 12(2), 1437-1454). The shares of holes
and mixed pixels are our own choice, not taken from a measurement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calipers.errors import DataError
from calipers.io.masks import decode_mask, encode_mask, mask_box
from calipers.types import Bools, Camera, Doubles, Frame, FrameObject

EDGE_SHARE = 0.03  # a depth step of more than 3 % between neighbours, and
EDGE_M = 0.012  # more than 12 mm, is an edge
EDGE_HOLES = 5
GRAZING_COSINE = 0.12  # surfaces turned further away than 83 degrees return little light


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong; the defaults are a structured-light camera with fat masks.

    Attributes:
        axial_noise: standard deviation of z-depth at 1 m, metres; grows with z squared.
        quantum_m: depth is rounded to whole multiples of this; 0 leaves it.
        hole_share: share of the image lost in random blobs; a pixel within 2 px of a depth edge is
            lost with five times that chance, and surfaces seen at a grazing angle always; 0 makes
            no holes at all.
        mixed_pixels: pixels within 2 px of a depth edge average foreground and background.
        mixed_share: how many of the pixels there do so.
        mask_px: masks grow (+) or shrink (-) by this many pixels, measured along rows, columns and
            diagonals alike; "random" draws from -2 to 2 for each object.
    """

    axial_noise: float = 1.42e-3
    quantum_m: float = 0.001
    hole_share: float = 0.02
    mixed_pixels: bool = True
    mixed_share: float = 0.5
    mask_px: int | Literal["random"] = 2

    def __post_init__(self) -> None:
        if min(self.axial_noise, self.quantum_m) < 0:
            raise DataError(f"faults: wanted noise and quantum of at least 0, got {self}")
        if not (0 <= self.hole_share <= 0.5 and 0 <= self.mixed_share <= 1):
            raise DataError(f"faults: wanted shares from 0 to 0.5 and 0 to 1, got {self}")


def apply_faults(frame: Frame, faults: Faults, rng: np.random.Generator) -> Frame:
    """A copy of ``frame`` with faulty depth and masks; objects keep their order and captions.

    Raises:
        DataError: the frame has no depth.
    """
    if frame.depth_m is None:
        raise DataError(f"frame {frame.id!r} has no depth to spoil")
    depth = frame.depth_m.astype(np.float64)
    edges = _near_edges(depth)
    lost = _holes(depth, edges, frame.camera, faults, rng)
    if faults.mixed_pixels:
        depth = _mix(depth, edges, faults.mixed_share, rng)
    depth = depth + rng.normal(size=depth.shape) * faults.axial_noise * depth**2
    if faults.quantum_m > 0:
        depth = np.round(depth / faults.quantum_m) * faults.quantum_m
    depth[lost | (depth <= 0)] = np.nan
    objects = frame.objects and [_spoil_mask(item, faults, rng) for item in frame.objects]
    return replace(frame, depth_m=depth.astype(np.float32), objects=objects)


def grow(mask: Bools, pixels: int) -> Bools:
    """The (H, W) mask grown by a square of ``2 * pixels + 1``, or shrunk if negative.

    Outside the image counts as background for growing and as mask for shrinking.

    >>> grow(np.eye(3, dtype=bool), 1).sum(), grow(np.ones((3, 3), dtype=bool), -1).sum()
    (np.int64(9), np.int64(9))
    """
    if pixels < 0:
        return ~grow(~mask, -pixels)
    return _over_window(mask, pixels, np.maximum)


def _over_window(image: NDArray[Any], radius: int, join: Callable[[Any, Any], Any]) -> NDArray[Any]:
    """``join`` over the square window of each pixel, cut at the border; rows, then columns."""
    for axis in (0, 1):
        out = image.copy()
        moving, still = np.moveaxis(out, axis, 0), np.moveaxis(image, axis, 0)
        for step in range(1, min(radius, len(still) - 1) + 1):
            moving[step:] = join(moving[step:], still[:-step])
            moving[:-step] = join(moving[:-step], still[step:])
        image = out
    return image


def _near_edges(depth: Doubles) -> Bools:
    """Pixels within 2 px of a step between neighbours that no ordinary surface makes."""
    step = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        jump = np.abs(np.diff(depth, axis=axis)) > np.maximum(
            EDGE_M, EDGE_SHARE * np.minimum(*_neighbours(depth, axis))
        )
        first, second = _neighbours(step, axis)
        first |= jump
        second |= jump
    return _over_window(step, 1, np.maximum)


def _neighbours(image: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Views of each pixel and of its next one along an axis."""
    rows = np.moveaxis(image, axis, 0)
    return np.moveaxis(rows[:-1], 0, axis), np.moveaxis(rows[1:], 0, axis)


def _mix(depth: Doubles, edges: Bools, share: float, rng: np.random.Generator) -> Doubles:
    near = _over_window(depth, 2, np.fmin)
    far = _over_window(depth, 2, np.fmax)
    weight = rng.random(depth.shape)
    hit = edges & (rng.random(depth.shape) < share)
    return np.where(hit, weight * near + (1 - weight) * far, depth)


def _holes(
    depth: Doubles, edges: Bools, camera: Camera | None, faults: Faults, rng: np.random.Generator
) -> Bools:
    if faults.hole_share == 0:
        return np.zeros(depth.shape, dtype=bool)
    lost = _blobs(depth.shape, faults.hole_share, rng)
    lost |= edges & (rng.random(depth.shape) < EDGE_HOLES * faults.hole_share)
    if camera is not None:
        lost |= (_facing(depth, camera) < GRAZING_COSINE) & ~edges
    return lost


def _blobs(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> Bools:
    """Round-cornered blobs of 3 to 25 px that cover about ``share`` of the image."""
    lost = np.zeros(shape, dtype=bool)
    while lost.mean() < share:
        radius = rng.uniform(1.5, 12.5, 2)
        v, u = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        rows = slice(max(0, int(v - radius[0])), int(v + radius[0]) + 2)
        cols = slice(max(0, int(u - radius[1])), int(u + radius[1]) + 2)
        window = lost[rows, cols]
        y, x = np.ogrid[: window.shape[0], : window.shape[1]]
        oval = ((y + rows.start - v) / radius[0]) ** 2 + ((x + cols.start - u) / radius[1]) ** 2
        window |= oval < 1
    return lost


def _facing(depth: Doubles, camera: Camera) -> Doubles:
    """Cosine between the line of sight and the surface normal, from depth differences."""
    u = (np.arange(camera.width) - camera.cx) / camera.fx
    v = ((np.arange(camera.height) - camera.cy) / camera.fy)[:, None]
    points = np.stack([u * depth, v * depth, depth], axis=-1)
    normal = np.cross(_slope(points, 1), _slope(points, 0))
    length = np.linalg.norm(normal, axis=-1) * np.linalg.norm(points, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.abs((normal * points).sum(axis=-1)) / length
    return np.asarray(np.nan_to_num(cosine, nan=1.0))


def _slope(points: Doubles, axis: int) -> Doubles:
    ahead = np.diff(points, axis=axis)
    last = np.take(ahead, [-1], axis=axis)
    return np.concatenate([ahead, last], axis=axis)


def _spoil_mask(item: FrameObject, faults: Faults, rng: np.random.Generator) -> FrameObject:
    """Grow or shrink one mask; a mask that would vanish stays as it is."""
    pixels = int(rng.integers(-2, 3)) if faults.mask_px == "random" else faults.mask_px
    if item.rle is None or pixels == 0:
        return item
    mask = grow(np.ascontiguousarray(decode_mask(item.rle)), pixels)
    if not mask.any():
        return item
    rle = encode_mask(mask)
    return replace(item, rle=rle, bbox_xywh=mask_box(rle))
