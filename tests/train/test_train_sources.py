"""Sources of a recipe as samples: splits, shares, and what patches show whatever is asked."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tiny_frames import write_frames

pytest.importorskip("mujoco")
torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import calipers  # noqa: E402
from calipers.errors import UsageError  # noqa: E402
from calipers.io.scenes import read_scenes  # noqa: E402
from calipers.model.nano import Named  # noqa: E402
from calipers.samples.blocks import write_blocks  # noqa: E402
from calipers.splits import split  # noqa: E402
from calipers.stream import split_scenes  # noqa: E402
from calipers.train.data import Sample, open_seen  # noqa: E402
from calipers.train.evaluate import drawn  # noqa: E402
from calipers.train.nano import Trainer  # noqa: E402
from calipers.train.recipe import Evaluation, RunData, make_recipe  # noqa: E402
from calipers.train.sources import samples  # noqa: E402

COUNT = 8


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("blocks")
    write_blocks(home / "frames", COUNT)
    calipers.scenes(home / "frames", home / "run", workers=1)
    split(home / "run", {"train": 0.5, "test": 0.5})
    return home / "run"


def parts(run: Path) -> dict[str, set[str]]:
    """Split → the pictures in it, as a stream of questions tells them."""
    return {
        name: {row["image"] for row in calipers.QuestionStream(run, split=name)}
        for name in ("train", "test")
    }


def first(count: int, *data: RunData) -> list[Sample]:
    """Samples, measured as a nano measures them: by their questions and answers."""
    stream = samples(
        data, seed=0, turns=9, spatial_share=1.0,
        measure=lambda sample: sum(len(text) for turn in sample.turns for text in turn),
    )  # fmt: skip
    return list(islice(stream, count))


def pictures(found: list[Sample]) -> set[str]:
    return {sample.seen.image for sample in found if sample.seen is not None}


def test_the_splits_are_two_parts_of_all(run: Path) -> None:
    train, test = parts(run).values()
    assert train
    assert test
    assert not train & test
    assert train | test == {scene.image for scene in read_scenes(run)}


@pytest.mark.parametrize("ask", ["questions", "places", "plain", "names"])
@pytest.mark.parametrize("name", ["train", "test"])
def test_what_is_learnt_is_of_the_split(run: Path, ask: Any, name: str) -> None:
    found = first(3 * COUNT, RunData(run=run, ask=ask, split=name))
    assert pictures(found) == parts(run)[name]


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one split and one thing a scene: without gravity nothing can be asked of it."""
    home = tmp_path_factory.mktemp("far")

    def change(number: int, line: dict[str, Any]) -> None:
        line["objects"] = {name: some[:1] for name, some in line["objects"].items()}
        if number % 2:
            del line["gravity"]

    write_frames(home / "frames", 4, change)
    calipers.scenes(home / "frames", home / "run", workers=1)
    split(home / "run", {"all": 1.0})
    return home / "run"


@pytest.mark.parametrize("ask", ["places", "names"])
def test_a_split_has_all_its_scenes_whatever_can_be_asked_of_them(far: Path, ask: Any) -> None:
    asked = {row["image"] for row in calipers.QuestionStream(far, split="all")}
    assert asked == {"rgb/0000.png", "rgb/0002.png"}
    found = first(12, RunData(run=far, ask=ask, split="all"))
    assert pictures(found) == {scene.image for scene in read_scenes(far)}


def test_the_scenes_of_a_split_come_in_order(run: Path) -> None:
    everything = [scene.id for scene in read_scenes(run)]
    found = {name: [scene.id for scene in split_scenes(run, name)] for name in ("train", "test")}
    assert sorted(found["train"] + found["test"]) == sorted(everything)
    for name, some in found.items():
        assert some == [one for one in everything if one in some]
        images = {scene.image for scene in split_scenes(run, name)}
        assert images == parts(run)[name]


def test_a_split_that_is_not_there_has_no_scenes(run: Path) -> None:
    with pytest.raises(UsageError, match="split: there is no 'no-such'; there are test, train"):
        next(split_scenes(run, "no-such"))


