"""`calipers train`: a recipe is read, the right trainer runs it, and every step is written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calipers.experts.torch_runtime import require
from calipers.train.recipe import NEW, Recipe, read_recipe

Tell = Callable[[dict[str, Any]], None]
LOG = "train.jsonl"
"""In the folder of the model: a line for each step told and each evaluation."""


def train(recipe: Recipe | str | Path, tell: Tell = lambda record: None) -> Path:
    """Train by a recipe, or go on with it.

    Args:
        recipe: a recipe, or the YAML file of one.
        tell: is told what is written to ``OUT/train.jsonl``: losses and evaluations.

    Returns:
        The folder of the model, for `calipers.model.answering.load`.

    Raises:
        UsageError: the recipe, its data or its model cannot be used.
        MissingExtraError: a package is missing.
        RunError: pictures do not reach the model, or the loss is no number any more.
    """
    wanted = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    require("torch", "training", "train")
    require("transformers", "training", "train")

    def both(record: dict[str, Any]) -> None:
        wanted.out.mkdir(parents=True, exist_ok=True)  # not before there is something to tell
        with (wanted.out / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        tell(record)

    return (_nano if is_nano(wanted.model) else _hugging)(wanted, both)


def is_nano(model: str) -> bool:
    """Whether a recipe's model is a calipers-nano: by its name, or by the config in its folder."""
    config = Path(model) / "config.json"
    if model in NEW or not config.exists():
        return model in NEW
    return bool(json.loads(config.read_text("utf-8")).get("model_type") == "calipers-nano")


def _nano(recipe: Recipe, tell: Tell) -> Path:
    from calipers.model.answering import NanoAnswerer
    from calipers.train.evaluate import examiner
    from calipers.train.nano import Trainer

    examine = examiner(recipe.evaluate)

    def look(model: Any) -> dict[str, Any]:
        assert examine is not None
        return examine(NanoAnswerer(model, recipe.see))

    Trainer(recipe, tell, look if examine else None).train()
    return recipe.out


def _hugging(recipe: Recipe, tell: Tell) -> Path:
    from calipers.train.hugging import train as train_base

    return train_base(recipe, tell)
