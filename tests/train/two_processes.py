"""One of two processes on a CPU that train under FSDP: RUN OUT [GENERAL], by torch's launcher.

Accelerate splits models only of GPUs, so here it takes the processes for such.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_bases
from calipers.model.bases import base
from calipers.model.hugging import Chat
from calipers.train.hugging import train
from calipers.train.recipe import make_recipe

_begin = PartialState.__init__


def taken(self: PartialState, *args: Any, **options: Any) -> None:
    """Begin as ever, and then be processes of GPUs."""
    _begin(self, *args, **options)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


def main(run: str, out: str, general: str | None = None) -> None:
    """Train two stages, the second with adapters, and write what was told.

    Half of what is learnt is of `general`, where it is given.
    """
    torch.set_num_threads(1)
    model, processor = tiny_bases.paligemma()
    told: list[dict[str, Any]] = []
    stages = [
        {"name": "projector", "learn": ["projector"], "steps": 2, "lr": 0.01, "warmup": 0},
        {"name": "instruction", "learn": ["projector", "language"], "steps": 2, "lr": 0.02,
         "warmup": 0, "lora": {"r": 4, "alpha": 8}},
    ]  # fmt: skip
    data = [{"run": run, "types": ["left_predicate"]}, *([{"general": general}] if general else [])]
    fields = {
        "model": "unused", "out": out, "data": data, "spatial_share": 0.5,
        "stages": stages, "pictures": 2 - bool(general), "device": "cpu", "precision": "bfloat16",
        "evaluate": {"run": run, "types": ["left_predicate"], "questions": 1, "every": 2},
    }  # fmt: skip
    chat = Chat(processor, base("paligemma"))
    train(make_recipe(fields), told.append, (model.to(torch.bfloat16), chat))
    if os.environ["RANK"] == "0":
        (Path(out) / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    PartialState.__init__ = taken
    main(*sys.argv[1:])
