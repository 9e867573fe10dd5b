"""Things that are seen in part are laid on their best view."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from calipers.reward.following import Follower

AWAY = np.array([0.1, 0.0, 0.0])


@pytest.fixture
def corner():
    """Points on three sides of a box of 4, 6 and 10 cm."""
    u, v = np.random.default_rng(0).random((2, 200))
    sides = [np.stack(np.roll([u, v, 0 * u], k, axis=0), axis=1) for k in range(3)]
    return np.concatenate(sides) * [0.04, 0.06, 0.10] + [0.1, 0.2, 0.8]


def test_a_part_of_a_moved_thing_tells_where_all_of_it_is(corner):
    follower = Follower(turns=False)
    assert follower.see(corner, 500).shift.tolist() == [0, 0, 0]
    shift = np.array([0.03, -0.02, 0.01])
    lower = corner[corner[:, 2] < 0.84] + shift
    assert follower.see(lower, 200).shift == pytest.approx(shift, abs=2e-3)
    assert follower.now() == pytest.approx(corner + shift, abs=2e-3)


def test_a_hand_that_turns_is_followed(corner):
    follower = Follower(turns=True)
    follower.see(corner, 500)
    turn = Rotation.from_euler("z", 12, degrees=True).as_matrix()
    moved = (corner - corner.mean(axis=0)) @ turn.T + corner.mean(axis=0) + [0.02, 0, 0]
    follower.see(moved[::2], 300)
    assert follower.now() == pytest.approx(moved, abs=3e-3)


def test_a_better_view_counts_only_where_the_thing_has_not_moved(corner):
    follower = Follower(turns=False)
    follower.see(corner[::3], 100)
    follower.see(corner, 300)
    assert follower.fresh
    follower.see(corner + AWAY, 310)
    assert not follower.fresh
    follower.see(corner + AWAY, 900)
    assert not follower.fresh
    assert follower.pose.shift == pytest.approx(AWAY, abs=2e-3)


@pytest.fixture
def fingers():
    """Two fingers below the corner, of 1 by 1 by 2.4 cm."""
    rng = np.random.default_rng(1)
    finger = rng.random((60, 3)) * [0.01, 0.01, 0.024]
    places = np.array([[0.1, 0.2, 0.776], [0.13, 0.2, 0.776]])
    return (finger + places[:, None]).reshape(-1, 3)


@pytest.mark.parametrize("better", [200, 900])
def test_a_view_that_lost_the_fingers_does_not_lose_them_for_good(corner, fingers, better):
    """Neither when it is the best view nor when the whole hand is seen only later."""
    whole, follower = np.concatenate((corner, fingers)), Follower(turns=True)
    moved = np.array([0.01, 0.0, -0.01])
    follower.see(whole, 500)
    follower.see(corner + moved, better)
    assert follower.fresh == (better > 500)
    assert follower.now()[:, 2].min() == pytest.approx(fingers[:, 2].min() - 0.01, abs=3e-3)
    later = Follower(turns=True)
    later.see(corner, 500)
    later.see(whole + moved, 510)
    assert not later.fresh
    assert later.now()[:, 2].min() == pytest.approx(fingers[:, 2].min() - 0.01, abs=3e-3)


def test_what_fits_badly_adds_nothing(corner):
    follower = Follower(turns=True)
    follower.see(corner, 500)
    other = np.random.default_rng(2).normal(scale=0.05, size=(300, 3)) + corner.mean(axis=0)
    follower.see(other, 400)
    assert len(follower.now()) == len(corner)
