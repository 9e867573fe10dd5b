"""The whole path on the packaged sample frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from calipers.io.run import atomic
from calipers.samples import write_sample

ROOMS = 3


def write_demo_frames(folder: Path) -> None:
    """Write the samples side by side, with one ``metadata.jsonl`` over all of them.

    Simulated rooms are among them when MuJoCo is installed. A folder that is whole is left alone.

    Raises:
        MissingExtraError: the packages that ship the pictures are not installed.
        UsageError: `folder` holds something else.
    """
    if (folder / "metadata.jsonl").exists():
        return
    wanted: dict[str, dict[str, int]] = {"arc2017": {}, "motorcycle": {}}
    if find_spec("mujoco") is not None:
        wanted["rooms"] = {"count": ROOMS}
    for name, options in wanted.items():
        if not (folder / name / "metadata.jsonl").exists():
            write_sample(name, folder / name, **options)
    with atomic(folder / "metadata.jsonl") as sink:
        for record in _joined(folder, list(wanted)):
            sink.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def _joined(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        for line in (folder / name / "metadata.jsonl").read_text("utf-8").splitlines():
            record = json.loads(line)
            for field in ("file_name", "depth_file_name"):
                if field in record:
                    record[field] = f"{name}/{record[field]}"
            yield record


def draw_questions(run: Path, count: int, seed: int) -> list[dict[str, str]]:
    """Draw `count` questions of a run at random: scene_id, question and answer of each."""
    columns = ["scene_id", "question", "answer"]
    table = pq.read_table(run / "qa", columns=columns)
    drawn = np.random.default_rng(seed).permutation(table.num_rows)[:count]
    rows: list[dict[str, str]] = table.take(drawn).to_pylist()
    return rows
