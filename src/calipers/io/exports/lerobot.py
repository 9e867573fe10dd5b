"""Write episodes as a LeRobot dataset of version 3, pictures and depth inside the Parquet files.

The layout follows ``lerobot`` 0.4 (``lerobot/datasets/utils.py``): ``meta/info.json``,
``meta/stats.json``, ``meta/tasks.parquet``, ``meta/episodes/chunk-000/file-000.parquet`` and
``data/chunk-000/file-000.parquet``. Depth is a one-band 16-bit PNG in millimetres, as 0.6 has it.
What LeRobot has no place for goes into columns of our own, see `calipers.io.inputs.lerobot`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from calipers.errors import DataError, UsageError
from calipers.io.exports.lerobot_stats import Stats, dataset_stats, stats_columns
from calipers.io.inputs.lerobot import CAMERA, GRAVITY, INFO, OBJECTS, TASKS
from calipers.types import Frame

IMAGE, DEPTH = "observation.images.front", "observation.images.front_depth"
DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
STATS = "meta/stats.json"
AXES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")

_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SCHEMA = pa.schema(
    [
        (IMAGE, _PICTURE),
        (DEPTH, _PICTURE),
        ("observation.state", pa.list_(pa.float32(), 7)),
        ("action", pa.list_(pa.float32(), 7)),
        (CAMERA, pa.list_(pa.float64(), 9)),
        (GRAVITY, pa.list_(pa.float64(), 3)),
        (OBJECTS, pa.string()),
        ("timestamp", pa.float32()),
        ("frame_index", pa.int64()),
        ("episode_index", pa.int64()),
        ("index", pa.int64()),
        ("task_index", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Step:
    """One frame of an episode.

    Attributes:
        frame: with colours, depth, camera and gravity.
        fields: ``objects`` and whatever else of ``metadata.jsonl`` is to come back.
        state: (7,) the gripper's place, its rotation vector, and how far it is open.
        action: (7,) what leads to the next frame.
    """

    frame: Frame
    fields: dict[str, Any]
    state: Sequence[float]
    action: Sequence[float]


@dataclass(slots=True)
class _Totals:
    """What is known when all episodes are written."""

    tasks: dict[str, int]
    lengths: list[int]
    names: list[str]
    size_wh: tuple[int, int] = (0, 0)


def write_lerobot(
    root: Path, episodes: Iterable[tuple[str, Iterable[Step]]], fps: int, robot: str
) -> None:
    """Write (instruction, steps) of each episode; one step is in memory at a time.

    Raises:
        UsageError: `root` is not new or empty.
        DataError: a step lacks colours, depth, camera or gravity, or there is none.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root}: wanted a new or empty folder")
    for name in (DATA, EPISODES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    totals = _Totals({}, [], [])
    with pq.ParquetWriter(root / DATA, _SCHEMA, compression="snappy") as writer:
        for rows in _batches(_rows(episodes, fps, totals)):
            writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
    if not sum(totals.lengths):
        raise DataError("lerobot: wanted at least one step")
    info = _info(totals, fps, robot)
    stats, whole = dataset_stats(root / DATA, info["features"], totals.lengths)
    _write_tasks(root, list(totals.tasks))
    _write_episodes(root, totals, stats)
    write_json(root / STATS, whole)
    write_json(root / INFO, info)


def _rows(
    episodes: Iterable[tuple[str, Iterable[Step]]], fps: int, totals: _Totals
) -> Iterator[dict[str, Any]]:
    index = 0
    for episode, (instruction, steps) in enumerate(episodes):
        task = totals.tasks.setdefault(instruction, len(totals.tasks))
        totals.names.append(instruction)
        totals.lengths.append(0)
        for number, step in enumerate(steps):
            totals.size_wh = step.frame.width, step.frame.height
            totals.lengths[-1] += 1
            places = {"frame_index": number, "episode_index": episode, "index": index}
            yield _row(step) | places | {"timestamp": number / fps, "task_index": task}
            index += 1


def _batches(rows: Iterator[dict[str, Any]], size: int = 16) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _row(step: Step) -> dict[str, Any]:
    frame = step.frame
    if frame.rgb is None or frame.depth_m is None or frame.camera is None or frame.gravity is None:
        raise DataError(f"frame {frame.id!r}: wanted colours, depth, camera and gravity")
    depth = np.nan_to_num(frame.depth_m, nan=0.0, posinf=0.0).astype(np.float64)
    if depth.max() > 65.535:
        raise DataError(f"frame {frame.id!r}: depth beyond 65.535 m does not fit 16 bits")
    return {
        IMAGE: {"bytes": _png(frame.rgb), "path": f"{frame.id}.png"},
        DEPTH: {"bytes": _png(np.rint(1000 * depth).astype(np.uint16)), "path": f"{frame.id}.png"},
        "observation.state": list(step.state),
        "action": list(step.action),
        CAMERA: frame.camera.matrix.ravel().tolist(),
        GRAVITY: frame.gravity.astype(float).tolist(),
        OBJECTS: json.dumps(step.fields, allow_nan=False),
    }


def _png(pixels: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=1)
    return file.getvalue()


def _write_tasks(root: Path, tasks: Sequence[str]) -> None:
    """The texts are the index of a pandas table, as LeRobot reads them."""
    index = "__index_level_0__"
    table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), index: list(tasks)})
    columns = [
        {"name": name, "field_name": field, "pandas_type": kind, "numpy_type": dtype}
        | {"metadata": None}
        for name, field, kind, dtype in (
            ("task_index", "task_index", "int64", "int64"),
            (None, index, "unicode", "object"),
        )
    ]
    about = {"index_columns": [index], "column_indexes": [], "columns": columns}
    said = json.dumps(about | {"pandas_version": "2.2.0"}).encode()
    pq.write_table(table.replace_schema_metadata({b"pandas": said}), root / TASKS)


