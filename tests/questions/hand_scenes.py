"""Scenes made of boxes with round numbers, for tests whose answers a person can check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calipers.geometry.frames import level_from_camera
from calipers.types import Camera, Scene, SceneObject

CAMERA = Camera(fx=500.0, fy=500.0, cx=319.5, cy=239.5, width=640, height=480)
CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
CAMERA_HEIGHT = 1.5

Box = tuple[str | None, Sequence[float], Sequence[float]]
"""Reference, centre and size in a level frame whose origin is under the camera."""

TABLE: list[Box] = [
    ("the box", (-0.5, 2.0, 0.2), (0.4, 0.2, 0.4)),
    ("the lamp", (0.3, 2.6, 0.6), (0.2, 0.2, 0.8)),
    ("the scissors", (0.3, 1.5, 0.05), (0.1, 0.1, 0.1)),
]


def scene_of(
    boxes: Sequence[Box],
    level: bool = True,
    support: bool = True,
    noise: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    scale: float = 1.0,
    name: str = "hand",
) -> Scene:
    """The boxes seen by a camera 1.5 m (times `scale`) up, turned about its x and z axes.

    Clouds are the eight corners. Without `level` nothing is known of gravity.
    """
    gravity = _turn(pitch, roll) @ [0.0, 1.0, 0.0]
    plane = np.array([*-gravity, CAMERA_HEIGHT * scale])
    transform = level_from_camera(gravity, plane)
    objects = [_object(box, transform, level, scale) for box in boxes]
    stats = {"valid": 1.0, "min": 1.0, "p5": 1.0, "median": 2.0, "p95": 3.0, "max": 3.0}
    return Scene(
        id=name,
        image=f"{name}.png",
        width=640,
        height=480,
        camera=CAMERA,
        intrinsics_source="given",
        objects=objects,
        depth_stats={**stats, "noise": noise},
        gravity=gravity if level else None,
        support_plane=plane if level and support else None,
    )


def _turn(pitch: float, roll: float) -> np.ndarray:
    (cp, sp), (cr, sr) = ((np.cos(angle), np.sin(angle)) for angle in (pitch, roll))
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    return np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]]) @ about_x


def _object(box: Box, transform: np.ndarray, level: bool, scale: float) -> SceneObject:
    reference, center, size = box[0], np.array(box[1]) * scale, np.array(box[2]) * scale
    points = (center + CORNERS * size - transform[:3, 3]) @ transform[:3, :3]
    low, high = points.min(0), points.max(0)
    origin, step = (low + high) / 2, 1e-4 * scale
    return SceneObject(
        caption=(reference or "thing").removeprefix("the "),
        bbox=(0.0, 0.0, 10.0, 10.0),
        reference=reference,
        center_camera=origin,
        size_camera=high - low,
        center_level=center if level else None,
        size_level=size if level else None,
        cloud=np.round((points - origin) / step).astype(np.int16),
        cloud_origin=origin,
        cloud_scale=step,
    )


def five() -> list[Box]:
    """The table's three things, a vase on the floor and a shelf high up."""
    return [
        *TABLE,
        ("the vase", (-0.1, 1.2, 0.15), (0.1, 0.12, 0.3)),
        ("the shelf", (0.8, 3.0, 1.4), (1.0, 0.3, 0.04)),
    ]
