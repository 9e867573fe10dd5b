"""Questions of several steps: answers worked out by hand, ties, mirrors, scales and texts."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hand_scenes import Box, scene_of

from calipers.errors import UsageError
from calipers.questions.asking import AskedAll, ask, choose
from calipers.questions.multistep.asking import ask_multistep, multistep_book, statements
from calipers.questions.multistep.finding import Case, find, is_steady
from calipers.questions.multistep.measures import Measures
from calipers.questions.multistep.plans import (
    MULTISTEP_TYPES,
    Call,
    Problem,
    arguments,
    plan,
    read,
)
from calipers.questions.multistep.solving import letters, objects_of, obstacle, solve
from calipers.questions.multistep.wording import FAMILY

GOLDEN = Path(__file__).parent / "golden" / "multistep.txt"
ROOM: list[Box] = [
    ("the table", (0.0, 3.0, 0.35), (1.0, 0.6, 0.7)),
    ("the chair", (-1.6, 3.0, 0.45), (0.4, 0.4, 0.9)),
    ("the lamp", (1.2, 3.1, 0.8), (0.3, 0.3, 1.6)),
    ("the ball", (-0.9, 2.0, 0.1), (0.2, 0.2, 0.2)),
    ("the box", (0.5, 1.8, 0.15), (0.4, 0.3, 0.3)),
    ("the cup", (0.2, 2.9, 0.75), (0.08, 0.08, 0.1)),
]
"""Standing on the floor but for the cup, which is on the table."""


def solved(type: str, *numbers: float | tuple[float, ...], count: int, **given: float):
    """The answer when the plan's calls give these numbers, in order."""
    problem = Problem(type, count, given)
    calls = plan(problem)
    values = [n if isinstance(n, tuple) else (n,) for n in numbers]
    return solve(problem, dict(zip(calls, values, strict=True)))


@pytest.mark.parametrize(
    ("sides", "label"),
    [
        ((0.40, 0.48, 0.41), "isosceles"),  # the three cans of SpatialVLM
        ((1.0, 1.0, 1.0), "equilateral"),
        ((1.0, 0.95, 0.92), "equilateral"),
        ((3.0, 4.0, 5.0), "right"),
        ((1.0, 1.0, math.sqrt(2)), "right isosceles"),
        ((2.0, 3.0, 4.0), "scalene"),
        ((1.0, 1.0, 1.99), "line"),
        ((1.0, 1.0, 0.2), "isosceles"),
    ],
)
def test_the_shape_of_a_triangle_in_any_order_of_its_corners(sides, label) -> None:
    for order in permutations(sides):
        assert solved("triangle_shape", *order, count=3).label == label


def test_equal_sides_and_the_right_angle_meet_at_the_apex() -> None:
    # distance(A, B), (A, C), (B, C)
    assert solved("triangle_shape", 0.40, 0.41, 0.6, count=3).numbers["apex"] == 0
    assert solved("triangle_shape", 0.2, 1.0, 1.0, count=3).numbers["apex"] == 2
    assert solved("triangle_shape", 3.0, 5.0, 4.0, count=3).numbers["apex"] == 1


@pytest.mark.parametrize(
    ("size", "room", "wall", "label"),
    [
        ((0.1, 0.2, 0.3), (0.3, 0.1, 0.2), 0.0, "yes"),  # the same box lying on its side
        ((0.1, 0.2, 0.3), (0.31, 0.11, 0.21), 0.01, "no"),  # walls of 1 cm take 2 cm
        ((0.1, 0.2, 0.3), (0.33, 0.13, 0.23), 0.01, "yes"),
        ((0.5, 0.1, 0.1), (0.4, 0.4, 0.4), 0.0, "no"),  # too long, though smaller by volume
    ],
)
def test_what_fits_is_told_side_by_side(size, room, wall, label) -> None:
    assert solved("fits_in", size, room, count=2, wall=wall).label == label


