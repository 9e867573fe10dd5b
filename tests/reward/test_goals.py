"""Goals in words: what is meant, and what is refused."""

from __future__ import annotations

import pytest

from calipers.errors import UsageError
from calipers.reward.goals import Phrase, parse
from calipers.samples.robot_script import _WORDS

UNDERSTOOD = [
    ("put the apple in the bowl", "in", "the apple", "the bowl"),
    ("Pick up the red can.", "lifted", "the red can", None),
    ("pick the red can up", "lifted", "the red can", None),
    ("touch the mug", "touched", "the mug", None),
    ("Stack A on B", "on", "the a", "the b"),
    ("Please place the block on top of the blue box", "on", "the block", "the blue box"),
    ("move the cup to the left of the plate", "left", "the cup", "the plate"),
    ("put the fork next to the plate", "beside", "the fork", "the plate"),
    ("push the ball away from the edge", "away", "the ball", "the edge"),
    ("put the cup in front of the box", "front", "the cup", "the box"),
    ("Pick up the tallest red cup and place it in the gray bin.",
     "in", "the tallest red cup", "the gray bin"),
    ("Lift the real blue cup, not the photo of it.", "lifted", "the real blue cup", None),
    ("Put the middle white block on the black block.",
     "on", "the middle white block", "the black block"),
    ("reach for the cup on the left", "touched", "the leftmost cup", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "relation", "target", "reference"), UNDERSTOOD)
def test_goals_are_understood(text, relation, target, reference):
    goal = parse(text)
    assert goal.relation == relation
    assert str(goal.target) == target
    assert (None if goal.reference is None else str(goal.reference)) == reference
    assert goal.text == text


SAID = [
    # punctuation, courtesies
    ("Put the apple into the bowl, please.", "in", "the apple", "the bowl"),
    ("Put the apple in the bowl! Please.", "in", "the apple", "the bowl"),
    ("Please, put the apple in the bowl!", "in", "the apple", "the bowl"),
    ("Could you put the apple in the bowl?", "in", "the apple", "the bowl"),
    ("put the “red” apple in the 'blue' bowl", "in", "the red apple", "the blue bowl"),
    ("put the big, red apple in the bowl", "in", "the big red apple", "the bowl"),
    ("Touch the cup, please.", "touched", "the cup", None),
    ("put the worker's cup on the plate", "on", "the worker's cup", "the plate"),
    # two steps
    ("take the apple, and put it in the bowl", "in", "the apple", "the bowl"),
    ("pick the apple up and put it in the bowl", "in", "the apple", "the bowl"),
    ("pick up the apple, then place it inside the bowl", "in", "the apple", "the bowl"),
    ("grab the apple and then gently drop it into the bowl", "in", "the apple", "the bowl"),
    ("take the apple and put it back in the bowl", "in", "the apple", "the bowl"),
    ("lift the block and stack it on the box", "on", "the block", "the box"),
    # words for how
    ("gently put the apple down on the plate", "on", "the apple", "the plate"),
    ("put down the cup on the table", "on", "the cup", "the table"),
    ("put the apple back in the bowl", "in", "the apple", "the bowl"),
    ("put the apple right next to the bowl", "beside", "the apple", "the bowl"),
    ("put the apple directly behind the bowl", "behind", "the apple", "the bowl"),
    ("carefully lift up the mug", "lifted", "the mug", None),
    ("lift the mug back up", "lifted", "the mug", None),
    ("just pick the mug", "lifted", "the mug", None),
    ("press down on the button", "touched", "the button", None),
    ("reach out towards the mug", "touched", "the mug", None),
    # places
    ("put the can near to the box", "beside", "the can", "the box"),
    ("put the cup on the left side of the plate", "left", "the cup", "the plate"),
    ("put the cup to the right side of the plate", "right", "the cup", "the plate"),
    ("put the cup left of the plate", "left", "the cup", "the plate"),
    ("put the cup right of the plate", "right", "the cup", "the plate"),
    ("put the cup right to the left of the plate", "left", "the cup", "the plate"),
    # which of several
    ("pick up the cup in the middle", "lifted", "the middle cup", None),
    ("touch the cup on the left side", "touched", "the leftmost cup", None),
    ("put the cup in the middle in the bin", "in", "the middle cup", "the bin"),
    ("put the cup on the right next to the plate", "beside", "the rightmost cup", "the plate"),
    ("put the cup on the plate on the left", "on", "the cup", "the leftmost plate"),
    ("put the right shoe next to the left shoe", "beside", "the rightmost shoe",
     "the leftmost shoe"),
    ("stack the red block on the blue one", "on", "the red block", "the blue block"),
    ("put the cup next to the one on the left", "beside", "the cup", "the leftmost cup"),
    ("put the cup with the red handle on the plate", "on", "the cup with the red handle",
     "the plate"),
    ("put the box of crackers into the bin", "in", "the box of crackers", "the bin"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "relation", "target", "reference"), SAID)
def test_natural_phrasings_mean_what_they_say(text, relation, target, reference):
    goal = parse(text)
    assert (goal.relation, str(goal.target)) == (relation, target)
    assert (None if goal.reference is None else str(goal.reference)) == reference


MISREAD = [
    "put the cup nearest to the box in the bin", "put the cup that is closest in the bin",
    "take the apple out of the bowl", "lift the cup above the box", "take the lid off the pot",
    "lift the cup from the table", "lift the cup 10 cm", "put the cup in the middle of the plate",
    "touch the left side of the box", "pick up the largest of the apples", "put the cup down",
    "pick up the second largest cup", "pick up the smaller cup", "put both cups in the bin",
    "put the apple in the bowl, then lift the cup", "touch the apple, the cup", "pick up",
    "Touch the apple. Touch the cup.", "Lift the cup; put the apple in the bowl",
    "put the cup in the other cup", "put the apple in the apple", "pick up the cup at the back",
    "put the apple onto the plate without touching the cup", "never lift the vase", "lift the one",
]  # fmt: skip


@pytest.mark.parametrize("text", MISREAD)
def test_what_would_be_misread_is_refused(text):
    with pytest.raises(UsageError, match=r"^goal: wanted "):
        parse(text)


REFUSED = [
    "", "the cup", "open the drawer", "put the cup", "stack the cup in the bowl", "lift",
    "put the cup in the bowl and the fork", "lift the left tallest cup", "put it in the bowl",
    "put the apple in the bowl on the table", "don't touch the cup", "touch the real",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_is_refused_in_one_line(text):
    with pytest.raises(UsageError, match=r"^goal: wanted ") as error:
        parse(text)
    assert "\n" not in str(error.value)


def test_every_instruction_of_the_simulated_robot_is_a_goal():
    said = ("the red cup", "the middle red cup", "the real red cup, not the photo of it")
    relations = {task: {parse(w.format(t, "gray bin")).relation for t in said}
                 for task, w in _WORDS.items()}  # fmt: skip
    assert relations == {
        "lift": {"lifted"}, "stack": {"on"}, "pick_place": {"in"}, "touch": {"touched"},
    }  # fmt: skip


def test_an_article_that_stands_alone_is_a_name():
    assert Phrase.read("a") == Phrase("a")
    assert Phrase.read("a cup") == Phrase("cup")
