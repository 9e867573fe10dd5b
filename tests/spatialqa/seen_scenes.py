"""A hand scene with its depth map: flat squares at known depths in a picture of 100 x 100."""

from __future__ import annotations

import numpy as np

from calipers.io.masks import encode_mask
from calipers.types import Camera, Frame, FrameObject, Scene

WALL_M = 4.0
Square = tuple[str, tuple[int, int, int, int], float]  # caption, x y w h in pixels, depth

SQUARES: list[Square] = [
    ("red mug", (10, 10, 20, 20), 1.0),
    ("blue box", (50, 10, 30, 20), 2.0),
    ("table lamp", (10, 60, 20, 30), 3.0),
]


def frame_of(squares: list[Square] | None = None, mirrored: bool = False) -> Frame:
    """The squares before a wall 4 m away, seen by a camera that stands level."""
    depth = np.full((100, 100), WALL_M, np.float32)
    depth[0] = np.nan
    objects = []
    for caption, (x, y, w, h), depth_m in SQUARES if squares is None else squares:
        left = 100 - x - w if mirrored else x
        depth[y : y + h, left : left + w] = depth_m
        mask = np.zeros((100, 100), bool)
        mask[y : y + h, left : left + w] = True
        objects.append(FrameObject((left, y, w, h), caption, encode_mask(mask)))
    camera = Camera(100.0, 100.0, 49.5, 49.5, 100, 100)
    frame = Frame("seen", "seen.png", 100, 100, depth_m=depth, camera=camera, objects=objects)
    frame.rgb = np.full((100, 100, 3), 128, np.uint8)
    frame.gravity, frame.gravity_source = np.array([0, 1, 0], np.float32), "given"
    frame.intrinsics_source = "given"
    return frame


def lifted(frame: Frame) -> Scene:
    from calipers.work import Clock, frame_to_scene

    return frame_to_scene(frame, Clock())
