"""A picture with known metres, to measure in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calipers.io.masks import encode_mask
from calipers.tools import Session
from calipers.types import Frame
from known_scenes import CAMERA, Box, shoot

# Both 20 cm cubes stand on the floor, 3 m and 4 m away, their near faces at y = 2.9 and 3.9.
NEAR, FAR = Box((-0.4, 3.0, 0.1), (0.2, 0.2, 0.2)), Box((0.4, 4.0, 0.1), (0.2, 0.2, 0.2))
# A cube on top of the near one.
UPON = Box((-0.4, 3.0, 0.25), (0.1, 0.1, 0.1))

RAMP = (1 / (1 - np.arange(128) / 256)).astype(np.float32)


def frame(*things: Box, pitch: float = 20.0, given_gravity: bool = True) -> Frame:
    """Cubes "red", "blue", "green" on a floor, 1 m under the camera; 640x480."""
    shot = shoot(things, pitch=pitch, camera=CAMERA)
    made = replace(shot.frame, id="cubes")
    for name, mask, item in zip(("red cube", "blue cube", "green cube"), shot.masks, made.objects):
        item.caption, item.rle = name, encode_mask(mask)
    if given_gravity:
        made.gravity, made.gravity_source = shot.gravity.astype(np.float32), "given"
    return made


def cubes() -> Session:
    """A red cube, a blue one 1 m behind and 0.8 m to the right, a green one on the red."""
    return Session.of_frame(frame(NEAR, FAR, UPON))


def ramp(noise: float = 0.0) -> Frame:
    """A plane from 1 m on the left, 1 / (1 - column / 256) m, to 1.98 m on the right; 128x64.

    It has no objects and no intrinsics.
    """
    depth = np.tile(RAMP, (64, 1))
    depth += np.random.default_rng(0).normal(size=depth.shape).astype(np.float32) * noise
    return Frame("ramp", "ramp.png", 128, 64, depth_m=depth)
