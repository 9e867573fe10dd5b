"""`calipers export`: a run's questions and pictures as a folder that a trainer reads.

The folder appears under its name only when it is whole; ``export.json`` says what it holds and
``skipped.jsonl`` which records were left out because their picture could not be read. Behind a
URL, where folders cannot be renamed, files appear one by one, and ``export.json`` says "unfinished"
until all are there.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pydantic_core import to_json

from calipers.errors import Skip, UsageError
from calipers.io.exports.conversations import Choice, Conversation, conversations, question_parts
from calipers.io.exports.exchanges import COMMAND, exchanges
from calipers.io.exports.notations import (
    NOTATIONS,
    QWEN_MAX_PIXELS,
    QWEN_MIN_PIXELS,
    Notation,
    resized_notation,
)
from calipers.io.exports.pictures import MODES, Pictures
from calipers.io.exports.rows import (
    Say,
    llava_row,
    messages_row,
    prefix_row,
    swift_row,
    teller,
)
from calipers.io.exports.writers import JsonWriter, ParquetWriter, Record, TarWriter
from calipers.io.files import created, is_remote, locate
from calipers.io.run import input_folder, read_run, write_json

NAME = "calipers"
"""What a data set is called in LLaMA-Factory's ``dataset_info.json``."""

_LLAMA_FACTORY = {
    NAME: {
        "file_name": "train.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "images": "images"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        },
    }
}


class Writer(Protocol):
    """Writes records into a folder."""

    def write(self, records: Iterator[Record], folder: Path, home: Path, say: Say) -> None:
        """Write all of them."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table of formats.

    Attributes:
        writer: makes the files.
        notation: how boxes are written, unless another is asked for.
        images: the ways in which it can hold pictures, the default first.
        turns: questions a record, unless given; 0 for all of a picture.
        single: whether a record is one question about one picture always.
        urls: whether it may name pictures by their URLs.
    """

    writer: Writer
    notation: str
    images: tuple[str, ...] = ("link", "copy")
    turns: int = 1
    single: bool = False
    urls: bool = False


FORMATS: dict[str, Format] = {
    "trl": Format(ParquetWriter(), "thousand", ("embed", "link", "copy"), urls=True),
    "llava": Format(JsonWriter(llava_row, "train.json", listed=True), "share"),
    "llama-factory": Format(
        JsonWriter(messages_row, "train.jsonl", beside={"dataset_info.json": _LLAMA_FACTORY}),
        "thousand",
    ),
    "ms-swift": Format(JsonWriter(swift_row, "train.jsonl"), "pixels"),
    "qwen3-vl": Format(JsonWriter(llava_row, "train.json", listed=True), "qwen3-vl"),
    "qwen2.5-vl": Format(JsonWriter(llava_row, "train.json", listed=True), "resized"),
    "paligemma": Format(
        JsonWriter(prefix_row("answer en "), "train.jsonl"), "paligemma", single=True
    ),
    "florence-2": Format(JsonWriter(prefix_row("<VQA>"), "train.jsonl"), "florence-2", single=True),
    "webdataset": Format(TarWriter(), "thousand", ("embed",), turns=0),
}
"""What ``--format`` takes."""


@dataclass(frozen=True, slots=True)
class Exporting:
    """The options of an export; None for what the format's row says.

    Attributes:
        turns, boxes, answer_boxes, marks, seed, rationales: see `Choice`.
        images: "copy", "link" or "embed".
        notation: one of `NOTATIONS`.
        min_pixels, max_pixels: the limits of Qwen2.5-VL's processor in training.
        frames: where the pictures are now, when they were moved since the run.
        depth: how the depth maps of SpatialQA are packed, a name of `calipers.depth_codec`.
        overwrite: replace an earlier export.
    """

    turns: int | None = None
    boxes: float = 0.0
    answer_boxes: float = 0.0
    marks: float = 0.0
    seed: int = 0
    rationales: float = 0.0
    images: str | None = None
    notation: str | None = None
    min_pixels: int = QWEN_MIN_PIXELS
    max_pixels: int = QWEN_MAX_PIXELS
    frames: str | None = None
    depth: str = "spatialbot"
    overwrite: bool = False

    def filled(self, name: str, root: Path, out: Path) -> Exporting:
        """The same with the defaults of a format, for pictures in `root`.

        Raises:
            UsageError: the format is not known, or cannot hold what was asked for.
        """
        form = FORMATS.get(name)
        if form is None:
            raise UsageError(f"--format: wanted one of {', '.join(FORMATS)}, got {name!r}")
        turns = form.turns if self.turns is None else self.turns
        linkable = form.urls if is_remote(root) else not is_remote(out)
        ways = [way for way in form.images if linkable or way != "link"]
        images, notation = self.images or ways[0], self.notation or form.notation
        if images not in ways:
            why = "" if ways == list(form.images) else " where a URL is"
            raise UsageError(
                f"--images: {name} takes pictures by {' or '.join(ways)}{why}, got {images!r}"
            )
        if notation not in NOTATIONS:
            raise UsageError(f"--notation: wanted one of {', '.join(NOTATIONS)}, got {notation!r}")
        if form.single and turns != 1:
            raise UsageError(f"--turns: a record of {name} is one question, got {turns}")
        if not 0 < self.min_pixels <= self.max_pixels:
            raise UsageError(f"--min-pixels {self.min_pixels} is over --max-pixels or below 1")
        return replace(self, turns=turns, images=images, notation=notation)


