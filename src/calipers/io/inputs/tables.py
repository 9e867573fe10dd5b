"""Parquet: data sets with the pictures inside, and listings of files.

A column ``image`` of `datasets`' Image type (or of plain bytes) holds the picture, one called
``depth`` or ``depth_image`` its depth map; a column ``file_name`` is a path instead. All other
columns are fields of the record. While records are listed, no picture is read.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calipers.errors import Skip, UsageError
from calipers.io.files import below, locate, readable
from calipers.io.inputs.listings import JSON_FIELDS, from_cell
from calipers.io.inputs.repeats import Repeats
from calipers.io.inputs.shards import FrameSource, Line, Lines, Refused
from calipers.io.records import record_id

PICTURES = {
    "file_name": "file_name",
    "image": "file_name",
    "depth_file_name": "depth_file_name",
    "depth": "depth_file_name",
    "depth_image": "depth_file_name",
}
"""Column → the field that it fills, with its text or with the name of the cell."""

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of one file, named relative to the root."""

    name: str
    first: int
    count: int


def spans(names: Sequence[str], ends: Sequence[int], first: int, count: int) -> Iterator[Span]:
    """The rows of files one after another from the place `first` on.

    >>> list(spans(["a", "b"], [3, 5], 2, 2))
    [Span(name='a', first=2, count=1), Span(name='b', first=0, count=1)]
    """
    while count:
        at = bisect_right(ends, first)
        start = ends[at - 1] if at else 0
        taken = min(count, ends[at] - first)
        yield Span(names[at], first - start, taken)
        first, count = first + taken, count - taken


@dataclass(frozen=True, slots=True)
class SpanIndex:
    """The records of files, one file after another; `take` makes lines of spans of them."""

    names: tuple[str, ...]
    ends: tuple[int, ...]
    take: Callable[[tuple[Span, ...]], Lines]

    def __len__(self) -> int:
        return self.ends[-1]

    def lines(self, first: int, count: int) -> Lines:
        """Some of the records."""
        return self.take(tuple(spans(self.names, self.ends, first, count)))


@dataclass(frozen=True, slots=True)
class TableLines:
    """Some rows of Parquet files; all columns but those with pictures are read."""

    root: str
    spans: tuple[Span, ...]

    def read(self) -> Iterator[Line]:
        """Yield them; the rows of a file that cannot be read are refused."""
        for span in self.spans:
            try:
                with pq.ParquetFile(readable(locate(self.root) / span.name)) as file:
                    yield from _lines(file, span)
            except (OSError, pa.ArrowException) as error:
                why = str(error).splitlines()[0]
                yield from _refused(span, why)


def _refused(span: Span, why: str) -> Iterator[Line]:
    for row in range(span.first, span.first + span.count):
        name = f"{span.name}/{row}"
        yield Refused({"file_name": name}, Skip("unreadable_file", f"{name}: {why}"))


def _lines(file: pq.ParquetFile, span: Span) -> Iterator[Line]:
    held = _held(file)
    leaves = (file.schema.column(k).path for k in range(len(file.schema.names)))
    columns = [leaf for leaf in leaves if _is_field(leaf, held)]
    groups = range(file.num_row_groups)
    starts = list(accumulate((file.metadata.row_group(g).num_rows for g in groups), initial=0))
    group = bisect_right(starts, span.first) - 1
    row, stop = starts[group], span.first + span.count
    for batch in file.iter_batches(_BATCH, row_groups=list(groups[group:]), columns=columns):
        if row + len(batch) > span.first:
            for k, record in enumerate(batch.to_pylist(), start=row):
                if span.first <= k < stop:
                    yield _line(record, held, f"{span.name}/{k}")
        row += len(batch)
        if row >= stop:
            return


def _held(file: pq.ParquetFile) -> Mapping[str, bool]:
    """The columns of `PICTURES` that are no texts → whether the pictures are inside."""
    schema = file.schema_arrow
    names = [field.name for field in schema if field.name in PICTURES and not _is_text(field.type)]
    return {name: not _is_empty(file, f"{name}.bytes") for name in names}


