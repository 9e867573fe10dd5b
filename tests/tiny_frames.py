"""Tiny folders of frames for tests of whole runs: three boxes standing before a wall."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 32, 24
INTRINSICS = [[30.0, 0.0, 15.5], [0.0, 30.0, 11.5], [0.0, 0.0, 1.0]]
BOXES = [[2, 6, 7, 10], [12, 4, 8, 12], [23, 8, 6, 9]]
CAPTIONS = ["red box", "green jar", "blue tin"]

Record = dict[str, Any]


def square(box: list[int]) -> list[list[float]]:
    """The polygon of a box, on pixel borders."""
    x, y, w, h = box
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def record(number: int) -> Record:
    """The metadata of one frame, whole."""
    return {
        "file_name": f"rgb/{number:04d}.png",
        "depth_file_name": f"depth/{number:04d}.png",
        "id": f"f{number:04d}",
        "intrinsics": INTRINSICS,
        "gravity": [0.0, 1.0, 0.0],
        "objects": {
            "bbox": [list(map(float, box)) for box in BOXES],
            "caption": CAPTIONS,
            "segmentation": [square(box) for box in BOXES],
        },
    }


def write_pixels(folder: Path, number: int) -> None:
    """The image and the depth, in millimetres, of one frame."""
    rng = np.random.default_rng(number)
    depth = np.full((HEIGHT, WIDTH), 3000, np.uint16)
    for box in BOXES:
        x, y, w, h = box
        depth[y : y + h, x : x + w] = rng.integers(900, 2500)
    rgb = (depth[..., None] // 16 + np.array([0, 20, 40])).astype(np.uint8)
    for kind, pixels in (("rgb", rgb), ("depth", depth)):
        path = folder / kind / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)


def write_records(folder: Path, records: list[Record]) -> None:
    """The ``metadata.jsonl``."""
    lines = (json.dumps(line) + "\n" for line in records)
    (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")


def write_frames(
    folder: Path, count: int, change: Callable[[int, Record], None] = lambda number, line: None
) -> Path:
    """A folder of `count` frames; `change` edits a record before it is written."""
    records = []
    for number in range(count):
        write_pixels(folder, number)
        line = record(number)
        change(number, line)
        records.append(line)
    write_records(folder, records)
    return folder
