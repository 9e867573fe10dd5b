"""Pixels to points and back, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calipers.geometry.camera import backproject, project, rays
from calipers.types import Camera

CAMERA = Camera(fx=500.0, fy=400.0, cx=319.5, cy=239.5, width=640, height=480)


def test_rays_by_hand():
    """Column 569.5 would be half a focal to the right; column 0 is 319.5 px to the left."""
    x, y = rays(CAMERA)
    assert (x.shape, y.shape, x.dtype) == ((640,), (480,), np.float32)
    assert x[[0, 319, 320, 639]] == pytest.approx([-0.639, -0.001, 0.001, 0.639])
    assert y[[0, 439]] == pytest.approx([-239.5 / 400, 199.5 / 400])


def test_rays_of_every_fourth_pixel():
    x, y = rays(CAMERA, step=4)
    assert (len(x), len(y)) == (160, 120)
    assert x[1] == pytest.approx(-315.5 / 500)
    assert y[1] == pytest.approx(-235.5 / 400)


def test_points_by_hand():
    """2 m away: 250 px right at f = 500 is 1 m to the right, 100 px down at 400 is 0.5 m."""
    depth = np.full((480, 640), 2.0, np.float32)
    points = backproject(depth, Camera(500.0, 400.0, 320.0, 240.0, 640, 480))
    assert points.shape == (480, 640, 3)
    assert points[340, 570].tolist() == [1.0, 0.5, 2.0]
    assert points[240, 320].tolist() == [0.0, 0.0, 2.0]
    assert points[140, 70].tolist() == [-1.0, -0.5, 2.0]


def test_no_reading_is_no_point():
    depth = np.array([[np.nan, 1.0]], np.float32)
    points = backproject(depth, Camera(2.0, 2.0, 0.0, 0.0, 2, 1))
    assert np.isnan(points[0, 0]).all()
    assert points[0, 1].tolist() == [0.5, 0.0, 1.0]


def test_project_by_hand():
    pixels = project(np.array([[1.0, -0.5, 2.0], [0.0, 0.0, 7.0]]), CAMERA)
    assert pixels.tolist() == [[569.5, 139.5], [319.5, 239.5]]


@given(st.integers(0, 2**32), st.floats(20, 3000), st.floats(20, 3000))
def test_projecting_a_lifted_pixel_gives_the_pixel(seed, fx, fy):
    rng = np.random.default_rng(seed)
    camera = Camera(fx, fy, rng.uniform(-5, 20), rng.uniform(-5, 20), width=13, height=7)
    depth = rng.uniform(0.1, 20, (7, 13)).astype(np.float32)
    rows, columns = np.mgrid[:7, :13]
    pixels = project(backproject(depth, camera), camera)
    np.testing.assert_allclose(pixels, np.stack((columns, rows), 2), atol=2e-4)


@given(st.integers(0, 2**32))
def test_lifting_a_projected_point_gives_the_point(seed):
    rng = np.random.default_rng(seed)
    x, y, z = point = rng.uniform((-2, -2, 0.3), (2, 2, 9))
    u, v = project(point, CAMERA)
    centered = Camera(CAMERA.fx, CAMERA.fy, CAMERA.cx - u, CAMERA.cy - v, 1, 1)
    back = backproject(np.full((1, 1), z, np.float32), centered)[0, 0]
    np.testing.assert_allclose(back, [x, y, z], atol=1e-5)
