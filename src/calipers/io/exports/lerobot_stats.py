"""Statistics of a LeRobot dataset's features, of each episode and of all, as ``lerobot`` 0.6 has.

Each feature but texts has min, max, mean, std, count and five quantiles. Numbers have a value a
component. Pictures have one a channel, of shape (C, 1, 1), from some frames of each episode,
thinned out where they are large (``lerobot/datasets/compute_stats.py``): colours from 0 to 1, depth
as it is stored. `write_lerobot` puts them into ``meta/stats.json`` and ``meta/episodes``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Stats = dict[str, Any]
QUANTILES = (1, 10, 50, 90, 99)
LEAST_FRAMES, MOST_FRAMES, POWER = 100, 10_000, 0.75
"""Of n frames n to this power are looked at, within these bounds."""
LARGE_PX, SIDE_PX = 300, 150
"""A picture with a side of the first or more is thinned out to about the second."""


def feature_stats(rows: ArrayLike) -> Stats:
    """What LeRobot keeps of a feature of numbers, (N, D); D values each, and how many rows.

    >>> found = feature_stats([[1.0], [3.0]])
    >>> found["mean"], found["std"], found["count"]
    ([2.0], [1.0], [2])
    """
    table = np.asarray(rows, dtype=np.float64)
    marks = {f"q{q:02d}": np.percentile(table, q, axis=0).tolist() for q in QUANTILES}
    return {
        "min": table.min(axis=0).tolist(),
        "max": table.max(axis=0).tolist(),
        "mean": table.mean(axis=0).tolist(),
        "std": table.std(axis=0).tolist(),
        "count": [len(table)],
        **marks,
    }


class Levels:
    """How often each whole number occurs in pictures, channel by channel.

    Attributes:
        counts: (C, L) how often each of L levels was seen.
        pictures: how many were looked at.

    >>> levels = Levels(1, 256)
    >>> levels.see(np.array([[[51], [153]]], np.uint8))
    >>> levels.stats(255)["mean"], levels.stats(1)["max"]
    ([[[0.4]]], [[[153.0]]])
    """

    def __init__(self, channels: int, levels: int) -> None:
        self.counts = np.zeros((channels, levels), dtype=np.int64)
        self.pictures = 0

    def see(self, pixels: NDArray[Any]) -> None:
        """Count a picture, (H, W, C)."""
        step = max(pixels.shape[:2]) // SIDE_PX if max(pixels.shape[:2]) >= LARGE_PX else 1
        for counts, channel in zip(self.counts, np.moveaxis(pixels[::step, ::step], -1, 0)):
            counts += np.bincount(channel.ravel(), minlength=len(counts))
        self.pictures += 1

    def add(self, other: Levels) -> None:
        """Count what another has counted."""
        self.counts += other.counts
        self.pictures += other.pictures

    def stats(self, unit: float) -> Stats:
        """What LeRobot keeps of pictures, (C, 1, 1) each, of levels divided by a unit."""
        levels, total = np.arange(self.counts.shape[1]), self.counts.sum(axis=1)
        mean = self.counts @ levels / total
        square = (self.counts * (levels - mean[:, None]) ** 2).sum(axis=1) / total
        below, seen = self.counts.cumsum(axis=1), self.counts > 0
        found = {
            "min": seen.argmax(axis=1),
            "max": levels[-1] - seen[:, ::-1].argmax(axis=1),
            "mean": mean,
            "std": np.sqrt(square),
            **{f"q{q:02d}": (below >= total[:, None] * q / 100).argmax(axis=1) for q in QUANTILES},
        }
        shaped = {name: (value / unit).reshape(-1, 1, 1).tolist() for name, value in found.items()}
        return shaped | {"count": [self.pictures]}


def sampled(count: int) -> list[int]:
    """The frames of an episode whose pictures are looked at.

    >>> sampled(3), len(sampled(100)), len(sampled(1000)), sampled(1000)[-1]
    ([0, 1, 2], 100, 177, 999)
    """
    some = max(min(count, LEAST_FRAMES), min(int(count**POWER), MOST_FRAMES))
    return [round(place) for place in np.linspace(0, count - 1, some).tolist()]


def dataset_stats(
    data: Path, features: Mapping[str, Mapping[str, Any]], lengths: Sequence[int]
) -> tuple[list[dict[str, Stats]], dict[str, Stats]]:
    """The statistics of each episode, and of all: feature → its own.

    Args:
        data: a Parquet file with all rows, episode after episode, pictures inside.
        features: as ``meta/info.json`` has them.
        lengths: rows of each episode; one without rows has no statistics.
    """
    spans = [*pairwise(accumulate(lengths, initial=0))]
    found: list[dict[str, Stats]] = [{} for _ in spans]
    whole: dict[str, Stats] = {}
    for name, row in features.items():
        if row["dtype"] != "string":
            of = _of_pictures if row["dtype"] == "image" else _of_numbers
            episodes, whole[name] = of(data, name, row, spans)
            for episode, stats in zip(found, episodes):
                episode |= {} if stats is None else {name: stats}
    return found, whole


_Spans = Sequence[tuple[int, int]]


def _of_numbers(
    data: Path, name: str, feature: Mapping[str, Any], spans: _Spans
) -> tuple[list[Stats | None], Stats]:
    cells = pq.read_table(data, columns=[name]).column(0).to_pylist()
    rows = np.array(cells, dtype=np.float64).reshape(len(cells), *feature["shape"])
    return [feature_stats(rows[a:b]) if b > a else None for a, b in spans], feature_stats(rows)


def _of_pictures(
    data: Path, name: str, feature: Mapping[str, Any], spans: _Spans
) -> tuple[list[Stats | None], Stats]:
    depth = bool((feature.get("info") or {}).get("is_depth_map"))
    size, unit = (feature["shape"][-1], 65536 if depth else 256), 1.0 if depth else 255.0
    total, found = Levels(*size), list[Stats | None]()
    for first, stop in spans:
        levels = Levels(*size)
        for pixels in _pictures(data, name, [first + k for k in sampled(stop - first)]):
            levels.see(pixels)
        found.append(levels.stats(unit) if levels.pictures else None)
        total.add(levels)
    return found, total.stats(unit)


def _pictures(data: Path, name: str, rows: Sequence[int]) -> Iterator[NDArray[Any]]:
    """(H, W, C) the pictures of some rows, one row group in memory at a time."""
    with pq.ParquetFile(data) as file:
        groups = range(file.num_row_groups)
        sizes = [file.metadata.row_group(group).num_rows for group in groups]
        for group, (first, stop) in zip(groups, pairwise(accumulate(sizes, initial=0))):
            wanted = [row - first for row in rows if first <= row < stop]
            if wanted:
                table = file.read_row_group(group, columns=[name]).take(wanted)
                for cell in table.column(0).to_pylist():
                    pixels = np.asarray(Image.open(io.BytesIO(cell["bytes"])))
                    yield pixels if pixels.ndim == 3 else pixels[..., None]


def stats_columns(episodes: Sequence[Mapping[str, Stats]]) -> dict[str, list[Any]]:
    """Columns of ``meta/episodes``, a row an episode: "stats/FEATURE/STATISTIC".

    >>> stats_columns([{"action": {"min": [0.5]}}, {}])
    {'stats/action/min': [[0.5], None]}
    """
    names = {(name, stat): None for one in episodes for name, row in one.items() for stat in row}
    return {
        f"stats/{name}/{stat}": [one.get(name, {}).get(stat) for one in episodes]
        for name, stat in names
    }
