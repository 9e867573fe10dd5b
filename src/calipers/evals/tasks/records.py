"""Records of a benchmark's download: JSON, JSON lines, CSV, TSV or Parquet, a file or a folder."""

from __future__ import annotations

import base64
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from calipers.errors import UsageError

Record = Mapping[str, Any]
SUFFIXES = (".parquet", ".jsonl", ".json", ".tsv", ".csv")


def records(path: Path, parts: Sequence[str] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Records with the name of the file (without suffix) that each is from, in order of files.

    Of a folder the files of the first of `SUFFIXES` that it has; pictures in Parquet are not
    decoded.

    Args:
        path: a file, or a folder with such files anywhere in it.
        parts: of a folder only files whose path holds one of these.

    Raises:
        UsageError: there are none, or one cannot be read.
    """
    for file in _files(path, parts):
        try:
            for record in _read(file):
                if not isinstance(record, dict):
                    raise UsageError(f"{file}: wanted records, got {type(record).__name__}")
                yield file.stem, record
        except (ValueError, OSError, csv.Error) as error:
            raise UsageError(f"{file}: cannot be read as records ({error})") from error


def _files(path: Path, parts: Sequence[str]) -> list[Path]:
    if path.is_file():
        return [path]
    for suffix in SUFFIXES:
        found = sorted(path.rglob(f"*{suffix}"))
        names = {file: str(file.relative_to(path)) for file in found}
        found = [f for f in found if not parts or any(part in names[f] for part in parts)]
        if found:
            return found
    hint = f" with {' or '.join(parts)} in their names" if parts else ""
    raise UsageError(f"{path}: holds no {', '.join(SUFFIXES)} files{hint}")


def _read(file: Path) -> Iterator[Any]:
    if file.suffix == ".parquet":
        yield from _parquet(file)
    elif file.suffix == ".jsonl":
        with file.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines if line.strip())
    elif file.suffix == ".json":
        found = json.loads(file.read_text("utf-8"))
        yield from found if isinstance(found, list) else [found]
    else:
        csv.field_size_limit(sys.maxsize)  # pictures in base64
        with file.open(encoding="utf-8", newline="") as lines:
            dialect = "excel-tab" if file.suffix == ".tsv" else "excel"
            yield from csv.DictReader(lines, dialect=dialect)


def _parquet(file: Path) -> Iterator[dict[str, Any]]:
    """Rows; big files a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as source:
            for batch in source.iter_batches(batch_size=256):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise ValueError(str(error)) from error


def text(record: Record, name: str, *others: str) -> str:
    """A field that has to be there, as text; the first of several names that is.

    Raises:
        UsageError: there is none.
    """
    for one in (name, *others):
        if record.get(one) is not None:
            return str(record[one])
    raise UsageError(f"a record has no {name!r}, only {', '.join(map(repr, record))}")


SIGNS: Mapping[bytes, str] = {
    b"\x89PNG": "png",
    b"\xff\xd8": "jpeg",
    b"RIFF": "webp",
    b"GIF8": "gif",
}
"""How the bytes of a picture begin → their type."""


def picture(value: Any) -> str:
    """The picture of a field, as a data URL of its bytes, else its path; "" without one.

    Args:
        value: a path, the bytes, the bytes in base64, or a record of bytes and path.
    """
    if isinstance(value, dict):
        return picture(value.get("bytes") or None) or picture(value.get("path"))
    if isinstance(value, bytes):
        return _url(value, base64.b64encode(value).decode())
    if not isinstance(value, str) or len(value) < 1000 or value.startswith("data:"):
        return value if isinstance(value, str) else ""
    try:
        return _url(base64.b64decode(value[:16]), value)
    except ValueError:
        return ""


def pictures(record: Record, *names: str) -> tuple[str, ...]:
    """All pictures of some fields that hold one or a list of them."""
    values = [record.get(name) for name in names]
    each = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return tuple(found for found in map(picture, each) if found)


def _url(begin: bytes, text: str) -> str:
    kind = next((kind for sign, kind in SIGNS.items() if begin.startswith(sign)), None)
    return f"data:image/{kind};base64,{text}" if kind else ""


def short(name: str) -> str:
    """A picture's name; of a data URL a few letters that stand for its bytes.

    >>> short("a.png"), short("data:image/png;base64,YWJj")
    ('a.png', 'bytes-fb2b7571a1529a27')
    """
    if not name.startswith("data:"):
        return name
    return f"bytes-{blake2b(name.encode(), digest_size=8).hexdigest()}"


def letter(answer: str) -> str | None:
    """The letter of "(A)", "A" or "A."; None for anything else ("hidden").

    >>> letter("(B)"), letter("c."), letter("hidden")
    ('B', 'C', None)
    """
    bare = answer.strip().strip("().").upper()
    return bare if len(bare) == 1 and bare.isalpha() else None
