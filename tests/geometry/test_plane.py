"""Planes of depth maps whose planes are known."""

from __future__ import annotations

import numpy as np
import pytest

from calipers.geometry.plane import depth_stats, find_planes, local_planes
from calipers.types import Camera
from known_scenes import CAMERA, FLOOR, KINECT_NOISE, Ball, Flat, angle, noisy, shoot, wall


def planes_of(shot):
    return find_planes(local_planes(shot.depth_m, CAMERA))


def floor_error(shot, plane):
    """Degrees and metres by which a plane misses the shot's floor."""
    return angle(plane.normal, -shot.gravity), abs(plane.offset - shot.level_from_camera[2, 3])


@pytest.mark.parametrize(("pitch", "roll"), [(20, 0), (45, 0), (35, 10), (60, -25), (90, 0)])
def test_exact_floor_is_found_to_a_hundredth_of_a_degree(pitch, roll):
    shot = shoot([], pitch=pitch, roll=roll, height=1.2)
    (plane,) = planes_of(shot)
    degrees, metres = floor_error(shot, plane)
    assert degrees < 0.01
    assert metres < 1e-4


@pytest.mark.parametrize(("pitch", "roll"), [(30, 0), (45, 10), (60, -25)])
@pytest.mark.parametrize("seed", [0, 1])
def test_noisy_floor_is_found_to_three_tenths_of_a_degree(pitch, roll, seed):
    """1.42 mm at 1 m, as structured light has it."""
    shot = noisy(shoot([], pitch=pitch, roll=roll), seed=seed)
    degrees, metres = floor_error(shot, planes_of(shot)[0])
    assert degrees < 0.3
    assert metres < 0.01


@pytest.mark.parametrize("at_1_m", [0.0005, KINECT_NOISE, 0.005])
def test_noise_is_estimated_to_15_percent(at_1_m):
    shot = noisy(shoot([Ball((0.3, 1.8, 0.3), 0.3)], [FLOOR, wall(4)]), at_1_m)
    assert local_planes(shot.depth_m, CAMERA).noise == pytest.approx(at_1_m, rel=0.15)


def test_exact_depth_has_no_noise():
    shot = shoot([Ball((0.3, 1.8, 0.3), 0.3)], [FLOOR, wall(4)])
    assert local_planes(shot.depth_m, CAMERA).noise < 1e-6


def test_blocks_by_hand():
    """A wall 2 m ahead: 30 x 40 blocks of 16 px, all flat, facing the camera, 1/Z = 0.5."""
    blocks = local_planes(shoot([], [wall(2.0)], pitch=0).depth_m, CAMERA)
    assert len(blocks.inverse_depth) == 30 * 40
    assert blocks.planar.all()
    np.testing.assert_allclose(blocks.inverse_depth, 0.5, atol=1e-6)
    np.testing.assert_allclose(blocks.normals, [[0, 0, -1]] * 1200, atol=1e-4)
    np.testing.assert_allclose(blocks.points[:, 2], 2.0, atol=1e-5)
    # Every second pixel of columns 0 … 15 is read: their mean is column 7.
    np.testing.assert_allclose(blocks.points[0, 0], 2.0 * (7 - 319.5) / 500, atol=1e-5)


def test_floor_and_wall_are_two_planes_at_right_angles():
    """The wall 2 m ahead stands on the floor; f = 500, level camera 1 m up: its foot is 250 px
    below the middle, row 489.5 of 480 at 0°; 20° down it is at row 239.5 + 500 tan 6.565° = 297."""
    shot = shoot([], [FLOOR, wall(2.0)], pitch=20)
    first, second = planes_of(shot)
    assert angle(first.normal, second.normal) == pytest.approx(90, abs=0.02)
    assert angle(second.normal, -shot.gravity) < 0.02
    assert first.share == pytest.approx(297 / 480, abs=0.04)
    assert second.share == pytest.approx(1 - 297 / 480, abs=0.04)
    assert second.offset == pytest.approx(1.0, abs=1e-3)
    assert not (first.inliers & second.inliers).any()


def test_two_levels_one_above_the_other_are_two_planes():
    """A step of 30 cm across the picture."""
    low = shoot([], [FLOOR]).depth_m
    high = shoot([], [Flat((0, 0, 1), 0.3)]).depth_m
    shot = shoot([], [FLOOR])
    both = low.copy()
    both[:, :300] = high[:, :300]
    planes = planes_of(shot.with_depth(both))
    assert sorted(p.offset for p in planes) == pytest.approx([0.7, 1.0], abs=1e-3)


def test_nan_and_zero_are_the_same_and_holes_do_not_move_the_plane():
    shot = shoot([])
    lost = np.random.default_rng(0).random(shot.depth_m.shape) < 0.4
    for hole in (0.0, np.nan):
        (plane,) = planes_of(shot.with_depth(np.where(lost, hole, shot.depth_m)))
        degrees, metres = floor_error(shot, plane)
        assert degrees < 0.01
        assert metres < 1e-4
        assert plane.share == 1.0


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (15, 300), (16, 16), (480, 640)])
def test_nothing_to_see_has_no_planes(shape):
    empty = np.full(shape, np.nan, np.float32)
    blocks = local_planes(empty, Camera(500, 500, 0, 0, shape[1], shape[0]))
    assert len(blocks.inverse_depth) == 0
    assert blocks.noise == 0
    assert find_planes(blocks) == []


def test_image_smaller_than_a_block_has_no_planes():
    flat = np.full((8, 8), 1.0, np.float32)
    assert find_planes(local_planes(flat, Camera(10, 10, 4, 4, 8, 8))) == []


def test_depth_of_a_map_in_numbers():
    """Every fourth pixel of every fourth row: 0, 4, ... 100 centimetres over 26 columns."""
    row = np.arange(0, 104, dtype=np.float32) / 100 + 1
    depth = np.tile(row, (8, 1))
    depth[0, 0] = np.nan
    share, low, p5, median, p95, high = depth_stats(depth)
    sample = depth[::4, ::4]
    wanted = np.nanpercentile(sample, (0, 5, 50, 95, 100))
    assert [low, p5, median, p95, high] == pytest.approx(wanted)
    assert share == 1 - 1 / depth.size


def test_few_readings_are_all_looked_at():
    depth = np.zeros((6, 6), np.float32)
    depth[1, 1], depth[3, 3] = 2.0, 4.0
    assert depth_stats(depth) == pytest.approx((2 / 36, 2, 2.1, 3, 3.9, 4))
    assert depth_stats(np.full((3, 3), np.nan, np.float32)) is None
