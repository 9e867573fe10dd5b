"""Scenes put together by hand: boxes on a table, seen by a level camera 0.5 m above it."""

from __future__ import annotations

import numpy as np

from calipers.types import Camera, DepthStats, Scene, SceneObject

CAMERA = Camera(fx=200, fy=200, cx=79.5, cy=59.5, width=160, height=120)
TABLE = 0.5
STATS = DepthStats(valid=1.0, min=0.5, p5=0.6, median=1, p95=1.4, max=1.5, noise=0.0)


def thing(caption, right, forward, bottom, size, role=None, yaw=0.0):
    """A box: its middle's place on the table and its underside's height, metres; yaw in degrees."""
    size = np.array(size, dtype=float)
    level = np.array([right, forward, bottom + size[2] / 2])
    steps = np.linspace(-0.5, 0.5, 7)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    c, s = np.cos(np.deg2rad(yaw)), np.sin(np.deg2rad(yaw))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    shell = grid[np.abs(grid).max(axis=1) > 0.49] * size @ turn.T + level
    size = np.abs(turn) @ size
    camera = np.stack((shell[:, 0], TABLE - shell[:, 2], shell[:, 1]), axis=1)
    origin = camera.min(axis=0).astype(np.float32)
    cloud = np.round((camera - origin) / 1e-4).astype(np.int16)
    center = np.array([level[0], TABLE - level[2], level[1]])
    return SceneObject(
        caption, (0.0, 0.0, 10.0, 10.0), role=role, pixels=200,
        center_camera=center, size_camera=size[[0, 2, 1]], center_level=level, size_level=size,
        depth_center=1.0, depth_mean=1.0, depth_p5=1.0, depth_p95=1.0,
        cloud=cloud, cloud_origin=origin, cloud_scale=1e-4,
    )  # fmt: skip


def hand(right, forward, bottom):
    """A gripper, 12 cm tall."""
    return thing("robot gripper", right, forward, bottom, (0.06, 0.04, 0.12), role="gripper")


def scene(*objects, name="a"):
    """A scene with gravity and a table."""
    return Scene(
        name, "a.png", 160, 120, CAMERA, "given", list(objects), STATS,
        gravity=np.array([0.0, 1.0, 0.0]), gravity_source="given",
        support_plane=np.array([0.0, -1.0, 0.0, TABLE]),
    )  # fmt: skip
