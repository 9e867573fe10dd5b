"""Gravity from the normals that a depth model estimates: the way the floor looks.

Floors, tables and ceilings are level, walls and fronts upright. A direction is "up" when enough
normals point along it, when most of the other normals are level or upright with it, when a camera
that is held or mounted can see it so, and when little of the scene lies below the surfaces that
face it: that tells a floor from a wall, a ceiling, or the tilted lid of a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from calipers.experts.base import DepthMap, Gravity, Image
from calipers.geometry.camera import backproject
from calipers.types import Camera, Doubles

_SAMPLES = 4000
_CANDIDATES = 150
_MAX_ROLL, _PITCH_DOWN, _PITCH_UP, _STEEP = 30.0, 65.0, 40.0, 45.0
"""Degrees that a camera is taken to be rolled and tilted at most, and what is steep."""
_SAME = np.cos(np.radians(8.0))
_LEVEL, _UPRIGHT = np.cos(np.radians(10.0)), np.sin(np.radians(10.0))
_LEAST_SHARE = 0.03
"""Part of the picture that must face up."""
_FULL_SHARE = 0.10
_BELOW = 0.03
"""Points this part of their distance below a surface count as below it."""
_LEAST_CONFIDENCE = 0.25


class NormalsGravity:
    """A `GravityEstimator` without weights; cannot tell without normals."""

    revision: str | None = None

    @classmethod
    def load(
        cls,
        source: str = "",
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
    ) -> Self:
        """There is nothing to load; the arguments are those of all experts."""
        return cls()

    def down(
        self,
        images: Sequence[Image],
        cameras: Sequence[Camera | None],
        depths: Sequence[DepthMap | None],
    ) -> list[Gravity | None]:
        """Find gravity in each depth map that has normals; None where nothing faces up."""
        return [
            _gravity(depth, camera or depth.camera) if depth is not None else None
            for depth, camera in zip(depths, cameras)
        ]


def _gravity(depth: DepthMap, camera: Camera | None) -> Gravity | None:
    if depth.normals is None or camera is None:
        return None
    normals, points = _samples(depth, camera)
    up = _best_up(normals)
    if up is None:
        return None
    confidence = _confidence(up, normals, points)
    if confidence < _LEAST_CONFIDENCE:
        return None
    return Gravity((-up).astype(np.float32), confidence)


def _samples(depth: DepthMap, camera: Camera) -> tuple[Doubles, Doubles]:
    """Take (N, 3) unit normals, and the points they belong to, evenly from the picture."""
    assert depth.normals is not None
    points = backproject(depth.depth_m, camera)
    valid = np.flatnonzero(np.isfinite(depth.normals).all(-1) & np.isfinite(depth.depth_m))
    chosen = valid[:: max(1, len(valid) // _SAMPLES)]
    normals = depth.normals.reshape(-1, 3)[chosen].astype(np.float64)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.maximum(lengths, 1e-9), points.reshape(-1, 3)[chosen].astype(np.float64)


def _best_up(normals: Doubles) -> Doubles | None:
    """Find the direction that most normals agree with, among those that can be up."""
    able = normals[_posture(normals) > 0]
    if not len(able):
        return None
    candidates = able[:: max(1, len(able) // _CANDIDATES)]
    cosine = candidates @ normals.T
    facing, across = (cosine > _SAME).mean(1), (np.abs(cosine) < _UPRIGHT).mean(1)
    best = int(np.argmax(facing * (facing + across) * _posture(candidates)))
    if facing[best] < _LEAST_SHARE:
        return None
    up: Doubles = candidates[best]
    for _ in range(5):
        up = normals[normals @ up > _SAME].mean(0)
        up /= np.linalg.norm(up)
    return up


def _posture(up: Doubles) -> Doubles:
    """How usual the (N, 3) directions are as "up" of a camera, 0 to 1.

    A camera is seldom rolled, and one that looks up at a wall sees the same as one that looks
    steeply down at a floor: the steeper, the less sure.
    """
    roll = np.degrees(np.arctan2(up[:, 0], -up[:, 1]))
    pitch_down = np.degrees(np.arcsin(np.clip(-up[:, 2], -1, 1)))
    steep = np.clip((pitch_down - _STEEP) / (_PITCH_DOWN - _STEEP), 0, 1)
    able = (np.abs(roll) <= _MAX_ROLL) & (pitch_down <= _PITCH_DOWN) & (pitch_down >= -_PITCH_UP)
    usual: Doubles = able * np.exp(-0.5 * (roll / 15.0) ** 2) * (1 - 0.8 * steep)
    return usual


def _confidence(up: Doubles, normals: Doubles, points: Doubles) -> float:
    """Multiply, each at most 1: posture, how much faces up, what lies below it, who agrees."""
    cosine = normals @ up
    facing = cosine > _SAME
    heights = points @ up
    floor = np.percentile(heights[facing], 10)
    below = (heights < floor - _BELOW * points[:, 2]).mean()
    carries = min(1.0, facing.mean() / max(below, 1e-6))
    agree = ((np.abs(cosine) > _LEVEL) | (np.abs(cosine) < _UPRIGHT)).mean()
    share = min(1.0, facing.mean() / _FULL_SHARE)
    return float(_posture(up[None])[0] * share**0.5 * carries * min(1.0, agree / 0.6))
