"""Write a copy of a LeRobot dataset of version 3 with a reward and a success for every step.

Rows, features, statistics of all and of each episode get both columns; videos and all else are
copied as they are.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from calipers.io.exports.lerobot import STATS, write_json
from calipers.io.exports.lerobot_stats import feature_stats, stats_columns
from calipers.io.inputs.lerobot import EPISODES, INFO

REWARD, SUCCESS = "next.reward", "next.success"
KINDS = {REWARD: "float32", SUCCESS: "bool"}
Values = Callable[[int, int], tuple[float, bool]]
"""(episode, step) → its reward and its success."""
_Rows = dict[int, list[tuple[float, bool]]]


def write_columns(root: Path, out: Path, info: Mapping[str, Any], values: Values) -> None:
    """Copy a dataset, with both columns.

    Args:
        root: the dataset.
        out: a new or empty folder.
        info: what `root` has in ``meta/info.json``.
        values: what each step gets.
    """
    data, episodes = _files(root, "data"), _files(root, EPISODES)
    skipped = {*data, *episodes}

    def ignore(folder: str, names: list[str]) -> list[str]:
        inside = Path(folder).relative_to(root)
        return [name for name in names if str(inside / name) in skipped]

    shutil.copytree(root, out, ignore=ignore, dirs_exist_ok=True)
    rows: _Rows = defaultdict(list)
    for name in data:
        _write_data(root / name, out / name, values, rows)
    for name in episodes:
        _write_episodes(root / name, out / name, rows)
    features = {k: {"dtype": kind, "shape": [1], "names": None} for k, kind in KINDS.items()}
    write_json(out / INFO, {**info, "features": info["features"] | features})
    stats = json.loads((root / STATS).read_text("utf-8")) if (root / STATS).is_file() else {}
    write_json(out / STATS, stats | _stats([row for one in rows.values() for row in one]))


def _files(root: Path, folder: str) -> list[str]:
    files = root.glob(f"{folder}/chunk-*/file-*.parquet")
    return sorted(str(file.relative_to(root)) for file in files)


def _stats(rows: list[tuple[float, bool]]) -> dict[str, Any]:
    """The statistics of both; of no rows there are none."""
    if not rows:
        return {}
    return {name: feature_stats([[row[k]] for row in rows]) for k, name in enumerate(KINDS)}


def _write_data(source: Path, goal: Path, values: Values, rows: _Rows) -> None:
    """Copy a file of rows with the two columns, one row group at a time."""
    with pq.ParquetFile(source) as file:
        schema = _schema(file.schema_arrow)
        with pq.ParquetWriter(goal, schema, compression="snappy") as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                places = [table[name].to_pylist() for name in ("episode_index", "frame_index")]
                found = [values(*place) for place in zip(*places)]
                for episode, value in zip(places[0], found):
                    rows[episode].append(value)
                rewards, reached = zip(*found)
                columns = [pa.array(rewards, pa.float32()), pa.array(reached, pa.bool_())]
                writer.write_table(pa.Table.from_arrays([*table.columns, *columns], schema=schema))


def _write_episodes(source: Path, goal: Path, rows: _Rows) -> None:
    """Copy a file of episodes with the statistics of both columns.

    Hugging Face's own note of the columns is left out: it would have to name the new ones, and says
    nothing that their types do not.
    """
    table = pq.read_table(source)
    found = [_stats(rows.get(number, [])) for number in table["episode_index"].to_pylist()]
    for name, cells in stats_columns(found).items():
        table = table.append_column(name, pa.array(cells))
    note = {k: v for k, v in (table.schema.metadata or {}).items() if k != b"huggingface"}
    pq.write_table(table.replace_schema_metadata(note or None), goal)


def _schema(schema: pa.Schema) -> pa.Schema:
    """The schema with both columns; Hugging Face's own note of its columns is kept true."""
    wider = schema.append(pa.field(REWARD, pa.float32())).append(pa.field(SUCCESS, pa.bool_()))
    note = json.loads((schema.metadata or {}).get(b"huggingface", b"null"))
    if note is None:
        return wider
    for name, kind in KINDS.items():
        note["info"]["features"][name] = {"dtype": kind, "_type": "Value"}
    return wider.with_metadata({**schema.metadata, b"huggingface": json.dumps(note).encode()})
