"""Aggregation by hand: shares, means, sets, chance, the benchmark's own formula."""

from __future__ import annotations

import numpy as np
import pytest

from calipers.evals.cases import Case
from calipers.evals.intervals import MOST_CLUSTERS, bootstrap
from calipers.evals.report import as_text, mean_of, report
from calipers.evals.score import judge, score
from calipers.evals.sets import together

FOUR = ("a", "b", "c", "d")


def test_tags_chance_and_the_formula() -> None:
    cases = [
        Case(str(k), "option", "A", choices=FOUR, tags=("near" if k < 4 else "far",))
        for k in range(10)
    ]
    answers = {str(k): "A" if k < 5 else "B" for k in range(9)}
    formulas = {"overall": mean_of("exact", "near", "far"), "other": mean_of("exact", "top")}
    found = report("t", score(cases, answers), formulas)
    everything = found.row("exact")
    assert (everything.right, everything.wrong, everything.no_answer) == (5, 4, 1)
    assert everything.mean[:3] == pytest.approx((0.5, 0.2366, 0.7634), abs=1e-4)
    assert everything.chance_adjusted == pytest.approx((5 - 2.5) / (10 - 2.5))
    assert found.row("exact", "far").mean.mean == pytest.approx(1 / 6)
    assert found.overall["overall"] == pytest.approx((1 + 1 / 6) / 2)
    assert found.overall["other"] is None
    assert found.reasons == {"missing": 1}
    with pytest.raises(KeyError):
        found.row("exact", "nowhere")


def test_sets_are_right_when_all_of_them_are() -> None:
    """3DSRBench's way: rotations of the options, mirror images, and both."""
    ids = ["q1", "q1-1", "q1-flip", "q1-flip-1", "q2", "q2-1"]
    cases = [
        Case(
            id,
            "option",
            "A",
            choices=FOUR,
            sets={
                "circular": id.removesuffix("-1"),
                "flip": id.replace("-flip", ""),
                "flip-circular": id[:2],
            },
        )
        for id in ids
    ]
    answers = {"q1": "A", "q1-1": "A", "q1-flip": "A", "q1-flip-1": "B", "q2": "A", "q2-1": "A"}
    found = together(score(cases, answers), "exact@1")
    assert {name: (*share[:2], share.incomplete) for name, share in found.items()} == {
        "circular": (2, 3, 0),  # q1, q2 of q1, q1-flip, q2
        "flip": (3, 4, 2),  # q2 and q2-1 have no mirror image
        "flip-circular": (1, 2, 1),
    }
    assert str(found["flip-circular"]) == "50.0 % [9.5, 90.5] (1 of 2), 1 of them incomplete"


def test_sets_of_one_question_are_none() -> None:
    cases = [Case(str(k), "yes-no", "yes", sets={"flip": str(k)}) for k in range(3)]
    assert together(score(cases, {"0": "yes"}), "exact@1") == {}
    assert together(score([], {}), "exact@1") == {}


def test_a_set_is_complete_with_as_many_as_others_with_its_options() -> None:
    """Two options have two rotations, four have four."""
    sizes = {"a": (4, 4), "b": (2, 2), "c": (2, 1), "d": (4, 3)}  # options, questions
    cases = [
        Case(f"{name}{k}", "option", "A", choices=FOUR[:options], sets={"circular": name})
        for name, (options, number) in sizes.items()
        for k in range(number)
    ]
    found = together(score(cases, dict.fromkeys((case.id for case in cases), "A")), "exact@1")
    assert found["circular"][:2] == (4, 4)
    assert found["circular"].incomplete == 2


def test_a_missing_interval_is_a_dash_and_null() -> None:
    cases = [Case(str(k), "number", 2.0, images=("one.jpg",)) for k in range(3)]
    found = report("t", score(cases, {"0": "2", "1": "3", "2": "2"}, ["mra-code"]))
    row = found.to_json()["rows"][0]
    assert (row["low"], row["high"], row["mean"]) == (None, None, pytest.approx(2.1 / 3))
    assert as_text(found).splitlines()[1].split() == ["mra-code@1", "all", "3", "70.0", "-"]


def test_no_right_answer_among_six_is_not_certain() -> None:
    cases = [Case(str(k), "number", 2.0) for k in range(6)]
    scored = score(cases, {str(k): "9" for k in range(6)}, ["mra-code", "ratio-2", "abs-rel"])
    found = report("t", scored)
    assert found.row("mra-code").mean[1:3] == pytest.approx((0, 0.3903), abs=1e-4)
    assert found.row("mra-code").mean[:3] == found.row("ratio-2").mean[:3]
    assert found.row("abs-rel").mean[1:3] == (None, None)  # an error has no upper end


def test_errors_leave_out_what_was_not_said() -> None:
    cases = [Case("a", "length", 1.0), Case("b", "length", 2.0), Case("c", "length", 1.0)]
    row = report("t", score(cases, {"a": "2 m", "b": "3 m"})).row("abs-rel")
    assert row.mean.points == 2
    assert row.mean.mean == pytest.approx((1 / 1.0001 + 1 / 2.0001) / 2)
    assert row.median == row.mean.mean
    assert (row.no_answer, row.right) == (1, 0)


def test_questions_about_one_picture_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    pictures = [f"p{k // 10}" for k in range(400)]
    points = np.repeat(rng.uniform(0, 1, 40), 10)
    alone = bootstrap(points, [str(k) for k in range(400)])
    clustered = bootstrap(points, pictures)
    assert alone.mean == clustered.mean
    assert alone.low is not None
    assert clustered.low is not None
    width, clustered_width = alone.high - alone.low, clustered.high - clustered.low
    assert clustered_width == pytest.approx(width * np.sqrt(10), rel=0.25)
    assert width == pytest.approx(2 * 1.96 * points.std() / 20, rel=0.1)


def test_many_clusters_take_the_normal_interval() -> None:
    size = MOST_CLUSTERS + 1
    points = np.arange(size) % 2.0
    found = bootstrap(points, [str(k) for k in range(size)])
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(size), rel=1e-3)
    assert bootstrap(np.array([np.nan]), ["a"])[:3] == (None, None, None)


def test_text_and_baselines_stand_beside() -> None:
    cases = [Case("a", "yes-no", "no"), Case("b", "yes-no", "yes"), Case("c", "yes-no", None)]
    blind = judge(cases, ["no", "no", "no"])
    text = as_text(
        report("t", score(cases, {"a": "no", "b": "I can't tell"}), baselines={"m": blind})
    )
    assert text.splitlines()[0].split() == [
        *("rule", "of", "n", "score", "95", "%", "no", "answer", "unscored", "m"),
    ]  # fmt: skip
    assert text.splitlines()[1].split() == [
        *("exact@1", "all", "2", "50.0", "9.5", "to", "90.5", "1", "1", "50.0"),
    ]  # fmt: skip
    assert text.splitlines()[-1] == "nothing read: 1 refusal, 1 no truth"
