"""Robot questions among the 43 types: where, how many, in which order, and chosen by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest
from test_robot_questions import cup, gripper, scene

import calipers
from calipers.errors import UsageError
from calipers.io.questions import QUESTION_SCHEMA, questions_table
from calipers.pipeline import Options
from calipers.questions import ask, ask_columns
from calipers.questions.asking import AskedAll, choose
from calipers.questions.registry import TYPES
from calipers.questions.robot import ROBOT_TYPES, ask_robot

IDS = {row.id for row in ROBOT_TYPES}


def robots(name="s"):
    made = scene(gripper(0.0, 0.3), cup(0.05, 0.25), cup(-0.3, name="blue cup"))
    return replace(made, id=name)


def things(name="t"):
    return replace(scene(cup(0.05), cup(-0.3, name="blue cup")), id=name)


def about_robot(questions):
    return [q for q in questions if q.type in IDS]


def test_a_third_is_about_the_robot_where_a_gripper_is_seen():
    asked = ask(robots(), 30, 4)
    assert len(asked) == 30
    assert about_robot(asked) == ask_robot(robots(), 10, 4) == asked[20:]
    assert [q.id for q in asked[:2]] == ["s#0", "s#1"]
    assert len({q.id for q in asked}) == 30


def test_nothing_changes_where_none_is_seen():
    columns = ask_columns(things(), 30, 4)
    assert [q.question for q in ask(things(), 30, 4)] == columns["question"]
    assert all(q.type in TYPES for q in ask(things(), 30, 4))
    assert ask(things(), 30, 4, types=["robot"], mix=None) != []  # what touches, what is tallest


def test_types_are_chosen_by_name():
    assert {q.type for q in ask(robots(), 12, 0, types=["holds", "is_held"])} == {
        "holds",
        "is_held",
    }
    assert all(q.type in IDS for q in ask(robots(), 12, 0, types=["robot"]))
    both = Counter(q.type for q in ask(robots(), 12, 0, types=["distance", "holds"]))
    assert both == {"distance": 8, "holds": 4}
    assert all(q.type == "distance" for q in ask(robots(), 12, 0, types=["distance"]))
    assert all(q.type in TYPES for q in ask(robots(), 12, 0, mix={"distance": 1.0, "gap": 1.0}))
    assert len(about_robot(ask(robots(), 12, 0, mix=0.9))) == 4


def test_rows_stand_by_scene_in_the_order_of_the_scenes():
    asked = AskedAll(6, 1)
    asked.add(things("a"))
    asked.add_all([robots("b"), things("c"), robots("d")])
    table = questions_table(asked.columns())
    assert table.schema == QUESTION_SCHEMA
    assert table["scene_id"].to_pylist() == ["a"] * 6 + ["b"] * 6 + ["c"] * 6 + ["d"] * 6
    alone = [q.question for name in "bd" for q in ask(robots(name), 6, 1)]
    rows = table.filter(pa.compute.is_in(table["scene_id"], pa.array(["b", "d"])))
    assert rows["question"].to_pylist() == alone


def test_what_cannot_be_asked_is_refused():
    for types, mix, said in (
        (["hold"], None, "unknown question type"),
        ("distance", None, "types: wanted a list of names, got the string"),
        (["contact"], None, r"unknown question type 'contact'.*calipers spatialqa"),
        (["distance"], {"gap": 1.0}, "leave no question"),
        ([], None, "leave no question"),
    ):
        with pytest.raises(UsageError, match=said):
            choose(types, mix)
    assert Options(types=("robot",)).types == ("robot",)
    with pytest.raises(UsageError):
        Options(types=("robots",))


@pytest.mark.parametrize(
    ("count", "seed", "said"),
    [(2.5, 0, "whole number of questions, got 2.5"), (2, -1, "seed: wanted"), (2, 0.5, "seed"),
     (2, 2**63, "seed: wanted"), (2, None, "seed")],
)  # fmt: skip
def test_numbers_that_no_run_would_take_are_refused(count, seed, said):
    with pytest.raises(UsageError, match=said):
        calipers.ask(things(), count, seed)


def test_it_is_what_the_package_asks():
    assert calipers.ask(robots(), 9, 2) == ask(robots(), 9, 2)
