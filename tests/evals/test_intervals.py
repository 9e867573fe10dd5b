"""Wilson's interval against values worked out by hand."""

from __future__ import annotations

import pytest

from calipers.evals.intervals import Share


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
