"""Read lengths and areas out of free text; the unit is never ignored.

======================================  ==========================================================
in the text                             read as
======================================  ==========================================================
``1.5 m``, ``5'3"``, ``1 m 20 cm``      metres; parts of one length are added
``two and a half feet``, ``half a       words for numbers, fractions (``1 1/2``, ``½``)
meter``
``2-3 m``, ``between 2 and 3 m``,       a range, taken as its middle (as Q-Spatial takes the mean)
``2 m to 3 m``, ``2 or 3 m``
``1,200 m``, ``0,25 m``                 1200 and 0.25: a comma before three digits parts thousands
``\\scalar{2} \\distance_unit{m}``      Q-Spatial's form; the last one
``1.5``                                 only when the question asks for a unit, else nothing
``1.5 kg``, ``3 m²`` (for a length)     nothing: another unit is no length
several                                 the last one; of two that agree within 6 % ("1.2 m (4 ft)")
                                        the first
======================================  ==========================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from calipers.units import UNITS_M

SAME_LENGTH = 0.06
"""Two lengths that differ by less are one, said in two units."""


class Quantity(NamedTuple):
    """A length in metres, or an area in square metres; of a range its middle and its ends."""

    value: float
    low: float
    high: float


_SQUARED = r"(?:²|\^\{?2\}?)"
AREAS = {
    **{f"{unit}²": metres * metres for unit, metres in UNITS_M.items() if unit.isalpha()},
    **{f"square {unit}": metres * metres for unit, metres in UNITS_M.items() if unit.isalpha()},
    **{f"sq {unit}": metres * metres for unit, metres in UNITS_M.items() if unit.isalpha()},
    "sqm": 1.0,
    "sqft": UNITS_M["ft"] ** 2,
}
"""Unit of an area → square metres."""

_DIGITS = r"\d{1,3}(?:,\d{3})+\.\d+|\d+(?:,\d+)+(?![\d,]*\.\d)|\d+(?:\.\d+)?"
_NUMBER = rf"(?:{_DIGITS})(?:e[+-]?\d+)?|\.\d+"
_NOT_IN = r"(?!in\s+(?:the|a|an|this|that|front|total|all|each|my|its|height|width|depth|length)\b)"


class _Reader(NamedTuple):
    """How one dimension is read: its units, and numbers with one of them or none."""

    units: Mapping[str, float]
    token: re.Pattern[str]
    other: re.Pattern[str]


def _reader(units: Mapping[str, float], other: Sequence[str] = ()) -> _Reader:
    words = sorted((u for u in units if u[-1].isalnum() or u[-1] == "²"), key=len, reverse=True)
    signs = "".join(u for u in units if not (u[-1].isalnum() or u[-1] == "²"))
    names = "|".join(re.escape(word).replace(r"\ ", r"\.?\s*") for word in words)
    symbol = f"|[{signs}]" if signs else ""
    unit = rf"{_NOT_IN}(?:{names})(?![A-Za-z²³^]){symbol}"
    pattern = rf"(?<![\w.])([-−]?)({_NUMBER})(?:\s*-?\s*({unit}))?"
    others = (
        rf"{_OTHER_UNIT}|(?:{'|'.join(map(re.escape, other))})(?![A-Za-z])"
        if other
        else _OTHER_UNIT
    )
    after = re.compile(rf"\s*-?\s*(?:{others})", re.IGNORECASE)
    return _Reader(units, re.compile(pattern, re.IGNORECASE), after)


# A number before one of these is no bare number of the unit that was asked for.
_OTHER_UNIT = (
    r"%|°|º|deg|percent|kg|g\b|lbs?\b|pounds?|sec|s\b|min|hour|pixel|px\b|times|x\b"
    r"|o['’]?\s?clock|square|sq\b|cubic|\w+\s?(?:²|³|\^)|m/s|dollars?"
)
_LENGTHS, _AREAS = _reader(UNITS_M), _reader(AREAS, tuple(UNITS_M))

_LINK = re.compile(r"\s*(?:-|–|—|~|to|or)\s*", re.IGNORECASE)
_AND = re.compile(r"\s*and\s*", re.IGNORECASE)
_BETWEEN = re.compile(r"between\s*(?:about\s*)?$", re.IGNORECASE)
_PLUS_MINUS = re.compile(r"\s*(?:±|\+/-|\+-)\s*")
_PART = re.compile(r",?\s*(?:and\s+)?", re.IGNORECASE)
_INDEX = re.compile(r"([A-Za-z])\s*\[\d+\]")
_MARKUP = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^}]*)\}|\\[,;! ]|[$*`~≈]")
_MARKS = frozenset("\\$*`~≈")
_QUOTED = re.compile(r"""(?<![\d\w])(["'])(-?\d+(?:\.\d+)?)\1""")
_SCALAR = re.compile(r"scalar\s*\{([^}]*)\}\W*\\?distance\\?_unit\s*\{([^}]*)\}")

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_ONES += " fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {
    **{word: n for n, word in enumerate(_ONES.split())},
    **{word: 20 + 10 * n for n, word in enumerate(_TENS.split())},
}
"""Words up to ninety; "twenty-five" is made of two."""
_ANY_WORD = "|".join(NUMBER_WORDS)
_COMPOUND = re.compile(
    rf"\b({_TENS.replace(' ', '|')})[- ]({'|'.join(_ONES.split()[1:10])})\b", re.IGNORECASE
)
_WORD = re.compile(rf"\b({_ANY_WORD})\b", re.IGNORECASE)
_WORDY = re.compile("|".join((*NUMBER_WORDS, "hundred", "couple")))
_HUNDRED = re.compile(r"\b(?:a|(\d+))\s+hundred(?:\s+(?:and\s+)?(\d+))?\b", re.IGNORECASE)
_POINT = re.compile(r"(\d+) point (\d+)(?: (\d))?", re.IGNORECASE)
_AND_A_HALF = re.compile(r"\b(\d+) and (?:a|one|1) half\b", re.IGNORECASE)
_GLYPHS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
_FRACTION = re.compile(r"(?<![\w./])(?:(\d+)[ -])?(\d+)/(\d+)(?![\w/])")
_UNIT_WORDS = "|".join(sorted((u for u in UNITS_M if u.isalpha() and len(u) > 1), key=len)[::-1])
_PARTS_OF = {"half": 0.5, "quarter": 0.25, "third": 1 / 3}
_A_PART = re.compile(
    rf"\b(?:(an?|\d)[- ])?(half|quarter|third)s?(?: of)?(?: an?| 1)? ({_UNIT_WORDS})\b",
    re.IGNORECASE,
)
_ONE_AND_A_HALF = re.compile(rf"\b(?:an?|1) ({_UNIT_WORDS}) and a half\b", re.IGNORECASE)
_A_UNIT = re.compile(rf"\ban? ({_UNIT_WORDS})\b", re.IGNORECASE)
_FEW = re.compile(r"\ba couple(?: of)?\b", re.IGNORECASE)