def _is_empty(file: pq.ParquetFile, leaf: str) -> bool:
    """Whether statistics say that a column of bytes has none: an Image that is only a path."""
    leaves = [file.schema.column(k).path for k in range(len(file.schema.names))]
    if leaf not in leaves:
        return False
    at = leaves.index(leaf)
    groups = map(file.metadata.row_group, range(file.num_row_groups))
    counts = [(g.num_rows, g.column(at).statistics) for g in groups]
    return all(s is not None and s.has_null_count and s.null_count == rows for rows, s in counts)


def _is_field(leaf: str, held: Mapping[str, bool]) -> bool:
    column, _, rest = leaf.partition(".")
    return column not in held or rest == "path"


def _is_text(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    return any(test(kind) for test in tests)


def _line(record: dict[str, Any], held: Mapping[str, bool], cell: str) -> Line:
    line: Line = {}
    for name, inside in held.items():
        path = (record.pop(name, None) or {}).get("path")
        suffix = PurePosixPath(path or "").suffix
        line[PICTURES[name]] = f"{cell}/{name}{suffix}" if inside else path
    for name, value in record.items():
        line[PICTURES.get(name, name)] = value
    for name in JSON_FIELDS:
        if name in line:
            line[name] = _of_contract(name, from_cell(line[name]))
    return line


def _of_contract(name: str, value: Any) -> Any:
    """Nine numbers as a matrix, a list of objects as lists; anything else as it is."""
    if name == "intrinsics" and isinstance(value, list) and len(value) == 9:
        return [value[0:3], value[3:6], value[6:9]]
    if name == "objects" and isinstance(value, list) and all(isinstance(v, Mapping) for v in value):
        names = dict.fromkeys(name for item in value for name in item)
        return {name: [item.get(name) for item in value] for name in names}
    return value


def open_tables(path: Path, root: Path, files: Sequence[Path]) -> FrameSource:
    """Parquet files as one input.

    Raises:
        UsageError: a file is none, or has no column with pictures; there is no row.
    """
    names = tuple(below(file, root) for file in files)
    digest, counts = blake2b(digest_size=16), []
    for file, name in zip(files, names):
        counts.append(_count(file))
        digest.update(f"{name} {file.stat().st_size}\n".encode(errors="surrogateescape"))
        digest.update(_footer(file))
    if not sum(counts):
        raise UsageError(f"{path} has no records")
    index = SpanIndex(names, tuple(accumulate(counts)), partial(TableLines, str(root)))
    return FrameSource(path, root, index, _repeats(files), digest.hexdigest())


def _count(file: Path) -> int:
    try:
        with pq.ParquetFile(readable(file)) as table:
            schema, rows = table.schema_arrow, table.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise UsageError(f"{file}: not a readable Parquet file ({why})") from error
    if not {"file_name", "image"} & set(schema.names):
        found = ", ".join(schema.names)
        raise UsageError(f"{file}: wanted a column image or file_name, got {found}")
    return int(rows)


def _footer(path: Path) -> bytes:
    """The end of a Parquet file, where sizes and extremes of all columns stand."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little") + 8
        file.seek(-length, os.SEEK_END)
        return file.read(length)


def _repeats(files: Sequence[Path]) -> np.ndarray[Any, np.dtype[np.int64]]:
    repeats = Repeats()
    for file in files:
        with pq.ParquetFile(readable(file)) as table:
            names = [name for name in ("id", "file_name", "image") if name in _texts(table)]
            if not names:  # the names of cells are all different
                repeats.skip(table.metadata.num_rows)
                continue
            for batch in table.iter_batches(4096, columns=names):
                for record in batch.to_pylist():
                    line = {PICTURES.get(name, name): value for name, value in record.items()}
                    repeats.add(record_id(line, repeats.count))
    return repeats.places()


def _texts(table: pq.ParquetFile) -> set[str]:
    schema = table.schema_arrow
    texts = {f.name for f in schema if _is_text(f.type) or pa.types.is_integer(f.type)}
    return texts if "id" in texts or "file_name" in texts or "image" in texts else set()