def _write_episodes(root: Path, totals: _Totals, stats: Sequence[dict[str, Stats]]) -> None:
    ends = np.cumsum(totals.lengths).tolist()
    zeros = [0] * len(ends)
    table = {
        "episode_index": list(range(len(ends))),
        "tasks": [[name] for name in totals.names],
        "length": totals.lengths,
        "data/chunk_index": zeros,
        "data/file_index": zeros,
        "dataset_from_index": [0, *ends[:-1]],
        "dataset_to_index": ends,
        "meta/episodes/chunk_index": zeros,
        "meta/episodes/file_index": zeros,
    }
    pq.write_table(pa.table(table | stats_columns(stats)), root / EPISODES)


def _info(totals: _Totals, fps: int, robot: str) -> dict[str, Any]:
    width, height = totals.size_wh
    axes = list(AXES)

    def of(dtype: str, shape: Sequence[int], names: Sequence[str] | None = None) -> dict[str, Any]:
        return {"dtype": dtype, "shape": list(shape), "names": names and list(names)}

    picture = ("height", "width", "channels")
    features = {
        IMAGE: of("image", (height, width, 3), picture),
        DEPTH: of("image", (height, width, 1), picture)
        | {"info": {"is_depth_map": True, "depth_unit": "mm"}},
        "observation.state": of("float32", (7,), axes),
        "action": of("float32", (7,), axes),
        CAMERA: of("float64", (9,)),
        GRAVITY: of("float64", (3,)),
        OBJECTS: of("string", (1,)),
        "timestamp": of("float32", (1,)),
        **{f"{name}index": of("int64", (1,)) for name in ("frame_", "episode_", "", "task_")},
    }
    return {
        "codebase_version": "v3.0",
        "robot_type": robot,
        "total_episodes": len(totals.lengths),
        "total_frames": sum(totals.lengths),
        "total_tasks": len(totals.tasks),
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": fps,
        "splits": {"train": f"0:{len(totals.lengths)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": features,
    }


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a file of ``meta`` as LeRobot does."""
    path.write_text(json.dumps(value, indent=4), encoding="utf-8")