def export(
    source: str | Path,
    out: str | Path,
    format: str,
    *,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    **options: Any,
) -> dict[str, Any]:
    """Write the questions of the run folder `source` into the new folder `out`.

    Args:
        source: a finished run with questions.
        out: appears whole, or not at all.
        format: one of `FORMATS`.
        progress: called as records are finished: (records so far, None).
        **options: the fields of `Exporting`.

    Returns:
        What ``export.json`` says.

    Raises:
        UsageError: an option, the run or `out` cannot be used, or the pictures are gone.
        OSError: the disk is full or `out` cannot be written.
    """
    run, out = locate(source), locate(out)
    parts, record = question_parts(run), finished(run)
    given = Exporting(**options)
    root = locate(given.frames).resolve() if given.frames else pictures_root(run, record)
    chosen = given.filled(format, root, out)
    spatial = record.get("command") == COMMAND
    if spatial and FORMATS[format].single:
        raise UsageError(f"--format: a record of {format} is one question; SpatialQA's are several")
    shares = (chosen.boxes, chosen.answer_boxes, chosen.marks)
    choice = Choice(chosen.turns or 0, *shares, chosen.seed, chosen.rationales)
    with new_folder(out, chosen.overwrite) as folder:
        pictures = Pictures(root, folder, chosen.images or MODES[0], chosen.depth)
        counts: Counter[str] = Counter()
        with created(folder / "skipped.jsonl") as log:
            found = (exchanges if spatial else conversations)(parts, choice)
            records = _records(found, pictures, counts, log, progress)
            writer = FORMATS[format].writer
            writer.write(records, folder, out.absolute(), teller(_notation(chosen)))
        done = {
            "calipers": version("calipers"),
            "format": format,
            "source": str(run.resolve()),
            "options": asdict(chosen),
            "counts": dict(counts),
        }
        write_json(folder / "export.json", done)
    return done


def _notation(chosen: Exporting) -> Notation:
    if chosen.notation == "resized":
        return resized_notation(chosen.min_pixels, chosen.max_pixels)
    return NOTATIONS[chosen.notation or "pixels"]


def _records(
    found: Iterator[Conversation],
    pictures: Pictures,
    counts: Counter[str],
    log: BinaryIO,
    progress: Callable[[int, int | None], None],
) -> Iterator[Record]:
    done = questions = 0
    for conversation in found:
        try:
            shown = pictures.of(conversation)
        except Skip as skip:
            counts["skipped"] += 1
            line = {"id": conversation.id, "stage": "export", "reason": skip.reason}
            log.write(to_json(line | {"detail": skip.detail}) + b"\n")
            continue
        yield conversation, shown
        done, questions = done + 1, questions + len(conversation.types)
        if done % 1000 == 0:
            progress(done, None)
    counts["records"], counts["questions"] = done, questions


def finished(run: Path) -> dict[str, Any]:
    """The ``run.json`` of a finished run."""
    record = read_run(run)
    if record is None:
        raise UsageError(f"{run}: holds no run (wanted a folder with run.json)")
    if record.get("status") != "complete" and record.get("command") != COMMAND:
        raise UsageError(f"{run}: its run is not finished; give its command again first")
    return record


def pictures_root(run: Path, record: Mapping[str, Any]) -> Path:
    """The folder that the pictures of a run are in, which has this ``run.json``.

    Raises:
        UsageError: it does not say.
    """
    made_by = {"options": record} if record.get("command") == COMMAND else record
    path = input_folder(made_by)
    if path is None:
        raise UsageError(f"{run}: does not say where its pictures are; say where: --frames FOLDER")
    return path.parent if path.is_file() else path


@contextmanager
def new_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """A folder beside `out` that takes its name when the block ends; gone when it raises."""
    old = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if old and not (overwrite and (out / "export.json").is_file()):
        hint = "" if overwrite else "; give --overwrite or another folder"
        what = "is not empty" if (out / "export.json").is_file() else "holds something else"
        raise UsageError(f"{out}: {what}{hint}")
    with (_in_place if is_remote(out) else _renamed)(out) as folder:
        yield folder


@contextmanager
def _in_place(out: Path) -> Iterator[Path]:
    if out.exists():
        _remove(out)
    write_json(out / "export.json", {"status": "unfinished"})
    try:
        yield out
    except BaseException:
        _remove(out)
        raise


def _remove(folder: Any) -> None:
    folder.rmdir(recursive=True)


@contextmanager
def _renamed(out: Path) -> Iterator[Path]:
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.absolute().parent / f".{out.name}.{os.getpid()}.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
        for path in (*folder.glob("*"), *folder.glob("data/*")):
            if path.is_file():
                _to_disk(path)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
