"""The crop of a frame around one object, and steps to the outline of its mask."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calipers.geometry.kernel import CropRecord, at, library, pointer
from calipers.types import Bools, Camera, Doubles, Floats

Bytes = NDArray[np.uint8]

MOST_STEPS = 8
"""Steps to an outline are counted up to here."""


@dataclass(frozen=True, slots=True)
class Crop:
    """The pixels around one object: (h, w) arrays, 0 where there is no reading.

    Attributes:
        camera: its pixels are those of the crop.
        step: every so many rows and columns of the frame are in the crop.
        ray_x, ray_y: x/z of each column (w,), y/z of each row (h,).
        z: depth, metres.
        inverse: 1/depth.
        mask: the object's mask as given.
        taken: pixels of other objects' masks.
        inside, outside: see `outline`.
        record: the same for the kernel.
    """

    camera: Camera
    step: int
    ray_x: Floats
    ray_y: Floats
    z: Floats
    inverse: Floats
    mask: Bools
    taken: Bools
    inside: Bytes
    outside: Bytes
    record: CropRecord = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        k, shape = self.camera, self.shape
        numbers = (self.z, self.inverse)
        masks, steps = (self.mask, self.taken), (self.inside, self.outside)
        record = CropRecord(
            *(*shape, k.fx, k.fy, k.cx, k.cy),
            pointer(self.ray_x, np.float32, shape[1:]).value,
            pointer(self.ray_y, np.float32, shape[:1]).value,
            *(pointer(a, np.float32, shape).value for a in numbers),
            *(pointer(a, np.bool_, shape).value for a in masks),
            *(pointer(a, np.uint8, shape).value for a in steps),
        )
        object.__setattr__(self, "record", record)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.camera.height, self.camera.width

    def along(self, axis: Doubles) -> Floats:
        """Coordinate of each pixel along a unit axis of the camera frame, (h, w), metres."""
        out = np.empty(self.shape, np.float32)
        turned = np.ascontiguousarray(axis, np.float32)
        library.along(self.record, pointer(turned, np.float32, (3,)), at(out))
        return out


def bounds(mask: Bools) -> tuple[int, int, int, int] | None:
    """Find the first and last row and column of a (H, W) mask in Fortran order; None if empty.

    >>> bounds(np.asfortranarray([[False, False, False], [False, True, True]]))
    (1, 1, 1, 2)
    """
    ends = np.empty(4, np.int32)
    found = library.bounds(pointer(mask, np.bool_, mask.shape, "F"), *mask.shape, at(ends))
    return (int(ends[0]), int(ends[1]), int(ends[2]), int(ends[3])) if found else None


def count_masks(masks: list[Bools], shape: tuple[int, int]) -> Bytes:
    """Count by how many (H, W) masks in Fortran order each pixel is covered, at most 2."""
    covered = np.zeros(shape, np.uint8, order="F")
    for mask in masks:
        library.cover(pointer(mask, np.bool_, shape, "F"), mask.size, at(covered))
    return covered


def outline(mask: Bools) -> tuple[Bytes, Bytes]:
    """Count steps (of a king on a chess board, at most `MOST_STEPS`) to the outline of a mask.

    Returns:
        (h, w) from inside: 1 on the outermost pixels of the mask, growing inwards, 0 outside; and
        from outside: 1 on the pixels next to the mask, growing outwards, 0 inside. What lies beyond
        the crop is unknown and does not count as outside.

    >>> outline(np.array([[False, True, True, True, False, False]]))[0].tolist()
    [[0, 1, 2, 1, 0, 0]]
    """
    height, width = mask.shape
    inside, outside = np.empty(mask.shape, np.uint8), np.empty(mask.shape, np.uint8)
    start = pointer(mask, np.bool_, (height, width))
    library.outline(start, height, width, at(inside), at(outside))
    return inside, outside


def cut(
    depth_m: Floats,
    camera: Camera,
    mask: Bools,
    covered: Bytes,
    window: tuple[int, int, int, int],
    step: int,
) -> Crop:
    """Cut the crop of an object out of its frame.

    Args:
        depth_m: (H, W) in C order; what is not a positive finite number is no reading.
        mask, covered: (H, W) in Fortran order, see `count_masks`.
        window: first row, last row, first column, last column.
        step: every so many rows and columns are taken.
    """
    top, bottom, left, right = window
    frame = (camera.height, camera.width)
    if not (0 <= top <= bottom < frame[0] and 0 <= left <= right < frame[1] and step > 0):
        raise ValueError(f"window {window} at step {step} is not inside {frame}")
    height, width = (bottom - top) // step + 1, (right - left) // step + 1
    view = Camera(
        fx=camera.fx / step,
        fy=camera.fy / step,
        cx=(camera.cx - left) / step,
        cy=(camera.cy - top) / step,
        width=width,
        height=height,
    )
    shape = (height, width)
    z, inverse = np.empty(shape, np.float32), np.empty(shape, np.float32)
    own, taken = np.empty(shape, np.bool_), np.empty(shape, np.bool_)
    library.cut(
        *(pointer(depth_m, np.float32, frame), frame[1]),
        *(pointer(mask, np.bool_, frame, "F"), pointer(covered, np.uint8, frame, "F")),
        *(frame[0], top, left, step, height, width),
        *(at(array) for array in (z, inverse, own, taken)),
    )
    ray_x = (np.arange(width, dtype=np.float32) - view.cx) / view.fx
    ray_y = (np.arange(height, dtype=np.float32) - view.cy) / view.fy
    rays = (ray_x.astype(np.float32), ray_y.astype(np.float32))
    return Crop(view, step, *rays, z, inverse, own, taken, *outline(own))
