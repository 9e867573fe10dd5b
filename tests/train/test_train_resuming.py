"""Training a base of Hugging Face again, after kills and elsewhere: what is gone on from, what is
refused, and what is left on disk."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tiny_frames import write_frames

torch = pytest.importorskip("torch")
for package in ("transformers", "trl", "peft"):
    pytest.importorskip(package)

import calipers  # noqa: E402
import tiny_bases  # noqa: E402
from calipers.errors import UsageError  # noqa: E402
from calipers.model.adapters import CONFIG, base_of, name_base  # noqa: E402
from calipers.model.answering import ChatAnswerer, load, load_reading  # noqa: E402
from calipers.model.bases import base  # noqa: E402
from calipers.model.hugging import Chat, load_model  # noqa: E402
from calipers.train import hugging  # noqa: E402
from calipers.train.checkpoints import last_whole  # noqa: E402
from calipers.train.hugging import train  # noqa: E402
from calipers.train.recipe import Recipe, make_recipe  # noqa: E402

LORA = {"r": 4, "alpha": 8, "dropout": 0.2}
Step = tuple[str, int]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("run")
    write_frames(home / "frames", 4)
    calipers.build(str(home / "frames"), str(home / "run"), workers=1, questions_per_scene=8)
    return home / "run"


def recipe(run: Path, out: Path, *, steps: int = 6, r: int = 4, **fields: Any) -> Recipe:
    """Two stages, the second with adapters."""
    stages = [
        {"name": "p", "learn": ["projector"], "steps": 2, "lr": 0.05, "warmup": 0},
        {"name": "i", "learn": ["projector", "language"], "steps": steps, "lr": 0.02, "warmup": 0,
         "lora": LORA | {"r": r}, "rates": {"projector": 0.001}},
    ]  # fmt: skip
    data = [{"run": run, "types": ["left_predicate"]}]
    said = {"model": "unused", "out": out, "data": data, "stages": stages, "pictures": 2,
            "turns": 1, "checkpoint": 2, "device": "cpu", "threads": 1}  # fmt: skip
    return make_recipe(said | fields)


def pair() -> tuple[Any, Chat]:
    model, processor = tiny_bases.paligemma()
    return model, Chat(processor, base("paligemma"))


class Killed(Exception):  # noqa: N818
    """What ends a run in the middle."""


def losses(wanted: Recipe, until: Step | None = None) -> dict[Step, float]:
    """What each step told, in a run that is killed after one of them."""
    found: dict[Step, float] = {}

    def tell(record: dict[str, Any]) -> None:
        step = record["stage"], record["step"]
        found[step] = record["loss"]
        if step == until:
            raise Killed

    with suppress(Killed):
        train(wanted, tell, pair())
    return found


@pytest.fixture(scope="module")
def whole(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Step, float]]:
    """A run that was never killed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return out, losses(recipe(run, out))


