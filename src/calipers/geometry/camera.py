"""Pixels to rays and points, and back."""

from __future__ import annotations

import numpy as np

from calipers.types import Camera, Doubles, Floats


def rays(camera: Camera, step: int = 1) -> tuple[Floats, Floats]:
    """Return x/z of each pixel column (W,) and y/z of each pixel row (H,), every `step` pixels."""
    columns = np.arange(0, camera.width, step, dtype=np.float32)
    rows = np.arange(0, camera.height, step, dtype=np.float32)
    return (
        ((columns - camera.cx) / camera.fx).astype(np.float32),
        ((rows - camera.cy) / camera.fy).astype(np.float32),
    )


def backproject(depth_m: Floats, camera: Camera) -> Floats:
    """Lift a (H, W) z-depth map to (H, W, 3) points in the camera frame, metres.

    >>> camera = Camera(fx=2.0, fy=2.0, cx=0.0, cy=0.0, width=2, height=1)
    >>> backproject(np.full((1, 2), 4.0, np.float32), camera)[0, 1].tolist()
    [2.0, 0.0, 4.0]
    """
    x, y = rays(camera)
    return np.stack((depth_m * x, depth_m * y[:, None], depth_m), axis=-1)


def project(points: Floats | Doubles, camera: Camera) -> Doubles:
    """Project (..., 3) points in the camera frame to (..., 2) pixel coordinates (x, y)."""
    p = np.asarray(points, dtype=np.float64)
    z = p[..., 2]
    return np.stack(
        (p[..., 0] / z * camera.fx + camera.cx, p[..., 1] / z * camera.fy + camera.cy), axis=-1
    )
