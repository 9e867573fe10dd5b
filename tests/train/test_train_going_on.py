"""A nano's run that was killed: what it kept, and that nothing differs when it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tiny_frames import write_frames

torch = pytest.importorskip("torch")
for package in ("transformers", "peft"):
    pytest.importorskip(package)

import calipers  # noqa: E402
from calipers.errors import UsageError  # noqa: E402
from calipers.train.checkpoints import recipe_digest  # noqa: E402
from calipers.train.nano import Trainer  # noqa: E402
from calipers.train.recipe import Recipe, make_recipe, read_recipe  # noqa: E402

HOME = Path(__file__).parents[2]
ALL = ["vision", "projector", "language"]
STAGES = [
    {"name": "whole", "learn": ALL, "steps": 2, "lr": 0.01, "warmup": 0},
    {"name": "adapted", "learn": ["projector", "language"], "steps": 4, "lr": 0.02, "warmup": 0,
     "lora": {"r": 2, "alpha": 4, "dropout": 0.5}},
    {"name": "again", "learn": ["language"], "steps": 2, "lr": 0.02, "warmup": 0,
     "lora": {"r": 2, "alpha": 4, "dropout": 0.5}},
]  # fmt: skip
Told = list[tuple[str, int, float]]


class Killed(Exception):  # noqa: N818 - what a signal does
    """Nothing more is done."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("run")
    write_frames(home / "frames", 3)
    calipers.scenes(str(home / "frames"), str(home / "run"), workers=1)
    return home / "run"


@pytest.fixture(scope="module")
def recipe(run: Path) -> Callable[..., Recipe]:
    def make(out: Path, **more: Any) -> Recipe:
        sizes = {"picture_wh": [32, 32], "width": 32, "layers": 1, "language_layers": 1}
        fields = {
            "out": out, "data": [{"run": run, "ask": "plain"}], "stages": STAGES, "pictures": 2,
            "turns": 4, "checkpoint": 500, "threads": 1, "device": "cpu", "nano": sizes,
        }  # fmt: skip
        return make_recipe(fields | more)

    return make


def trained(wanted: Recipe, killed_at: tuple[str, int] | None = None) -> Told:
    """Train; stage, step and loss of what was told up to the end or the kill."""
    found: Told = []

    def tell(record: dict[str, Any]) -> None:
        found.append((record["stage"], record["step"], record["loss"]))
        if found[-1][:2] == killed_at:
            raise Killed

    with suppress(Killed):
        Trainer(wanted, tell).train()
    return found


@pytest.fixture(scope="module")
def whole(
    recipe: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Told]:
    """A run that nobody killed, and what it told."""
    out = tmp_path_factory.mktemp("whole") / "m"
    return out, trained(recipe(out))


