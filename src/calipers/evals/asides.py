"""Which of several lengths in a text may be its answer.

======================================================  ========================================
in the text                                             counts
======================================================  ========================================
``1.5 m, give or take 20 cm``, ``accurate to 0.1 m``    1.5 m: a tolerance is never an answer
``1.5 m (the door is 2 m)``                             1.5 m: brackets behind a length are an
                                                        aside, unless they reckon (``3 × 1 = 3``)
``1.5 m, not 2 m``, ``1.5 m, assuming a door of 2 m``,  1.5 m: what it is not, or stands beside
``rather than``, ``instead of``, ``compared with``
``1.2 m x 0.5 m``, ``1 m tall and 2 m wide``            none: sides of a box, or a product
======================================================  ========================================

Every rule looks at what stands between two lengths, so a text with one of them costs nothing.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple


class Mention(NamedTuple):
    """The least and the greatest that a part of a text can mean, and where that part stands."""

    low: float
    high: float
    start: int
    end: int

    @property
    def middle(self) -> float:
        """What counts of a range."""
        return (self.low + self.high) / 2


ABOUT = (
    r"(?:(?:about|around|approximately|approx\.?|roughly|nearly|almost|maybe|perhaps|at least"
    r"|at most|up to|some)\s*)?"
)
"""What may stand before a number and says nothing else."""

_SIDES = {"wide": 0, "broad": 0, "tall": 1, "high": 1, "long": 2, "deep": 3, "thick": 4}
_SIDE = rf"(?:{'|'.join(_SIDES)})"
_WAY = rf"(?:\s*\b(?:{_SIDE}|away|apart|across|off))?"
_SIDE_WORD = re.compile(rf"[\s-]*({_SIDE})\b", re.IGNORECASE)
_TIMES = re.compile(rf"[\s-]*{_SIDE}?\s*(?:([×*])|\bby\b|x)\s*{ABOUT}", re.IGNORECASE)
_AND_ANOTHER = re.compile(rf"[\s-]*{_SIDE}\s*(?:,\s*(?:and\b)?|and\b)\s*{ABOUT}", re.IGNORECASE)

_TOLERANCE = re.compile(
    r"(?:±|\+/-|\+-|\bgive or take"
    r"|\b(?:error|error margin|uncertainty|tolerance|accuracy|precision|accurate)\b"
    rf"(?:\s*[:=]|\s+(?:is|of|to|within)\b)*)\s*{ABOUT}$",
    re.IGNORECASE,
)
_NOT = re.compile(rf"{_WAY}\s*[,;]?\s*(?:\band )?\bnot\s+{ABOUT}", re.IGNORECASE)
_TURNS = "and|so|but|then|thus|therefore|hence|which|when|while|whereas|if"
_BESIDE = re.compile(
    rf"(?:(?!\b(?:{_TURNS}|is|are|was|were)\b)[^.;:,!?\n])*,?\s*\b"
    r"(?:rather than|instead of|as opposed to|(?:when )?compared (?:with|to)|assuming)\b"
    rf"(?:(?!\b(?:{_TURNS})\b)[^.;:,!?\n])*",
    re.IGNORECASE,
)
_OPENS = re.compile(rf"{_WAY}\s*\(", re.IGNORECASE)
_FAR = 120
"""Letters between two lengths, beyond which one is no aside to the other."""


def are_sides(text: str, end: int, start: int, after: int, has_unit: bool) -> bool:
    """Whether two numbers are multiplied, or two sides of one thing.

    Args:
        text: what holds them.
        end: where the first one ends.
        start: where the second one starts.
        after: where it ends.
        has_unit: the second one has a unit, or the first has none either.

    >>> are_sides("2 x 3 m", 1, 4, 7, True), are_sides("2 m wide, 3 m tall", 3, 10, 13, True)
    (True, True)
    >>> are_sides("2 m wide, 3 m away", 3, 10, 13, True)
    False
    """
    times = _TIMES.fullmatch(text, end, start)
    if times:
        return has_unit or times[1] is not None
    if not _AND_ANOTHER.fullmatch(text, end, start):
        return False
    one, other = _SIDE_WORD.match(text, end), _SIDE_WORD.match(text, after)
    return bool(one and other and _SIDES[one[1].lower()] != _SIDES[other[1].lower()])


def without_asides(text: str, said: list[Mention]) -> list[Mention]:
    """The mentions that may be what a text answers, the first one always."""
    kept = said[:1]
    closed = 0
    for before, one in pairwise(said):
        if before.start >= closed:
            closed = _closed(text, before.end, one.start)
        if one.start >= closed and not _is_aside(text, before.end, one.start):
            kept.append(one)
    return kept


def _closed(text: str, end: int, start: int) -> int:
    """Where brackets end that open between two places and hold an aside; 0 without any."""
    opens = _OPENS.match(text, end, start)
    if opens is None:
        return 0
    close = text.find(")", opens.end())
    close = len(text) if close < 0 else close
    return 0 if "=" in text[opens.end() : close].lstrip("= ") else close


def _is_aside(text: str, end: int, start: int) -> bool:
    if _TOLERANCE.search(text, max(end, start - _FAR), start):
        return True
    near = start - end <= _FAR
    return near and bool(_NOT.fullmatch(text, end, start) or _BESIDE.fullmatch(text, end, start))
