"""The parts of a base of Hugging Face: which of them a stage learns, how, and at what rates."""

from __future__ import annotations

import re
from typing import Any

import torch

from calipers.experts.torch_runtime import require
from calipers.model.bases import PROJECTOR, VISION, Base
from calipers.train.recipe import Part, Stage


def part_of(name: str) -> Part:
    """Which part of a base a module or weight belongs to, by its name.

    >>> part_of("model.visual.merger.linear_fc1.weight"), part_of("model.visual.blocks.0.attn.qkv")
    ('projector', 'vision')
    >>> part_of("model.language_model.layers.0.mlp.up_proj")
    'language'
    """
    if re.search(PROJECTOR, name):
        return "projector"
    return "vision" if re.search(VISION, name) else "language"


def prepare(model: Any, stage: Stage, base: Base) -> Any:
    """Freeze what a stage does not learn, and put in its adapters; what learns becomes float32.

    With adapters, the other parts that the stage learns are trained whole and saved beside them.

    Raises:
        MissingExtraError: peft is not installed.
    """
    for name, weight in model.named_parameters():
        weight.requires_grad_(part_of(name) in stage.learn)
    learner = model if stage.lora is None else _adapted(model, stage, base)
    for weight in learner.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return learner


def _adapted(model: Any, stage: Stage, base: Base) -> Any:
    """A model with the adapters of a stage in it."""
    assert stage.lora is not None
    peft: Any = require("peft", "LoRA", "train")
    options = peft.LoraConfig(
        r=stage.lora.r,
        lora_alpha=stage.lora.alpha,
        lora_dropout=stage.lora.dropout,
        target_modules=base.adapters,
        modules_to_save=_whole(model, stage) or None,
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, options)


def _whole(model: Any, stage: Stage) -> list[str]:
    """The topmost modules of the parts that a stage learns whole, beside the adapters."""
    found: list[str] = []
    for name, module in model.named_modules():
        part = part_of(name)
        inside = any(name.startswith(f"{above}.") for above in found)
        listed = isinstance(module, torch.nn.ModuleList)  # cannot be called, so not be replaced
        if part != "language" and part in stage.learn and not inside and not listed:
            found.append(name)
    return found


def rates(model: Any, stage: Stage) -> list[dict[str, Any]]:
    """The weights that learn, a group a part, each with its learning rate."""
    groups: dict[str, list[Any]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups.setdefault(part_of(name), []).append(weight)
    named = {str(name): rate for name, rate in stage.rates.items()}
    return [{"params": some, "lr": named.get(part, stage.lr)} for part, some in groups.items()]
