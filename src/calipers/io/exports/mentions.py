"""Places in a text where an object is named, so that its box or its mark can stand behind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

Box = tuple[float, float, float, float]


class Mention(NamedTuple):
    """An object named in a text.

    Attributes:
        name: as it stands there.
        box_xyxy: the object's box, pixels of the picture; None where its mark is wanted.
        number: the object's mark, from 1.
    """

    name: str
    box_xyxy: Box | None
    number: int


Text = str | tuple[str | Mention, ...]
"""A text; with mentions, its pieces in order."""

_SPECIAL = re.compile(r"<(?=[|/]?[A-Za-z_])")


def harmless(text: str) -> str:
    """Break what a trainer would take for a token of its own, as "<image>" in a caption.

    >>> harmless("a sign that says <image> and 1 < 2")
    'a sign that says < image> and 1 < 2'
    """
    return _SPECIAL.sub("< ", text) if "<" in text else text


@lru_cache(maxsize=4096)
def _finder(name: str) -> re.Pattern[str]:
    first = re.escape(name[:1])
    if name[:1].upper() != name[:1]:
        first = f"[{first}{re.escape(name[0].upper())}]" if len(name[0].upper()) == 1 else first
    return re.compile(rf"(?<!\w){first}{re.escape(name[1:])}(?!\w)")


def place(text: str, objects: Iterable[Mention]) -> Text:
    """Find the first place where each object is named; the text itself when none is.

    Longer names are looked for first, so that "the box" is not found inside "the box on the left".

    >>> place("The box is red.", [Mention("the box", None, 2)])
    (Mention(name='The box', box_xyxy=None, number=2), ' is red.')
    """
    found: list[tuple[int, int, Mention]] = []
    for item in sorted(objects, key=lambda item: -len(item.name)):
        for match in _finder(item.name).finditer(text) if item.name else ():
            start, end = match.span()
            if all(end <= a or b <= start for a, b, _ in found):
                found.append((start, end, Mention(text[start:end], *item[1:])))
                break
    return _pieces(text, sorted(found)) if found else text


def _pieces(text: str, found: list[tuple[int, int, Mention]]) -> tuple[str | Mention, ...]:
    pieces: list[str | Mention] = []
    at = 0
    for start, end, mention in found:
        if start > at:
            pieces.append(text[at:start])
        pieces.append(mention)
        at = end
    if at < len(text):
        pieces.append(text[at:])
    return tuple(pieces)
