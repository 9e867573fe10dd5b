"""The level frame: z up, y forward, x right, on the support surface under the camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from calipers.errors import DataError
from calipers.types import Doubles

_FORWARD = np.array([0.0, 0.0, 1.0])
_IMAGE_UP = np.array([0.0, -1.0, 0.0])
_STRAIGHT_DOWN = 1e-3
"""Length of the viewing direction's horizontal part below which the image's up is "forward"
(looking down; looking up it is the image's down)."""


def _cross(a: Doubles, b: Doubles) -> tuple[float, float, float]:
    """Cross product of two vectors; `numpy.cross` takes far longer over so little."""
    (x, y, z), (u, v, w) = a.tolist(), b.tolist()
    return y * w - z * v, z * u - x * w, x * v - y * u


def level_from_camera(gravity: ArrayLike, support_plane: ArrayLike | None = None) -> Doubles:
    """Build the (4, 4) transform that takes camera coordinates to level coordinates, metres.

    Args:
        gravity: (3,) down in the camera frame, any length.
        support_plane: (4,) n and d with n·x + d = 0 on the surface, camera frame; the origin is the
            point of the surface under the camera, or the camera itself without one.

    >>> m = level_from_camera([0, 1, 0], [0, -1, 0, 1.5])
    >>> (m @ [0.2, 1.5, 3.0, 1.0]).round(6).tolist()
    [0.2, 3.0, 0.0, 1.0]
    """
    up = -np.asarray(gravity, dtype=np.float64)
    length = np.linalg.norm(up)
    if not np.isfinite(length) or length == 0:
        raise DataError(f"gravity: wanted a direction, got {np.asarray(gravity).tolist()}")
    up /= length
    forward = _FORWARD - (_FORWARD @ up) * up
    if np.linalg.norm(forward) < _STRAIGHT_DOWN:
        ahead = _IMAGE_UP if _FORWARD @ up < 0 else -_IMAGE_UP
        forward = ahead - (ahead @ up) * up
    forward /= np.linalg.norm(forward)
    transform = np.eye(4)
    transform[:3, :3] = _cross(forward, up), forward, up
    if support_plane is not None:
        plane = np.asarray(support_plane, dtype=np.float64)
        transform[2, 3] = plane[3] / (plane[:3] @ up)
    return transform
