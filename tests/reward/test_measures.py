"""Which thing is meant, how far it is from its goal, and where it is while it is hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made import hand, scene, thing

from calipers.errors import Skip
from calipers.reward.finding import Tracker, find
from calipers.reward.goals import Phrase, parse
from calipers.reward.measures import Box, Measurer, Measures, bring, holds

CUP = (0.06, 0.06, 0.10)
BOWL = (0.20, 0.20, 0.08)


def three_cups():
    sides = [(-0.2, 0.08), (0.0, 0.12), (0.2, 0.10)]
    return [thing("red cup", x, 0.8, 0.0, (0.05, 0.05, tall)) for x, tall in sides]


@pytest.mark.parametrize(
    ("phrase", "position"),
    [
        ("the leftmost red cup", 0),
        ("the middle cup", 1),
        ("the rightmost cup", 2),
        ("the tallest red cup", 1),
        ("the shortest cup", 0),
        ("the blue bowl", 3),
    ],
)
def test_a_phrase_finds_its_thing(phrase, position):
    table = scene(*three_cups(), thing("small blue bowl", 0, 1.1, 0, BOWL), hand(0, 0.8, 0.3))
    assert find(table, Phrase.read(phrase)) == position


def test_none_and_several_are_told_apart():
    table = scene(*three_cups())
    with pytest.raises(Skip) as several:
        find(table, Phrase("red cup"))
    with pytest.raises(Skip) as none:
        find(table, Phrase("spoon"))
    assert (several.value.reason, none.value.reason) == ("ambiguous", "not_found")


def test_the_flat_one_of_two_alike_is_the_print():
    flat = thing("red cup", 0.2, 0.8, 0.0, (0.08, 0.001, 0.12))
    assert find(scene(flat, thing("red cup", 0, 0.8, 0, CUP)), Phrase.read("the real cup")) == 1


def test_of_two_that_seem_flat_the_clearly_thicker_one_is_real():
    card = thing("red cup", 0.2, 0.8, 0.0, (0.08, 0.001, 0.12))
    slim, slimmer = (thing("red cup", 0, 0.8, 0, (0.05, deep, 0.1)) for deep in (0.006, 0.0015))
    assert find(scene(card, slim), Phrase.read("the real cup")) == 1
    with pytest.raises(Skip, match="0 of 'cup' are solid"):
        find(scene(card, slimmer), Phrase.read("the real cup"))


def test_a_print_alone_is_not_the_real_thing():
    card = thing("red cup", 0.2, 0.8, 0.0, (0.08, 0.001, 0.12))
    with pytest.raises(Skip, match="0 of 'red cup' are solid"):
        find(scene(card), Phrase.read("the real red cup"))
    assert find(scene(thing("red cup", 0.2, 0.8, 0.0, CUP)), Phrase.read("the real cup")) == 0


def test_a_hidden_thing_is_not_taken_for_its_neighbour():
    left, right = thing("cup", 0.0, 0.8, 0, CUP), thing("cup", 0.12, 0.8, 0, CUP)
    tracker = Tracker(Phrase.read("the leftmost cup"))
    assert tracker.see(scene(left, right)) == 0
    assert tracker.see(scene(right)) is None
    assert tracker.see(scene(right, thing("cup", 0.2, 0.8, 0.1, CUP))) == 1
    # carried past the other one, it is still the one that was meant
    assert tracker.see(scene(thing("cup", 0.3, 0.8, 0.1, CUP), right)) == 0


def test_which_is_the_tallest_is_told_by_several_looks():
    """In the first of five the camera saw the short one too tall."""
    tracker = Tracker(Phrase.read("the tallest cup"))
    tall = thing("cup", 0.12, 0.8, 0, (0.06, 0.06, 0.10))
    found = [
        tracker.see(scene(thing("cup", 0.0, 0.8, 0, (0.06, 0.06, high)), tall))
        for high in (0.11, 0.09, 0.09, 0.09, 0.12, 0.12, 0.12)
    ]
    assert (found[0], found[2:]) == (0, [1] * 5)


def test_a_view_that_is_off_does_not_make_the_box():
    """Of a block that lies still one view, the one with the most pixels, is 2.5 cm too tall."""
    measurer = Measurer(parse("put the cup on the block"))
    cup = thing("cup", 0.0, 0.8, 0.03, CUP)
    for high, pixels in ((0.03, 200), (0.055, 220), (0.03, 210)):
        block = thing("block", 0.0, 0.8, 0.0, (0.10, 0.10, high))
        block.pixels = pixels
        found = measurer.see(scene(cup, block))
    assert found.bring_m == pytest.approx(0.0, abs=1e-6)
    tall = thing("block", 0.0, 0.8, 0.0, (0.10, 0.10, 0.055))
    assert Measurer(measurer.goal).see(scene(cup, tall)).bring_m == pytest.approx(0.005, abs=1e-3)


def test_what_is_taken_up_is_followed_anew_when_another_is_meant():
    """The box and the cloud are those of the thing that is meant now."""
    measurer = Measurer(parse("lift the tallest cup"))
    low = thing("cup", 0.12, 0.8, 0.02, (0.06, 0.06, 0.10))
    for high in (0.11, 0.09, 0.09):
        found = measurer.see(scene(thing("cup", 0.0, 0.8, 0, (0.06, 0.06, high)), low))
    assert found.bottom_m == pytest.approx(0.02, abs=1e-3)


@pytest.mark.parametrize(
    ("relation", "center", "metres"),
    [
        ("in", (0.0, 1.0, 0.06), 0.0),
        ("in", (0.4, 1.0, 0.05), 0.3),
        ("in", (0.0, 1.0, 0.225), 0.10),
        ("on", (0.0, 1.0, 0.13), 0.0),
        ("on", (0.0, 1.0, 0.24), 0.09),
        ("on", (0.115, 1.0, 0.13), 0.0),
        ("on", (0.15, 1.0, 0.13), 0.03),
        ("beside", (0.16, 1.0, 0.05), 0.0),
        ("beside", (0.33, 1.0, 0.05), 0.15),
        ("away", (0.23, 1.0, 0.05), 0.10),
        ("away", (0.50, 1.0, 0.05), 0.0),
        ("left", (-0.20, 1.0, 0.05), 0.0),
        ("left", (0.07, 1.0, 0.05), 0.20),
        ("right", (0.20, 1.0, 0.05), 0.0),
        ("front", (0.0, 0.80, 0.05), 0.0),
        ("behind", (0.0, 0.80, 0.05), 0.33),
        ("lifted", (0.0, 1.0, 0.07), 0.03),
    ],
)
def test_metres_to_where_a_thing_is_to_be(relation, center, metres):
    cup, bowl = Box(np.array(center), np.array(CUP)), Box(np.array([0, 1, 0.04]), np.array(BOWL))
    assert float(bring(relation, cup, bowl)) == pytest.approx(metres, abs=1e-9)


def test_beside_a_bin_that_stands_askew_is_not_in_it():
    """Its box, 28 cm wide along the viewing direction, has corners where there is no bin."""
    askew = thing("bin", 0.0, 1.0, 0.0, BOWL, yaw=45)
    for right, forward, metres in ((0.0, 1.0, 0.0), (0.10, 0.90, 0.1 * np.sqrt(2) - 0.1)):
        cup = thing("cup", right, forward, 0.0, CUP)
        found = Measurer(parse("put the cup in the bin")).see(scene(cup, askew))
        assert found.bring_m == pytest.approx(metres, abs=1e-3)


def test_the_hand_is_measured_from_its_fingertips_and_by_the_gap():
    table = scene(thing("cup", 0, 0.8, 0, CUP), hand(0, 0.8, 0.20))
    found = Measurer(parse("touch the cup")).see(table)
    assert found.gap_m == pytest.approx(0.10, abs=0.002)
    assert found.reach_m == pytest.approx(0.15, abs=0.011)  # the lowest 2 cm stand for the tips
    assert (found.bring_m, found.bottom_m) == (0.0, pytest.approx(0.0))


def test_a_part_of_a_thing_stands_for_the_whole_and_a_hidden_one_is_where_it_was():
    measurer = Measurer(parse("put the cup in the bowl"))
    bowl, far = thing("bowl", 0.4, 0.8, 0, BOWL), hand(0.3, 0.8, 0.3)
    whole = thing("cup", 0.0, 0.8, 0, CUP)
    first = measurer.see(scene(whole, bowl, far))
    part = thing("cup", 0.0, 0.8, 0.0, CUP)
    upper = part.cloud[:, 1] < 400  # the upper four centimetres
    part.cloud, part.pixels = part.cloud[upper], 80
    part.center_level = np.array([0.0, 0.8, 0.08], np.float32)
    second = measurer.see(scene(part, bowl, far))
    third = measurer.see(scene(bowl, far))
    assert first.bring_m == pytest.approx(0.3, abs=1e-3)
    assert second.bring_m == pytest.approx(0.3, abs=2e-3)
    assert third == second


def test_nothing_is_told_before_the_target_is_seen_or_without_a_hand():
    measurer = Measurer(parse("touch the cup"))
    assert measurer.see(scene(hand(0, 0.8, 0.3))) == Measures()
    found = measurer.see(scene(thing("cup", 0, 0.8, 0, CUP)))
    assert (found.gap_m, found.reach_m, found.bring_m) == (None, None, 0.0)


@pytest.mark.parametrize(
    ("relation", "gap", "bring_m", "strictly", "loosely"),
    [
        ("touched", 0.009, 0.0, True, True),
        ("touched", 0.015, 0.0, False, True),
        ("touched", 0.025, 0.0, False, False),
        ("touched", None, 0.0, None, None),
        ("lifted", 0.0, 0.0, True, True),
        ("lifted", 0.0, 0.015, False, True),
        ("lifted", 0.10, 0.0, False, False),
        ("in", 0.10, 0.0, True, True),
        ("in", 0.005, 0.0, False, True),
        ("in", 0.10, 0.005, False, True),
        ("in", 0.10, 0.02, False, False),
        ("in", 0.10, None, None, None),
    ],
)
def test_more_is_needed_to_lose_a_goal_than_to_miss_it(relation, gap, bring_m, strictly, loosely):
    found = Measures(gap, gap, bring_m)
    assert holds(relation, found) is strictly
    assert holds(relation, found, loose=True) is loosely