def in_digits(text: str) -> str:
    """Words for numbers and fractions written in digits.

    >>> in_digits("two and a half feet"), in_digits("twenty-five cm"), in_digits("1 1/2 inches")
    ('2.5 feet', '25 cm', '1.5 inches')
    """
    if _WORDY.search(text.lower()):
        text = _COMPOUND.sub(
            lambda m: str(NUMBER_WORDS[m[1].lower()] + NUMBER_WORDS[m[2].lower()]), text
        )
        text = _FEW.sub("2", _WORD.sub(lambda m: str(NUMBER_WORDS[m[1].lower()]), text))
        text = _HUNDRED.sub(lambda m: str(100 * int(m[1] or 1) + int(m[2] or 0)), text)
        text = _POINT.sub(lambda m: f"{m[1]}.{m[2]}{m[3] or ''}", text)
    if "half" in text:
        text = _AND_A_HALF.sub(r"\1.5", text)
    if not text.isascii():
        for glyph, digits in _GLYPHS.items():
            text = re.sub(rf"(\d?)\s*{glyph}", rf"\1 {digits}", text)
    return _FRACTION.sub(_fraction, text) if "/" in text else text


def _fraction(match: re.Match[str]) -> str:
    bottom = int(match[3])
    return match[0] if bottom == 0 else f"{int(match[1] or 0) + int(match[2]) / bottom:.6g}"


def _with_articles(text: str) -> str:
    """ "a meter" and "half a meter" with a number; only where no number has a unit."""
    text = _ONE_AND_A_HALF.sub(r"1.5 \1", text)
    text = _A_PART.sub(_a_part, text)
    return _A_UNIT.sub(r"1 \1", text)


def _a_part(match: re.Match[str]) -> str:
    times = int(match[1]) if match[1] and match[1].isdigit() else 1
    return f"{times * _PARTS_OF[match[2].lower()]:.6g} {match[3]}"


def _value(digits: str) -> float:
    """A number, its comma a thousand's or a decimal one."""
    if "," not in digits:
        return float(digits)
    whole, *groups = digits.partition(".")[0].split(",")
    thousands = all(len(group) == 3 for group in groups) and whole.strip("0") and len(whole) <= 3
    if thousands or len(groups) > 1:
        return float(digits.replace(",", ""))
    return float(digits.replace(",", "."))


