"""Which records repeat an id, found in memory that does not grow with the records."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]

HELD = 1 << 20
"""Ids in memory before they go to temporary files; 16 bytes each."""
FILES = 64
"""Temporary files; an id's hash says which, so each can be looked through alone."""

_ENTRY = np.dtype([("hash", np.uint64), ("place", np.int64)])


class Repeats:
    """Takes ids in order and tells the places of those that an earlier record has.

    Ids are compared by 64 bits of BLAKE2b: two of ten million differ and are taken for one with a
    chance of 3 in a million.

    >>> repeats = Repeats()
    >>> for name in ("a", "b", "a"): repeats.add(name)
    >>> repeats.places().tolist()
    [2]
    """

    def __init__(self, held: int = HELD) -> None:
        self.count = 0
        self._held = held
        self._hashes, self._places = array("Q"), array("q")
        self._files: list[IO[bytes]] = []
        self._stack = ExitStack()

    def add(self, name: str) -> None:
        """Take the id of the next record."""
        digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
        self._hashes.append(int.from_bytes(digest, "little"))
        self._places.append(self.count)
        self.count += 1
        if len(self._hashes) == self._held:
            self._spill()

    def skip(self, count: int) -> None:
        """Pass over records whose ids are known to be different from all others."""
        self.count += count

    def places(self) -> Places:
        """The places, in rising order; ends the taking."""
        if not self._files:
            return _repeated(self._entries())
        self._spill()
        with self._stack:
            found = [_repeated(entries) for entries in self._spilled()]
        return np.sort(np.concatenate(found))

    def _entries(self) -> NDArray[np.void]:
        entries = np.empty(len(self._hashes), _ENTRY)
        entries["hash"] = self._hashes
        entries["place"] = self._places
        return entries

    def _spill(self) -> None:
        if not self._files:
            self._files = [self._stack.enter_context(_temporary()) for _ in range(FILES)]
        entries = self._entries()
        which = entries["hash"] % np.uint64(FILES)
        for number, file in enumerate(self._files):
            file.write(entries[which == number].tobytes())
        self._hashes, self._places = array("Q"), array("q")

    def _spilled(self) -> Iterator[NDArray[np.void]]:
        for file in self._files:
            file.seek(0)
            yield np.frombuffer(file.read(), _ENTRY)


def _temporary() -> IO[bytes]:
    return TemporaryFile()


def _repeated(entries: NDArray[np.void]) -> Places:
    order = np.argsort(entries["hash"], kind="stable")
    ranked = entries["hash"][order]
    again = order[1:][ranked[1:] == ranked[:-1]]
    places: Places = np.sort(entries["place"][again])
    return places
