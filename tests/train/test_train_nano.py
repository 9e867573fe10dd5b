"""The plain loop: resuming, frozen parts, adapters, guards, and the mix of data."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tiny_frames import write_frames

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import calipers  # noqa: E402
from calipers.errors import RunError, UsageError  # noqa: E402
from calipers.train.data import Sample, open_seen  # noqa: E402
from calipers.train.nano import Trainer, check_pictures  # noqa: E402
from calipers.train.recipe import GeneralData, Recipe, RunData, make_recipe  # noqa: E402
from calipers.train.sources import samples  # noqa: E402

SIZES = {
    "picture_wh": [32, 32], "width": 32, "layers": 1, "language_layers": 1, "vocabulary": 300,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("run")
    write_frames(home / "frames", 6)
    calipers.build(str(home / "frames"), str(home / "run"), workers=1, questions_per_scene=8)
    return home / "run"


@pytest.fixture(scope="module")
def general(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("general") / "talk.jsonl"
    said = [{"from": "human", "value": "<image>\nSay a word."}, {"from": "gpt", "value": "Word."}]
    path.write_text("".join(json.dumps({"conversations": said}) + "\n" for _ in range(5)))
    return path


def recipe(run: Path, out: Path, **more: Any) -> Recipe:
    stage = {"name": "all", "learn": ["vision", "projector", "language"], "steps": 6, "warmup": 2}
    fields = {
        "out": out, "data": [{"run": run, "questions_per_scene": 8}], "stages": [stage],
        "nano": SIZES, "pictures": 2, "turns": 4, "checkpoint": 4, "threads": 1, "device": "cpu",
    }  # fmt: skip
    return make_recipe(fields | more)


def losses(wanted: Recipe, stop_after: int | None = None) -> list[float]:
    told: list[dict[str, Any]] = []
    Trainer(wanted, told.append).train(stop_after)
    return [record["loss"] for record in told if "loss" in record]


def test_a_run_that_was_stopped_goes_on_with_the_same_losses(run: Path, tmp_path: Path) -> None:
    stages = [
        {"name": "projector", "learn": ["projector"], "steps": 3, "warmup": 1, "lr": 1e-3},
        {"name": "all", "learn": ["projector", "language"], "steps": 4, "warmup": 1},
    ]
    whole = losses(recipe(run, tmp_path / "a", stages=stages))
    parted = recipe(run, tmp_path / "b", stages=stages)
    pieces = [losses(parted, 2), losses(parted, 3), losses(parted)]
    assert [len(piece) for piece in pieces] == [2, 3, 2]
    assert [*pieces[0], *pieces[1], *pieces[2]] == whole
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert one == two


def test_a_checkpoint_of_another_recipe_is_refused(run: Path, tmp_path: Path) -> None:
    losses(recipe(run, tmp_path / "m"), stop_after=1)
    with pytest.raises(UsageError, match="checkpoints of another recipe"):
        losses(recipe(run, tmp_path / "m", seed=1))


@pytest.mark.parametrize("learnt", ["vision", "projector", "language"])
def test_only_what_a_stage_learns_changes(run: Path, tmp_path: Path, learnt: str) -> None:
    stage = {"name": "one", "learn": [learnt], "steps": 1, "lr": 0.01, "warmup": 0}
    trainer = Trainer(recipe(run, tmp_path / "m", stages=[stage]))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    changed = {
        name.split(".")[0]
        for name, value in trainer.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {{"vision": "encoder"}.get(learnt, learnt)}


def test_adapters_learn_are_merged_and_resume(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    stage = {
        "name": "lora", "learn": ["projector", "language"], "steps": 3, "lr": 0.01, "warmup": 0,
        "rates": {"projector": 0.001}, "lora": {"r": 2, "alpha": 4},
    }  # fmt: skip
    whole = losses(recipe(run, tmp_path / "a", stages=[stage]))
    parted = recipe(run, tmp_path / "b", stages=[stage])
    assert losses(parted, 2) + losses(parted) == whole
    trainer = Trainer(recipe(run, tmp_path / "c", stages=[stage]))
    names = set(trainer.model.state_dict())
    before = trainer.model.language.model.layers[0].self_attn.q_proj.weight.clone()
    embedding = trainer.model.language.get_input_embeddings().weight.clone()
    trainer.train()
    assert set(trainer.model.state_dict()) == names
    after = trainer.model.language.model.layers[0].self_attn.q_proj.weight
    assert torch.linalg.matrix_rank(after - before) == 2
    assert torch.equal(trainer.model.language.get_input_embeddings().weight, embedding)


def test_a_model_that_does_not_see_is_not_trained(run: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe(run, tmp_path / "m"))
    last = trainer.model.projector.layers[2]
    torch.nn.init.zeros_(last.weight)
    batch = trainer._collate(list(islice(trainer._samples(trainer.recipe.stages[0]), 2)))
    with pytest.raises(RunError, match="pictures do not reach the model"):
        check_pictures(trainer.model, batch)


def test_what_masks_teach_goes_on_beside_general_data(
    run: Path, general: Path, tmp_path: Path
) -> None:
    """A general conversation in the batch says nothing of its picture, and takes nothing away."""
    wanted = recipe(run, tmp_path / "m", data=[{"run": run, "ask": "plain"}])
    trainer = Trainer(wanted)
    data = [RunData(run=run, ask="plain"), GeneralData(general=general)]
    stream = samples(data, seed=0, turns=4, spatial_share=0.5, measure=letters)
    plain, talk = (next(s for s in stream if s.spatial == k) for k in (True, False))
    both, alone = trainer._collate([plain, talk]), trainer._collate([plain])
    assert both.words is not None
    assert (both.words[0] == alone.words[0]).all()
    assert (both.words[1] == -100).all()
    assert both.shares.tolist() == [alone.shares[0].tolist(), (0 * alone.shares[0]).tolist()]
    assert alone.shares.max() > 0
    assert both.named[0].max() >= 0
    assert both.named[1].max() == -1


def test_a_loss_that_is_no_number_ends_the_run(run: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe(run, tmp_path / "m"))
    with torch.no_grad():
        trainer.model.projector.layers[2].bias.fill_(float("inf"))
    with pytest.raises(RunError, match="step 1: the loss is nan"):
        trainer.train()


def letters(sample: Sample) -> int:
    return sum(len(question) + len(answer) for question, answer in sample.turns)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_tokens_are_mixed_at_the_stated_share(run: Path, general: Path, share: float) -> None:
    data = [RunData(run=run), RunData(run=run, ask="places"), GeneralData(general=general)]
    stream = samples(data, seed=0, turns=4, spatial_share=share, measure=letters)
    found = list(islice(stream, 2000))
    spatial = sum(letters(sample) for sample in found if sample.spatial)
    assert spatial / sum(map(letters, found)) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(("share", "sides"), [(0.0, {False}), (1.0, {True})])
def test_a_share_of_nothing_is_never_read(
    run: Path, general: Path, share: float, sides: set[bool]
) -> None:
    data = [RunData(run=run), GeneralData(general=general)]
    stream = samples(data, seed=0, turns=4, spatial_share=share, measure=letters)
    assert {sample.spatial for sample in islice(stream, 50)} == sides


def test_samples_are_those_of_the_run_and_differ_by_epoch(run: Path) -> None:
    data = [RunData(run=run, questions_per_scene=8)]
    stream = samples(data, seed=3, turns=8, spatial_share=1, measure=letters)
    first, second = list(islice(stream, 6)), list(islice(stream, 6))
    asked = {
        (question.question, question.answer)
        for scene in calipers.read_scenes(str(run))
        for question in calipers.ask(scene, 8, seed=3)
    }
    assert {turn for sample in first for turn in sample.turns} == asked
    assert {turn for sample in second for turn in sample.turns} != asked
    frame = open_seen(first[0].seen)  # type: ignore[arg-type]
    assert frame.depth_m is not None
    assert frame.depth_m.max() == 3.0


def test_places_are_boxes_and_depths_of_the_picture(run: Path) -> None:
    data = [RunData(run=run, ask="places")]
    stream = samples(data, seed=0, turns=99, spatial_share=1, measure=letters, notation="hundred")
    turns = dict(next(stream).turns)
    assert turns["Where is the red box?"] == "[6, 25, 28, 67]"  # 2 6 7 10 of 32 x 24
    assert turns["What is at [6, 25, 28, 67]?"] == "the red box"
    assert turns["How deep is the red box?"].endswith(" m")


def test_boxes_stand_behind_names_when_asked_for(run: Path) -> None:
    stream = samples(
        [RunData(run=run, boxes=1.0, types=["width"])],
        seed=0, turns=1, spatial_share=1, measure=letters, notation="hundred",
    )  # fmt: skip
    asked = [sample.turns[0][0] for sample in islice(stream, 6)]
    assert any("red box [6, 25, 28, 67]" in question for question in asked)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"codec": "morse"}, "codec: wanted packed24"),
        ({"stages": []}, "stages: List should have at least 1 item"),
        ({"unknown": 1}, "unknown: Extra inputs are not permitted"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(
    run: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        recipe(run, tmp_path, **change)


def test_a_recipe_for_a_run_that_is_not_there_says_so(run: Path, tmp_path: Path) -> None:
    wanted = recipe(run, tmp_path, data=[{"run": tmp_path / "none", "ask": "plain"}])
    with pytest.raises(UsageError, match="none: holds no run"):
        Trainer(wanted)
