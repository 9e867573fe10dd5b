"""LoRA: in the language model of a calipers-nano, put in and merged into its weights again; and
which base the adapters in a folder are for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from calipers.experts.torch_runtime import require
from calipers.io.run import write_json
from calipers.model.nano import Nano

TARGETS = r".*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
"""Every linear layer of a Llama's blocks."""
CONFIG = "adapter_config.json"
"""Of PEFT, in a folder of adapters."""
_BASE = "base_model_name_or_path"


def add_adapters(model: Nano, r: int, alpha: int, dropout: float = 0.0) -> None:
    """Put adapters of rank `r` beside the linear layers; they begin by changing nothing.

    Raises:
        MissingExtraError: peft is not installed.
    """
    peft: Any = require("peft", "LoRA", "train")
    options = peft.LoraConfig(r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=TARGETS)
    peft.inject_adapter_in_model(options, model.language)
    model.to(model.device)


def merge_adapters(model: Nano) -> None:
    """Add the adapters to the weights beside which they stand, and take them out."""
    layers: Any = require("peft.tuners.tuners_utils", "LoRA", "train").BaseTunerLayer
    found = [(n, m) for n, m in model.language.named_modules() if isinstance(m, layers)]
    for name, layer in found:
        layer.merge()
        model.language.set_submodule(name, layer.get_base_layer())


def base_of(folder: str | Path) -> str:
    """The base that a folder's adapters are for: a hub id, or a folder.

    A path that begins with a dot begins at the folder of the adapters, not where one works.
    """
    said = str(json.loads((Path(folder) / CONFIG).read_text("utf-8")).get(_BASE))
    return str((Path(folder) / said).resolve()) if said.startswith(".") else said


def name_base(folder: str | Path, source: str) -> None:
    """Write down which base a folder's adapters are for; the path of one on disk is made relative
    to the adapters, so that both can be moved together.

    Args:
        folder: of the adapters.
        source: a folder, or a hub id.
    """
    config = Path(folder) / CONFIG
    if Path(source).is_dir():
        source = f"./{os.path.relpath(Path(source).resolve(), Path(folder).resolve())}"
    write_json(config, json.loads(config.read_text("utf-8")) | {_BASE: source})
