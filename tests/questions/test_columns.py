"""Whole records: columns, text written from facts, purity."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest
from hand_scenes import TABLE, five, scene_of

from calipers.errors import DataError, UsageError
from calipers.questions import ask, ask_columns, measure
from calipers.questions.columns import Asked
from calipers.questions.grammar import slot_values
from calipers.questions.registry import TYPES
from calipers.questions.writing import book, make_book, outcomes
from calipers.types import Question
from calipers.units import parse_length, tolerance

CONTRACT = [
    "id", "scene_id", "image", "depth_image", "type", "kind", "question", "answer", "objects",
    "object_index", "value", "unit", "label", "frame", "margin", "question_template",
    "answer_template", "seed",
]  # fmt: skip


def test_columns_are_those_of_the_contract_in_order():
    columns = ask_columns(scene_of(five()), 30, seed=3)
    assert list(columns) == CONTRACT == [f.name for f in dataclasses.fields(Question)]
    assert {len(values) for values in columns.values()} == {30}
    assert columns["id"][:2] == ["hand#0", "hand#1"]
    assert set(columns["seed"]) == {3}
    assert set(columns["scene_id"]) == {"hand"}
    assert set(columns["image"]) == {"hand.png"}
    assert set(columns["frame"]) == {"level"}


def test_three_digits_are_not_said_with_about():
    """Nobody says "roughly 57.3 cm", but "57.3 cm" and "roughly 57 cm"."""
    fine = re.compile(r"\b(\d\d\.\d|[1-9]\.\d\d|0\.[1-9]\d\d) ")
    hedge = re.compile(r"\b(about|roughly|around|would say|estimate)\b", re.IGNORECASE)
    said = [q.answer for q in ask(scene_of(five()), 2000, seed=4) if q.value]
    exact = [answer for answer in said if fine.search(answer)]
    assert len(exact) > 40
    assert [answer for answer in exact if hedge.search(answer)] == []
    assert sum(hedge.search(answer) is not None for answer in said) > 200


@pytest.mark.parametrize("level", [True, False])
def test_every_record_states_the_fact_that_measure_finds(level):
    scene = scene_of(five(), level=level)
    for q in ask(scene, 200, seed=1):
        fact = measure(scene, q.type, *q.object_index)
        assert (q.value, q.label, q.unit) == (fact.value, fact.label, fact.unit)
        assert (q.margin, q.frame) == (fact.margin, fact.frame)
        assert q.objects == [scene.objects[k].reference for k in q.object_index]
        assert q.kind == TYPES[q.type].kind


def test_text_names_the_objects_and_says_the_value():
    scene = scene_of(five())
    for q in ask(scene, 200, seed=2):
        assert all(name in q.question.lower() for name in q.objects)
        assert "{" not in q.question + q.answer
        if q.value:
            said = q.answer
            for name in q.objects:
                said = said.replace(name, "")
            assert abs(parse_length(said) - q.value) <= tolerance(said) + 1e-9


@pytest.mark.parametrize("level", [True, False])
def test_no_two_of_two_hundred_questions_are_the_same(level):
    questions = ask_columns(scene_of(five(), level=level), 200, seed=0)["question"]
    assert len(set(questions)) == 200


def test_templates_are_named_and_lead_to_the_text():
    """The answer's id says which outcome was stated; short and long come half and half."""
    questions = ask(scene_of(five()), 200, seed=4)
    for q in questions:
        name, number = q.question_template.split(".q")
        assert name == q.type
        assert 1 <= int(number) <= 30
        name, outcome, length, _ = q.answer_template.split(".")
        assert name == q.type
        assert length in ("short", "long")
        if TYPES[q.type].shape == "choice":
            assert outcome == ("same" if q.label == "same" else "winner")
        elif q.label is not None:
            assert outcome == q.label
    short = sum(".short." in q.answer_template for q in questions)
    assert abs(short - 100) < 4 * 50**0.5


def test_concise_sets_the_share_of_short_answers():
    scene = scene_of(five())
    for concise, length in ((1.0, ".short."), (0.0, ".long.")):
        answers = ask_columns(scene, 100, seed=0, concise=concise)["answer_template"]
        assert all(length in template for template in answers)


def test_the_winner_of_a_choice_is_named():
    scene = scene_of(TABLE)
    questions = ask(scene, 100, seed=0, types=["tall_choice"], concise=1.0)
    assert len(questions) == 100
    for q in questions:
        winner = q.objects["AB".index(q.label)]
        assert winner in q.answer.lower()
        assert winner == "the lamp" or "the lamp" not in q.objects


def test_touching_and_resting_are_said_in_words():
    boxes = [("the cup", (0, 2, 0.1), (0.1, 0.1, 0.2)), ("the jar", (0.1, 2, 0.1), (0.1, 0.1, 0.2))]
    questions = ask(scene_of(boxes), 60, seed=0, types=["gap", "elevation"])
    assert {q.value for q in questions} == {0.0}
    outcome = {"gap": "touching", "elevation": "resting"}
    for q in questions:
        assert q.answer_template.split(".")[1] == outcome[q.type]


