"""Comparisons read out of texts: by hand, and out of every template of our own answers."""

from __future__ import annotations

from importlib import resources
from typing import Any

import pytest
import yaml

from calipers.evals.cases import Case
from calipers.evals.relations import read_comparison, read_which
from calipers.evals.score import score
from calipers.evals.tasks.run import case
from calipers.questions.grammar import compile_template, slot_values
from calipers.questions.registry import TYPE_LIST

PAIR = ("the red mug", "the box")


@pytest.mark.parametrize(
    ("text", "quantity", "says"),
    [
        ("The red mug is taller than the box.", "tall", 1),
        ("No, the box is taller.", "tall", -1),
        ("The red mug is not taller than the box; the box is taller.", "tall", -1),
        ("The red mug is not taller.", "tall", -1),
        ("Relative to the box, the red mug is on the left.", "left", 1),
        ("The box is behind, so the red mug is in front.", "behind", -1),
        ("In front of the box.", "behind", -1),
        ("They are about the same height.", "tall", 0),
        ("The mug and the boxes.", "tall", None),
        ("It is a tall order to say what is shorter.", "tall", 1),
        ("No, it is shorter.", "tall", -1),
        ("The second one is taller.", "tall", -1),
        ("The other one is taller.", "tall", -1),
        ("The other one is taller than the red mug.", "tall", -1),
    ],
)
def test_by_hand(text: str, quantity: str, says: int | None) -> None:
    assert read_comparison(text, PAIR, quantity) == says


def test_which_one() -> None:
    assert read_which("The red mug.", PAIR, "tall", 1) == "A"
    assert read_which("Red mug", PAIR, "tall", -1) == "A"
    assert read_which("Not the red mug.", PAIR, "tall", 1) is None
    assert read_which("The red mug and the box.", PAIR, "tall", 1) is None
    assert read_which("The box; it has the smaller depth.", PAIR, "behind", -1) == "B"
    assert read_which("Neither.", PAIR, "tall", 1) == "same"
    assert read_which("The cupboard", ("the cup", "the cupboard"), "big", 1) == "B"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("The second one is taller.", "B"),
        ("The second", "B"),
        ("The latter.", "B"),
        ("The latter is taller.", "B"),
        ("The former is taller than the latter.", "A"),
        ("The first is shorter than the second.", "B"),
        ("First, that is hard to say.", None),
        ("The box is the first from the left.", "B"),
        ("taller: box", "B"),
        ("Shorter: the box.", "A"),
        ("Which is taller, the red mug or the box? The box.", "B"),
        ("It is taller.", None),
        ("Taller.", None),
        ("The one on the left is taller.", None),
        ("The other one is taller.", None),
        ("The red mug is shorter. The other one is taller.", "B"),
        ("The other one is taller than the red mug.", "B"),
        ("The red mug is taller than the other one.", "A"),
    ],
)
def test_which_one_needs_a_name_or_an_order(text: str, says: str | None) -> None:
    assert read_which(text, PAIR, "tall", 1) == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("the mug", "A"),
        ("mug", "A"),
        ("It's the mug that is bigger", "A"),
        ("The mug is smaller than the box.", "B"),
        ("The mugs", None),
        ("The red mug, not the box.", "A"),
        ("Not the mug.", None),
    ],
)
def test_a_head_noun_of_one_name(text: str, says: str | None) -> None:
    assert read_which(text, PAIR, "big", 1) == says


def test_a_head_noun_of_both_names_is_none() -> None:
    assert read_which("the mug", ("the red mug", "the mug on the left"), "big", 1) is None
    assert read_which("the box", ("the soap box", "the box lid"), "big", 1) is None


REGIONS = ("Region [0]", "Region [1]")


@pytest.mark.parametrize(
    ("text", "quantity", "says"),
    [
        ("Region [0] is half as tall as Region [1]", "tall", "no"),
        ("Region [1] is only half as tall", "tall", "yes"),
        ("Region [0] is twice as tall as Region [1]", "tall", "yes"),
        ("Region [0] is as tall as Region [1]", "tall", "same"),
        ("Region [0] is not as tall as Region [1]", "tall", "no"),
        ("Region [0] is right behind Region [1]", "left", None),
        ("Region [0] is right", "left", "no"),
        ("That's right", "left", None),
        ("You are right", "left", None),
    ],
)
def test_how_much_and_which_side(text: str, quantity: str, says: str | None) -> None:
    region = Case("a", "compare-yes-no", "yes", names=REGIONS, compares=(quantity, 1))
    assert region.read(text) == says


