"""Which way is down, and what the scene stands on, from the depth map.

A plane carries the scene when it can be level for a hand-held or mounted camera (roll within 30°,
pitch from 40° up to 65° down), when little lies below it, and when the other flat surfaces agree:
indoors most are level or upright. A wall fails the first test, a tilted board the last. Confidence
is the product of three factors in [0, 1] and a scene below `LEAST_CONFIDENCE` has no level frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calipers.geometry.plane import Blocks, Plane
from calipers.types import Bools, Doubles

LEAST_CONFIDENCE = 0.25
LEAST_SHARE = 0.04
"""Part of the picture that a support surface found without gravity must cover."""
_MAX_ROLL = 30.0
_PITCH_DOWN, _PITCH_UP = 65.0, 40.0
_SAME_DIRECTION = np.cos(np.radians(4.0))
_LOWER_SHARE = 0.35
"""A lower level surface is preferred when it covers this part of what the largest covers."""


@dataclass(frozen=True, slots=True)
class Level:
    """Direction of gravity and the support surface, camera frame.

    Attributes:
        gravity: (3,) unit, down.
        support_plane: (4,) unit normal (= -gravity) and offset; None when no surface was found.
        confidence: in [0, 1].
    """

    gravity: Doubles
    support_plane: Doubles | None
    confidence: float


def find_level(blocks: Blocks, planes: Sequence[Plane]) -> Level | None:
    """Find gravity and the support surface in the planes of a depth map; None when in doubt."""
    candidates = [(p, _confidence(p, blocks)) for p in planes if p.share >= LEAST_SHARE]
    candidates = [(p, c) for p, c in candidates if c >= LEAST_CONFIDENCE]
    if not candidates:
        return None
    best, confidence = max(candidates, key=lambda pair: pair[1] * np.sqrt(pair[0].share))
    up = best.normal
    return Level(-up, _support(up, blocks, planes), confidence)


def level_from_gravity(
    gravity: Doubles, blocks: Blocks, planes: Sequence[Plane], confidence: float = 1.0
) -> Level:
    """Find the support surface when gravity is known."""
    up = -np.asarray(gravity, dtype=np.float64)
    return Level(-up, _support(up, blocks, planes), confidence)


def _support(up: Doubles, blocks: Blocks, planes: Sequence[Plane]) -> Doubles | None:
    """Choose the lowest of the large level planes; its normal is set to `up`."""
    level = [p for p in planes if p.normal @ up > _SAME_DIRECTION]
    if not level:
        return None
    largest = max(p.share for p in level)
    offsets = [_offset(up, blocks, p.inliers) for p in level if p.share >= _LOWER_SHARE * largest]
    return np.append(up, max(offsets))


def _offset(up: Doubles, blocks: Blocks, inliers: Bools) -> float:
    return float(-np.median(blocks.points[inliers] @ up))


def _confidence(plane: Plane, blocks: Blocks) -> float:
    ux, uy, uz = plane.normal
    pitch_down = float(np.degrees(np.arcsin(np.clip(-uz, -1, 1))))
    roll = float(np.degrees(np.arctan2(ux, -uy)))
    if abs(roll) > _MAX_ROLL or not -_PITCH_UP <= pitch_down <= _PITCH_DOWN:
        return 0.0
    posture = float(np.exp(-0.5 * (roll / 15.0) ** 2))
    if pitch_down > 50.0:
        posture *= 1.0 - 0.5 * (pitch_down - 50.0) / 15.0
    heights = blocks.points @ plane.normal + plane.offset
    below = float((heights < -0.03 * blocks.points[:, 2]).mean())
    carries = min(1.0, plane.share / max(below, 1e-6))
    return posture * min(1.0, carries) * _agreement(plane, blocks)


def _agreement(plane: Plane, blocks: Blocks) -> float:
    """Part of the flat blocks whose surface is level or upright (within 10°) in this frame."""
    cosine = np.abs(blocks.normals[blocks.planar] @ plane.normal)
    if not len(cosine):
        return 0.0
    level, upright = np.cos(np.radians(10.0)), np.sin(np.radians(10.0))
    agree = float(((cosine > level) | (cosine < upright)).mean())
    return min(1.0, agree / 0.6)