@pytest.mark.parametrize(
    ("size", "room", "by"),
    [
        ((0.54, 0.02, 0.02), (0.4, 0.4, 0.4), None),  # in a diagonal plane: 0.4 * sqrt(2) = 0.566
        ((0.68, 0.001, 0.001), (0.4, 0.4, 0.4), None),  # from corner to corner: 0.693
        ((0.70, 0.001, 0.001), (0.4, 0.4, 0.4), "diagonal"),
        ((0.2, 0.2, 0.2), (0.5, 0.5, 0.1), "shortest side"),
        ((0.49, 0.3, 0.3), (0.4, 0.4, 0.4), None),
        ((0.53, 0.35, 0.29), (0.4, 0.4, 0.4), "diagonal"),
        ((0.45, 0.41, 0.15), (0.6, 0.2, 0.2), "sum of sides"),
        ((0.1, 0.1, 0.1), (0.4, 0.4, -0.02), "shortest side"),  # all wall
    ],
)
def test_what_does_not_fit_at_a_slant_either_is_proven(size, room, by) -> None:
    found = obstacle(size, room)
    assert (found and found[0]) == by


def test_a_stick_that_may_fit_from_corner_to_corner_is_not_asked_about() -> None:
    block: Box = ("the block", (0.4, 2.2, 0.2), (0.4, 0.4, 0.4))
    for length, asked in ((0.35, "yes"), (0.54, None), (0.79, "no")):
        stick: Box = ("the stick", (-0.6, 2.0, 0.015), (length, 0.03, 0.03))
        case = cases("fits_in", [stick, block]).get(("the stick", "the block"))
        assert (case and case.solution.label) == asked


def test_free_space_counts_the_smaller_side() -> None:
    assert solved("free_space", (0.5, 0.2, 0.9), 0.25, count=3).label == "yes"
    assert solved("free_space", (0.5, 0.3, 0.1), 0.25, count=3).label == "no"


def test_a_child_reaches_what_is_near_and_low() -> None:
    gaps = (0.3, 0.7, 0.2)
    bottoms = [((0, 0, 0.9), (0.1, 0.1, 0.2)), ((0, 0, 0.1), (0.1, 0.1, 0.2))]
    bottoms.append(((0, 0, 1.5), (0.1, 0.1, 0.2)))  # bottom at 1.4 m
    numbers = [*gaps, *(n for pair in bottoms for n in pair)]
    limits = {"height": 1.1, "reach": 0.5}
    assert solved("child_reach", *numbers, count=4, **limits).label == "B"
    assert solved("child_reach", *numbers, count=4, height=1.5, reach=0.5).label == "B,D"
    assert solved("child_reach", *numbers, count=4, height=0.5, reach=0.5).label == "none"


def test_a_robot_needs_its_width_and_room_on_both_sides() -> None:
    assert solved("path_clearance", 0.56, count=2, width=0.45, spare=0.05).label == "yes"
    assert solved("path_clearance", 0.54, count=2, width=0.45, spare=0.05).label == "no"


def test_a_stack_goes_by_footprint_and_its_heights_add_up() -> None:
    sizes = ((0.2, 0.1, 0.5), (0.3, 0.3, 0.1), (0.1, 0.1, 0.2))
    assert solved("stacking_order", *sizes, count=3).label == "B,A,C"
    assert solved("stack_height", *sizes, count=3).value == pytest.approx(0.8)


def test_the_shortest_tour_starts_at_a_and_ends_anywhere() -> None:
    # on a line: A at 0, B at 3, C at 1, D at 2
    found = solved("shortest_tour", 3.0, 1.0, 2.0, 2.0, 1.0, 1.0, count=4)
    assert (found.label, found.value) == ("A,C,D,B", 3.0)
    assert found.numbers["second"] == 4.0  # A, D, C, B or A, C, B, D


@pytest.mark.parametrize(
    ("third", "label"),
    [((-1.0, 1.0), "left"), ((1.0, 1.0), "right"), ((0.1, 2.0), None), ((0.0, -1.0), None)],
)
def test_left_and_right_from_another_viewpoint(third, label) -> None:
    places = ((0.0, 0.0, 0.0), (0.0, 2.0, 0.5), (*third, 0.0))
    assert solved("viewpoint_side", *places, count=3).label == label
    back = ((0.0, 0.0, 0.0), (0.0, -2.0, 0.5), (*third, 0.0))
    swapped = {"left": "right", "right": "left", None: None}
    assert solved("viewpoint_side", *back, count=3).label == swapped[label]