def test_ties_are_answered_as_ties():
    boxes = [("the cup", (0, 2, 0.1), (0.1, 0.1, 0.2)), ("the jar", (0, 2, 0.3), (0.1, 0.1, 0.2))]
    types = [name for name, row in TYPES.items() if row.quantity in ("wide", "tall", "left")]
    questions = ask(scene_of(boxes), 100, seed=0, types=types, mix=1.0)
    assert len(questions) == 100
    for q in questions:
        assert (q.label, q.value) == ("same", None)
        assert q.answer_template.split(".")[1] == "same"


def test_the_same_arguments_give_the_same_questions():
    scene, twin = scene_of(five()), scene_of(five())
    assert ask_columns(scene, 80, seed=5) == ask_columns(twin, 80, seed=5)
    other = ask_columns(scene, 80, seed=6)
    assert other["question"] != ask_columns(scene, 80, seed=5)["question"]
    renamed = ask_columns(scene_of(five(), name="else"), 80, seed=5)
    assert renamed["question"] != ask_columns(scene, 80, seed=5)["question"]


def test_another_process_asks_the_same():
    """Nothing depends on the order of sets or on Python's hash seed."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from hand_scenes import five, scene_of\n"
        "from calipers.questions import ask_columns\n"
        "print(ask_columns(scene_of(five()), 60, seed=9))"
    )
    folder = __file__.rpartition("/")[0]
    runs = {
        subprocess.run(
            [sys.executable, "-c", code, folder],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert runs == {f"{ask_columns(scene_of(five()), 60, seed=9)}\n"}


def test_questions_of_a_subset_of_types():
    questions = ask(scene_of(five()), 50, seed=0, types=["gap", "left_choice"])
    assert [sum(q.type == t for q in questions) for t in ("gap", "left_choice")] == [25, 25]


def test_nothing_to_ask_is_no_questions():
    for scene in (scene_of([]), scene_of(TABLE[:1], level=False)):
        columns = ask_columns(scene, 10, seed=0)
        assert list(columns) == CONTRACT
        assert set(map(len, columns.values())) == {0}
        assert ask(scene, 10, seed=0) == []
    assert ask(scene_of(TABLE), 0, seed=0) == []


def test_numbers_out_of_range_are_usage_errors():
    with pytest.raises(UsageError, match="count of 0 or more"):
        ask_columns(scene_of(TABLE), -1, seed=0)
    with pytest.raises(UsageError, match=r"concise in \[0, 1\], got 1, 1.5"):
        ask_columns(scene_of(TABLE), 1, seed=0, concise=1.5)


def test_records_do_not_share_their_lists():
    one, two = (q for q in ask(scene_of(TABLE[:1]), 2, seed=0, types=["height"]))
    one.objects.append("x")
    assert two.objects == ["the box"]


def test_scenes_asked_together_are_asked_as_each_alone():
    scenes = [scene_of(five()), scene_of([]), scene_of(TABLE, level=False), scene_of(TABLE[:1])]
    together = Asked(50, seed=2)
    for scene in scenes:
        together.add(scene)
    alone = [q for scene in scenes for q in ask(scene, 50, seed=2)]
    assert len(alone) == 50 + 0 + 50 + 50
    columns = together.columns()
    rows = zip(*(columns[name].to_pylist() for name in CONTRACT))
    assert [Question(*row) for row in rows] == alone
    at_once = Asked(50, seed=2)
    at_once.add_all(scenes)
    assert at_once.columns() == columns


def test_questions_are_their_templates_filled():
    """What is put together for all at once is what each template says alone."""
    boxes = [('scissors’ "%s" {A}', *TABLE[0][1:]), ("ßtrange cups", *TABLE[1][1:])]
    pages = book()
    for q in ask(scene_of(boxes), 1000, seed=0):
        slots = [form for name in q.objects for form in slot_values(name)]
        template = pages.questions[pages.question_ids.index(q.question_template)]
        assert q.question == template.render([*slots, ""])
        assert q.question[0] == q.question[0].upper()


def test_odd_captions_pass_through_unchanged():
    names = ["the 100% “red” {A} <b>box</b>", "the cup\nwith a 🙂"]
    boxes = [(names[0], (0, 2, 0.1), (0.1, 0.1, 0.2)), (names[1], (1, 2, 0.3), (0.1, 0.1, 0.2))]
    for q in ask(scene_of(boxes), 100, seed=0):
        assert all(name[1:] in q.question for name in q.objects)


def test_the_book_has_twenty_questions_and_ten_answers_a_type():
    pages = book()
    assert pages.counts.min() >= 20
    assert pages.counts.sum() == len(pages.questions) == len(set(pages.question_ids))
    for k, row in enumerate(TYPES.values()):
        assert (pages.answer_counts[k].sum(axis=1)[: len(set(outcomes(row)))] >= 8).all()
        assert pages.answer_counts[k].sum() >= 10
    assert pages.question_ids[0] == "left_predicate.q01"
    assert pages.answer_ids[0] == "left_predicate.same.short.1"
    first = pages.answer_first[list(TYPES).index("gap"), 1, 1]
    assert pages.answer_ids[first] == "gap.touching.long.1"


def test_a_book_without_a_list_is_refused():
    with pytest.raises(DataError, match=r"wanted at least one of left_predicate.q\*, got none"):
        make_book({})
