"""Rewards over an episode: gaps filled, smoothed, a model beside the tools, and success."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made import CAMERA, hand, scene, thing

from calipers.errors import DataError, Skip
from calipers.reward import curve, from_measures, parse
from calipers.reward.curves import Detector, joined, left, rewards
from calipers.reward.measures import Measures
from calipers.reward.models import said_left
from calipers.types import Frame

CUP, BIN = (0.06, 0.06, 0.10), (0.20, 0.20, 0.06)


def placing():
    """A hand comes to a cup, carries it over a bin, lets go, and draws back."""
    steps = [(0.0, 0.30, 0.0, 0.0), (0.0, 0.18, 0.0, 0.0), (0.0, 0.08, 0.0, 0.0)]
    steps += [(0.0, 0.20, 0.0, 0.12), (0.2, 0.20, 0.2, 0.12), (0.4, 0.20, 0.4, 0.12)]
    steps += [(0.4, 0.12, 0.4, 0.01), (0.4, 0.20, 0.4, 0.01), (0.4, 0.30, 0.4, 0.01)]
    steps += [(0.3, 0.40, 0.4, 0.01)]
    gray = thing("gray bin", 0.4, 0.8, 0, BIN)
    return [
        scene(thing("red cup", at, 0.8, up, CUP), gray, hand(x, 0.8, z), name=f"step {k}")
        for k, (x, z, at, up) in enumerate(steps)
    ]


def test_the_reward_rises_as_a_cup_comes_nearer_to_its_bin():
    found = curve(placing(), parse("put the red cup in the gray bin"))
    assert np.all(np.diff(found.left_m[[0, 1, 2, 4, 5, 6]]) < 0)
    assert found.left_m[7:].tolist() == [0, 0, 0]
    assert found.reward[-1] == 1.0
    assert found.reward[0] == pytest.approx(np.exp(-found.left_m[:2] @ [0.75, 0.25] / 0.2))
    assert found.reached.tolist() == [False] * 8 + [True] * 2
    assert found.success


def test_an_episode_that_ends_half_way_is_no_success():
    found = curve(placing()[:6], parse("put the red cup in the gray bin"))
    assert not found.success
    assert not found.reached.any()


def test_a_touch_counts_whenever_it_was():
    cup = thing("cup", 0, 0.8, 0, CUP)
    heights = (0.3, 0.2, 0.105, 0.2, 0.3)
    scenes = [scene(cup, hand(0, 0.8, height)) for height in heights]
    found = curve(scenes, parse("touch the cup"))
    assert found.reached.tolist() == [False, False, True, False, False]
    assert found.success


def test_frames_without_a_measure_lie_on_the_line_between():
    nan = float("nan")
    found = rewards(np.array([nan, 0.4, nan, 0.2, nan]))
    metres = (-0.2 * np.log(found)).round(6).tolist()
    assert metres == pytest.approx([0.4, 0.375, 0.3, 0.225, 0.2])
    with pytest.raises(Skip, match="no frame tells"):
        rewards(np.array([nan, nan]))


def test_a_model_fills_in_what_the_tools_do_not_tell():
    goal = parse("touch the cup")
    found = [Measures(0.3, 0.5, 0.0), Measures(None, None, 0.0), Measures(0.1, 0.3, 0.0)]
    both = from_measures(goal, found, [0.5, 0.4, 0.3])  # 0.1 m too much where both speak
    assert both.left_m.round(6).tolist() == [0.4, 0.3, 0.2]
    alone = from_measures(goal, [], [0.5, float("nan"), 0.3])
    assert alone.left_m[[0, 2]].tolist() == [0.5, 0.3]
    assert alone.reached.tolist() == [False] * 3
    with pytest.raises(DataError, match="wanted 2 answers"):
        joined(np.zeros(2), np.zeros(3))


def test_what_a_model_says_is_reached_and_lost_with_the_same_patience():
    nan = float("nan")
    said = [0.3, 0.02, nan, 0.01, 0.03, 0.1, 0.02, 0.04, 0.05]
    found = from_measures(parse("put the apple in the bowl"), [], said)
    assert found.reached.tolist() == [False] * 3 + [True] * 5 + [False]
    touch = from_measures(parse("touch the apple"), [], [0.3, 0.02, 0.3])
    assert touch.reached.tolist() == [False, True, False]
    assert touch.success


def test_where_tools_tell_success_a_model_does_not_and_no_distance_tells_a_side():
    goal = parse("put the apple in the bowl")
    far, unseen = Measures(0.1, 0.1, 0.2), Measures()
    assert not from_measures(goal, [far] * 3, [0.0] * 3).reached.any()
    assert from_measures(goal, [unseen] * 3, [0.0] * 3).reached.tolist() == [False, True, True]
    side = parse("put the apple left of the bowl")
    assert not from_measures(side, [unseen] * 3, [0.0] * 3).reached.any()


def test_what_is_left_has_two_parts_until_the_thing_is_there():
    goal = "in"
    assert left(goal, Measures(0.1, 0.2, 0.3)) == pytest.approx(0.45)
    assert left(goal, Measures(0.1, 0.2, 0.0)) == 0.0
    assert left("lifted", Measures(0.1, 0.2, 0.0)) == pytest.approx(0.15)
    assert np.isnan(left(goal, Measures(0.1, 0.2, None)))
    assert np.isnan(left("touched", Measures(None, None, 0.0)))


def test_a_success_survives_one_frame_that_denies_it():
    detector = Detector("in")
    said = [(True, True), (True, True), (False, False), (False, True), (False, False)]
    seen = [detector.see(*pair) for pair in said]
    assert seen == [False, True, True, True, True]
    assert detector.see(False, False) is False


def test_a_model_is_asked_in_words_and_read_in_metres():
    frame, asked = Frame("a", "a.png", CAMERA.width, CAMERA.height), []

    def ask(seen, question):
        assert seen is frame
        asked.append(question)
        return {"gripper": "About 30 cm.", "high": "Roughly 2 centimeters."}.get(
            "gripper" if "gripper" in question else "high", ""
        )

    assert said_left(parse("lift the cup"), frame, ask) == pytest.approx(0.33)
    assert asked == [
        "How far is the robot gripper from the cup?",
        "How high is the cup above the table?",
    ]
    assert np.isnan(said_left(parse("touch the cup"), frame, lambda seen, question: "Not sure."))


@pytest.mark.parametrize(
    ("goal", "way", "left_m"),
    [("put the apple in the bowl", "0 cm", 0.0), ("put the apple in the bowl", "10 cm", 0.4),
     ("put the apple next to the bowl", "6 cm", 0.01), ("lift the cup", "8 cm", 0.3),
     ("move the cup away from the box", "15 cm", 0.35)],
)  # fmt: skip
def test_the_hand_counts_no_more_once_a_model_says_the_thing_is_there(goal, way, left_m):
    frame = Frame("a", "a.png", CAMERA.width, CAMERA.height)
    ask = lambda seen, question: "30 cm" if "gripper" in question else way  # noqa: E731
    assert said_left(parse(goal), frame, ask) == pytest.approx(left_m)
