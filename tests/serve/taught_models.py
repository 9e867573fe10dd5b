"""Tiny models of real classes, taught on the spot to say one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calipers.model.nano import Nano, NanoConfig, tiny_language
from calipers.model.tokens import Writer, train_tokenizer
from calipers.train.nano import collate

QUESTIONS = (
    "How far is the red box?", "How far?", "Is the green jar left of the blue tin?",
    "Which is taller, the red box or the green jar?", "Can you give me the height of the blue tin?",
    "What is the distance between the blue tin and the red box?", "Does the jar stand higher?",
    "Is the red box in front of the green jar from the viewer's perspective?", "How tall is it?",
)  # fmt: skip


def nano(folder: Path, said: str, steps: int = 150) -> Path:
    """A calipers-nano of 32 pixels a side that answers `said` to everything."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = train_tokenizer([*QUESTIONS, said] * 3, 320)
    model = Nano(tokenizer=tokenizer, config=NanoConfig(
        (32, 32), "log8", 32, 1, 1, tiny_language(len(tokenizer), 32, 1)
    ))  # fmt: skip
    writer = Writer(tokenizer, model.config.patches)
    rows = [writer.row([(question, said)]) for question in QUESTIONS]
    rng = np.random.default_rng(0)
    adam = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(steps):
        pictures = rng.integers(0, 256, (len(rows), 2, 3, 1, 1)) * rng.random((1, 1, 1, 32, 32))
        batch = collate(rows, pictures.astype(np.uint8), tokenizer.pad_token_id)
        loss: Any = model(batch)
        loss.backward()
        adam.step()
        adam.zero_grad()
    assert loss.item() < 0.05
    model.eval().save_pretrained(folder)
    (folder / "calipers.json").write_text(json.dumps({"see": "rgbd"}))
    return folder
