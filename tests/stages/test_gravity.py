"""Which way is down in scenes where that is known."""

from __future__ import annotations

import numpy as np
import pytest

from calipers.geometry.plane import find_planes, local_planes
from calipers.stages.gravity import find_level, level_from_gravity
from known_scenes import CAMERA, FLOOR, Box, Flat, about_x, about_z, angle, noisy, shoot, wall

CEILING = Flat((0, 0, 1), 2.4)
LEFT, RIGHT = Flat((1, 0, 0), -1.5), Flat((1, 0, 0), 1.5)


def find(shot):
    blocks = local_planes(shot.depth_m, CAMERA)
    return find_level(blocks, find_planes(blocks))


def given(shot, gravity):
    blocks = local_planes(shot.depth_m, CAMERA)
    return level_from_gravity(gravity, blocks, find_planes(blocks))


@pytest.mark.parametrize(("pitch", "roll"), [(15, 0), (30, 10), (45, -10), (45, 20), (55, 0)])
def test_a_floor_shows_down(pitch, roll):
    shot = shoot([], [FLOOR, wall(5)], pitch=pitch, roll=roll)
    level = find(shot)
    assert angle(level.gravity, shot.gravity) < 0.02
    np.testing.assert_allclose(level.support_plane, [*-shot.gravity, 1.0], atol=1e-3)
    assert np.linalg.norm(level.gravity) == pytest.approx(1)


def test_a_noisy_floor_shows_down_to_three_tenths_of_a_degree():
    shot = noisy(shoot([], [FLOOR, wall(3)], pitch=35, roll=10))
    level = find(shot)
    assert angle(level.gravity, shot.gravity) < 0.3
    assert level.support_plane[3] == pytest.approx(1.0, abs=0.01)


def test_a_wall_fills_most_of_the_picture_and_the_floor_is_small():
    """Level camera 1 m up, wall 2.4 m ahead: its foot is at row 239.5 + 500 / 2.4 = 448 of 480.
    Looking 5° down it is at row 404: the floor is a sixth of the picture."""
    shot = shoot([], [FLOOR, wall(2.4)], pitch=5)
    blocks = local_planes(shot.depth_m, CAMERA)
    largest, *_ = planes = find_planes(blocks)
    assert largest.share > 0.8
    assert angle(largest.normal, -shot.gravity) == pytest.approx(90, abs=0.1)
    level = find_level(blocks, planes)
    assert angle(level.gravity, shot.gravity) < 0.05


@pytest.mark.parametrize("pitch", [0, 5, -10])
def test_only_a_frontal_wall_shows_nothing(pitch):
    assert find(shoot([], [wall(2)], pitch=pitch)) is None


def test_a_wall_to_the_left_and_one_to_the_right_show_nothing():
    assert find(shoot([], [LEFT, RIGHT, wall(4)], pitch=0)) is None


def test_a_table_top_seen_from_45_degrees():
    """A table 0.7 m high with its floor beside it out of sight."""
    table = Box((0, 1.0, 0.35), (4, 4, 0.7))
    shot = shoot([], [FLOOR, table], height=1.5, pitch=45)
    level = find(shot)
    assert angle(level.gravity, shot.gravity) < 0.02
    assert level.support_plane[3] == pytest.approx(0.8, abs=1e-3)


def test_the_floor_carries_when_a_table_is_smaller():
    """A table top of 0.8 x 0.5 m before 5 m of floor."""
    table = Box((0, 1.5, 0.35), (0.8, 0.5, 0.7))
    shot = shoot([], [FLOOR, table, wall(5)], height=1.5, pitch=35)
    level = find(shot)
    assert angle(level.gravity, shot.gravity) < 0.02
    assert level.support_plane[3] == pytest.approx(1.5, abs=1e-3)


@pytest.mark.parametrize(("edge", "camera_above_m"), [(-0.9, 0.8), (-0.3, 1.5), (0.3, 1.5)])
def test_the_lower_of_two_levels_carries_unless_little_of_it_is_seen(edge, camera_above_m):
    """Straight over a table 0.7 m high that goes on to the right from x = edge: 2, 28 and
    60 % of the picture are floor; 97, 69 and 28 % table top."""
    table = Box(((edge + 2.5) / 2, 2.0, 0.35), (2.5 - edge, 4.0, 0.7))
    level = find(shoot([], [FLOOR, table], height=1.5, pitch=45))
    assert level.support_plane[3] == pytest.approx(camera_above_m, abs=1e-3)


