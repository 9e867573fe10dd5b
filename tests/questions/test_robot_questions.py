"""Questions of a robot's scene: facts worked out by hand, what is given, and what is not asked."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from calipers.errors import DataError, UsageError
from calipers.geometry.relations import TOUCHING_M
from calipers.questions.families import FamilyType, family_book, make_family_book
from calipers.questions.grammar import slot_values
from calipers.questions.robot import (
    ROBOT_TYPES,
    RobotView,
    ask_robot,
    is_flat,
    statements,
    touching,
)
from calipers.types import Camera, DepthStats, Scene, SceneObject

CAMERA = Camera(500.0, 500.0, 159.5, 119.5, 320, 240)
TURN = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
"""Level axes (right, forward, up) in a camera that looks straight ahead from 0.5 m up."""


def box(name: str, center, size, role=None, reference=None) -> SceneObject:
    """A box by its level centre and size, with points all over its six sides."""
    center, size = np.array(center, float), np.array(size, float)
    grid = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 9)] * 3), -1).reshape(-1, 3)
    shell = grid[(np.abs(grid) > 0.49).any(axis=1)]
    level = center + shell * size
    camera = (level - [0, 0, 0.5]) @ TURN
    origin, scale = camera[0], 1e-5
    middle = (center - [0, 0, 0.5]) @ TURN
    u, v = 500 * middle[:2] / middle[2] + [160, 120]
    return SceneObject(
        caption=name,
        bbox=(u - 10, v - 10, 20, 20),
        reference=reference or f"the {name}",
        role=role,
        pixels=400,
        center_camera=middle,
        size_camera=size[[0, 2, 1]],
        center_level=center,
        size_level=size,
        depth_mean=float(middle[2]),
        cloud=np.rint((camera - origin) / scale).astype(np.int16),
        cloud_origin=origin,
        cloud_scale=scale,
    )


def scene(*objects: SceneObject, **extra) -> Scene:
    return Scene(
        id="s",
        image="s.png",
        width=320,
        height=240,
        camera=CAMERA,
        intrinsics_source="given",
        objects=list(objects),
        depth_stats=DepthStats(valid=1, min=1, p5=1, median=1, p95=1, max=2, noise=0.0),
        gravity=np.array([0, 1, 0]),
        gravity_source="given",
        support_plane=np.array([0, -1, 0, 0.5]),
        extra=extra,
    )


def gripper(x: float, z: float) -> SceneObject:
    return box("robot gripper", (x, 1.0, z), (0.04, 0.04, 0.1), "gripper")


def cup(x: float, z: float = 0.05, name: str = "red cup", **more) -> SceneObject:
    return box(name, (x, 1.0, z), (0.06, 0.06, 0.1), **more)


def answers(made: Scene, type: str) -> dict[tuple[int, ...], str | None]:
    """What is stated about which objects."""
    return {
        s.fact.object_index: s.fact.label if s.fact.value is None else s.fact.value
        for s in statements(made)
        if s.fact.type == type
    }


def test_an_empty_scene_has_nothing_to_ask():
    assert statements(scene()) == []
    assert ask_robot(scene(), 5, 0) == []


@pytest.mark.parametrize(
    ("gap", "label"),
    [(0.0, "yes"), (0.005, "yes"), (0.009, None), (0.012, "no"), (0.3, "no")],
)
def test_contact_is_within_the_tolerance_and_not_asked_in_between(gap, label):
    made = scene(gripper(0.0, 0.05), cup(0.05 + gap))
    assert answers(made, "gripper_contact").get((0, 1)) == label
    assert touching(made, 0, 1) is (None if label is None else label == "yes")


def test_the_gap_is_that_of_the_surfaces():
    made = scene(gripper(0.0, 0.05), cup(0.17))
    assert answers(made, "gripper_gap")[0, 1] == pytest.approx(0.12, abs=1e-4)
    assert answers(scene(gripper(0.0, 0.05), cup(0.05)), "gripper_gap")[0, 1] == 0.0


def test_contacts_that_came_with_the_frame_are_trusted():
    apart = scene(gripper(0.0, 0.05), cup(0.2), cup(-0.2, name="blue cup"), contacts=[[0, 1]])
    assert answers(apart, "gripper_contact") == {(0, 1): "yes", (0, 2): "no"}
    assert answers(apart, "object_contact") == {(1, 2): "no"}
    touching_none = scene(gripper(0.0, 0.05), cup(0.05), contacts=[])
    assert answers(touching_none, "gripper_contact") == {(0, 1): "no"}
    assert answers(touching_none, "gripper_gap")[0, 1] >= 0.010


def test_what_is_touched_and_hangs_in_the_air_is_held():
    held = scene(gripper(0.0, 0.3), cup(0.05, 0.25), cup(-0.3, name="blue cup"))
    assert RobotView(held).held() == (True, 1)
    assert answers(held, "holds") == {(0, 1): "object"}
    assert answers(held, "is_held") == {(0, 1): "yes", (0, 2): "no"}


def test_what_stands_is_touched_and_not_held():
    on_table = scene(gripper(0.0, 0.05), cup(0.05))
    assert RobotView(on_table).held() == (True, None)
    assert answers(on_table, "holds") == {(0,): "nothing"}
    stacked = scene(gripper(0.0, 0.15), cup(0.05, 0.15), cup(0.05, 0.05, "blue cup"))
    assert RobotView(stacked).held() == (True, None)
    assert RobotView(scene(gripper(0.0, 0.07), cup(0.05, 0.065))).held() == (False, None)


def test_reach_by_ten_centimetres():
    made = scene(gripper(0.0, 0.05), cup(0.10), cup(-0.3, name="blue cup"))
    assert answers(made, "in_reach") == {(0, 1): "yes", (0, 2): "no"}
    assert answers(made, "reach_choice") == {(0, 1): "object"}
    near_tie = scene(gripper(0.0, 0.05), cup(0.15))
    assert answers(near_tie, "in_reach") == {}
    assert answers(near_tie, "reach_choice") == {}
    assert answers(scene(gripper(0, 0.05), cup(0.4)), "reach_choice") == {(0,): "nothing"}


def test_in_the_bin_over_it_and_beside_it():
    bin_ = box("gray bin", (0.3, 1.0, 0.03), (0.2, 0.2, 0.06))
    for x, z, label in (
        (0.3, 0.06, "yes"),
        (0.3, 0.2, "no"),
        (0.0, 0.05, "no"),
        (0.395, 0.06, None),
    ):
        made = answers(scene(bin_, cup(x, z)), "in_container")
        assert made == ({} if label is None else {(1, 0): label})


def test_the_middle_one_and_the_tallest():
    cups = [
        box("cup", (x, 1.0, h / 2), (0.06, 0.06, h), reference=f"the cup {k}")
        for k, (x, h) in enumerate([(0.2, 0.08), (-0.2, 0.12), (0.0, 0.10)])
    ]
    made = scene(*cups)
    assert answers(made, "pick_by_position") == {
        (1,): "leftmost",
        (2,): "middle",
        (0,): "rightmost",
    }
    assert answers(made, "pick_by_size") == {(0,): "shortest", (1,): "tallest"}
    (question,) = ask_robot(made, 1, 3, types=["pick_by_position"], concise=1.0)
    word = {0: "rightmost", 1: "leftmost", 2: "middle"}[question.object_index[0]]
    assert f"the {word} cup" in question.question
    x = {0: 0.81, 1: 0.19, 2: 0.50}[question.object_index[0]]
    assert f"({x:.2f}, " in question.answer


def test_heights_that_are_nearly_the_same_are_not_ranked():
    cups = [
        box("cup", (x, 1.0, h / 2), (0.06, 0.06, h), reference=f"the cup {x}")
        for x, h in ((0.2, 0.100), (-0.2, 0.105), (0.0, 0.15))
    ]
    assert answers(scene(*cups), "pick_by_size") == {}


def test_the_real_one_beside_its_photo():
    photo = box("cup", (0.2, 1.0, 0.06), (0.08, 0.001, 0.12), reference="the cup on the right")
    real = cup(-0.1, 0.05, "cup", reference="the cup on the left")
    made = scene(real, photo)
    assert (is_flat(real), is_flat(photo)) == (False, True)
    assert answers(made, "pick_real") == {(0, 1): "A"}
    assert answers(scene(real, replace(real, reference="the other")), "pick_real") == {}


def test_questions_are_a_pure_function_and_never_the_same_twice():
    made = scene(gripper(0.0, 0.3), cup(0.05, 0.25), cup(-0.3, name="blue cup"))
    many = ask_robot(made, 500, 1)
    assert many == ask_robot(made, 500, 1)
    texts = Counter((q.question, tuple(q.object_index), q.type) for q in many)
    assert max(texts.values()) == 1
    assert many[:7] == ask_robot(made, 7, 1)
    assert {q.type for q in many} == {
        *("gripper_contact", "object_contact", "gripper_gap", "is_held", "holds"),
        *("in_reach", "reach_choice"),
    }
    for question in many:
        assert "{" not in question.question + question.answer
        if question.label in ("yes", "no"):
            assert question.answer.startswith(question.label.capitalize())


def test_yes_and_no_take_turns():
    made = scene(gripper(0.0, 0.3), cup(0.05, 0.25), cup(-0.3, name="blue cup"))
    labels = [q.label for q in ask_robot(made, 4, 0, types=["is_held"])]
    assert Counter(labels) == {"yes": 2, "no": 2}


def test_the_tolerance_stands_in_the_record():
    made = scene(gripper(0.0, 0.05), cup(0.2))
    (question,) = ask_robot(made, 1, 0, types=["gripper_contact"])
    assert question.margin == TOUCHING_M == 0.010
    assert question.id == "s#gripper_contact-0"


def test_unknown_types_and_numbers_are_refused():
    with pytest.raises(UsageError, match="holds"):
        ask_robot(scene(), 1, 0, types=["hold"])
    with pytest.raises(UsageError, match="types: wanted a list of names, got the string 'holds'"):
        ask_robot(scene(), 1, 0, types="holds")
    with pytest.raises(UsageError):
        ask_robot(scene(), -1, 0)


def test_a_family_without_answers_is_refused():
    row = FamilyType("holds", "qualitative", ("A",), ("nothing",))
    with pytest.raises(DataError, match=r"holds\.nothing\.short"):
        make_family_book([row], {"holds": {"questions": ["What?"]}})
    assert len({row.id for row in ROBOT_TYPES}) == 11


def test_templates_agree_with_plurals_and_with_any_noun() -> None:
    book = family_book("robot", ROBOT_TYPES)
    places = [(row, book.questions[row]) for row in book.types]
    places += [(row, texts) for (row, _, _), texts in book.answers.items()]
    words = {"A": "the pink scissors", "K": "orange block"}
    for row, texts in places:
        names = book.types[row].names
        slots = [form for n in names for form in slot_values(words.get(n, "the jeans"))]
        for text in texts:
            said = text.render([*slots, "3 cm"])
            wrong = r"\b([Hh]as|[Dd]oes) the|\ba orange"
            assert not re.search(wrong, said), said


def test_a_refused_contact_is_of_two_things_and_of_one() -> None:
    """No "they do not" after "Is the block in contact with the box?"."""
    book = family_book("robot", ROBOT_TYPES)
    short = [text.text for text in book.answers["object_contact", "no", "short"]]
    assert short == ["No.", "No, they are apart."]
