"""The level frame of cameras whose posture is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calipers.errors import DataError
from calipers.geometry.frames import level_from_camera

HALF = 0.5**0.5


def apply(transform, *point):
    return (transform @ [*point, 1.0])[:3].round(6).tolist()


def test_camera_held_level():
    """Right stays right, forward is away, up is against the image's y; the camera is 1.5 m up."""
    transform = level_from_camera([0, 1, 0], [0, -1, 0, 1.5])
    assert apply(transform, 0, 0, 0) == [0, 0, 1.5]
    assert apply(transform, 0.2, 1.4, 3.0) == [0.2, 3.0, 0.1]
    assert transform[3].tolist() == [0, 0, 0, 1]


def test_camera_looking_down_by_45_degrees_meets_the_floor_under_it_and_ahead():
    """1 m up: the line of sight meets the floor after √2 m, 1 m ahead."""
    transform = level_from_camera([0, HALF, HALF], [0, -HALF, -HALF, 1.0])
    assert apply(transform, 0, 0, 2**0.5) == [0, 1, 0]
    assert apply(transform, 0, HALF, HALF) == [0, 0, 0]


def test_camera_looking_straight_down_has_the_image_up_as_forward():
    transform = level_from_camera([0, 0, 1], [0, 0, -1, 2.0])
    assert apply(transform, 0.3, -0.4, 1.9) == [0.3, 0.4, 0.1]


def test_camera_rolled_by_30_degrees():
    """Gravity leans to the image's left; what is straight above the camera has x = 0."""
    c, s = 3**0.5 / 2, 0.5
    transform = level_from_camera([-s, c, 0])
    assert apply(transform, s, -c, 0) == [0, 0, 1]
    assert apply(transform, c, s, 0) == [1, 0, 0]
    assert apply(transform, 0, 0, 1) == [0, 1, 0]


def test_gravity_of_any_length():
    one, ten = level_from_camera([0, 0.6, 0.8]), level_from_camera([0, 6, 8])
    np.testing.assert_allclose(one, ten, atol=1e-15)


def test_without_a_surface_the_origin_is_the_camera():
    assert level_from_camera([0.1, 0.9, -0.2])[:3, 3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("gravity", [[0, 0, 0], [np.nan, 1, 0], [np.inf, 0, 0]])
def test_no_direction_is_refused(gravity):
    with pytest.raises(DataError, match="gravity: wanted a direction, got"):
        level_from_camera(gravity)


directions = st.tuples(*[st.floats(-1, 1)] * 3).map(np.array)


@given(directions, st.floats(0.1, 3))
def test_it_is_a_rotation_with_gravity_down_and_the_view_ahead(gravity, height):
    length = np.linalg.norm(gravity)
    assume(length > 0.01)
    down = gravity / length
    assume(np.hypot(*down[:2]) > 0.01)
    transform = level_from_camera(gravity, [*-down, height])
    turn = transform[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(turn @ down, [0, 0, -1], atol=1e-12)
    x, y, _ = turn @ [0, 0, 1]
    assert abs(x) < 1e-12
    assert y > 0
    np.testing.assert_allclose(transform @ [*down * height, 1], [0, 0, 0, 1], atol=1e-12)


@given(st.floats(-180, 180), st.floats(0.1, 3))
def test_turning_the_camera_about_its_axis_changes_no_level_coordinate(degrees, height):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    roll = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    down, point = np.array([0.0, 0.8, 0.6]), np.array([0.3, -0.2, 2.0])
    upright = level_from_camera(down, [*-down, height])
    rolled = level_from_camera(roll @ down, [*(-roll @ down), height])
    np.testing.assert_allclose(
        rolled @ [*(roll @ point), 1], upright @ [*point, 1], rtol=0, atol=1e-12
    )
