"""Crops of frames and steps to outlines, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calipers.geometry.crop import MOST_STEPS, bounds, count_masks, cut, outline
from calipers.types import Camera

CAMERA = Camera(fx=4.0, fy=2.0, cx=1.0, cy=3.0, width=6, height=5)


def columns(rows):
    """A mask as masks are decoded: column by column."""
    return np.asfortranarray(rows, dtype=bool)


def test_steps_to_the_outline_of_a_square():
    """Five pixels wide: three steps to the middle, diagonals count as one."""
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    inside, outside = outline(mask)
    assert inside[4].tolist() == [0, 0, 1, 2, 3, 2, 1, 0, 0]
    assert outside[4].tolist() == [2, 1, 0, 0, 0, 0, 0, 1, 2]
    assert inside[2, 2] == 1
    assert outside[0, 0] == 2


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0.0, 1.0))
def test_steps_to_the_outline_agree_with_a_search_of_all_pixels(seed, share):
    mask = np.random.default_rng(seed).random((7, 11)) < share
    for found, own in zip(outline(mask), (mask, ~mask), strict=True):
        others = np.argwhere(~own)
        assert (found[~own] == 0).all()
        for row, column in np.argwhere(own):
            steps = np.abs(others - [row, column]).max(1).min() if len(others) else MOST_STEPS
            assert found[row, column] == min(steps, MOST_STEPS)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2)])
def test_a_mask_without_an_outside_is_deep_everywhere(shape):
    inside, outside = outline(np.ones(shape, bool))
    assert (inside == MOST_STEPS).all()
    assert (outside == 0).all()


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 30), st.floats(0.0, 0.2))
def test_bounds_are_those_of_the_set_pixels(seed, height, width, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    rows, cols = np.nonzero(mask)
    wanted = (rows.min(), rows.max(), cols.min(), cols.max()) if mask.any() else None
    assert bounds(columns(mask)) == wanted


def test_masks_are_counted_to_two():
    one, two = columns([[1, 1, 0]]), columns([[1, 0, 0]])
    assert count_masks([one, two, two], (1, 3)).tolist() == [[2, 1, 0]]
    assert count_masks([], (1, 2)).tolist() == [[0, 0]]


def frame():
    """Depth 1, 2, 3, ... metres row by row; a mask of 2x2 in the middle and another over it."""
    depth = np.arange(1, 31, dtype=np.float32).reshape(5, 6)
    mask, other = np.zeros((5, 6), bool), np.zeros((5, 6), bool)
    mask[1:3, 2:4], other[2, :] = True, True
    return depth, columns(mask), count_masks([columns(mask), columns(other)], (5, 6))


def test_a_crop_by_hand():
    crop = cut(frame()[0], CAMERA, *frame()[1:], (1, 3, 1, 4), 1)
    assert crop.depths[0].tolist() == [[8, 9, 10, 11], [14, 15, 16, 17], [20, 21, 22, 23]]
    assert crop.depths[1, 0].tolist() == pytest.approx([1 / 8, 1 / 9, 1 / 10, 1 / 11])
    mask, taken, inside, outside = crop.maps
    assert mask.tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert taken.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert inside.tolist() == mask.tolist()
    assert outside.tolist() == [[1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    # Columns 1 … 4 with cx = 1 and f = 4; rows 1 … 3 with cy = 3 and f = 2.
    assert crop.rays.tolist() == [0, 0.25, 0.5, 0.75, -1, -0.5, 0]
    assert (crop.camera.cx, crop.camera.cy) == (0, 2)


def test_a_crop_at_every_second_pixel_sees_along_the_same_rays():
    crop = cut(frame()[0], CAMERA, *frame()[1:], (0, 4, 1, 4), 2)
    assert crop.depths[0].tolist() == [[2, 4], [14, 16], [26, 28]]
    assert crop.rays.tolist() == [0, 0.5, -1.5, -0.5, 0.5]
    assert (crop.camera.fx, crop.camera.fy) == (2, 1)
    assert crop.maps[0].tolist() == [[0, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize("reading", [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-44])
def test_what_is_no_length_is_no_reading(reading):
    depth, mask, covered = frame()
    depth[2, 2] = reading
    crop = cut(depth, CAMERA, mask, covered, (2, 2, 2, 3), 1)
    assert crop.depths.tolist() == [[[0, 16]], [[0, 1 / 16]]]


@pytest.mark.parametrize("window", [(0, 5, 0, 0), (0, 0, 0, 6), (-1, 0, 0, 0), (2, 1, 0, 0)])
def test_a_window_that_leaves_the_frame_is_refused(window):
    with pytest.raises(ValueError, match="not inside"):
        cut(frame()[0], CAMERA, *frame()[1:], window, 1)


def test_arrays_of_other_sizes_types_or_orders_are_refused():
    depth, mask, covered = frame()
    for wrong in (depth[:, :5], depth.astype(np.float64), np.asfortranarray(depth)):
        with pytest.raises(ValueError, match="wanted"):
            cut(wrong, CAMERA, mask, covered, (0, 1, 0, 1), 1)
    with pytest.raises(ValueError, match="wanted bool"):
        cut(depth, CAMERA, np.ascontiguousarray(mask), covered, (0, 1, 0, 1), 1)


def test_a_depth_map_that_may_not_be_written_can_be_read():
    depth, mask, covered = frame()
    depth.flags.writeable = False
    assert cut(depth, CAMERA, mask, covered, (0, 0, 0, 1), 1).depths[0].tolist() == [[1, 2]]