def weights(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


def names(found: Told) -> list[tuple[str, int]]:
    return [one[:2] for one in found]


@pytest.mark.parametrize(
    ("kills", "checkpoint", "firsts"),
    [
        ([("adapted", 3)], 500, [("adapted", 1)]),
        ([("adapted", 1), ("adapted", 2)], 500, [("adapted", 1), ("adapted", 1)]),
        ([("adapted", 4)], 2, [("adapted", 3)]),
        ([("again", 1)], 3, [("again", 1)]),
    ],
)
def test_a_run_that_was_killed_in_a_stage_goes_on_as_if_it_had_not_been(
    recipe: Callable[..., Recipe],
    whole: tuple[Path, Told],
    tmp_path: Path,
    kills: list[tuple[str, int]],
    checkpoint: int,
    firsts: list[tuple[str, int]],
) -> None:
    wanted, (out, expected) = recipe(tmp_path / "m", checkpoint=checkpoint), whole
    before = [trained(wanted, at) for at in kills]
    assert [some[-1][:2] for some in before] == kills
    pieces = [*before, trained(wanted)]
    assert [names(some)[0] for some in pieces[1:]] == firsts
    for some in pieces:
        assert set(some) <= set(expected)
    assert pieces[-1][-1] == expected[-1]
    assert weights(tmp_path / "m") == weights(out)


def test_a_run_that_was_killed_while_its_model_was_written_writes_it_again(
    recipe: Callable[..., Recipe], whole: tuple[Path, Told], tmp_path: Path
) -> None:
    shutil.copytree(whole[0] / "checkpoints", tmp_path / "m" / "checkpoints")
    assert trained(recipe(tmp_path / "m")) == []
    assert weights(tmp_path / "m") == weights(whole[0])


def test_what_another_trained_in_this_process_changes_nothing(
    recipe: Callable[..., Recipe], whole: tuple[Path, Told], tmp_path: Path
) -> None:
    """Dropout follows from the recipe and the step, not from what was drawn before."""
    found: Told = []

    def tell(record: dict[str, Any]) -> None:
        found.append((record["stage"], record["step"], record["loss"]))
        torch.rand(7)

    Trainer(recipe(tmp_path / "m"), tell).train()
    assert found == whole[1]


@pytest.mark.parametrize("kept", [True, False])
def test_a_finished_folder_takes_no_other_recipe(
    recipe: Callable[..., Recipe], whole: tuple[Path, Told], tmp_path: Path, kept: bool
) -> None:
    """Whether its checkpoints are still there or were removed."""
    out = tmp_path / "m"
    shutil.copytree(whole[0], out)
    if not kept:
        shutil.rmtree(out / "checkpoints")
    with pytest.raises(UsageError, match=r"another recipe; take another folder"):
        trained(recipe(out, seed=1))
    assert weights(out) == weights(whole[0])
    assert trained(recipe(out)) == []  # the same is done
    assert weights(out) == weights(whole[0])


def test_a_model_of_which_nothing_is_known_is_not_replaced(
    recipe: Callable[..., Recipe], whole: tuple[Path, Told], tmp_path: Path
) -> None:
    out = tmp_path / "m"
    out.mkdir()
    shutil.copy(whole[0] / "model.safetensors", out)
    with pytest.raises(UsageError, match=r"m: holds a model of another recipe; take another"):
        trained(recipe(out))


def test_what_is_asked_on_the_way_makes_no_other_recipe(
    recipe: Callable[..., Recipe], run: Path, whole: tuple[Path, Told]
) -> None:
    asked = {"run": run, "ask": "plain", "questions": 1}
    assert trained(recipe(whole[0], evaluate=asked, checkpoint=1)) == []


def test_the_recipe_of_a_nano_keeps_more_than_its_stages_ends() -> None:
    found = read_recipe(HOME / "recipes" / "train" / "nano.yaml")
    assert found.checkpoint * 3 <= min(stage.steps for stage in found.stages)


def test_the_folder_says_of_which_recipe_its_model_is(whole: tuple[Path, Told]) -> None:
    state = json.loads(max((whole[0] / "checkpoints").glob("*/state.json")).read_text("utf-8"))
    assert state["done"] == {"stage": 2, "step": 2}
    said = json.loads((whole[0] / "finished.json").read_text("utf-8"))
    assert said == {"recipe": state["recipe"]}


def test_a_recipe_is_the_same_wherever_one_stands(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    fields = {
        "out": tmp_path / "out",
        "model": str(tmp_path / "base"),
        "data": [{"run": run, "ask": "plain"}],
        "stages": STAGES,
    }
    monkeypatch.chdir(run.parent)
    there = {"data": [{"run": Path("run"), "ask": "plain"}]}
    assert recipe_digest(make_recipe(fields | there)) == recipe_digest(make_recipe(fields))
    monkeypatch.chdir(tmp_path)
    assert recipe_digest(make_recipe(fields | {"model": "base"})) == recipe_digest(
        make_recipe(fields)
    )
    assert recipe_digest(make_recipe(fields | there)) != recipe_digest(make_recipe(fields))
