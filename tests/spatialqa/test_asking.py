"""SpatialQA of a hand scene whose every depth is a round number, and of hand boxes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from calipers import spatial_qa
from calipers.errors import DataError, UsageError
from calipers.spatialqa.depths import depth_map_range
from calipers.spatialqa.finding import Look
from calipers.spatialqa.table import SPATIAL_TYPES, SpatialQuestion
from calipers.tools.protocol import CALL, answer
from calipers.tools.session import Session
from calipers.units import parse_length, tolerance
from questions.hand_scenes import scene_of
from spatialqa.seen_scenes import SQUARES, WALL_M, frame_of, lifted

FRAME = frame_of()
SCENE = lifted(FRAME)
DEPTH = {f"the {caption}": depth for caption, _, depth in SQUARES}


def asked(*types: str, seed: int = 0, count: int = 500, **options: object) -> list[SpatialQuestion]:
    return spatial_qa(SCENE, FRAME.depth_m, count=count, seed=seed, types=types or None, **options)


def true_depth(x: float, y: float) -> float:
    for _, (left, top, width, height), depth in SQUARES:
        if left <= x * 100 < left + width and top <= y * 100 < top + height:
            return depth
    return WALL_M


def test_nothing_is_asked_of_an_empty_scene_without_a_depth_map() -> None:
    assert spatial_qa(scene_of([]), None, types=["contact", "locate", "point_depth"]) == []


def test_depth_at_points_is_that_of_the_squares() -> None:
    found = asked("point_depth")
    assert len(found) >= 20
    for question in found:
        x, y = map(float, re.findall(r"\d\.\d+", question.question)[:2])
        assert question.value == true_depth(x, y)
        assert question.unit == "m"
        assert question.objects == []


def test_no_point_lies_near_a_step() -> None:
    for question in asked("point_depth", "nearer_point", seed=3):
        for x, y in re.findall(r"\((\d\.\d+), (\d\.\d+)\)", question.question):
            column, row = int(float(x) * 100), int(float(y) * 100)
            around = FRAME.depth_m[row - 3 : row + 4, column - 3 : column + 4]
            assert around.shape == (7, 7)
            assert np.ptp(around) == 0


@pytest.mark.parametrize("types", [("point_depth",), ("object_depth",), ("depth_map_range",)])
def test_every_depth_in_an_answer_parses_back_to_the_true_one(types: tuple[str, ...]) -> None:
    true = {1.0, 2.0, 3.0, 4.0}
    for question in asked(*types):
        for length in re.findall(r"[\d.]+ (?:mm|cm|m)\b", question.answer):
            assert min(abs(parse_length(length) - t) for t in true) <= tolerance(length)


def test_the_four_depths_of_an_object() -> None:
    tilted = frame_of([("ramp", (20, 20, 40, 40), 1.0)])
    tilted.depth_m[20:60, 20:60] = np.linspace(1.0, 1.39, 40, dtype=np.float32)[:, None]
    found = spatial_qa(lifted(tilted), tilted.depth_m, count=50, types=["object_depth"])
    values = {q.question_template.split(".")[1]: q.value for q in found}
    assert values["mean"] == pytest.approx(1.195, abs=0.002)
    assert values["near"] == pytest.approx(1.0195, abs=0.01)
    assert values["far"] == pytest.approx(1.3705, abs=0.01)
    assert values["center"] == pytest.approx(1.195, abs=0.006)


def test_a_thing_is_not_compared_with_its_own_part() -> None:
    squares = [("red motorcycle", (10, 30, 20, 20), 2.0), ("blue box", (60, 30, 20, 20), 3.0)]
    frame = frame_of(squares)
    (question,) = spatial_qa(lifted(frame), frame.depth_m, types=["nearer_object"])
    assert question.label in "AB"
    frame = frame_of([squares[0], ("wheel of the motorcycle", *squares[1][1:])])
    assert spatial_qa(lifted(frame), frame.depth_m, types=["nearer_object"]) == []


def test_nearer_objects_by_hand() -> None:
    found = {tuple(q.objects): q for q in asked("nearer_object")}
    assert len(found) == 3
    for (a, b), question in found.items():
        assert question.label == ("A" if DEPTH[a] < DEPTH[b] else "B")
        nearer = min(a, b, key=DEPTH.__getitem__)
        assert question.answer.lower().startswith((nearer, f"the depth of {nearer}"))


@pytest.mark.parametrize(
    ("second", "label"), [(1.0, {"same"}), (1.009, {"same"}), (1.015, set()), (1.021, {"A", "B"})]
)
def test_near_ties_are_ties_and_what_is_in_between_is_not_asked(
    second: float, label: set[str]
) -> None:
    frame = frame_of([("mug", (10, 10, 20, 20), 1.0), ("box", (50, 10, 30, 20), second)])
    found = spatial_qa(lifted(frame), frame.depth_m, types=["nearer_object"])
    assert {q.label for q in found} <= label
    assert len(found) == bool(label)


def test_the_order_of_three() -> None:
    (question,) = asked("depth_order")
    letters = {name: "ABC"[k] for k, name in enumerate(question.objects)}
    wanted = ",".join(letters[f"the {n}"] for n in ("red mug", "blue box", "table lamp"))
    assert question.label == wanted
    said = [question.answer.lower().index(n) for n in ("red mug", "blue box", "table lamp")]
    assert said == sorted(said)


def test_the_ends_of_the_depth_map_and_where_they_are() -> None:
    found = {q.question_template.split(".")[1]: q for q in asked("depth_map_range")}
    assert {name: q.value for name, q in found.items()} == {
        "near": 1.0, "far": 4.0, "typical": 4.0, "all": 4.0,
    }  # fmt: skip
    x, y = map(float, re.findall(r"\d\.\d{3}", found["near"].answer)[-2:])
    assert true_depth(x, y) == 1.0


@pytest.mark.parametrize(
    ("wall", "told"), [(1.005, {"near", "far", "typical", "all"}), (1.2, {"far", "typical"})]
)
def test_an_end_of_the_depth_map_is_not_told_where_no_point_is_that_deep(
    wall: float, told: set[str]
) -> None:
    """A post too thin for a point is nearest, 1 m away; then comes the wall."""
    depth = np.full((100, 100), 2.0, np.float32)
    depth[:, :50] = wall
    depth[:, 40:44] = 1.0
    look = Look(SCENE, depth, np.random.default_rng(0))
    found = {finding.ask: finding.value for finding in depth_map_range(look)}
    assert set(found) == told
    assert found["far"] == 2.0
    assert found.get("near", 1.0) == pytest.approx(1.0, rel=0.01)


def test_boxes_in_text_are_shares_of_the_picture() -> None:
    found = {q.objects[0]: q.label for q in asked("locate")}
    assert found == {
        "the red mug": "[0.100, 0.100, 0.300, 0.300]",
        "the blue box": "[0.500, 0.100, 0.800, 0.300]",
        "the table lamp": "[0.100, 0.600, 0.300, 0.900]",
    }


def test_a_depth_map_does_not_tell_colours() -> None:
    found = asked("object_from_depth")
    assert {q.label for q in found} == {"mug", "box", "table lamp"}
    assert not any(re.search("red|blue", q.question + q.answer) for q in found)


def test_the_tool_is_told_what_depth_api_tells() -> None:
    session = Session.of_frame(FRAME)
    found = [q for q in asked(tool_share=1.0) if q.messages]
    assert {q.type for q in found} == {
        "point_depth", "object_depth", "nearer_point", "nearer_object", "depth_order",
    }  # fmt: skip
    for question in found:
        roles = [turn["role"] for turn in question.messages]
        calls = (len(roles) - 2) // 2
        assert roles == ["user", *["assistant", "tool"] * calls, "assistant"]
        for call, told in zip(question.messages[1:-1:2], question.messages[2::2]):
            (arguments,) = CALL.findall(call["content"])
            assert told["content"] == f"Depth({arguments})={answer(session, arguments).answer}"
        assert question.messages[-1]["content"] == question.answer


def test_an_object_is_boxed_before_the_tool_is_called() -> None:
    found = asked("nearer_object", tool_share=1.0)
    for question in found:
        boxed = [t["content"] for t in question.messages if t["role"] == "assistant"][:-1]
        assert [text.split(":")[0].lower() for text in boxed] == question.objects
        assert all(re.search(r": \[(\d\.\d{3}(, |\])){4}\. Depth\(", text) for text in boxed)


def test_direct_answers_are_asked_for_in_spatial_bots_words() -> None:
    direct = asked("point_depth", tool_share=0.0)
    assert all(q.question.endswith("Answer directly from depth map.") for q in direct)
    by_tool = asked("point_depth", tool_share=1.0)
    assert not any("directly" in q.question for q in by_tool)


def test_without_the_depth_map_only_objects_are_asked_about() -> None:
    found = spatial_qa(SCENE, None, count=500)
    assert all(q.messages is None for q in found)
    assert {q.type for q in found} & {"point_depth", "nearer_point", "depth_map_range"} == set()
    assert {q.value for q in found if q.type == "object_depth"} == {1.0, 2.0, 3.0}


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    assert asked(seed=5, count=30) == asked(seed=5, count=30)
    assert asked(seed=5, count=30) != asked(seed=6, count=30)
    other = replace(SCENE, id="other")
    assert spatial_qa(other, FRAME.depth_m, seed=5)[0].question != asked(seed=5)[0].question


def test_a_mirrored_scene_has_the_same_depths_and_mirrored_boxes() -> None:
    frame = frame_of(mirrored=True)
    options = {"count": 500, "types": ["object_depth", "locate", "nearer_object"]}
    mirrored = spatial_qa(lifted(frame), frame.depth_m, **options)
    boxes = {q.objects[0]: q.label for q in mirrored if q.type == "locate"}
    assert boxes["the blue box"] == "[0.200, 0.100, 0.500, 0.300]"
    for question in mirrored:
        if question.type == "object_depth":
            assert question.value == DEPTH[question.objects[0]]
        elif question.type == "nearer_object":
            a, b = (DEPTH[name] for name in question.objects)
            assert question.label == ("A" if a < b else "B")


def test_no_question_comes_twice_and_ids_are_unique() -> None:
    found = asked()
    assert len({q.id for q in found}) == len(found)
    repeated = Counter((q.type, q.question) for q in found)
    assert max(repeated.values()) == 1


def test_levels_and_kinds_are_those_of_the_table() -> None:
    for question in asked():
        row = SPATIAL_TYPES[question.type]
        assert (question.level, question.kind) == (row.level, row.kind)
        assert (question.unit == "m") == (question.value is not None)


def test_bad_arguments_say_what_was_wanted() -> None:
    with pytest.raises(UsageError, match="unknown SpatialQA type 'robot'; there are: point_depth"):
        spatial_qa(SCENE, types=["robot"])
    with pytest.raises(UsageError, match="got 5, 2"):
        spatial_qa(SCENE, count=5, tool_share=2)
    with pytest.raises(DataError, match=r"wanted shape \(100, 100\), got \(50, 100\)"):
        spatial_qa(SCENE, FRAME.depth_m[:50])