def test_splits_of_other_scenes_are_refused(run: Path, far: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "scenes", tmp_path / "run" / "scenes")
    shutil.copytree(far / "splits", tmp_path / "run" / "splits")
    with pytest.raises(UsageError, match="its splits are of other scenes; split it again"):
        list(split_scenes(tmp_path / "run", "all"))


@pytest.mark.parametrize("ask", ["questions", "plain"])
@pytest.mark.parametrize("name", ["train", "test"])
def test_what_is_asked_in_an_evaluation_is_of_the_split(run: Path, ask: Any, name: str) -> None:
    asked = drawn(Evaluation(run=run, ask=ask, split=name, questions=120))
    assert {one.seen.image for one in asked} == parts(run)[name]
    assert len(asked) > 20


@pytest.mark.parametrize("ask", ["questions", "plain"])
def test_a_split_that_is_not_there_is_refused_in_an_evaluation(run: Path, ask: Any) -> None:
    with pytest.raises(UsageError, match="split: there is no 'no-such'"):
        drawn(Evaluation(run=run, ask=ask, split="no-such"))


def test_without_a_split_an_evaluation_is_of_all_scenes(run: Path) -> None:
    asked = drawn(Evaluation(run=run, ask="plain", questions=8 * COUNT))
    assert Counter(one.seen.image for one in asked) == dict.fromkeys(
        (scene.image for scene in read_scenes(run)), 8
    )


@pytest.mark.parametrize("ask", ["places", "plain", "names"])
@pytest.mark.parametrize("patches", ["name", "description"])
def test_patches_show_what_is_wanted_whatever_is_asked(run: Path, ask: Any, patches: Any) -> None:
    found = first(COUNT, RunData(run=run, ask=ask, patches=patches))
    things = [thing for sample in found for thing in sample.things]
    assert len(things) > COUNT
    for thing in things:  # "red ball"
        assert len(thing.words) == 2
        assert thing.shown == (thing.words[:1] if patches == "description" else ())


def test_names_are_samples_without_turns(run: Path) -> None:
    found = first(COUNT, RunData(run=run, ask="names"))
    scenes = {scene.image: scene for scene in read_scenes(run)}
    assert pictures(found) == set(scenes)
    for sample in found:
        assert sample.turns == []
        assert sample.spatial
        assert sample.seen is not None
        assert open_seen(sample.seen).rgb is not None
        told = {item.reference for item in scenes[sample.seen.image].objects} - {None}
        assert {f"the {thing.name}" for thing in sample.things} == told


def test_names_of_several_runs_share_the_pictures_by_weight(run: Path) -> None:
    """They have no tokens, so each counts alike."""
    train, test = (RunData(run=run, ask="names", split=name) for name in ("train", "test"))
    found = first(40, train, test.model_copy(update={"weight": 3.0}))
    seen = [sample.seen.image for sample in found if sample.seen is not None]
    assert sum(name in parts(run)["train"] for name in seen) == pytest.approx(10, abs=1)


def test_a_nano_learns_names(run: Path, tmp_path: Path) -> None:
    stage = {"name": "names", "learn": ["vision", "projector", "language"], "steps": 30,
             "lr": 0.01, "warmup": 0, "data": [{"run": run, "ask": "names"}]}  # fmt: skip
    sizes = {"picture_wh": [64, 48], "width": 32, "layers": 1, "language_layers": 1}
    recipe = make_recipe(
        {"out": tmp_path / "m", "data": [{"run": run, "ask": "plain"}], "stages": [stage],
         "nano": sizes, "pictures": 2, "threads": 1, "device": "cpu"}
    )  # fmt: skip
    told: list[float] = []
    trainer = Trainer(recipe, lambda record: told.append(record["loss"]))
    batch = trainer._collate(list(islice(trainer._samples(recipe.stages[0]), 2)))
    assert isinstance(batch, Named)
    trainer.train()
    assert told[-1] < told[0] / 2
