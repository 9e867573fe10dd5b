"""Questions of several steps, answered through the coordinator by a scripted language model."""

from __future__ import annotations

import json

import pytest
from benchmarks.multistep import answered, distinct, lifted
from benchmarks.multistep_script import ask
from scripted import NAMES, session

from calipers.evals.multistep_score import is_right
from calipers.questions.multistep.asking import MultistepQuestion, ask_multistep
from calipers.questions.multistep.plans import MULTISTEP_TYPES
from calipers.samples.rooms import generate
from calipers.tools.session import Session


def question(type: str, objects: list[str], text: str, **given: float) -> MultistepQuestion:
    """One that is asked by hand."""
    return MultistepQuestion(
        id="q", scene_id="cubes", image="", depth_image=None, type=type, kind="qualitative",
        question=text, answer="", objects=objects,
        object_index=[NAMES.index(name) for name in objects], value=None, unit=None, label=None,
        frame="level", margin=0.0, question_template="", answer_template="", seed=0,
        rationale="", steps="[]", given=json.dumps(given),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("type", "order", "text", "given", "answer"),
    [
        ("triangle_shape", "red blue green", "What triangle do they make?", {},
         "right-angled: its largest angle is 89 degrees"),
        ("stack_height", "red blue", "How high is the stack?", {}, "0.4 m"),
        ("viewpoint_side", "red green blue", "On which side is it?", {},
         "right, 89 degrees from straight ahead"),
        ("clock_direction", "red blue", "At what hour?", {}, "3 o'clock"),
        ("clock_direction", "green red", "At what hour?", {}, "6 o'clock"),
        ("path_clearance", "red blue", "Can a robot 50 cm wide pass with 5 cm on both sides?",
         {"width": 0.5, "spare": 0.05}, "yes: it needs 0.6 m, and there are 0.6 m"),
        ("path_clearance", "red blue", "Can a robot 2 ft wide pass with 4 in on both sides?",
         {"width": 0.6096, "spare": 0.1016}, "no: it needs 0.813 m, and there are 0.6 m"),
    ],
)  # fmt: skip
def test_the_answer_of_cubes_at_known_places(type, order, text, given, answer) -> None:
    """By what is seen of them the 90 degrees at the red cube come to 89."""
    objects = [f"{colour} cube" for colour in order.split()]
    found = ask(question(type, objects, text, **given), session(), objects)
    assert found.answered, found
    assert found.text == answer
    assert all(number.good for number in found.numbers)


@pytest.fixture(scope="module")
def rooms() -> list[tuple[Session, MultistepQuestion]]:
    scenes = [lifted(generate(seed, colours=False).frame) for seed in (4002, 4011, 4016)]
    return [
        (Session.of_scene(scene), one)
        for scene in scenes
        for one in distinct(ask_multistep(scene, 26, 0))
    ]


def test_rooms_are_answered_as_they_are_meant_and_every_number_is_traced(rooms) -> None:
    for place, one in rooms:
        found = ask(one, place, one.objects)
        facts = {"type": one.type, "objects": one.objects, "label": one.label, "value": one.value}
        assert is_right(facts, found.text), (one.question, str(found), one.label, one.value)
        assert answered(one, place).label == one.label
        assert all(number.good for number in found.numbers)
        assert not [result.told for result in found.results if "untraced" in result.told]
    assert len({one.type for _, one in rooms}) >= 10
    assert {one.type for _, one in rooms} <= set(MULTISTEP_TYPES)
