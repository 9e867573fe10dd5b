"""Ends of clouds and hidden sides, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from calipers.geometry.box import extents, far_side
from calipers.types import Camera

UPRIGHT = np.eye(3)
CAMERA = Camera(fx=500.0, fy=400.0, cx=0.0, cy=0.0, width=640, height=480)
MIDDLE = np.array([[0.0, 0.0, 2.0]], np.float32)


def ends(outline, inside, axes=UPRIGHT, trim=0.0):
    """Ends of an outline and what is inside it."""
    rim = np.arange(len(outline) + len(inside)) < len(outline)
    return extents(np.concatenate((outline, inside)), rim, axes, CAMERA, trim)


def tiled(row, count):
    return np.tile(np.asarray(row, np.float32), (count, 1))


def square(half=0.1, z=2.0):
    """Pixel centres along the outline of a square across the view."""
    side = np.linspace(-half, half, 21)
    ends = np.full(21, half)
    rows = [(side, ends), (side, -ends), (ends, side), (-ends, side)]
    xy = np.concatenate([np.stack(r, 1) for r in rows])
    return np.concatenate((xy, np.full((len(xy), 1), z)), 1).astype(np.float32)


def test_outline_moves_out_by_half_a_footprint():
    """2 m away: a pixel is 4 mm wide (f = 500) and 5 mm tall (f = 400); no thickness along z."""
    low, high = ends(square(), MIDDLE)
    assert low == pytest.approx([-0.102, -0.1025, 2.0])
    assert high == pytest.approx([0.102, 0.1025, 2.0])


def test_a_face_across_the_axis_is_the_end_itself():
    """A face seen at x = 0.1 by inner pixels too: the outline is not moved there."""
    inside = np.array([[0.1, 0.0, 2.1], [0.1, 0.01, 2.2]], np.float32)
    low, high = ends(square(), inside)
    assert low[0] == pytest.approx(-0.102)
    assert high[0] == pytest.approx(0.1)
    assert high[2] == pytest.approx(2.2)


def test_the_inside_may_reach_farther_than_the_outline():
    """A cone seen from its tip: the nearest point is in the middle."""
    inside = np.array([[0.0, 0.0, 1.8]], np.float32)
    low, high = ends(square(), inside)
    assert low[2] == pytest.approx(1.8)
    assert high[2] == pytest.approx(2.0)


def test_ends_along_turned_axes():
    """Along the diagonal the square reaches 0.1 √2, and half of both sides of a pixel / √2."""
    half = 0.5**0.5
    axes = np.array([[half, half, 0], [-half, half, 0], [0, 0, 1.0]])
    low, high = ends(square(), MIDDLE, axes)
    goal = 0.1 * 2**0.5 + half * (0.002 + 0.0025)
    assert high[:2] == pytest.approx([goal, goal], abs=1e-6)
    assert low[:2] == pytest.approx([-goal, -goal], abs=1e-6)


def test_a_mirrored_cloud_has_mirrored_ends():
    cloud = np.random.default_rng(0).uniform((-1, -1, 1), (0.5, 2, 3), (200, 3)).astype(np.float32)
    flip = np.array([-1, 1, 1], np.float32)
    low, high = ends(cloud[:50], cloud[50:])
    low_2, high_2 = ends(cloud[:50] * flip, cloud[50:] * flip)
    assert high_2[0] == pytest.approx(-low[0])
    assert low_2[0] == pytest.approx(-high[0])
    assert (low_2[1:], high_2[1:]) == (pytest.approx(low[1:]), pytest.approx(high[1:]))


def test_far_side_of_an_upright_cylinder():
    """Radius 0.2 m, 81 pixels of 5 mm wide, 20 rows, its front at 1 m: it ends at 1.4 m."""
    x = (np.arange(81) - 40) * 0.005
    front = 1.2 - np.sqrt(np.maximum(0.04 - x * x, 0))
    far = far_side(tiled(front, 20), np.ones((20, 81), bool), 0.005)
    assert far == pytest.approx(1.4, abs=0.01)


def test_far_side_of_a_cylinder_as_deep_as_wide_is_taken_from_rounded_rows_only():
    """An ellipse 0.4 m wide and 0.3 m deep is told from the circle by less than its footprint."""
    x = (np.arange(81) - 40) * 0.005
    front = 1.0 + 0.15 - 0.75 * np.sqrt(np.maximum(0.04 - x * x, 0))
    far = far_side(tiled(front, 20), np.ones((20, 81), bool), 0.005)
    assert 1.28 < far <= 1.41


def test_far_side_of_two_sides_of_a_box():
    """The corner at column 30 is nearest; the two ends are opposite corners of the rectangle:
    1.3 and 1.2 with the corner at 1.0, so the hidden corner is at 1.3 + 1.2 - 1.0."""
    columns = np.arange(61)
    rows = np.where(columns < 30, 1.3 - 0.01 * columns, 1.0 + 0.2 / 30 * (columns - 30))
    far = far_side(tiled(rows, 12), np.ones((12, 61), bool), 0.005)
    assert far == pytest.approx(1.5, abs=0.01)


def test_far_side_of_a_flat_face_is_the_face():
    far = far_side(np.full((12, 61), 1.5, np.float32), np.ones((12, 61), bool), 0.005)
    assert far == pytest.approx(1.5)


@pytest.mark.parametrize("shape", [(1, 61), (30, 4), (2, 2)])
def test_too_little_to_tell(shape):
    assert far_side(np.full(shape, 1.5, np.float32), np.ones(shape, bool), 0.005) == -np.inf


def test_points_without_a_rim_and_trims_of_a_quarter_are_refused():
    with pytest.raises(ValueError, match="rim"):
        extents(MIDDLE, np.zeros(1, bool), UPRIGHT, CAMERA)
    with pytest.raises(ValueError, match="trim"):
        extents(MIDDLE, np.ones(1, bool), UPRIGHT, CAMERA, 0.25)


def test_trimmed_ends_leave_out_the_farthest_points_on_each_side():
    """A line of 101 rim points 1 cm apart, one in a hundred trimmed: 1 cm less on each side."""
    line = np.stack((np.arange(101) / 100, np.zeros(101), np.full(101, 2.0)), 1).astype(np.float32)
    low, high = extents(line, np.ones(101, bool), UPRIGHT, CAMERA, 0.01)
    assert (low[0], high[0]) == (pytest.approx(0.01 - 0.002), pytest.approx(0.99 + 0.002))


def test_a_flat_top_is_taken_at_its_height_and_not_where_noise_lifts_its_edge():
    """A top at 0.5 m, 1 mm thick, and a rim that noise lifts to 0.504; 2.2 to 2.75 mm a pixel."""
    rng = np.random.default_rng(0)
    across, ahead, up = rng.uniform(-0.1, 0.1, 850), rng.uniform(0.9, 1.1, 850), np.empty(850)
    ahead[:50], up[:50] = 1.1, np.linspace(0.497, 0.504, 50)  # the rim
    up[50:450] = 0.5 + rng.normal(0, 0.001, 400)  # the top
    ahead[450:], up[450:] = 0.9, rng.uniform(0, 0.5, 400)  # the front
    points = np.stack([across, -up, ahead], 1).astype(np.float32)
    axes = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # rows: right, ahead, up
    rim = np.arange(850) < 50
    _, high = extents(points, rim, axes, CAMERA, 0.005, up=2)
    assert high[2] == pytest.approx(0.5, abs=0.0003)
    _, lifted = extents(points, rim, axes, CAMERA, 0.005)
    assert lifted[2] == pytest.approx(0.504 + 1.1 / 400 / 2, abs=0.0005)
