"""Several processes, one a GPU: where each loads a base, and how what FSDP has split is saved."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

from calipers.errors import UsageError
from calipers.experts.torch_runtime import choose_device
from calipers.io.run import write_json


def own_device(device: str | None = None) -> str:
    """The device that this process loads a model to: of several GPUs the one of its own.

    Args:
        device: cuda, mps or cpu; None takes the first that is there.

    Raises:
        UsageError: accelerate is to load the weights in the first process only.
    """
    chosen, rank = choose_device(device), os.environ.get("LOCAL_RANK")
    if rank is None:
        return chosen
    if _is_set("ACCELERATE_USE_FSDP") and _is_set("FSDP_CPU_RAM_EFFICIENT_LOADING"):
        wanted = "fsdp_cpu_ram_efficient_loading: false"
        raise UsageError(f"accelerate: wanted {wanted}: every process looks through its own model")
    return f"cuda:{rank}" if chosen == "cuda" else chosen


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on", "y", "t")


def is_sharded(trainer: Any) -> bool:
    """Whether FSDP has split the model of a trainer; it cannot be used apart from it any more."""
    return bool(trainer.is_fsdp_enabled)


def keep_there(model: Any) -> None:
    """Forget the kinds of blocks to be kept whole that a model does not have; FSDP wants them all.

    PaliGemma, for one, names a head that is left out of its vision encoder.
    """
    there = {type(module).__name__ for module in model.modules()}
    for module in model.modules():
        if names := getattr(module, "_no_split_modules", None):
            module._no_split_modules = type(names)(name for name in names if name in there)


def save_whole(trainer: Any, model: Any, folder: Path, precision: torch.dtype) -> None:
    """Save a model, or the adapters of one; all processes come out when it is written.

    Args:
        trainer: that has trained it.
        model: whole, or with adapters.
        folder: where to.
        precision: of the file of a whole model; adapters stay as they were trained.
    """
    state = trainer.accelerator.get_state_dict(model)
    if trainer.is_world_process_zero():
        if hasattr(model, "peft_config"):
            model.save_pretrained(str(folder), state_dict=state)
        else:
            _save(model, state, folder, precision)
    trainer.accelerator.wait_for_everyone()


def _save(model: Any, state: dict[str, Any], folder: Path, precision: torch.dtype) -> None:
    """The weights in one precision, which the config is to name too."""
    cast = {k: w.to(precision) if w.is_floating_point() else w for k, w in state.items()}
    model.save_pretrained(str(folder), state_dict=cast)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    write_json(folder / "config.json", config | {"dtype": str(precision).rpartition(".")[2]})
