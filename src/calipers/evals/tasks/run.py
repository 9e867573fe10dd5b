"""The questions of a run folder of ours (``qa/part-*.parquet``) as cases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.evals.tasks.nouns import head

COLUMNS = ("id", "scene_id", "image", "type", "kind", "question", "objects", "value", "label")

COMPARED: Mapping[str, tuple[str, int]] = {
    "left": ("left", 1),
    "right": ("left", -1),
    "above": ("above", 1),
    "below": ("above", -1),
    "behind": ("behind", 1),
    "front": ("behind", -1),
    "tall": ("tall", 1),
    "short": ("tall", -1),
    "wide": ("wide", 1),
    "thin": ("wide", -1),
    "big": ("big", 1),
    "small": ("big", -1),
}
"""First word of a type's id → what it compares."""
_SHAPES = {"predicate": "compare-yes-no", "choice": "compare-which", "classify": "compare"}
_NEARER = ("nearer_object", "nearer_point")
_POINT = re.compile(r"\([\d.]+, [\d.]+\)")


def read(path: Path) -> Iterator[Case]:
    """The cases of a run folder, or of one Parquet file of questions.

    Raises:
        UsageError: there are no such files.
    """
    import pyarrow.parquet as pq

    files = [path] if path.is_file() else sorted((path / "qa").glob("part-*.parquet"))
    if not files:
        raise UsageError(f"{path}: holds no questions (wanted qa/part-*.parquet)")
    for file in files:
        for row in pq.read_table(file, columns=list(COLUMNS)).to_pylist():
            yield case(row)


def case(row: Mapping[str, Any]) -> Case:
    """One row; the type says how its answer is read, and other types go by what they hold.

    Orders, boxes and names (`depth_order`, `locate`, `object_from_depth` of SpatialQA) are not
    scored, and neither are lengths of zero (things that touch, or rest on the floor), which people
    say in words.
    """
    kind, truth, compares = _reading(row)
    objects = list(row["objects"] or ()) or _POINT.findall(row["question"])
    names = (objects[0], objects[-1]) if objects else ("", "")
    return Case(
        id=row["id"],
        kind=kind,
        truth=truth,
        question=row["question"],
        images=(row["image"],),
        names=names,
        compares=compares,
        tags=(row["kind"], row["type"]),
        noun=f"{row['type']} {' '.join(map(head, objects))}",
        cluster=row["scene_id"],
    )


def _reading(row: Mapping[str, Any]) -> tuple[str, Any, tuple[str, int]]:
    first, _, _ = row["type"].partition("_")
    shape = row["type"].rpartition("_")[2]
    label, value = row["label"], row["value"]
    if shape in _SHAPES and first in COMPARED:
        truth = label
        if shape == "classify":
            truth = {"same": 0, first: 1}.get(label, -1)
        return _SHAPES[shape], truth, COMPARED[first]
    if label in ("yes", "no"):
        return "yes-no", label, ("", 1)
    if row["type"] in _NEARER:
        return "compare-which", label, ("behind", -1)
    if value is not None:
        return "length", float(value) if value > 0 else None, ("", 1)
    if label is not None and label.isdigit():
        return "count", int(label), ("", 1)
    return "text", None, ("", 1)
