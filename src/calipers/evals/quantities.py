"""Read lengths and areas out of free text; the unit is never ignored.

======================================  ==========================================================
in the text                             read as
======================================  ==========================================================
``1.5 m``, ``5'3"``, ``5 feet 11``,     metres; parts of one length are added
``1 m 20 cm``, ``1m20``, ``2 m, 30 cm``
``two and a half feet``, ``half a       words for numbers, fractions (``1 1/2``, ``½``), powers of
meter``, ``1.5 × 10^2 cm``              ten: see `calipers.evals.numerals`
``2-3 m``, ``1~2 m``, ``between about   a range, taken as its middle (as Q-Spatial takes the mean)
1 and about 2 m``, ``2 or 3 m``
``1.5 m ± 0.2 m``, ``1.5 m, plus or     the first: of a tolerance nothing is read
minus 20 cm``
``1,200 m``, ``1 200 m``, ``0,25 m``    1200 and 0.25: a comma before three digits parts thousands
``\\scalar{2} \\distance_unit{m}``      Q-Spatial's form; the last of each, in any order
``2 (meters)``, ``"unit": "m"``         a unit in brackets, or as a key of its own
``In meters: 2``, ``"width_m": 2``      a unit before a colon, where none follows the number
``1.5``                                 only when the question asks for a unit, and what follows
                                        is no other word: ``3 hands``, ``80 kg`` are nothing
``3 m²``, ``1.5 m/s``, ``2 m squared``  nothing, asked for a length: another unit is no length
``-0.5 m``, ``minus 2 m``, ``1e400 m``  nothing: no length is negative or endless
several                                 the last one that is no aside and no side of a box (see
                                        `calipers.evals.asides`); of two that agree within 6 %
                                        ("1.2 m = 4 ft") the first
======================================  ==========================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from calipers.evals.asides import ABOUT, Mention, are_sides, without_asides
from calipers.evals.numerals import NUMBER, value
from calipers.evals.numerals import NUMBER_WORDS as NUMBER_WORDS
from calipers.evals.numerals import in_digits as in_digits
from calipers.evals.wording import plain, with_articles
from calipers.units import FOOT_M, INCH_M, UNITS_M

SAME_LENGTH = 0.06
"""Two lengths that differ by less are one, said in two units."""
ENDLESS = 1e30
"""Metres that nothing in the world has; a number beyond is no answer."""
_UNIT_KEY = re.compile(r"\bunits?[\"']?\s*[:=]\s*[\"']?([A-Za-zμ]+²?)", re.IGNORECASE)


class Quantity(NamedTuple):
    """A length in metres, or an area in square metres; of a range its middle and its ends."""

    value: float
    low: float
    high: float


AREAS = {
    **{f"{unit}²": metres * metres for unit, metres in UNITS_M.items() if unit.isalpha()},
    **{f"square {unit}": metres * metres for unit, metres in UNITS_M.items() if unit.isalpha()},
    **{f"sq {unit}": metres * metres for unit, metres in UNITS_M.items() if unit.isalpha()},
    **{f"{unit} squared": metres * metres for unit, metres in UNITS_M.items() if unit.isalpha()},
    "sqm": 1.0,
    "sqft": UNITS_M["ft"] ** 2,
}
"""Unit of an area → square metres."""


_NOT_IN = (
    r"(?!in\s+(?:the|an?|this|that|front|total|all|each|both|my|its|your|our|their|height|width"
    r"|depth|length|diameter|size|between)\b)"
)
_NO_MORE = r"(?![A-Za-zÀ-ÿμ²³^\d]|\s*/\s*[A-Za-z]|\s+(?:per|squared|cubed|sq|carrés?|cubes?)\b)"
"""What may not follow a unit: it would be another one, such as m², m/s or feet per second."""


class _Reader(NamedTuple):
    """How one dimension is read: its units, and numbers with one of them or none."""

    units: Mapping[str, float]
    token: re.Pattern[str]


def _reader(units: Mapping[str, float]) -> _Reader:
    words = sorted((u for u in units if u[-1].isalnum() or u[-1] == "²"), key=len, reverse=True)
    signs = "".join(u for u in units if not (u[-1].isalnum() or u[-1] == "²"))
    names = "|".join(re.escape(word).replace(r"\ ", r"\.?\s*") for word in words)
    symbol = f"|[{signs}]" if signs else ""
    unit = rf"{_NOT_IN}(?:{names}){_NO_MORE}{symbol}"
    pattern = rf"(?=[-−.\d])(?<![\w.^])([-−]?)({NUMBER})(?:\s*-?\s*({unit}))?"
    return _Reader(units, re.compile(pattern, re.IGNORECASE))


_LENGTHS, _AREAS = _reader(UNITS_M), _reader(AREAS)

_LINK = re.compile(rf"\s*(?:[-−–—]|~+|(?:up )?to\b|or\b)\s*{ABOUT}", re.IGNORECASE)
_AND = re.compile(rf"\s*and\s*{ABOUT}", re.IGNORECASE)
_BETWEEN = re.compile(rf"between\s*{ABOUT}$", re.IGNORECASE)
_PLUS_MINUS = re.compile(rf"[\s,(]*(?:±|\+/-|\+-|give or take\b)\s*{ABOUT}", re.IGNORECASE)
_PART = re.compile(r",?\s*(?:and\s+)?", re.IGNORECASE)
_PART_OF_FEET = re.compile(r"[.,]?\s*(?:and\s+)?|-", re.IGNORECASE)
_NO_MORE_UNITS = re.compile(
    r"[ \t]*(?:$|\n|\(?[ \t]*(?:[,;:!?)\]}>\"'|=…–—~±+]|\.(?!\d)|-(?![A-Za-z])"
    r"|(?:away|apart|wide|tall|high|long|deep|broad|thick|across|off|from|between|above|below|over"
    r"|under|behind|before|after|and|to|or|is|are|was|were|at|on|in|for|with|by|based|as|since"
    r"|because|if|but|so|which|when|while|where|that|this|these|given|considering|according|the|an?"
    r"|it|its|I|we|they|there|here|then|than|therefore|thus|hence|overall|total|approximately"
    r"|approx|roughly|about|around|estimated|maybe|perhaps|probably|assuming|measured|would|should"
    r"|may|might|could|can|up)\b))",
    re.IGNORECASE,
)
"""What may follow a number that has no unit; any other word may be a unit."""


_DIGIT = re.compile(r"\d")


class _Token(NamedTuple):
    value: float
    unit: float | None
    name: str
    start: int
    end: int


def _tokens(text: str, reader: _Reader) -> list[_Token]:
    found: list[_Token] = []
    digit = _DIGIT.search(text)
    if digit is None:
        return found
    for match in reader.token.finditer(text, max(0, digit.start() - 2)):
        size, name, start = value(match[2]), match[3], match.start()
        if match[1] == "-" and found and not text[found[-1].end : start].strip():
            start += 1  # "2 -3 m" is a range
        elif match[1]:
            size = -size
        factor = None if name is None else _factor(name, reader.units)
        found.append(_Token(size, factor, name or "", start, match.end()))
    return found


def _factor(name: str, units: Mapping[str, float]) -> float:
    known = name.lower()
    if known not in units:
        known = re.sub(r"\.?\s+", " ", known.replace(".", " ")).strip()
        known = known if known in units else known.replace(" ", "")
    return units[known]


def _mentions(text: str, reader: _Reader) -> tuple[list[Mention], list[Mention]]:
    """What has a unit, and what has none (as if its unit were 1)."""
    tokens = _tokens(text, reader)
    if len(tokens) > 1:
        tokens = _joined(text, tokens)
    known: list[Mention] = []
    bare: list[Mention] = []
    place, inside = 0, False
    while place < len(tokens):
        one, used, has_unit = _one(text, tokens, place)
        place += used
        side, inside = inside, place < len(tokens) and _go_on(text, tokens, place)
        if side or inside:
            continue
        if has_unit:
            known.append(one)
        elif _NO_MORE_UNITS.match(text, one.end):
            bare.append(one)
    if len(known) > 1:
        known = without_asides(text, known)
    return known, without_asides(text, bare) if len(bare) > 1 else bare


def _go_on(text: str, tokens: list[_Token], place: int) -> bool:
    """Whether a token is another side of what the one before it measures."""
    one, two = tokens[place - 1], tokens[place]
    has_unit = one.unit is None or two.unit is not None
    return are_sides(text, one.end, two.start, two.end, has_unit)


def _joined(text: str, tokens: list[_Token]) -> list[_Token]:
    """Tokens, the parts of one length ("1 m 20 cm 5 mm") as one in the unit of the first."""
    joined = tokens[:1]
    for before, token in pairwise(tokens):
        smaller = _smaller(text, before, token, text[before.end : token.start])
        whole = joined[-1]
        if smaller is None or whole.unit is None:
            joined.append(token)
        else:
            size = whole.value + token.value * smaller / whole.unit
            joined[-1] = _Token(size, whole.unit, whole.name, whole.start, token.end)
    return joined


def _one(text: str, tokens: list[_Token], place: int) -> tuple[Mention, int, bool]:
    """What starts at a token, how many tokens it takes, and whether it has a unit."""
    one = tokens[place]
    unit = one.unit
    if place + 1 < len(tokens):
        two = tokens[place + 1]
        gap = text[one.end : two.start]
        if _PLUS_MINUS.fullmatch(gap):
            unit = unit or two.unit
            size = one.value * (unit or 1.0)
            return Mention(size, size, one.start, two.end), 2, unit is not None
        if _is_range(text, one, two, gap):
            unit = two.unit or unit
            low, high = one.value * (one.unit or unit or 1.0), two.value * (two.unit or unit or 1.0)
            ends = min(low, high), max(low, high)
            return Mention(*ends, one.start, two.end), 2, unit is not None
    size = one.value if unit is None else one.value * unit
    return Mention(size, size, one.start, one.end), 1, unit is not None


def _is_range(text: str, one: _Token, two: _Token, gap: str) -> bool:
    if one.unit is not None and two.unit is None:
        return False
    if _LINK.fullmatch(gap):
        return True
    before = text[max(0, one.start - 40) : one.start]
    return bool(_AND.fullmatch(gap) and _BETWEEN.search(before))


def _smaller(text: str, one: _Token, two: _Token, gap: str) -> float | None:
    """The unit of the second part of one length ("5 ft 3 in", "1 m 20 cm", "5'3")."""
    if one.unit is None or not one.value.is_integer():
        return None
    in_feet = one.unit == FOOT_M
    if not (_PART_OF_FEET if in_feet else _PART).fullmatch(gap):
        return None
    if two.unit is None:
        return _said_without_unit(text, one, two, gap)
    if "," in gap and not in_feet and (one.unit, two.unit) != (1.0, UNITS_M["cm"]):
        return None
    return two.unit if two.unit < one.unit and two.value * two.unit < one.unit else None


def _said_without_unit(text: str, one: _Token, two: _Token, gap: str) -> float | None:
    """The inches of "5 feet 11", the centimetres of "1 m 20"."""
    if gap.strip() not in ("", "-") or not _NO_MORE_UNITS.match(text, two.end):
        return None
    if one.unit == FOOT_M:
        return INCH_M if two.value < 12 else None
    whole = one.name.lower() == "m" and two.end - two.start == 2 and 10 <= two.value < 100
    return UNITS_M["cm"] if whole else None


def _read(text: str, reader: _Reader, unit: str | None, last: bool) -> Quantity | None:
    said = plain(text)
    known, bare = _mentions(said, reader)
    if not known:
        known, _ = _mentions(with_articles(said), reader)
    if not known and bare:
        known = _with_unit(said, bare, reader, unit)
    if not known:
        return None
    chosen = _chosen(known) if last else known[0]
    low, high = chosen.low, chosen.high
    return Quantity(chosen.middle, low, high) if low >= 0 and high < ENDLESS else None


def _with_unit(said: str, bare: list[Mention], reader: _Reader, unit: str | None) -> list[Mention]:
    """Bare numbers in the unit that the text states apart from them, else in the one asked for."""
    stated = _UNIT_KEY.search(said) if "unit" in said.lower() else None
    if stated:
        name = stated[1].lower()
        before = [one for one in bare if one.start < stated.start()]
        bare, unit = before[-1:] or bare[:1], name if name in reader.units else None
    if unit is None:
        return []
    factor = reader.units[unit.lower()]
    return [Mention(one.low * factor, one.high * factor, one.start, one.end) for one in bare]


def _chosen(found: list[Mention]) -> Mention:
    if len(found) > 1:
        before, after = found[-2:]
        if abs(before.middle - after.middle) <= SAME_LENGTH * abs(before.middle):
            return before
    return found[-1]


def read_length(text: str, unit: str | None = None, last: bool = True) -> Quantity | None:
    """The length that a text says, in metres; None when it says none.

    Args:
        text: a model's answer.
        unit: what a bare number means, where the question asks for that unit.
        last: of several take the last one, else the first.

    >>> read_length("About 3 feet.").value, read_length("between 2 and 3 m")
    (0.9144000000000001, Quantity(value=2.5, low=2.0, high=3.0))
    >>> read_length("1.5"), read_length("1.5", unit="m").value, read_length("1.5 kg", unit="m")
    (None, 1.5, None)
    """
    return _read(text, _LENGTHS, unit, last)


def read_area(text: str, unit: str | None = None, last: bool = True) -> Quantity | None:
    """The area that a text says, in square metres; as `read_length`.

    >>> read_area("about 20 square meters").value, read_area("3 m", "m²"), read_area("12 m^2").value
    (20.0, None, 12.0)
    """
    return _read(text, _AREAS, unit, last)
