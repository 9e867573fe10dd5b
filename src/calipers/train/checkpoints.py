"""Checkpoints of a training run: weights and Adam's moments as safetensors, the rest as JSON.

A base of Hugging Face has a folder for each stage, with the checkpoints of its trainer and a
`STAGE` that says of which recipe they are, and whether the stage is finished.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from pydantic_core import from_json, to_json
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from calipers.errors import UsageError
from calipers.io.run import write_json
from calipers.model.nano import Nano, untied
from calipers.train.recipe import Recipe

KEPT = 2
"""Checkpoints that stay; older ones are removed."""
STAGE = "stage.json"
"""In the folder of a stage: ``recipe``, a digest, and ``finished``."""
_NOT_LEARNING = {"out", "evaluate", "checkpoint", "device", "threads"}


def recipe_digest(recipe: Recipe) -> str:
    """Names what a recipe learns: the same unless it would train another model.

    Where one stood when the command was typed makes no difference.
    """
    said = _absolute(recipe.model_dump(exclude=_NOT_LEARNING))
    if Path(recipe.model).is_dir():
        said["model"] = str(Path(recipe.model).resolve())
    return blake2b(to_json(said), digest_size=8).hexdigest()


def _absolute(value: Any) -> Any:
    """The same with all paths from the root."""
    if isinstance(value, dict):
        return {name: _absolute(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_absolute(item) for item in value]
    return str(value.resolve()) if isinstance(value, Path) else value


def last_checkpoint(recipe: Recipe) -> Path | None:
    """The newest whole checkpoint of a recipe's folder.

    Raises:
        UsageError: it is of another recipe.
    """
    found = sorted((recipe.out / "checkpoints").glob("*/state.json"))
    if not found:
        return None
    if from_json(found[-1].read_bytes())["recipe"] != recipe_digest(recipe):
        raise UsageError(f"{recipe.out}: holds checkpoints of another recipe; take another folder")
    return found[-1].parent


def save(recipe: Recipe, model: Nano, adam: torch.optim.AdamW, done: dict[str, int]) -> None:
    """Write a checkpoint; it appears under its name when it is whole."""
    home = recipe.out / "checkpoints"
    name = f"{done['stage']:02d}-{done['step']:08d}"
    folder = home / f".{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file(untied(model), folder / "model.safetensors")
    save_file(_moments(adam), folder / "adam.safetensors")
    (folder / "state.json").write_bytes(to_json({"done": done, "recipe": recipe_digest(recipe)}))
    shutil.rmtree(home / name, ignore_errors=True)
    folder.rename(home / name)
    for old in sorted(path for path in home.iterdir() if path.name[0] != ".")[:-KEPT]:
        shutil.rmtree(old)


def restore(folder: Path, model: Nano, adam: torch.optim.AdamW) -> None:
    """Put what `save` wrote into a model of the same shape and its optimiser."""
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    state: dict[int, dict[str, Any]] = {}
    for name, value in load_file(folder / "adam.safetensors").items():
        number, _, what = name.partition(".")
        state.setdefault(int(number), {})[what] = value
    adam.load_state_dict({"state": state, "param_groups": adam.state_dict()["param_groups"]})


def _moments(adam: torch.optim.AdamW) -> dict[str, torch.Tensor]:
    return {
        f"{number}.{what}": value.contiguous()
        for number, moments in adam.state_dict()["state"].items()
        for what, value in moments.items()
    }


def stages_done(recipe: Recipe, folders: Sequence[Path]) -> int:
    """How many stages of a base of Hugging Face are finished.

    Args:
        recipe: all that is to be done.
        folders: of its stages.

    Raises:
        UsageError: one of them, or one beside them, is of another recipe.
    """
    said = {path.parent: from_json(path.read_bytes()) for path in recipe.out.glob(f"*/{STAGE}")}
    held = [folder for folder in folders if _steps(folder) or any(folder.glob("*.safetensors"))]
    for folder in {*said, *held}:
        if said.get(folder, {}).get("recipe") != recipe_digest(recipe):
            text = "holds what another recipe has trained; take another folder as out"
            raise UsageError(f"{folder}: {text}")
    done = [said.get(folder, {}).get("finished", False) for folder in folders]
    return [*done, False].index(False)


def mark_stage(recipe: Recipe, folder: Path, finished: bool) -> None:
    """Write down of which recipe a stage is, and whether it is finished."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STAGE, {"recipe": recipe_digest(recipe), "finished": finished})


def last_whole(folder: Path) -> Path | None:
    """The newest checkpoint of Hugging Face's trainer that was written to its end."""
    return next((path for _, path in reversed(_steps(folder)) if _is_whole(path)), None)


def drop_after(folder: Path, checkpoint: Path | None) -> None:
    """Remove the checkpoints after one, or all: those that were not written to their end."""
    for step, path in _steps(folder):
        if step > step_of(checkpoint):
            shutil.rmtree(path)


def step_of(checkpoint: Path | None) -> int:
    """The steps before a checkpoint of Hugging Face's trainer; 0 before the first."""
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def _steps(folder: Path) -> list[tuple[int, Path]]:
    return sorted((step_of(path), path) for path in folder.glob("checkpoint-*"))


def _is_whole(checkpoint: Path) -> bool:
    """Whether all files are there to their last byte; the trainer's state is written last."""
    pickles = [path for end in ("*.pt", "*.pth", "*.bin") for path in checkpoint.glob(end)]
    try:
        from_json((checkpoint / "trainer_state.json").read_bytes())
        for path in checkpoint.glob("*.safetensors"):
            with safe_open(path, "pt"):  # compares the size in the header with the file's
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    return all(map(is_zipfile, pickles))
