"""What a picture's EXIF data say: how it must be turned to stand upright, and its focal length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calipers.io.masks import decode_mask, encode_mask
from calipers.types import Camera, Floats, Rle

ORIENTATION = 0x0112
EXIF_IFD = 0x8769
FOCAL_35MM = 0xA405
DIAGONAL_35MM = math.hypot(36.0, 24.0)
"""Diagonal of a 36 x 24 mm film frame; EXIF's 35 mm equivalent keeps the diagonal field of view."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Turn:
    """From the stored picture to the upright one: transpose first, then mirror x and y.

    Every method takes what belongs to the stored picture and returns what belongs to the upright
    one; `size_wh` is always the upright size.

    >>> ORIENTATIONS[6].array(np.array([[1, 2, 3], [4, 5, 6]])).tolist()
    [[4, 1], [5, 2], [6, 3]]
    """

    transpose: bool
    mirror_x: bool
    mirror_y: bool

    def size(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """Swap width and height where the turn does."""
        return (size_wh[1], size_wh[0]) if self.transpose else size_wh

    def array(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn an (H, W) or (H, W, C) array."""
        if self == UPRIGHT:
            return pixels
        turned = pixels.swapaxes(0, 1) if self.transpose else pixels
        turned = turned[:, ::-1] if self.mirror_x else turned
        turned = turned[::-1] if self.mirror_y else turned
        return np.ascontiguousarray(turned)

    def mask(self, rle: Rle) -> Rle:
        """Turn a mask."""
        return encode_mask(self.array(decode_mask(rle)))

    def box(self, box_xywh: Box, size_wh: tuple[int, int]) -> Box:
        """Turn a box whose border coordinates run from 0 to width and 0 to height."""
        x, y, w, h = box_xywh
        x, y, w, h = (y, x, h, w) if self.transpose else (x, y, w, h)
        x = size_wh[0] - x - w if self.mirror_x else x
        y = size_wh[1] - y - h if self.mirror_y else y
        return x, y, w, h

    def vector(self, direction: Floats) -> Floats:
        """Turn a direction of the camera frame, (3,)."""
        x, y, z = direction[[1, 0, 2]] if self.transpose else direction
        return np.array([-x if self.mirror_x else x, -y if self.mirror_y else y, z], np.float32)

    def camera(self, camera: Camera, size_wh: tuple[int, int]) -> Camera:
        """Turn a pinhole camera; its centre counts from the centre of the top-left pixel."""
        fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
        fx, fy, cx, cy = (fy, fx, cy, cx) if self.transpose else (fx, fy, cx, cy)
        cx = size_wh[0] - 1 - cx if self.mirror_x else cx
        cy = size_wh[1] - 1 - cy if self.mirror_y else cy
        return Camera(fx, fy, cx, cy, *size_wh)


ORIENTATIONS = {
    1: Turn(False, False, False),
    2: Turn(False, True, False),
    3: Turn(False, True, True),
    4: Turn(False, False, True),
    5: Turn(True, False, False),
    6: Turn(True, True, False),
    7: Turn(True, True, True),
    8: Turn(True, False, True),
}
"""The eight values of EXIF's Orientation tag (CIPA DC-008, 4.6.4)."""

UPRIGHT = ORIENTATIONS[1]


def camera_from_focal(focal_35mm: float, size_wh: tuple[int, int]) -> Camera:
    """Build the camera of a picture from EXIF's 35 mm equivalent focal length, millimetres.

    The centre is the middle of the picture and pixels are square.

    >>> round(camera_from_focal(26.0, (4032, 3024)).fx)
    3029
    """
    width, height = size_wh
    focal_px = focal_35mm * math.hypot(width, height) / DIAGONAL_35MM
    return Camera(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height)