@pytest.mark.parametrize(
    ("right", "forward", "hour"),
    [(0, 1, "12"), (1, 0, "3"), (0, -1, "6"), (-1, 0, "9"), (1, 2, "1"), (-1, 2, "11")],
)
def test_hours_go_clockwise_from_straight_ahead(right, forward, hour) -> None:
    places = ((2.0, 3.0, 0.0), (2.0 + right, 3.0 + forward, 1.0))
    assert solved("clock_direction", *places, count=2).label == hour


@pytest.mark.parametrize(
    ("height", "label"), [(0.0, "yes"), (0.2, "yes"), (0.4, None), (0.6, "no"), (2.0, "no")]
)
def test_between_is_told_by_the_angle(height, label) -> None:
    places = ((0.0, 0.0, height), (-1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    assert solved("between", *places, count=3).label == label


def test_nearest_and_counts() -> None:
    assert solved("nearest_to", 0.5, 0.3, 0.4, count=4).label == "C"
    found = solved("count_within", 0.5, 0.0, 0.6, count=4, radius=0.5)
    assert (found.label, found.numbers["objects"]) == ("2", [1, 2])


def test_labels_are_letters_and_read_back() -> None:
    assert objects_of(letters([2, 0, 1])) == [2, 0, 1]
    assert objects_of(letters([])) == []


def test_plans_are_checked() -> None:
    with pytest.raises(UsageError, match="no kind 'sorting'"):
        plan(Problem("sorting", 3))
    with pytest.raises(UsageError, match="nearest_to: wanted 4 to 5 objects, got 2"):
        plan(Problem("nearest_to", 2))
    with pytest.raises(UsageError, match=r"path_clearance: wanted \['width', 'spare'\], got \[\]"):
        plan(Problem("path_clearance", 2))


def test_calls_become_arguments_of_tools_and_their_json_numbers() -> None:
    names = ["the cup", "the box"]
    assert arguments(Call("size", (1,)), names) == {"object": "the box"}
    result = {"value": 0.3, "values": {"width": 0.1, "depth": 0.2, "height": 0.3, "more": 1.0}}
    assert read(Call("size", (1,)), result) == (0.1, 0.2, 0.3)
    assert read(Call("gap", (0, 1)), {"value": None, "reason": "not_lifted"}) is None


def cases(type: str, boxes: list[Box] = ROOM, **options) -> dict[tuple[str, ...], Case]:
    """What is asked of a scene, by the names of the objects."""
    view = Measures(scene_of(boxes, **options))
    found = find(view, type, np.random.default_rng(0))
    return {tuple(view.names[row] for row in case.rows): case for case in found}


def test_measures_of_a_scene_are_those_of_its_boxes() -> None:
    view = Measures(scene_of(ROOM))
    calls = [Call("distance", (0, 1)), Call("gap", (0, 1))]
    calls += [Call("size", (0,)), Call("locate", (1,))]
    found = view.find(calls, (view.names.index("the table"), view.names.index("the chair")))
    assert found[calls[0]][0] == pytest.approx(math.hypot(1.6, 0.1), abs=1e-3)
    assert found[calls[2]] == pytest.approx((1.0, 0.6, 0.7), abs=1e-3)
    assert found[calls[3]] == pytest.approx((-1.6, 3.0, 0.45), abs=1e-3)
    # clouds are corners: on the floor the table's at (-0.5, 2.7), the chair's at (-1.4, 2.8)
    assert found[calls[1]][0] == pytest.approx(math.hypot(0.9, 0.1), abs=1e-3)


def test_an_answer_in_doubt_is_not_steady() -> None:
    problem = Problem("nearest_to", 4)
    calls = plan(problem)

    def steady(b: float, c: float, doubt: float) -> bool:
        found = dict(zip(calls, [(b,), (c,), (9.0,)]))
        return is_steady(problem, found, dict.fromkeys(calls, (doubt,)), solve(problem, found))

    assert steady(1.0, 1.31, 0.1)
    assert not steady(1.0, 1.19, 0.1)  # two standard deviations of one of them
    assert not steady(1.0, 1.31, math.nan)


def test_nothing_is_asked_of_two_that_are_equally_near() -> None:
    boxes: list[Box] = [
        ("the table", (0.0, 2.0, 0.2), (0.2, 0.2, 0.4)),
        ("the cup", (-1.0, 2.0, 0.1), (0.1, 0.1, 0.2)),
        ("the pan", (1.0, 2.0, 0.1), (0.1, 0.1, 0.2)),
        ("the jug", (2.7, 2.0, 0.1), (0.1, 0.1, 0.2)),
    ]
    asked = cases("nearest_to", boxes)
    nearest = {names[0]: names[objects_of(c.solution.label)[0]] for names, c in asked.items()}
    assert nearest == {"the cup": "the table", "the pan": "the table", "the jug": "the pan"}


def test_parts_are_not_asked_about_with_their_wholes() -> None:
    boxes = [*ROOM[:4], ("the leg of the table", (0.4, 2.8, 0.3), (0.05, 0.05, 0.6))]
    for type in MULTISTEP_TYPES:
        for names in cases(type, boxes):
            assert not {"the table", "the leg of the table"} <= set(names)


def test_a_passage_in_which_something_stands_is_not_asked_about() -> None:
    boxes: list[Box] = [
        ("the chair", (-1.0, 2.0, 0.3), (0.4, 0.4, 0.6)),
        ("the desk", (1.0, 2.0, 0.3), (0.4, 0.4, 0.6)),
    ]
    assert len(cases("path_clearance", boxes)) == 1
    blocked = [*boxes, ("the ball", (0.0, 2.0, 0.1), (0.2, 0.2, 0.2))]
    pairs = {frozenset(names) for names in cases("path_clearance", blocked)}
    assert pairs == {frozenset(("the chair", "the ball")), frozenset(("the ball", "the desk"))}


def test_nothing_is_set_down_in_mid_air() -> None:
    shelf: list[Box] = [
        ("the clock", (-0.5, 2.0, 1.0), (0.2, 0.2, 0.2)),
        ("the vase", (0.5, 2.0, 1.0), (0.2, 0.2, 0.2)),
        ("the cup", (0.0, 1.0, 0.15), (0.3, 0.3, 0.3)),
    ]
    assert not cases("free_space", shelf)
    carried = [*shelf, ("the shelf", (0.0, 2.0, 0.45), (1.6, 0.4, 0.9))]
    asked = {(a, *sorted(rest)) for a, *rest in cases("free_space", carried)}
    assert asked == {("the cup", "the clock", "the vase")}


def test_a_long_thing_needs_room_beside_the_gap_too() -> None:
    """A bench of 1.8 m by 0.4 m goes into a gap of 0.7 m, but not where stool and bin stand at its
    ends, 0.9 m apart."""
    bench: Box = ("the bench", (-1.8, 5.0, 0.2), (1.8, 0.4, 0.4))
    boxes = [
        bench,
        ("the crate", (0.0, 3.0, 0.1), (0.1, 0.2, 0.2)),
        ("the box", (0.0, 3.9, 0.1), (0.1, 0.2, 0.2)),
    ]
    wanted = ("the bench", "the box", "the crate")
    ends = [
        ("the stool", (0.55, 3.45, 0.1), (0.2, 0.5, 0.2)),
        ("the bin", (-0.55, 3.45, 0.1), (0.2, 0.5, 0.2)),
    ]
    for more, asked in (([], True), (ends, False), (ends[:1], False)):
        found = {(a, *sorted(rest)) for a, *rest in cases("free_space", [*boxes, *more])}
        assert (wanted in found) == asked


def test_nothing_is_set_down_over_an_edge() -> None:
    """Between clock and vase on a shelf 0.4 m deep a cup of 0.3 m stands, a tray of 0.5 m does
    not, though its smaller side is less than the gap."""
    shelf: list[Box] = [
        ("the clock", (-0.5, 2.0, 1.0), (0.2, 0.2, 0.2)),
        ("the vase", (0.5, 2.0, 1.0), (0.2, 0.2, 0.2)),
        ("the shelf", (0.0, 2.0, 0.45), (1.6, 0.4, 0.9)),
    ]
    for name, sides, asked in (("the cup", (0.3, 0.3), True), ("the tray", (0.5, 0.3), False)):
        boxes = [*shelf, (name, (0.0, 1.2, 0.1), (*sides, 0.2))]
        assert any(names[0] == name for names in cases("free_space", boxes)) == asked


def test_a_free_space_has_its_point_in_the_picture() -> None:
    boxes: list[Box] = [
        ("the chair", (-0.6, 4.0, 0.3), (0.4, 0.4, 0.6)),
        ("the desk", (0.6, 4.0, 0.3), (0.4, 0.4, 0.6)),
        ("the cup", (0.0, 6.0, 0.2), (0.4, 0.4, 0.4)),
    ]
    asked = cases("free_space", boxes)
    case = next(c for names, c in asked.items() if names[0] == "the cup")
    # Halfway between, at (0, 4, 0); the camera is 1.5 m above the floor:
    # v = 239.5 + 500 * 1.5 / 4.
    assert case.spot == pytest.approx((0.5, (239.5 + 500 * 1.5 / 4 + 0.5) / 480), abs=1e-3)


def test_no_side_is_asked_of_what_stands_on_the_viewpoint() -> None:
    for type in ("viewpoint_side", "clock_direction"):
        asked = cases(type)
        assert asked
        assert not any(names[0] == "the table" and "the cup" in names for names in asked)


def test_the_nearest_by_centres_has_to_be_so_by_gaps() -> None:
    boxes: list[Box] = [
        ("the table", (0.0, 2.0, 0.3), (2.4, 0.4, 0.6)),
        ("the cup", (1.1, 2.0, 0.65), (0.1, 0.1, 0.1)),
        ("the chair", (0.0, 3.0, 0.3), (0.4, 0.4, 0.6)),
        ("the lamp", (-3.0, 2.0, 0.5), (0.2, 0.2, 1.0)),
    ]
    assert "the table" not in {names[0] for names in cases("nearest_to", boxes)}
    boxes[1] = ("the cup", (0.0, 2.0, 0.65), (0.1, 0.1, 0.1))
    assert "the table" in {names[0] for names in cases("nearest_to", boxes)}


def test_a_child_does_not_stand_on_a_table() -> None:
    low: list[Box] = [(name, np.array(at) / 4, np.array(size) / 4) for name, at, size in ROOM]
    assert cases("child_reach")
    assert not cases("child_reach", low, scale=0.4)  # the camera is 0.6 m above the surface


def test_what_is_cut_off_by_the_border_is_not_asked_about() -> None:
    scene = scene_of(ROOM)
    scene.objects[0].touches_border = True
    assert "the table" not in Measures(scene).names
    scene.objects[1].hidden_share = 0.2
    assert "the chair" not in Measures(scene).names


def test_kinds_that_need_gravity_are_not_asked_without() -> None:
    scene = scene_of(ROOM, level=False)
    asked = Counter(s.fact.type for s in statements(scene, 0, list(MULTISTEP_TYPES)))
    assert asked.keys() == {"triangle_shape", "shortest_tour", "nearest_to", "count_within"}


def mirrored(boxes: list[Box]) -> list[Box]:
    return [(name, (-x, y, z), size) for name, (x, y, z), size in boxes]


def test_a_mirror_swaps_sides_and_hours_and_keeps_the_rest() -> None:
    here, there = (scene_of(b) for b in (ROOM, mirrored(ROOM)))
    for type in MULTISTEP_TYPES:
        found = find(Measures(here), type, np.random.default_rng(1))
        assert found, type
        view = Measures(there)
        for case in found:
            other = solve(case.problem, view.find(plan(case.problem), case.rows)).label
            label = case.solution.label
            if type == "viewpoint_side":
                assert {label, other} == {"left", "right"}
            elif type == "clock_direction":
                assert (int(label or 0) + int(other or 0)) % 12 == 0
            else:
                assert other == label


def test_twice_as_large_doubles_lengths_and_keeps_labels() -> None:
    one, two = (Measures(scene_of(ROOM, scale=scale)) for scale in (1.0, 2.0))
    for type in MULTISTEP_TYPES:
        for case in find(one, type, np.random.default_rng(2)):
            given = {name: 2 * length for name, length in case.problem.given.items()}
            problem = Problem(type, case.problem.count, given)
            other = solve(problem, two.find(plan(problem), case.rows))
            assert other.label == case.solution.label
            if case.solution.value is not None:
                assert other.value == pytest.approx(2 * case.solution.value, rel=1e-3)


@pytest.fixture(scope="module")
def asked():
    return ask_multistep(scene_of(ROOM), 200, 7)


def test_every_kind_is_asked_in_good_order(asked) -> None:
    assert {q.type for q in asked} == set(MULTISTEP_TYPES)
    assert len({(q.question, tuple(q.object_index)) for q in asked}) == len(asked) == 200
    for q in asked:
        assert q.question[0].isupper()
        assert q.question[-1] in "?."
        assert not re.search(r"[{}]| {2}|\. [a-z]", f"{q.question} {q.answer}")
        assert "{" not in q.rationale


def test_a_rationale_holds_every_measure_and_the_answer(asked) -> None:
    for q in asked:
        steps = json.loads(q.steps)
        assert steps
        for step in steps:
            assert step["text"] in q.rationale
            for number in step["values"].values():
                assert f"{round(number, 3) + 0.0:.3f} m" in step["text"]
        if ".long." in q.answer_template:
            assert q.rationale.endswith(q.answer)


def test_steps_and_given_lengths_lead_to_the_label_again(asked) -> None:
    """What a program needs to answer: type, number of objects, given lengths and the steps."""
    for q in asked:
        problem = Problem(q.type, len(q.objects), json.loads(q.given))
        steps = json.loads(q.steps)
        found = {}
        for call, step in zip(plan(problem), steps, strict=True):
            assert arguments(call, q.objects) == step["arguments"]
            found[call] = tuple(step["values"].values())
        again = solve(problem, found)
        assert again.label == q.label
        assert again.value == (None if q.value is None else pytest.approx(q.value, abs=1e-5))


def test_questions_depend_on_scene_and_seed_alone(asked) -> None:
    assert ask_multistep(scene_of(ROOM), 200, 7) == asked
    assert ask_multistep(scene_of(ROOM), 200, 8) != asked


def test_texts_are_those_of_the_golden_file() -> None:
    """One question of each kind, to be read: is it English, and does the arithmetic hold?"""
    lines = []
    for type in MULTISTEP_TYPES:
        for question in ask_multistep(scene_of(ROOM), 2, 3, [type]):
            lines += [f"{type}: {question.question}", question.answer, question.rationale, ""]
    found = "\n".join(lines)
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(found, "utf-8")
    assert found == GOLDEN.read_text("utf-8")


def test_there_are_enough_templates() -> None:
    book = multistep_book()
    for row in FAMILY:
        assert len(book.family.questions[row.id]) >= 10
        assert len(book.rationales[row.id]) >= 5
        for outcome in row.outcomes:
            short, long = (book.family.answers[row.id, outcome, n] for n in ("short", "long"))
            assert len(short) + len(long) >= 5


def test_they_are_asked_only_when_named() -> None:
    scene = scene_of(ROOM)
    assert not {q.type for q in ask(scene, 100, 0)} & set(MULTISTEP_TYPES)
    alone = ask(scene, 30, 0, types=["multistep"])
    assert [q.type for q in alone] == [q.type for q in ask_multistep(scene, 30, 0)]
    assert alone == ask_multistep(scene, 30, 0)
    mixed = Counter(q.type for q in ask(scene, 30, 0, types=["distance", "between"]))
    assert mixed == {"distance": 20, "between": 10}


def test_a_choice_of_types_divides_the_questions() -> None:
    assert choose(["multistep"]).share == 1.0
    assert choose(["multistep", "robot"]).share == 0.5
    assert choose(["multistep", "distance"]).share == pytest.approx(1 / 3)
    assert choose(["between"]).multistep == ("between",)
    assert choose().multistep == ()


def test_further_columns_are_there_only_when_they_are_asked() -> None:
    scene = scene_of(ROOM)
    plain = AskedAll(5, 0)
    plain.add(scene)
    assert "rationale" not in plain.columns()
    both = AskedAll(9, 0, ["distance", "between"])
    both.add(scene)
    columns = both.columns()
    filled = [text is not None for text in columns["rationale"].to_pylist()]
    assert filled == [type == "between" for type in columns["type"].to_pylist()]


def test_an_empty_scene_is_asked_nothing() -> None:
    assert ask_multistep(scene_of([]), 10, 0) == []
