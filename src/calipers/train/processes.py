"""Several processes, one a GPU: where each loads a base, and how what FSDP has split is saved."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from calipers.errors import UsageError
from calipers.experts.torch_runtime import choose_device, require
from calipers.io.run import write_json
from calipers.model.adapters import name_base


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


def processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on", "y", "t")


@contextmanager
def offline() -> Iterator[None]:
    """No question to the model hub: peft asks it for the words of a base, and trl counts its users.

    Both look at a variable, huggingface_hub at its own constant too, which was read long before.
    """
    hub: Any = require("huggingface_hub.constants", "training a base of Hugging Face", "train")
    name = "HF_HUB_OFFLINE"
    said, was = os.environ.get(name), hub.HF_HUB_OFFLINE
    os.environ[name], hub.HF_HUB_OFFLINE = "1", True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = was
        if said is None:
            del os.environ[name]
        else:
            os.environ[name] = said


def free() -> None:
    """Give back the memory of models and trainers that are not used any more."""
    gc.collect()  # a trainer and its parts hold each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


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
            name_base(folder, model.get_base_model().name_or_path)
        else:
            _save(model, state, folder, precision)
    trainer.accelerator.wait_for_everyone()


def _save(model: Any, state: dict[str, Any], folder: Path, precision: torch.dtype) -> None:
    """The weights in one precision, which the config is to name too."""
    cast = {k: w.to(precision) if w.is_floating_point() else w for k, w in state.items()}
    model.save_pretrained(str(folder), state_dict=cast)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    write_json(folder / "config.json", config | {"dtype": str(precision).rpartition(".")[2]})