def test_a_reason_speaks_of_another() -> None:
    assert read_which("I'd say Region 1 because Region 0 is shorter", REGIONS, "tall", 1) == "B"
    assert read_which("Region 1 because it is taller", REGIONS, "tall", 1) == "B"


@pytest.mark.parametrize("name", ["Region [1]", "Region 1", "region 1", "[1]", "the Region [1]"])
@pytest.mark.parametrize(
    ("template", "quantity", "sign"),
    [
        ("{}.", "big", 1),
        ("{} is taller.", "tall", 1),
        ("With more height is {}.", "tall", 1),
        ("Standing shorter between the two is {}.", "tall", -1),
        ("From the viewer's perspective, {} appears more on the left side.", "left", 1),
        ("Positioned to the right is {}.", "left", -1),
        ("Positioned lower is {}.", "above", -1),
        ("{} is more backward.", "behind", 1),
        ("{} is more forward.", "behind", -1),
        ("{} is taller than Region [0].", "tall", 1),
    ],
)
def test_regions_by_number_in_the_templates_of_spatialrgpt(
    name: str, template: str, quantity: str, sign: int
) -> None:
    assert read_which(template.format(name), REGIONS, quantity, sign) == "B"
    other = template.format(name).replace("[0]", "[2]").replace("1", "0").replace("[2]", "[1]")
    assert read_which(other, REGIONS, quantity, sign) == "A"
    if "[0]" not in template:
        assert read_which(template.format("Region 10"), REGIONS, quantity, sign) is None


@pytest.mark.parametrize(("text", "says"), [("That is True.", "yes"), ("That is False.", "no")])
def test_truths_of_spatialrgpt_are_not_lost(text: str, says: str) -> None:
    region = Case("a", "compare-yes-no", says, names=REGIONS, compares=("behind", 1))
    assert region.read(text) == says


OBJECTS = [
    ("the green soap box", "the ball on the left"),
    ("the scissors", "the lamp"),
    ("the box in front", "the taller box"),
]


def answers() -> list[tuple[Case, str]]:
    """Each template of an answer with a label, about three pairs of things, as case and text."""
    found = []
    folder = resources.files("calipers.questions") / "templates"
    book: dict[str, Any] = {}
    for file in folder.iterdir():
        if file.name.endswith(".yaml"):
            book |= yaml.safe_load(file.read_text("utf-8"))
    for row in TYPE_LIST:
        if row.labels is None:
            continue
        for outcome, lengths in book[row.id]["answers"].items():
            for text in (t for texts in lengths.values() for t in texts):
                for objects in OBJECTS:
                    for label in ("A", "B") if outcome == "winner" else (outcome,):
                        found.append(filled(row.id, outcome, text, objects, label))
    return found


def filled(
    type: str, outcome: str, text: str, objects: tuple[str, str], label: str
) -> tuple[Case, str]:
    order = objects[::-1] if label == "B" else objects
    names = ("winner", "loser") if outcome == "winner" else ("A", "B")
    template = compile_template(text, names)
    said = template.render([value for name in order for value in slot_values(name)])
    question = {"id": f"{type}/{text}/{objects}/{label}", "scene_id": "s", "image": "i.png"}
    question |= {"type": type, "kind": "qualitative", "question": "", "objects": list(objects)}
    return case(question | {"value": None, "label": label}), said


def test_every_template_of_an_answer_is_read_as_it_is_meant() -> None:
    asked = answers()
    assert len(asked) > 2000
    found = score([one for one, _ in asked], {one.id: text for one, text in asked})
    wrong = [
        f"{asked[k][1]!r} ({one.compares}, {one.truth}) read as {found.said[k]}"
        for k, one in enumerate(found.cases)
        if found.points["exact@1"][k] != 1
    ]
    assert not wrong, f"{len(wrong)} of {len(asked)}\n" + "\n".join(wrong[:40])