@pytest.mark.parametrize(("pitch", "y"), [(-15, 6), (-15, 3), (-30, 20), (-45, 6), (-90, 6)])
def test_a_ceiling_is_never_a_floor(pitch, y):
    assert find(shoot([], [CEILING, wall(y)], pitch=pitch)) is None


def test_floor_and_ceiling_together():
    """In a corridor the floor shows down, not the ceiling that is as large."""
    shot = shoot([], [FLOOR, CEILING, LEFT, RIGHT, wall(8)], height=1.2, pitch=0)
    level = find(shot)
    assert angle(level.gravity, shot.gravity) < 0.05
    assert level.support_plane[3] == pytest.approx(1.2, abs=2e-3)


def test_a_board_leaning_against_a_wall_is_not_the_floor():
    """It leans by 60° and is larger in the picture than the floor."""
    board = Box((0, 1.6, 0.6), (1.4, 0.02, 1.4), about_x(-30))
    shot = shoot([], [board, FLOOR, wall(2.2)], pitch=25, height=1.2)
    level = find(shot)
    assert angle(level.gravity, shot.gravity) < 0.05


def test_only_a_tilted_board_among_boxes_that_agree_with_each_other():
    """Boxes standing on a floor outvote the posture of a ramp of 25°."""
    ramp = Box((0.0, 2.6, 0.3), (1.2, 1.4, 0.02), about_x(25))
    shot = shoot([], [ramp, FLOOR, wall(4)], pitch=30, height=1.4)
    assert angle(find(shot).gravity, shot.gravity) < 0.05


def test_confidence_is_a_share():
    for roll in (0, 10, 20):
        level = find(shoot([], [FLOOR, wall(5)], pitch=30, roll=roll))
        assert level.confidence == pytest.approx(np.exp(-0.5 * (roll / 15) ** 2), abs=0.02)


@pytest.mark.parametrize(("roll", "found"), [(24, True), (-24, True), (27, False), (-27, False)])
def test_a_camera_rolled_by_more_than_25_degrees_has_no_level_frame(roll, found):
    """exp(-(25 / 15)² / 2) is 0.25, the least confidence."""
    shot = shoot([], [FLOOR, wall(5)], pitch=30, roll=roll)
    assert (find(shot) is not None) is found


def test_a_camera_turned_on_its_side_has_no_level_frame():
    """Roll of 90°: the floor looks like a wall, and nobody said otherwise."""
    assert find(shoot([], [FLOOR, wall(3)], pitch=20, roll=90)) is None


def test_given_gravity_is_trusted():
    """Even on its side; only the surface is looked for."""
    shot = shoot([], [FLOOR, wall(3)], pitch=20, roll=90)
    level = given(shot, shot.gravity)
    np.testing.assert_allclose(level.gravity, shot.gravity, atol=1e-12)
    np.testing.assert_allclose(level.support_plane, [*-shot.gravity, 1.0], atol=1e-3)
    assert level.confidence == 1


def test_given_gravity_is_not_bent_to_the_floor_found():
    """2° off: the plane takes the direction that was given."""
    shot = shoot([], [FLOOR], pitch=30)
    wrong = about_x(2) @ shot.gravity
    level = given(shot, wrong)
    np.testing.assert_allclose(level.gravity, wrong, atol=1e-12)
    np.testing.assert_allclose(level.support_plane[:3], -wrong, atol=1e-12)


def test_given_gravity_without_a_level_surface():
    shot = shoot([], [wall(2)], pitch=0)
    level = given(shot, shot.gravity)
    assert level.support_plane is None
    np.testing.assert_allclose(level.gravity, shot.gravity, atol=1e-12)


def test_the_ceiling_does_not_carry_even_when_gravity_is_given():
    shot = shoot([], [CEILING, wall(4)], pitch=-20)
    assert given(shot, shot.gravity).support_plane is None


def test_nothing_seen_shows_nothing():
    shot = shoot([], [])
    assert find(shot) is None
    assert given(shot, shot.gravity).support_plane is None


def test_turning_the_camera_about_its_axis_turns_gravity_with_it():
    upright, rolled = (find(shoot([], [FLOOR, wall(4)], roll=r)).gravity for r in (0, 12))
    assert angle(about_z(-12) @ upright, rolled) < 0.02
