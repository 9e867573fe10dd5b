"""`calipers train` with evaluations, as it is typed: what it says, and a run that was killed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiny_frames import write_frames

pytest.importorskip("mujoco")
pytest.importorskip("torch")
pytest.importorskip("transformers")

import calipers
from calipers.cli import main
from calipers.model.answering import load
from calipers.samples.blocks import write_blocks
from calipers.train.data import Cache
from calipers.train.evaluate import drawn, evaluate
from calipers.train.recipe import Evaluation

STEPS = 24


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("blocks")
    write_blocks(home / "frames", 3)
    calipers.build(str(home / "frames"), str(home / "run"), workers=1, questions_per_scene=8)
    return home / "run"


def recipe(run: Path, home: Path, /, **evaluate: Any) -> Path:
    """The file of a recipe whose model goes to ``home/out``."""
    home.mkdir(exist_ok=True)
    asked = {"run": str(run), "ask": "plain", "types": ["left_predicate", "depth"]}
    fields = {
        "out": "out",
        "data": [asked],
        "stages": [{"name": "all", "learn": ["vision", "projector", "language"], "steps": STEPS,
                    "lr": 0.02, "warmup": 1}],
        "nano": {"picture_wh": [64, 48], "width": 32, "layers": 1, "language_layers": 1,
                 "vocabulary": 300},
        "pictures": 2, "turns": 4, "checkpoint": 2, "threads": 1, "device": "cpu",
        "evaluate": asked | {"questions": 12, "every": 2} | evaluate,
    }  # fmt: skip
    (home / "recipe.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    return home / "recipe.yaml"


def told(home: Path) -> list[dict[str, Any]]:
    """What a run wrote down, times left out."""
    lines = (home / "out" / "train.jsonl").read_text("utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def losses(records: list[dict[str, Any]]) -> dict[int, float]:
    return {record["step"]: record["loss"] for record in records if "loss" in record}


def evaluations(records: list[dict[str, Any]]) -> dict[int, Any]:
    return {r["step"]: r["evaluation"] for r in records if "evaluation" in r}


@pytest.fixture(scope="module")
def whole(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of a run that nobody killed, and what it said on either stream."""
    home = tmp_path_factory.mktemp("whole")
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert main(["train", str(recipe(run, home))]) == 0
    return home, out.getvalue(), err.getvalue()


def test_every_evaluation_is_told_and_written_down(whole: tuple[Path, str, str]) -> None:
    home, out, err = whole
    found = evaluations(told(home))
    assert list(found) == list(range(2, STEPS + 1, 2))
    assert list(losses(told(home))) == list(range(1, STEPS + 1))
    assert out == f"model     {home / 'out'}\n"
    lines = err.splitlines()
    assert [line.split(":")[0] for line in lines if "loss" in line] == ["all 20/24", "all 24/24"]
    shares = dict(found[STEPS])
    assert shares.pop("questions") == 12
    assert list(shares) == [
        "qualitative exact", "quantitative gives-number", "quantitative within-50-200",
        "quantitative within-90-110",
    ]  # fmt: skip
    said = ", ".join(f"{name} {share} %" for name, share in shares.items())
    assert lines[-1] == f"all {STEPS}: of 12 questions {said}"


def test_a_recipe_that_was_finished_says_so(
    run: Path, whole: tuple[Path, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    home = whole[0]
    before = told(home)
    assert main(["train", str(recipe(run, home))]) == 0
    out, err = capsys.readouterr()
    assert out == f"model     {home / 'out'}\n"
    assert err == "this recipe was finished before; remove its folder to train anew\n"
    assert told(home) == before


def test_what_is_told_is_how_the_model_scores(run: Path, whole: tuple[Path, str, str]) -> None:
    """The last evaluation is of the model that was saved; every question is of two kinds."""
    home = whole[0]
    wanted = Evaluation(run=run, ask="plain", types=["left_predicate", "depth"], questions=12)
    asked = drawn(wanted)
    report = evaluate(load(home / "out", "cpu"), asked, Cache.frames())
    found = evaluations(told(home))[STEPS]
    judged = {"exact": "qualitative", "within-50-200": "quantitative"}
    for rule, tag in judged.items():
        row = report.row(rule, tag)
        assert row.mean.points == sum(tag in one.case.tags for one in asked)
        assert found[f"{tag} {rule}"] == round(100 * row.right / row.mean.points, 1)
    assert found["qualitative exact"] > 0  # it has learnt to say yes or no
    assert found["quantitative gives-number"] == 100


def test_a_killed_run_goes_on_with_the_same_losses_and_scores(
    run: Path, whole: tuple[Path, str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "calipers", "train", str(recipe(run, tmp_path)), "--quiet"]
    log = tmp_path / "out" / "train.jsonl"
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while process.poll() is None and not (log.exists() and b'"step": 5' in log.read_bytes()):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = told(tmp_path)
    assert 5 <= max(losses(before)) < STEPS
    assert main(["train", str(recipe(run, tmp_path)), "--quiet"]) == 0
    after = told(tmp_path)[len(before) :]
    first = min(losses(after))
    assert first > 1  # of the steps before, nothing was done again
    expected = told(whole[0])
    for part in (before, after):
        assert part == [r for r in expected if r in part]
    assert losses(before) | losses(after) == losses(expected)
    assert {k: v for k, v in evaluations(expected).items() if k > first} == evaluations(after)
    one, two = ((home / "out" / "model.safetensors").read_bytes() for home in (whole[0], tmp_path))
    assert one == two


@pytest.mark.parametrize("ask", ["plain", "questions"])
def test_an_evaluation_without_questions_ends_the_run_before_it_begins(
    run: Path, ask: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one thing alone nobody can ask whether it is left of another."""
    write_frames(tmp_path / "frames", 1, one_thing)
    lonely = tmp_path / "lonely"
    calipers.scenes(str(tmp_path / "frames"), str(lonely), workers=1)
    given = recipe(run, tmp_path, ask=ask, types=["left_predicate"], run=str(lonely))
    assert main(["train", str(given)]) == 2
    assert f"{lonely}: there is nothing to ask in an evaluation" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_base_that_is_not_there_leaves_nothing_behind(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trl")
    pytest.importorskip("peft")
    given = recipe(run, tmp_path)
    fields = yaml.safe_load(given.read_text("utf-8")) | {"model": "Qwen/Qwen3-VL-2B-Instruct"}
    given.write_text(yaml.safe_dump(fields), encoding="utf-8")
    assert main(["train", str(given)]) == 2
    said = capsys.readouterr().err
    assert "no weights of Qwen/Qwen3-VL-2B-Instruct on this disk" in said
    assert "'hf download Qwen/Qwen3-VL-2B-Instruct', or give a local folder as the model" in said
    assert "--experts" not in said
    assert not (tmp_path / "out").exists()


def one_thing(number: int, line: dict[str, Any]) -> None:
    """Leave the first object alone."""
    line["objects"] = {name: some[:1] for name, some in line["objects"].items()}
