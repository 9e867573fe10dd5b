"""An input cut into shards: what every kind of input has in common.

An input is looked through once, by `Index`es that keep a few bytes a shard, not a record. A shard
is small, can be sent to any process, and reads its records again from where they lie.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from calipers.errors import Skip

STRIDE = 32
"""An index of lines remembers where every 32nd record starts."""

Line = dict[str, Any]
"""A record as it stands in ``metadata.jsonl``."""


class Unready(dict[str, Any], ABC):
    """A record that needs another look, in the process that reads its picture."""

    @abstractmethod
    def ready(self, root: Path) -> Line:
        """The whole record.

        Raises:
            Skip: it cannot be made whole.
        """


class Refused(Unready):
    """A record that cannot be read as far as its fields; `skip` says why."""

    def __init__(self, line: Line, skip: Skip) -> None:
        super().__init__(line)
        self.skip = skip

    def ready(self, root: Path) -> Line:
        """Raise `skip`."""
        raise self.skip


class Lines(Protocol):
    """The records of a shard, wherever they are; can be pickled."""

    def read(self) -> Iterator[Line]:
        """Yield them in order, in the form of ``metadata.jsonl``, without opening pictures."""
        ...


class Index(Protocol):
    """The records of an input."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def lines(self, first: int, count: int) -> Lines:
        """Those from the place `first` on."""
        ...


@dataclass(frozen=True, slots=True)
class Shard:
    """A run of records that one worker reads; small, and all that it needs.

    Attributes:
        folder: the folder that file names are relative to, resolved.
        index: the shard's place in the run, from 0.
        first_record: the place of its first record in the input, from 0.
        count: how many records it has.
        lines: where they come from.
        duplicates: places (in the input) of its records whose id an earlier record has.
    """

    folder: str
    index: int
    first_record: int
    count: int
    lines: Lines
    duplicates: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class FrameSource:
    """An input that has been looked through once.

    Attributes:
        path: what was given, resolved.
        root: the folder that file names are relative to, resolved.
        index: its records.
        duplicates: rising places of the records whose id an earlier record has.
        digest: changes when the records do.
    """

    path: Path
    root: Path
    index: Index
    duplicates: NDArray[np.int64]
    digest: str

    def __len__(self) -> int:
        return len(self.index)

    def shards(self, size: int, limit: int | None = None) -> Iterator[Shard]:
        """Cut the input into runs of `size` records, at most `limit` records in all."""
        total = len(self) if limit is None else min(limit, len(self))
        for index, first in enumerate(range(0, total, size)):
            count = min(size, total - first)
            start, stop = np.searchsorted(self.duplicates, (first, first + count))
            yield Shard(
                str(self.root),
                index,
                first,
                count,
                self.index.lines(first, count),
                frozenset(self.duplicates[start:stop].tolist()),
            )