class _Token(NamedTuple):
    value: float
    unit: float | None
    name: str
    start: int
    end: int


def _tokens(text: str, reader: _Reader) -> list[_Token]:
    found = []
    for match in reader.token.finditer(text):
        value = _value(match[2])
        name = match[3]
        factor = None if name is None else _factor(name, reader.units)
        signed = -value if match[1] else value
        found.append(_Token(signed, factor, name or "", match.start(), match.end()))
    return found


def _factor(name: str, units: Mapping[str, float]) -> float:
    plain = name.lower()
    if plain not in units:
        plain = re.sub(r"\.?\s+", " ", plain.replace(".", " ")).strip()
        plain = plain if plain in units else plain.replace(" ", "")
    return units[plain]


def _mentions(text: str, reader: _Reader) -> tuple[list[Quantity], list[Quantity]]:
    """What has a unit, and what has none (as if its unit were 1)."""
    tokens = _tokens(text, reader)
    known: list[Quantity] = []
    bare: list[Quantity] = []
    place = 0
    while place < len(tokens):
        one = tokens[place]
        quantity, used, has_unit = _one(text, tokens, place)
        if has_unit:
            known.append(quantity)
        elif not reader.other.match(text, tokens[place + used - 1].end):
            bare.append(Quantity(one.value, one.value, one.value) if used == 1 else quantity)
        place += used
    return known, bare


def _one(text: str, tokens: list[_Token], place: int) -> tuple[Quantity, int, bool]:
    """The quantity that starts at a token, how many tokens it takes, and whether it has a unit."""
    one = tokens[place]
    if place + 1 < len(tokens):
        two = tokens[place + 1]
        gap = text[one.end : two.start]
        if _PLUS_MINUS.fullmatch(gap):
            unit = one.unit or two.unit
            value = one.value * (unit or 1.0)
            return Quantity(value, value, value), 2, unit is not None
        if _is_range(text, one, two, gap):
            unit = two.unit or one.unit
            low, high = one.value * (one.unit or unit or 1.0), two.value * (two.unit or unit or 1.0)
            return Quantity((low + high) / 2, min(low, high), max(low, high)), 2, unit is not None
        smaller = _smaller(one, two, gap)
        if one.unit is not None and smaller is not None:
            value = one.value * one.unit + two.value * smaller
            return Quantity(value, value, value), 2, True
    value = one.value * (one.unit or 1.0)
    return Quantity(value, value, value), 1, one.unit is not None


def _is_range(text: str, one: _Token, two: _Token, gap: str) -> bool:
    if one.unit is not None and two.unit is None:
        return False
    if _LINK.fullmatch(gap):
        return True
    return bool(_AND.fullmatch(gap) and _BETWEEN.search(text, 0, one.start))


def _smaller(one: _Token, two: _Token, gap: str) -> float | None:
    """The unit of the second part of one length ("5 ft 3 in", "1 m 20 cm", "5'3")."""
    if one.unit is None or one.value != int(one.value) or not _PART.fullmatch(gap):
        return None
    if two.unit is None:
        return UNITS_M["in"] if one.name in "'′’" and one.name and not gap.strip() else None
    if "," in gap and one.unit != UNITS_M["ft"]:
        return None
    return two.unit if two.unit < one.unit and two.value * two.unit < one.unit else None


def _plain(text: str) -> str:
    """Without markup, without "Region [0]"."""
    if "scalar" in text:
        pairs = _SCALAR.findall(text)
        if pairs:
            return f"{pairs[-1][0]} {pairs[-1][1]}"
    if "[" in text:
        text = _INDEX.sub(r"\1", text)
    if "'" in text or '"' in text:
        text = _QUOTED.sub(r"\2", text)
    if not _MARKS.isdisjoint(text):
        text = _MARKUP.sub(lambda m: f"{m[1]} " if m[1] else " " if m[0][0] == "\\" else "", text)
    return in_digits(text)


def _read(text: str, reader: _Reader, unit: str | None, last: bool) -> Quantity | None:
    plain = _plain(text)
    known, bare = _mentions(plain, reader)
    if not known:
        known, _ = _mentions(_with_articles(plain), reader)
    if not known and unit is not None:
        factor = _factor(unit, reader.units)
        own = _mentions(text, reader)[1] or bare
        known = [Quantity(*(factor * number for number in one)) for one in own]
    if not known:
        return None
    return _chosen(known) if last else known[0]


def _chosen(found: list[Quantity]) -> Quantity:
    if len(found) > 1:
        before, after = found[-2:]
        if abs(before.value - after.value) <= SAME_LENGTH * abs(before.value):
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
    return _read(re.sub(_SQUARED, "²", text), _AREAS, unit, last)
