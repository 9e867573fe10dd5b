"""Results of experts on disk, one file a picture and expert, exact to the last bit.

A result is a tree of plain values with arrays at its leaves: the arrays stand one after another,
compressed, behind a line of JSON that says what they are. Nothing is unpickled. A file appears
whole or not at all; one that cannot be read counts as absent.

A key names all that decides a result, the code included: `FORMAT`, the version of Calipers, and
the source of the adapter (`source_digest`), so that no result outlives what made it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from calipers.experts.base import DepthMap, Gravity, Proposal
from calipers.types import Camera

_RECORDS: Final = {kind.__name__: kind for kind in (Proposal, DepthMap, Gravity, Camera)}
_MAGIC: Final = b"calipers-expert-1\n"
_HERE: Final = "calipers.experts."
_IMPORT: Final = re.compile(r"^\s*from (calipers\.experts\.\w+) import", re.MULTILINE)
_NO_ADAPTERS: Final = frozenset({_HERE + "choice", _HERE + "table"})

FORMAT: Final = 2
"""Raised when results of the same code come to mean something else, or are written otherwise."""


class Absent:
    """What `Cache.get` returns for a result that is not there (None is a result)."""


ABSENT: Final = Absent()


def cache_folder() -> Path:
    """``$CALIPERS_CACHE``, or ``calipers`` in the user's folder of caches."""
    given = os.environ.get("CALIPERS_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "calipers"


def picture_hash(rgb: NDArray[np.uint8]) -> str:
    """Name a picture by its pixels: 32 hexadecimal digits."""
    digest = blake2b(repr(rgb.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


def key_of(*parts: Any) -> str:
    """Name a result by all that decides it; arrays count by shape, type and bytes.

    `FORMAT` and the version of Calipers are parts of every key.

    >>> key_of("a", 1) == key_of("a", 1), key_of("a", np.zeros(2)) == key_of("a", np.zeros(3))
    (True, False)
    """
    arrays: list[NDArray[Any]] = []
    tree = json.dumps([FORMAT, _version(), _pack(list(parts), arrays)], sort_keys=True)
    digest = blake2b(tree.encode(), digest_size=20)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@cache
def _version() -> str:
    return version("calipers")


@cache
def source_digest(target: str) -> str:
    """Hash the source of an adapter, without importing it: 16 hexadecimal digits.

    What it takes from other modules of `calipers.experts` counts as well; of somebody else's
    adapter only its own file does. A file that cannot be found or read counts as empty.

    Args:
        target: "module:Class".
    """
    todo, seen = [target.partition(":")[0]], set(_NO_ADAPTERS)
    digest = blake2b(digest_size=8)
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            source = _source(module)
            digest.update(source)
            if module.startswith(_HERE):
                todo += sorted(_IMPORT.findall(source.decode(errors="replace")))
    return digest.hexdigest()


def _source(module: str) -> bytes:
    try:
        found = find_spec(module)
        return Path(found.origin).read_bytes() if found and found.origin else b""
    except (ImportError, ValueError, OSError):
        return b""


class Cache:
    """A folder of results; None as folder keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, key: str) -> Any:
        """The result of a key, or `ABSENT`."""
        if self.folder is None:
            return ABSENT
        try:
            return _decode(self._path(self.folder, key).read_bytes())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return ABSENT

    def put(self, key: str, result: Any) -> None:
        """Keep a result; a reader sees all of it or nothing."""
        if self.folder is None:
            return
        path = self._path(self.folder, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            temporary.write_bytes(b"".join(_encode(result)))
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / key[:2] / key[2:]


def _encode(result: Any) -> Iterator[bytes]:
    arrays: list[NDArray[Any]] = []
    tree = _pack(result, arrays)
    raw = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    head = json.dumps({"tree": tree, "bytes": len(raw)}).encode()
    body = pa.compress(raw, codec="zstd", asbytes=True) if raw else b""
    checksum = blake2b(head + body, digest_size=8).hexdigest().encode()
    yield from (_MAGIC, checksum, b"\n", head, b"\n", body)


def _decode(data: bytes) -> Any:
    magic, checksum, rest = data.split(b"\n", 2)
    if magic + b"\n" != _MAGIC:
        raise ValueError("not a result of an expert")
    head, _, body = rest.partition(b"\n")
    if blake2b(head + body, digest_size=8).hexdigest().encode() != checksum:
        raise ValueError("the file was cut short or changed")
    found = json.loads(head)
    size = found["bytes"]
    raw = pa.decompress(body, size, codec="zstd", asbytes=True) if size else b""
    return _unpack(found["tree"], bytearray(raw))


def _pack(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        start = sum(array.nbytes for array in arrays)
        arrays.append(value)
        return {"array": [value.dtype.str, list(value.shape), start]}
    if isinstance(value, list):
        return [_pack(item, arrays) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_pack(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[key, _pack(item, arrays)] for key, item in value.items()]}
    if is_dataclass(value) and type(value).__name__ in _RECORDS:
        rows = {f.name: _pack(getattr(value, f.name), arrays) for f in fields(value)}
        return {"record": [type(value).__name__, rows]}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _unpack(tree: Any, raw: bytearray) -> Any:
    if isinstance(tree, list):
        return [_unpack(item, raw) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "array":
        dtype, shape, start = content
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(raw, np.dtype(dtype), count, start).reshape(shape)
    if kind == "tuple":
        return tuple(_unpack(item, raw) for item in content)
    if kind == "dict":
        return {key: _unpack(item, raw) for key, item in content}
    name, rows = content
    return _RECORDS[name](**{key: _unpack(item, raw) for key, item in rows.items()})