def test_kills_change_no_loss_and_no_weight(
    run: Path, tmp_path: Path, whole: tuple[Path, dict[Step, float]]
) -> None:
    out, all_losses = whole
    assert list(all_losses) == [("p", 1), ("p", 2), *(("i", k) for k in range(1, 7))]
    again = recipe(run, tmp_path / "out")
    kills: list[tuple[Step | None, list[Step]]] = [
        (("i", 1), [("p", 1), ("p", 2), ("i", 1)]),
        (("i", 3), [("i", 1), ("i", 2), ("i", 3)]),  # the first stage is finished
        (("i", 5), [("i", 3), ("i", 4), ("i", 5)]),
        (None, [("i", 5), ("i", 6)]),
    ]
    for until, steps in kills:
        assert losses(again, until) == {step: all_losses[step] for step in steps}
    for name in ("0-p/model.safetensors", "1-i/adapter_model.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name
    assert losses(again) == {}  # all is done
    steps = sorted(path.name for path in (tmp_path / "out").glob("*/checkpoint-*"))
    assert steps == ["checkpoint-2", "checkpoint-4", "checkpoint-6"]


def test_a_stage_killed_behind_its_last_step_is_not_trained_on(
    run: Path, tmp_path: Path, whole: tuple[Path, dict[Step, float]]
) -> None:
    shutil.copytree(whole[0], tmp_path / "out")
    folder = tmp_path / "out" / "1-i"
    (folder / "adapter_model.safetensors").unlink()
    shutil.rmtree(folder / "merged")
    said = json.loads((folder / "stage.json").read_text())
    (folder / "stage.json").write_text(json.dumps(said | {"finished": False}))
    assert losses(recipe(run, tmp_path / "out")) == {}
    for name in ("adapter_model.safetensors", "merged/model.safetensors"):
        assert (folder / name).read_bytes() == (whole[0] / "1-i" / name).read_bytes(), name


def test_pictures_behind_are_not_opened_again(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    collate = hugging.collate

    def counted(*args: Any) -> Any:
        made.append(1)
        return collate(*args)

    monkeypatch.setattr(hugging, "collate", counted)
    wanted = recipe(run, tmp_path / "out")
    losses(wanted, ("i", 5))
    made.clear()
    losses(wanted)
    assert len(made) == 1 + 2  # two pictures for the guard, and steps 5 and 6


@pytest.mark.parametrize("change", [{"seed": 5}, {"r": 8}, {"see": "rgb"}])
def test_what_another_recipe_trained_is_refused_and_left_alone(
    run: Path, whole: tuple[Path, dict[Step, float]], change: dict[str, Any]
) -> None:
    weights = whole[0] / "1-i" / "adapter_model.safetensors"
    before = weights.read_bytes()
    with pytest.raises(UsageError, match="holds what another recipe has trained"):
        train(recipe(run, whole[0], **change), loaded=pair())
    assert weights.read_bytes() == before


def test_weights_of_nobody_are_refused(
    run: Path, tmp_path: Path, whole: tuple[Path, dict[Step, float]]
) -> None:
    shutil.copytree(whole[0], tmp_path / "out")
    (tmp_path / "out" / "0-p" / "stage.json").unlink()
    with pytest.raises(UsageError, match="0-p: holds what another recipe has trained"):
        train(recipe(run, tmp_path / "out"), loaded=pair())


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    "broken", ["trainer_state.json", "adapter_model.safetensors", "optimizer.pt", ""]
)
def test_the_newest_whole_checkpoint_is_taken(
    run: Path, tmp_path: Path, whole: tuple[Path, dict[Step, float]], broken: str
) -> None:
    all_losses = whole[1]
    wanted = recipe(run, tmp_path / "out")
    losses(wanted, ("i", 5))
    folder = tmp_path / "out" / "1-i" / "checkpoint-4"
    if broken == "trainer_state.json":
        (folder / broken).unlink()
    elif broken:
        _cut(folder / broken)
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    assert last_whole(folder.parent) == folder.parent / "checkpoint-2"
    assert losses(wanted) == {("i", k): all_losses["i", k] for k in range(3, 7)}


def test_adapters_are_loaded_from_anywhere_and_after_a_move(
    tmp_path: Path, whole: tuple[Path, dict[Step, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole[0], tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "elsewhere" / "out")
    shutil.rmtree(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = tmp_path / "elsewhere" / "out" / "1-i"
    assert json.loads((folder / CONFIG).read_text())["base_model_name_or_path"] == "./../0-p"
    assert base_of(folder) == str(tmp_path / "elsewhere" / "out" / "0-p")
    loaded = [load(source) for source in (folder, "out/1-i", folder / "merged")]
    weights = []
    for one in loaded:
        assert isinstance(one, ChatAnswerer)
        weights.append(one.model.state_dict())
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name]), name
        assert torch.equal(weight, weights[2][name]), name
    with pytest.raises(UsageError, match="paligemma has no chat template"):
        load_reading(folder)  # its type is known


def test_a_base_of_the_hub_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text('{"r": 4}')
    name_base(tmp_path, "owner/name")
    assert base_of(tmp_path) == "owner/name"
    assert json.loads((tmp_path / CONFIG).read_text())["r"] == 4


def test_merging_leaves_the_angles_of_places_exact(tmp_path: Path) -> None:
    """Frozen weights in bfloat16; the angles are a buffer that no file holds."""
    peft: Any = pytest.importorskip("peft")
    model, _ = tiny_bases.paligemma()
    model.to(torch.bfloat16).save_pretrained(str(tmp_path / "base"))
    found = load_model(str(tmp_path / "base"), "cpu")
    options = peft.LoraConfig(r=2, target_modules=base("paligemma").adapters)
    peft.get_peft_model(found, options).save_pretrained(str(tmp_path / "adapters"))
    name_base(tmp_path / "adapters", str(tmp_path / "base"))
    whole = load_model(str(tmp_path / "base"), "cpu")
    merged = load_model(str(tmp_path / "adapters"), "cpu")
    assert {w.dtype for w in merged.parameters()} == {torch.bfloat16}
    angles = [
        {name: value for name, value in one.named_buffers() if "inv_freq" in name}
        for one in (whole, merged)
    ]
    assert angles[0]
    for name, value in angles[0].items():
        assert value.dtype == torch.float32
        assert torch.equal(value, angles[1][name])
