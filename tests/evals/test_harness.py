"""Exports for harnesses: lmms-eval's folder scores without us as we do; VLMEvalKit's TSV."""

from __future__ import annotations

import base64
import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from small_run import ROWS, write_run

from calipers.cli import main
from calipers.evals.cases import KINDS, Case
from calipers.evals.harness.export import export, task_name
from calipers.evals.harness.prompts import HINTS, from_record, to_record
from calipers.evals.harness.vlmevalkit import choices
from calipers.evals.regions import Mask, Polygon
from calipers.evals.score import score
from calipers.evals.tasks.run import read

# What lmms-eval does, without it: load utils.py by its path and call what the YAML names.
HARNESS = """
import importlib.util, json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "calipers":
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
spec = importlib.util.spec_from_file_location("utils", sys.argv[1] + "/utils.py")
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)
found = []
for line, answer in zip(open(sys.argv[1] + "/questions.jsonl"), json.loads(sys.argv[2])):
    doc = json.loads(line)
    (picture,) = utils.doc_to_visual(doc)
    found.append([picture.size, picture.mode, utils.doc_to_text(doc, {"pre_prompt": "> "}),
                  utils.process_results(doc, [answer])])
print(json.dumps(found))
"""
ANSWERS = ["2.5 m", "No, the box is.", "It is the box.", "I'm not sure.", "1 m", "Neither."]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def harness(folder: Path) -> list[Any]:
    command = [sys.executable, "-c", HARNESS, str(folder), json.dumps(ANSWERS)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


class Loader(yaml.SafeLoader):
    """Reads ``!function`` as text."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


@pytest.mark.parametrize("images", ["link", "copy"])
def test_the_folder_for_lmms_eval_scores_as_we_do(run: Path, tmp_path: Path, images: str) -> None:
    out = tmp_path / "My task"
    assert main(
        ["export", str(run), "--format", "lmms-eval", "--out", str(out), "--images", images]
    ) == 0  # fmt: skip
    found = harness(out)
    assert [one[:2] for one in found] == [[[64, 48], "RGB"]] * len(ROWS)
    assert found[0][2] == (
        "> How far is the lamp from the box?\nAnswer with one number and its unit."
    )
    cases = list(read(run))
    ours = score(cases, {case.id: text for case, text in zip(cases, ANSWERS)})
    for place, (_, _, _, points) in enumerate(found):
        expected = {key.partition("@")[0]: row[place] for key, row in ours.points.items()}
        expected = {name: value for name, value in expected.items() if value == value}
        if cases[place].truth is not None:
            expected["no-answer"] = float(ours.status[place] != "read")
        assert points == pytest.approx(expected)
    exact = [points.get("exact") for *_, points in found]
    assert exact == [None, 0.0, 1.0, 0.0, None, 1.0]
    assert found[4][3] == {}  # things that touch have no length to compare with


def test_the_yaml_names_what_is_there(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "My task"
    done = export(run, out, "lmms-eval")
    assert done["counts"] == {"questions": 6, "records": 6}
    (file,) = out.glob("*.yaml")
    config = yaml.load(file.read_text(), Loader)
    assert config["task"] == file.stem == done["task"] == "calipers_my_task"
    questions = Path(config["dataset_kwargs"]["data_files"]["test"])
    assert questions == out / "questions.jsonl"
    named = {value for value in config.values() if str(value).startswith("utils.")}
    source = (out / "utils.py").read_text()
    assert all(f"def {name.removeprefix('utils.')}(" in source for name in named)
    assert len(named) == 3
    metrics = {one["metric"]: one["higher_is_better"] for one in config["metric_list"]}
    given = {name for *_, points in harness(out) for name in points}
    assert given == set(metrics)
    assert [name for name, better in metrics.items() if not better] == ["abs-rel", "no-answer"]
    assert "ratio-2@1" in config["metadata"]["rules"]


def test_the_tsv_for_vlmevalkit(run: Path, tmp_path: Path) -> None:
    done = export(run, tmp_path / "tsv", "vlmevalkit")
    assert done["counts"] == {"questions": 6, "without_options": 2, "records": 4}
    with (tmp_path / "tsv" / "calipers_tsv.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, dialect="excel-tab"))
    right = [row[row["answer"]] for row in rows]
    assert right == ["2 m", "Yes", "the box", "to the right"]
    assert [row["category"] for row in rows] == [row[1] for row in ROWS[:4]]
    assert sorted(float(rows[0][letter].split()[0]) for letter in "ABCD") == [
        float(rows[0][letter].split()[0]) for letter in "ABCD"
    ]
    # a picture stands once; an entry of up to 64 characters is the index of the row that has it
    assert [row["image"] for row in rows[1:3]] == ["0", "0"]
    for row in (rows[0], rows[3]):
        assert len(row["image"]) > 64
        with Image.open(io.BytesIO(base64.b64decode(row["image"]))) as picture:
            assert picture.size == (64, 48)


def test_options_hold_the_truth_once() -> None:
    for number in range(40):
        options, place = choices(Case(str(number), "length", 0.37)) or ([], 0)
        assert options[place] == "0.37 m"
        assert len(set(options)) == 4
    places = {(choices(Case(str(n), "length", 1.0)) or ([], 9))[1] for n in range(40)}
    assert places == {0, 1, 2, 3}
    assert choices(Case("a", "compare", -1, compares=("left", -1))) == (
        ["to the left", "to the right"], 0,
    )  # fmt: skip
    assert choices(Case("a", "option", "B", choices=("x", "y"))) == (["x", "y"], 1)
    assert choices(Case("a", "count", 3)) is None


def test_what_cannot_be_exported_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, complaint in (
        (["--format", "lmms-eval", "--images", "embed"], "link or copy"),
        (["--format", "vlmevalkit", "--boxes", "0.5"], "no such option"),
        (["--format", "lmms-eval", "--frames", str(tmp_path / "gone")], "pictures are not at"),
    ):
        assert main(["export", str(run), "--out", str(tmp_path / "o"), *options]) == 2
        assert complaint in capsys.readouterr().err
    (tmp_path / "frames" / "two.png").unlink()
    done = export(run, tmp_path / "o", "lmms-eval")
    assert done["counts"]["skipped"] == 3
    lines = (tmp_path / "o" / "skipped.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["reason"] == "missing_file"


def test_every_kind_has_a_hint_and_a_record() -> None:
    assert set(HINTS) == set(KINDS)
    for case in [Case("a", "option", "A", choices=("x",), tags=("t",)), Case("b", "length", None)]:
        assert from_record(json.loads(json.dumps(to_record(case)))) == case
    for region in (None, Polygon(((0.0, 0.5), (1.0, 0.5), (0.5, 1.0)))):
        case = Case("p", "points", region)
        assert from_record(json.loads(json.dumps(to_record(case)))) == case
    pixels = np.random.default_rng(0).random((7, 11)) < 0.5
    record = json.loads(json.dumps(to_record(Case("p", "points", Mask(pixels)))))
    assert np.array_equal(from_record(record).truth.pixels, pixels)
    assert task_name("../Räume 1") == "calipers_räume_1"
