"""SpatialQA of whole folders, as Parquet with the columns of every question and two more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from calipers.errors import UsageError
from calipers.io.frames import Skipped
from calipers.io.questions import QUESTION_SCHEMA
from calipers.io.run import atomic, part_path, write_json
from calipers.spatialqa.asking import TOOL_SHARE, spatial_qa
from calipers.spatialqa.source import Shot, shots, vocabulary
from calipers.spatialqa.table import SpatialQuestion, spatial_types
from calipers.types import Scene

_TURN = pa.struct([("role", pa.string()), ("content", pa.string())])
SCHEMA: pa.Schema = pa.schema(
    [*QUESTION_SCHEMA, ("level", pa.string()), ("messages", pa.list_(_TURN))]
)
Rewording = Callable[[list[SpatialQuestion], Scene], tuple[list[SpatialQuestion], Counter[str]]]
A_PART = 500
"""Scenes of one Parquet file."""


def spatialqa_table(questions: Iterable[SpatialQuestion]) -> pa.Table:
    """The questions as an Arrow table."""
    return pa.Table.from_pylist([asdict(question) for question in questions], schema=SCHEMA)


def write_spatialqa(
    source: str | Path,
    out: str | Path,
    *,
    count: int = 20,
    seed: int = 0,
    types: Sequence[str] | None = None,
    tool_share: float = TOOL_SHARE,
    limit: int | None = None,
    overwrite: bool = False,
    reword: Rewording | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Ask every scene of a folder.

    Writes ``qa/part-*.parquet``, the same as ``conversations.json``, ``skipped.jsonl`` and
    ``run.json``.

    Args:
        source: a folder of frames with depth, intrinsics and objects, or a run folder.
        out: a new or empty folder, unless `overwrite`.
        count, seed, types, tool_share: as in `spatial_qa`.
        limit: take only the first records.
        reword: words the questions of a scene anew, as `rewriting.rewrite` of some client does.
        progress: called with records finished, and None.

    Returns:
        What ``run.json`` holds: options, counts by type, level and way of answering, and reasons.

    Raises:
        UsageError: the source, an option or the output folder cannot be used.
    """
    source, out = Path(source), Path(out)
    spatial_types(types)
    _make_room(out, overwrite)
    names = vocabulary(source)
    options: dict[str, Any] = {"count": count, "seed": seed, "tool_share": tool_share}
    notes, skipped, waiting = _Notes(), list[Skipped](), list[SpatialQuestion]()
    part = scenes = 0
    for done, shot in enumerate(shots(source, limit), start=1):
        if isinstance(shot, Skipped):
            skipped.append(shot)
        else:
            made = spatial_qa(shot.scene, shot.depth_m, types=types, vocabulary=names, **options)
            made = made if reword is None else notes.reworded(*reword(made, shot.scene))
            notes.add(shot, made)
            waiting += made
            scenes += 1
        if scenes and scenes % A_PART == 0 and waiting:
            part, waiting = _write(out, part, waiting), []
        progress(done, None)
    if waiting:
        _write(out, part, waiting)
    with atomic(out / "skipped.jsonl") as sink:
        for row in skipped:
            sink.write(json.dumps(asdict(row), ensure_ascii=False).encode() + b"\n")
    write_conversations(out)
    record = _record(source, {**options, "types": types, "limit": limit}, notes, skipped)
    write_json(out / "run.json", record)
    return record


def conversation(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record as SpatialBot trains on it: picture and depth, and what human and gpt say in turn.

    What DepthAPI answers is said by the human, for nothing is learned from it.

    >>> row = {"id": "a", "image": "a.png", "depth_image": "a_d.png", "messages": None}
    >>> conversation({**row, "question": "How deep?", "answer": "1.52 m."})["conversations"][0]
    {'from': 'human', 'value': '<image 1>\\n<image 2>\\nHow deep?'}
    """
    images = [name for name in (row["image"], row["depth_image"]) if name]
    asked = [("user", row["question"]), ("assistant", row["answer"])]
    turns = [(turn["role"], turn["content"]) for turn in row["messages"] or ()] or asked
    said = [
        {"from": "gpt" if who == "assistant" else "human", "value": text} for who, text in turns
    ]
    marks = "".join(f"<image {n}>\n" for n in range(1, len(images) + 1))
    said[0]["value"] = marks + said[0]["value"]
    return {"id": row["id"], "image": images, "conversations": said}


def write_conversations(out: Path) -> None:
    """Write all questions of a folder to ``conversations.json``, a part at a time."""
    with atomic(out / "conversations.json") as sink:
        before = b"[\n"
        for part in sorted((out / "qa").glob("part-*.parquet")):
            for row in pq.read_table(part).to_pylist():
                sink.write(before + json.dumps(conversation(row), ensure_ascii=False).encode())
                before = b",\n"
        sink.write(b"[]\n" if before == b"[\n" else b"\n]\n")


class _Notes:
    """What was made, counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        tables = ("types", "levels", "rewording")
        self.by: dict[str, Counter[str]] = {name: Counter() for name in tables}

    def reworded(self, made: list[SpatialQuestion], counts: Counter[str]) -> list[SpatialQuestion]:
        """Count what became of wordings, and pass the questions on."""
        self.by["rewording"].update(counts)
        return made

    def add(self, shot: Shot, made: list[SpatialQuestion]) -> None:
        self.counts["scenes"] += 1
        self.counts["without_depth_map"] += shot.depth_m is None
        self.counts["questions"] += len(made)
        self.counts["answered_by_tool"] += sum(q.messages is not None for q in made)
        self.by["types"].update(question.type for question in made)
        self.by["levels"].update(question.level for question in made)


def _record(
    source: Path, options: dict[str, Any], notes: _Notes, skipped: list[Skipped]
) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "command": "spatialqa",
        "version": version("calipers"),
        "input": str(source.resolve()),
        "options": options,
        "counts": dict(notes.counts),
        **{name: dict(sorted(counter.items())) for name, counter in notes.by.items()},
        "skipped": dict(sorted(Counter(row.reason for row in skipped).items())),
    }


def _make_room(out: Path, overwrite: bool) -> None:
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not overwrite)):
        raise UsageError(f"{out}: wanted a new or empty folder, or --overwrite")
    for part in (out / "qa").glob("part-*.parquet"):
        part.unlink()


def _write(out: Path, part: int, questions: list[SpatialQuestion]) -> int:
    with atomic(part_path(out, "qa", part)) as sink:
        pq.write_table(spatialqa_table(questions), sink, compression="zstd")
    return part + 1
