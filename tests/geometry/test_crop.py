"""Crops of frames and steps to outlines, by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calipers.geometry.crop import MOST_STEPS, outline


def test_steps_to_the_outline_of_a_square():
    """Five pixels wide: three steps to the middle, diagonals count as one."""
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    inside, outside = outline(mask)
    assert inside[4].tolist() == [0, 0, 1, 2, 3, 2, 1, 0, 0]
    assert outside[4].tolist() == [2, 1, 0, 0, 0, 0, 0, 1, 2]
    assert inside[2, 2] == 1
    assert outside[0, 0] == 2


@given(st.integers(0, 2**32), st.floats(0.02, 0.98))
def test_steps_to_the_outline_agree_with_a_search_of_all_pixels(seed, share):
    mask = np.random.default_rng(seed).random((7, 11)) < share
    inside, outside = outline(mask)
    for found, own in ((inside, mask), (outside, ~mask)):
        others = np.argwhere(~own)
        assert (found[~own] == 0).all()
        for row, column in np.argwhere(own) if len(others) else ():
            steps = np.abs(others - [row, column]).max(1).min()
            assert found[row, column] == min(steps, MOST_STEPS)
