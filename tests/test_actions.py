"""Actions as text: bins by hand, exact round trips, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calipers.actions import (
    BINS,
    DIMENSIONS,
    ActionSpace,
    frames_of_history,
    prompt,
    read,
    read_all,
    say,
)
from calipers.errors import DataError

bins_of_seven = arrays(np.int64, 7, elements=st.integers(0, BINS - 1))
reach = st.floats(1e-4, 10.0)


@given(bins_of_seven)
def test_text_gives_back_the_bins(bins):
    assert read(f"I will do this: {say(bins)} now").tolist() == bins.tolist()


@given(bins_of_seven, reach, reach)
def test_every_bin_decodes_to_an_action_that_encodes_to_it(bins, move, turn):
    space = ActionSpace.symmetric(move, turn)
    assert space.encode(space.decode(bins)).tolist() == bins.tolist()


@given(arrays(np.float64, (5, 7), elements=st.floats(-1, 1)))
def test_a_round_trip_is_off_by_half_a_bin_at_most(actions):
    space = ActionSpace.of(actions)
    back = space.decode(space.encode(actions))
    assert (np.abs(back - actions) <= space.step / 2 * (1 + 1e-9) + 1e-15).all()


@given(arrays(np.float64, (2, 7), elements=st.floats(-1, 1)))
def test_larger_numbers_never_get_a_smaller_bin(actions):
    space = ActionSpace.symmetric(1.0, 1.0)
    low, high = space.encode(np.sort(actions, axis=0))
    assert (low <= high).all()


def test_all_bins_of_a_range_by_hand():
    space = ActionSpace.symmetric(0.05, 0.25)
    middles = np.linspace(-0.05, 0.05, 101)
    actions = np.zeros((101, 7))
    actions[:, 0] = middles
    assert space.encode(actions)[:, 0].tolist() == list(range(101))
    assert space.decode(space.encode(np.zeros(7))).tolist() == [0.0] * 7
    assert space.step.tolist() == pytest.approx([0.001] * 3 + [0.005] * 3 + [0.02])


def test_what_is_outside_is_refused_or_cut():
    space = ActionSpace.symmetric(0.05, 0.25)
    far = [0.06, 0, 0, 0, 0, -1.0, 0]
    with pytest.raises(DataError, match=r"0\.06"):
        space.encode(far)
    assert space.encode(far, clip=True).tolist() == [100, 50, 50, 50, 50, 0, 50]
    assert space.encode([0.0504, 0, 0, 0, 0, 0, 0])[0] == 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "50 50 50 50 50 50 50",
        "<action>50 50 50 50 50 50</action>",
        "<action>50 50 50 50 50 50 101</action>",
        "<action>50 50 50 50 50 50 -1</action>",
        "<action>50 50 50 50 50 50 1e1</action>",
        "<action>1 2 3 4 5 6 7</action><action>1 2 3 4 5 6 7</action>",
    ],
)
def test_texts_that_hold_no_single_action(text):
    with pytest.raises(DataError):
        read(text)


def test_many_actions_in_one_text():
    text = say([1] * 7) + " then " + say([100] * 7)
    assert read_all(text).tolist() == [[1] * 7, [100] * 7]


def test_a_prompt_shows_the_last_four_actions_and_can_be_read_back():
    past = [[k] * len(DIMENSIONS) for k in range(6)]
    assert read_all(prompt("Lift it.", past)).tolist() == past[2:]
    assert "oldest first: none" in prompt("Lift it.", [])
    assert read_all(prompt("Lift it.", past, history=0)).shape == (0, 7)


def test_history_repeats_the_first_frame_before_the_beginning():
    assert frames_of_history(0) == [0, 0, 0, 0, 0]
    assert frames_of_history(3) == [0, 0, 1, 2, 3]
    with pytest.raises(DataError):
        frames_of_history(-1)


@pytest.mark.parametrize("wrong", [[0.0] * 6, [[0.0] * 8], [np.nan] + [0.0] * 6])
def test_actions_of_another_shape_are_refused(wrong):
    with pytest.raises(DataError):
        ActionSpace.symmetric().encode(wrong)


def test_ranges_that_make_no_sense_are_refused():
    with pytest.raises(DataError):
        ActionSpace((0.0,) * 7, (0.0,) * 7)
    with pytest.raises(DataError):
        ActionSpace.of([[0, 0, 0, 0, 0, 0, 2.0]])
    with pytest.raises(DataError):
        ActionSpace.symmetric().decode([0.5] * 7)
