"""Points in the notations of models, and plain ones in that which is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calipers.cli import main
from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.evals.evaluate import evaluate
from calipers.evals.places import read_points
from calipers.evals.regions import Mask

POINT = ((0.5, 0.25),)


@pytest.mark.parametrize(
    "text",
    [
        "0.5, 0.25",
        "(0.5, 0.25)",
        "(50%, 25%)",
        r"(50\%, 25\%)",
        r"$\left(0.5, 0.25\right)$",
        "(**0.5**, **0.25**)",
        "x=0.5, y=0.25",
        '{"x": 0.5, "y": 0.25}',
        '[{"point_2d": [500, 250], "label": "mug"}]',
        "[{'point_2d': [500, 250]}]",
        '{"point_2d": [[500, 250]]}',
        '{"point_2d": [0.5, 0.25]}',
        '{"points": [[500, 250]]}',
        '{"points": [[0.5, 0.25]]}',
        '[{"point": [250, 500], "label": "mug"}]',
        "{'point': [250, 500]}",
        "<point>500 250</point>",
        "<point>[[500, 250]]</point>",
        "<point>(0.5, 0.25)</point>",
        '<point x="50" y="25" alt="mug">mug</point>',
        "<point x='50.0' y='25.0'>",
    ],
)
def test_one_point(text: str) -> None:
    assert read_points(text) == POINT


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ('<points coords="1 1 500 250;2 1 600 300">a</points>', ((0.5, 0.25), (0.6, 0.3))),
        ('[{"point_2d": [500, 250]}, {"point_2d": [1, 0]}]', ((0.5, 0.25), (0.001, 0.0))),
        ('[{"point": [100, 200]}, {"point": [300, 400]}]', ((0.2, 0.1), (0.4, 0.3))),
        ("1,200", None),
        ('{"bbox_2d": [100, 200, 300, 400]}', None),
        ("(0.1, 0.2, 0.3, 0.4)", None),
        ("about 0.5, 0.25 of it, or 3", None),
    ],
)
def test_several_points_and_none(text: str, points: tuple[tuple[float, float], ...] | None) -> None:
    assert read_points(text) == points


@pytest.mark.parametrize(
    ("text", "notation"),
    [
        ("(500, 250)", "thousandths"),
        ("(50, 25)", "percent"),
        ("(320, 120)", "pixels"),
        ('[{"point_2d": [320, 120]}]', "pixels"),
        ("(50%, 25%)", "pixels"),
        ('<point x="50" y="25">', "pixels"),
    ],
)
def test_what_is_told_of_the_notation(text: str, notation: str) -> None:
    assert read_points(text, notation, (640, 480)) == POINT


def test_pixels_are_shares_of_the_mask() -> None:
    mask = Mask(np.ones((480, 640), bool))
    assert Case("a", "points", mask, notation="pixels").read("(320, 120)") == POINT
    assert Case("a", "points", None, notation="pixels").read("(320, 120)") is None


def home(folder: Path, name: str, answer: str) -> Path:
    record = {"category": "context", "question": "Where?", "answer": answer, "img": "a.png"}
    path = folder / name
    path.write_text(json.dumps([record]))
    return path


def test_the_option_of_the_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = home(tmp_path, "points.json", "[(0.4, 0.2), (0.6, 0.2), (0.6, 0.3), (0.4, 0.3)]")
    said = {"0": "(500, 250)"}
    inside = [
        evaluate("robospatial-home", data, said, points=points).row("points-in-mask").mean.mean
        for points in (None, "share", "thousandths")
    ]
    assert inside == [0.0, 0.0, 1.0]
    with pytest.raises(UsageError, match="size"):
        evaluate("robospatial-home", data, said, points="pixels")
    with pytest.raises(UsageError, match="wanted one of share"):
        evaluate("robospatial-home", data, said, points="inches")
    with pytest.raises(UsageError, match="no question"):
        evaluate("robospatial-home", home(tmp_path, "words.json", "yes"), {}, points="share")
    answers, out = tmp_path / "answers.jsonl", tmp_path / "scores.json"
    answers.write_text(json.dumps({"id": "0", "text": "(500, 250)"}))
    command = ["eval", "robospatial-home", "--data", str(data), "--answers", str(answers)]
    assert main([*command, "--points", "thousandths", "--json", str(out)]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert json.loads(out.read_text())["overall"]["accuracy"] == 1.0
