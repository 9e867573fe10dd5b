"""Where to grip a thing, from the pixels of a depth map: the top that a camera looks down on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from calipers.errors import Skip
from calipers.geometry.camera import backproject
from calipers.types import Bools, Camera, Doubles, Floats

TOP_M = 0.008
"""What is less than this below the highest part belongs to the top."""
LEAST = 8
_ROUND = 0.88
"""A top that fills less of its rectangle than this is round, and may be gripped from any side."""


@dataclass(frozen=True, slots=True)
class Grip:
    """A thing to grip, or to put something on or into; world frame, z up, metres.

    Attributes:
        at: (2,) the middle of its top.
        top, bottom: its highest and lowest part that is seen.
        yaw: the direction across its narrow side, along which the fingers open; None for any.
    """

    at: Doubles
    top: float
    bottom: float
    yaw: float | None


@dataclass(frozen=True, slots=True)
class Rig:
    """Where the camera is: (3, 3) camera axes and (3,) its place, world frame, metres."""

    world_from_camera: Doubles
    at: Doubles

    def points(self, depth_m: Floats, mask: Bools, camera: Camera) -> Doubles:
        """(N, 3) what a mask (H, W) covers, world frame; pixels without a reading are left out."""
        seen = backproject(depth_m, camera)[mask & np.isfinite(depth_m)].astype(np.float64)
        return np.asarray(seen @ self.world_from_camera.T + self.at)


def grip(points: Doubles) -> Grip:
    """The grip of a thing from (N, 3) points of it, world frame.

    Its top is laid into the rectangle of the smallest area (one side lies along an edge of the
    convex hull: Freeman and Shapira, 1975).

    Raises:
        Skip: ``few_points``.

    >>> u, v = (a.ravel() for a in np.meshgrid(np.linspace(-0.02, 0.02, 9), np.linspace(0, 0.1, 9)))
    >>> found = grip(np.stack((u, v, 0 * u + 0.9), axis=1))
    >>> found.at.round(3).tolist(), found.top, round(abs(found.yaw) % np.pi, 3)
    ([0.0, 0.05], 0.9, 0.0)
    """
    if len(points) < LEAST:
        raise Skip("few_points", f"{len(points)} readings are too few to grip by")
    low, top = np.percentile(points[:, 2], [2, 98])
    flat = points[points[:, 2] > top - TOP_M][:, :2]
    if len(flat) < LEAST or np.linalg.matrix_rank(flat - flat.mean(axis=0), tol=1e-3) < 2:
        raise Skip("few_points", "too little of the top is seen")
    hull = ConvexHull(flat)
    at, sides, yaw = _rectangle(flat[hull.vertices])
    filled = hull.volume / max(float(sides.prod()), 1e-12)  # in the plane a hull's volume is area
    return Grip(at, float(top), float(low), None if filled < _ROUND else yaw)


def _rectangle(corners: Doubles) -> tuple[Doubles, Doubles, float]:
    """The middle, the sides (short, long) and the direction of the short side."""
    edges = np.diff(corners, axis=0, append=corners[:1])
    best: tuple[float, Doubles, Doubles, float] | None = None
    for angle in np.arctan2(edges[:, 1], edges[:, 0]).tolist():
        axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        local = corners @ axes.T
        low, high = local.min(axis=0), local.max(axis=0)
        sides = high - low
        if best is None or sides.prod() < best[0]:
            short = int(sides.argmin())
            best = float(sides.prod()), (low + high) / 2 @ axes, sides, angle + short * np.pi / 2
    assert best is not None
    return best[1], np.sort(best[2]), best[3]
