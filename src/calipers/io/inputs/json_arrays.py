"""Walk through a large JSON file without holding it: where the members of its lists lie.

The file is read a piece at a time as Latin-1, in which a byte is a character, so places in the text
are places in the file; JSON's own signs are ASCII and the bytes of other letters never look like
them. Values that come out this way are only good for their numbers; read the bytes for texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from calipers.errors import UsageError
from calipers.io.inputs.listings import open_listing

PIECE = 8 << 20
"""Bytes read at a time."""

_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


class Member(NamedTuple):
    """One member of a list: of which list, what it says, and where it lies, bytes."""

    key: str
    value: Any
    offset: int
    length: int


class _Text:
    """The file from `base` on, as far as it was read."""

    def __init__(self, path: Path, piece: int) -> None:
        self.path, self.piece = path, piece
        self.file = open_listing(path)
        self.text, self.at, self.base = "", 0, 0
        self.more()
        if self.text.startswith("\xef\xbb\xbf"):
            self.at = 3

    def more(self) -> bool:
        """Read on; whether there was anything."""
        piece = self.file.read(max(self.piece, len(self.text) - self.at))
        self.base += self.at
        self.text, self.at = self.text[self.at :] + piece.decode("latin-1"), 0
        return bool(piece)

    def sign(self) -> str:
        """The next sign that is no space, which stays; "" at the end."""
        while True:
            match = _SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text) or not self.more():
                return self.text[self.at : self.at + 1]

    def take(self, wanted: str) -> str:
        """Pass over one of some signs."""
        found = self.sign()
        if not found or found not in wanted:
            raise self.fault(f"wanted one of {wanted}, got {found or 'the end'}")
        self.at += 1
        return found

    def value(self) -> tuple[Any, int, int]:
        """The next value, and the bytes where it starts and ends."""
        self.sign()
        while True:
            try:
                value, end = _decode(self.text, self.at)
            except ValueError as error:
                if not self.more():
                    raise self.fault(str(error)) from error
                continue
            if end == len(self.text) and self.more():  # a number may go on
                continue
            start, self.at = self.at, end
            return value, self.base + start, self.base + end

    def fault(self, why: str) -> UsageError:
        """What is wrong with the file."""
        return UsageError(f"{self.path}: not readable as JSON, byte {self.base + self.at}: {why}")


def members(path: Path, keys: Collection[str], piece: int = PIECE) -> Iterator[Member]:
    """The members of some lists of the object that a JSON file holds, in the file's order.

    Args:
        path: the file.
        keys: names of lists; whatever else the object has is passed over.
        piece: bytes read at a time.

    Raises:
        UsageError: it cannot be read, is no JSON, or holds no object.
    """
    text = _Text(path, piece)
    with text.file:
        text.take("{")
        while text.sign() != "}":
            key, _, _ = text.value()
            text.take(":")
            if key in keys and text.sign() == "[":
                yield from _list_members(text, key)
            else:
                text.value()
            if text.take(",}") == "}":
                return


def _list_members(text: _Text, key: str) -> Iterator[Member]:
    text.take("[")
    if text.sign() == "]":
        text.take("]")
        return
    while True:
        value, start, end = text.value()
        yield Member(key, value, start, end - start)
        if text.take(",]") == "]":
            return
