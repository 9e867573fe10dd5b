"""By how many pixels masks are too fat, and what that is good for, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from calipers.geometry.clean import EXCESSES, Sides, clean, excesses, tell_sides
from calipers.geometry.crop import count_masks, cut
from calipers.types import Camera

CAMERA = Camera(500.0, 500.0, 39.5, 29.5, 80, 60)
NOISE = 0.001
NOWHERE = np.zeros((60, 80), bool)


def square(excess: int) -> np.ndarray:
    """A mask for 20 x 20 pixels at rows 20 to 39, too fat by so many."""
    mask = np.zeros((60, 80), bool, order="F")
    mask[20 - excess : 40 + excess, 30 - excess : 50 + excess] = True
    return mask


def crop_of(excess: int, mixed: bool = False):
    """A face 1 m away, 20 pixels wide, before a wall 2 m away; its mask is too fat."""
    depth = np.full((60, 80), 2.0, np.float32)
    depth[20:40, 30:50] = 1.0
    if mixed:
        rng = np.random.default_rng(0)
        near = square(2) & ~square(-2)
        depth[near] = rng.uniform(1.0, 2.0, int(near.sum()))
    mask = square(excess)
    return cut(depth, CAMERA, mask, count_masks([mask], (60, 80)), (0, 59, 0, 79), 1)


def costs(best: int, depth: float, telling: int = 100) -> Sides:
    """Sides whose readings fit one excess, others worse by `depth` a pixel."""
    empty = np.zeros((1, 1))
    away = np.abs(np.array(EXCESSES) - best)
    return Sides(empty.astype(np.float32), empty > 0, depth * away, telling)


@pytest.mark.parametrize("excess", [-2, -1, 0, 1, 2, 3])
def test_the_excess_of_a_mask_is_where_depth_changes(excess):
    sides = tell_sides(crop_of(excess), NOISE)
    assert excesses([sides]) == [excess]


def test_what_each_ring_of_pixels_says():
    """Around 20 x 20 pixels lie rings of 84 and 92; its own outermost ones are of 76 and 68."""
    costs = tell_sides(crop_of(0), NOISE).costs
    at = EXCESSES.index(0)
    assert np.diff(costs)[at - 2 : at + 2] == pytest.approx([-92, -84, 76, 68], abs=0.1)


def test_what_most_masks_of_a_frame_have_in_common_is_expected_of_the_others():
    sure, silent, unsure = costs(2, 50.0), costs(0, 0.0, telling=3), costs(0, 4.0)
    assert excesses([sure, sure, silent]) == [2, 2, 2]
    assert excesses([sure, sure, unsure]) == [2, 2, 2]
    assert excesses([sure, sure, costs(0, 50.0)]) == [2, 2, 0]


def test_masks_that_have_nothing_in_common_are_each_taken_as_they_are():
    found = excesses([costs(2, 50.0), costs(-1, 50.0), costs(0, 50.0), costs(0, 0.0, telling=3)])
    assert found == [2, -1, 0, 0]
    assert excesses([]) == []


@pytest.mark.parametrize("excess", [-1, 0, 2])
def test_an_outline_of_mixed_pixels_is_cut_where_the_mask_says_less_its_excess(excess):
    crop = crop_of(excess, mixed=True)
    found = clean(crop, tell_sides(crop, NOISE), excess, NOWHERE, NOISE, exact=False)
    wrong = found.pixels ^ square(0)
    assert wrong.sum() <= 12  # of 400; by depth alone 60 to 80
    assert found.inverse_depth[found.pixels] == pytest.approx(1.0, abs=0.02)


def test_at_the_outline_what_looks_otherwise_than_its_place_is_believed():
    """A notch that the mask does not know: the middle of its first two columns is cut out."""
    depth = np.full((60, 80), 2.0, np.float32)
    depth[20:40, 30:50] = 1.0
    depth[26:32, 46:50] = 2.0
    mask = square(0)
    crop = cut(depth, CAMERA, mask, count_masks([mask], (60, 80)), (0, 59, 0, 79), 1)
    found = clean(crop, tell_sides(crop, NOISE), 0, NOWHERE, NOISE, exact=False)
    assert not found.pixels[28:30, 48:50].any()
    assert found.pixels[22:24, 30:48].all()
