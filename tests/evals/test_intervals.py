"""Wilson's interval against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from calipers.evals.intervals import MOST_CLUSTERS, Share, bootstrap


@pytest.mark.parametrize(
    ("right", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (21, 34, 0.4504, 0.7610),
    ],
)
def test_intervals_by_hand(right: int, trials: int, low: float, high: float) -> None:
    found = Share.of(right, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_no_trials_have_no_share() -> None:
    assert Share.of(0, 0)[2:] == (None, None, None)
    assert str(Share.of(0, 0)) == "nothing to score"


@pytest.mark.parametrize(
    ("points", "clusters", "bounded", "interval"),
    [
        ([], "", True, (None, None)),
        ([0.5], "a", True, (None, None)),
        ([0.0, 1.0, 1.0], "aaa", True, (None, None)),  # one picture
        ([0.0] * 6, "abcdef", True, (0.0, 0.3903)),  # Wilson's 0 of 6
        ([1.0] * 6, "abcdef", True, (0.6097, 1.0)),
        ([0.0] * 6, "aabbcc", True, (0.0, 0.5615)),  # Wilson's 0 of 3 pictures
        ([0.0, 0.0, np.nan], "aab", True, (None, None)),
        ([0.0] * 6, "abcdef", False, (None, None)),
        ([0.5] * 6, "abcdef", True, (None, None)),
        ([0.0, 1.0, 1.0, 0.0], "aabb", True, (None, None)),  # every draw of pictures has 0.5
        ([0.0, 1.0], "ab", True, (0.0, 1.0)),
    ],
)
def test_no_certainty_out_of_points_that_are_alike(
    points: list[float], clusters: str, bounded: bool, interval: tuple[float | None, float | None]
) -> None:
    found = bootstrap(np.array(points, float), list(clusters), bounded=bounded)
    assert (found.low, found.high) == pytest.approx(interval, abs=1e-4)


def test_many_pictures_all_wrong_are_not_certain_either() -> None:
    size = MOST_CLUSTERS + 1
    found = bootstrap(np.zeros(size), [str(k) for k in range(size)], bounded=True)
    assert (found.low, found.high) == pytest.approx((0, 3.8415 / (size + 3.8415)), abs=1e-6)
