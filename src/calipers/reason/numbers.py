"""The numbers in a text, in digits or in words, each with its unit and its place.

======================================  ==========================================================
in the text                             read as
======================================  ==========================================================
``0.4 m``, ``5 ft 3 in``, ``1,200 m``   lengths; parts of one length are added
``1 000 mm``, ``1,5 m``                 1000 and 1.5, as in much of Europe
``3/4 m``, ``2 ½ in``                   fractions
``one hundred and seventeen cm``,       words
``four point two m``, ``a dozen``
``half a meter``, ``two thirds``        fractions in words
``twice as far``, ``half the``,         plain numbers
``2.2 times``, ``2.2x``
``0.40, 0.48 and 0.41 m``, ``2-3 m``,   one unit that is that of all
``between 2 and 3 m``, ``40 x 30 cm``
``5 kg``, ``$5``, ``12blips``           numbers of another unit, which is no length, angle or time
``5th``, ``3D``, ``box2``, ``one``      no numbers
======================================  ==========================================================
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from calipers.evals.quantities import NUMBER_WORDS
from calipers.reason.calculator import last_step
from calipers.reason.quantity import LENGTH, PLAIN, RAISED, SQUARED, UNITS, Quantity
from calipers.units import UNITS_M

LARGEST = 1e14
"""What is larger is read as this."""


class Said(NamedTuple):
    """A number in a text.

    Attributes:
        step: one in its last digit, in metres, seconds or radians.
        unit: one of its unit.
        other: what its unit is called where it is none of ours ("kg"), else "".
    """

    text: str
    start: int
    end: int
    value: Quantity
    step: float
    unit: Quantity
    other: str = ""


_SYMBOLS = {"″": UNITS_M['"'], '"': UNITS_M['"'], "′": UNITS_M["'"], "'": UNITS_M["'"]}
_RATES = {
    "m/s": UNITS["m"].over(UNITS["s"]), "cm/s": UNITS["cm"].over(UNITS["s"]),
    "km/h": UNITS["km"].over(UNITS["h"]), "deg/s": UNITS["deg"].over(UNITS["s"]),
}  # fmt: skip
_NAMES = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_LENGTHS = "|".join(sorted((n for n in UNITS_M if n.isalpha() and len(n) > 2), key=len)[::-1])
_RATE_NAMES = "|".join(map(re.escape, _RATES))
_NOT_IN = r"(?!in\s+(?:the|a|an|this|that|front|total|all|each|my|its|which|height|width)\b)"
_PART = r"(?:half|halves|(?:third|quarter|fifth|tenth)s?)\b"
_AND_A_HALF = r"\s+and\s+(?:an?|one|three)[\s-]+(?:half|quarters?)\b"
_UNIT = (
    rf"(?:(?P<rate>{_RATE_NAMES})(?![\w²³])|{_NOT_IN}(?:(?P<raise>square|sq\.?|cubic|cu\.?)\s+)?"
    rf"(?P<unit>{_NAMES})(?P<power>[²³]|\^[23]|[23](?!\w|\.\d))?"
    r"(?:(?!\w)|(?=\d+\s?(?:in|cm|mm)\b))"
    rf"(?P<after>{_AND_A_HALF}(?!\s+(?:{_LENGTHS})\b))?"
    r"|(?P<symbol>[\"″′'](?![A-Za-z])))"
)
_OTHER = (
    r"(?:\s?(?P<other>°\s?[CF]\b|(?:[km]?g|kilos?|(?:kilo|milli)?grams?|lbs?|pounds?|oz|ounces?"
    r"|tons?|tonnes?|[un]m|px|pixels?|mph|dollars?|euros?|cents?)\b)|(?P<glued>(?!\d)\w+))"
)
_ONES = "|".join(word for word, count in NUMBER_WORDS.items() if 0 < count < 10)
_TENS = "|".join(word for word, count in NUMBER_WORDS.items() if count >= 20)
_TEENS = "|".join(word for word, count in NUMBER_WORDS.items() if 10 <= count < 20)
_SMALL = rf"(?:(?:{_TENS})\b(?:[\s-]+(?:{_ONES})\b)?|(?:{_TEENS}|{_ONES}|zero)\b)"
_HEAD = rf"(?:(?:half[\s-]+)?an?|half|\d{{1,9}}(?:\.\d{{1,9}})?|{_SMALL})[\s-]+"
_HUNDREDS = rf"(?:{_HEAD})?hundreds?\b"
_WORDS = (
    rf"(?:(?:{_HUNDREDS}[\s-]+|{_HEAD})?(?:thousand|million)s?\b(?:,?\s+(?:and\s+)?{_HUNDREDS})?"
    rf"|{_HUNDREDS})(?:[\s-]+(?:and\s+)?{_SMALL}(?!\s+(?:hundred|thousand|million|dozen)))?"
    rf"|(?:{_HEAD})?dozens?\b|a\s+couple(?:\s+of)?\b"
    rf"|{_SMALL}(?:\s+point(?:(?:[\s-]+(?:{_ONES}|zero)\b)+|[\s-]+{_SMALL}))?"
    rf"|an?(?=[\s-]+(?:{_LENGTHS})\b)"
)
_FRACTION = (
    rf"(?:(?:an?|\d{{1,9}}|{_SMALL})[\s-]+)?{_PART}(?:\s+of)?(?:\s+an?)?(?=[\s-]+(?:{_LENGTHS})\b)"
    rf"|(?!one\b){_SMALL}[\s-]+(?:halves|(?:third|quarter|fifth|tenth)s)\b"
    r"|an?\s+(?:third|quarter|fifth|tenth)(?=\s+(?:of|as)\b)"
    r"|(?:twice|thrice|double|half)(?=\s+(?:as|the|that)\b)"
)
_RATIO = r"(?:\d{1,9}[\s-]+)?\d{1,9}/[1-9]\d{0,8}(?![\w/])|(?:\d{1,9}\s*)?[¼-¾⅐-⅞]"
_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_DIGITS = (
    rf"(?:\d{{1,3}}(?:,\d{{3}})+|[1-9]\d{{0,2}}(?:[{_SPACES}]\d{{3}})+)(?!\d)(?:\.\d+)?"
    rf"|\d+,\d+(?=\s*-?\s*(?:{_NAMES})(?!\w))|\d+(?:\.\d+)?|\.\d+"
)
_NUMBER = re.compile(
    r"(?:(?<![\w.])|(?<=\dft)|(?<=\dm)|(?<=\dx))"
    rf"(?:(?P<ratio>(?>{_RATIO}))|\b(?P<fraction>{_FRACTION})"
    rf"|(?:\b(?P<words>{_WORDS})|(?P<digits>(?>(?:{_DIGITS})(?:e[+-]?\d+)?)))"
    rf"(?P<part>{_AND_A_HALF})?)"
    rf"(?!(?:st|nd|rd|th|d)\b)(?:\s*-?\s*{_UNIT}|x(?!\w)|(?=x\d)|{_OTHER})?"
    r"(?P<more>(?:\.\d+)+\w*)?",
    re.IGNORECASE,
)
_ALONE = ("a", "an", "one", "zero")
"""Words that are numbers before a length only."""
_TIMES = {"twice": 2.0, "double": 2.0, "thrice": 3.0}
_FINENESS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10}
_LARGE = {"hundred": 100.0, "thousand": 1e3, "million": 1e6, "dozen": 12.0}
_SHARING = re.compile(r",\s*(?:and\s+|or\s+)?|\s+(?:and|or|by)\s+|\s*[-–x×]\s*|\s+to\s+")
_RANGE = re.compile(r"\s*[-–x×]\s*|\s+(?:to|or|by)\s+")
_BETWEEN = re.compile(r"\bbetween\s+$", re.IGNORECASE)
_MARGIN = re.compile(r"\s*\(?\s*(?:±|\+/-|\+-|plus or minus)\s*", re.IGNORECASE)
_PARTS = re.compile(r"[\s,]*(?:and\s+)?")
_ALIKE = str.maketrans("ıİſ\N{KELVIN SIGN}", "iisk")
"""Letters that patterns take for others and `str.lower` does not."""
_LISTED = re.compile(r"(?m)^[^\S\n]*+(\d+)[.)]\s")


def numbers(text: str) -> list[Said]:
    """The numbers in a text, in digits or words, with their units; "one" is none.

    >>> [(n.text, round(n.value.value, 3)) for n in numbers("Two cans, 40 cm apart: 1 ft 4 in")]
    [('Two', 2.0), ('40 cm', 0.4), ('1 ft 4 in', 0.406)]
    >>> [(n.text, n.value.value, n.other) for n in numbers("seventy-five boxes of 5kg")]
    [('seventy-five', 75.0, ''), ('5kg', 5.0, 'kg')]
    """
    text = text.translate(_ALIKE)
    listed = {match.start(1) for match in _LISTED.finditer(text)}
    found = [_said(m, text) for m in _NUMBER.finditer(text) if m.start() not in listed]
    return _shared(_joined([said for said in found if said is not None], text), text)


def _said(match: re.Match[str], text: str) -> Said | None:
    """The number of a match; None where it is no number but a word."""
    other = match["other"] or match["glued"] or match["more"] or ""
    unit = Quantity(1.0) if other else _unit_of(match)
    alone = (match["words"] or "").lower() in _ALONE and not (match["part"] or match["after"])
    if alone and not (unit.powers == LENGTH and len(match["unit"] or "") > 2):
        return None
    start = match.start()
    before = text[start - 1 : start]
    other = other or (before if before in tuple("$€£¥") else "")
    count, step = _amount(match)
    if before in tuple("-−–") and not text[: start - 1][-1:].isalnum():
        count = -count
    value = _quantity(count * unit.value, unit)
    return Said(match[0].rstrip(), *match.span(), value, step * unit.value, unit, other.lower())


def _quantity(value: float, unit: Quantity) -> Quantity:
    return Quantity(max(-LARGEST, min(value, LARGEST)), unit.powers)


def _unit_of(match: re.Match[str]) -> Quantity:
    if match["rate"]:
        return _RATES[match["rate"].lower()]
    if match["symbol"]:
        return replace(UNITS["m"], value=_SYMBOLS[match["symbol"]])
    if not match["unit"]:
        return Quantity(1.0)
    raised = SQUARED.get((match["raise"] or "").lower().rstrip("."))
    power = raised or RAISED.get(match["power"] or "") or int((match["power"] or "1")[-1])
    return UNITS[match["unit"].lower()].to_power(Fraction(power))


def _amount(match: re.Match[str]) -> tuple[float, float]:
    """A number, and one in its last digit."""
    if match["ratio"]:
        return _ratio(match["ratio"])
    if match["fraction"]:
        return _fraction(match["fraction"].lower())
    digits, words = match["digits"], match["words"]
    whole, step = _in_digits(digits) if digits else _in_words(words.lower())
    for part in filter(None, (match["part"], match["after"])):
        more, step = _fraction(re.sub(r"^\s+and\s+", "", part.lower()))
        whole += more
    return whole, step


def _in_digits(text: str) -> tuple[float, float]:
    digits = re.sub(r"\s", "", text)
    thousands = re.match(r"\d{1,3}(?:,\d{3})+(?!\d)", digits) is not None
    digits = digits.replace(",", "" if thousands else ".")
    return float(digits), last_step(digits)


def _ratio(text: str) -> tuple[float, float]:
    """ "2 1/2", "2½"; the step is a tenth, or one of a finer part.

    >>> _ratio("2 1/2"), _ratio("2½"), _ratio("3/16")
    ((2.5, 0.1), (2.5, 0.1), (0.1875, 0.0625))
    """
    if not text[-1].isdecimal():
        return float(text[:-1].strip() or 0) + unicodedata.numeric(text[-1]), 0.1
    *whole, over, under = map(int, re.split(r"[\s/-]+", text))
    return sum(whole) + over / under, min(0.1, 1 / under)


def _fraction(text: str) -> tuple[float, float]:
    """ "three quarters of a", "a half", "twice"."""
    if text in _TIMES:
        return _TIMES[text], 1.0
    part = re.search(_PART, text)
    assert part is not None
    fineness = _FINENESS[part[0].removesuffix("s")]
    return (_whole(text[: part.start()]) or 1.0) / fineness, 0.1


def _in_words(text: str) -> tuple[float, float]:
    """ "two hundred and five", "four point two"."""
    whole, _, decimals = text.partition(" point")
    words = re.findall(r"\w+", decimals)
    single = all(NUMBER_WORDS[word] < 10 for word in words)
    digits = "".join(str(NUMBER_WORDS[w]) for w in words) if single else f"{_whole(decimals):.0f}"
    step = 10.0 ** -(len(digits) if words else 0)
    return (_whole(whole) or float(text in ("a", "an"))) + float(digits or 0) * step, step


def _whole(text: str) -> float:
    """A whole number in words, or of digits and words.

    >>> _whole("two thousand three hundred and five"), _whole("half a dozen"), _whole("a couple of")
    (2305.0, 6.0, 2.0)
    """
    total = count = 0.0
    for word in re.findall(r"[\w.]+", text):
        large = _LARGE.get(word.removesuffix("s"), 0.0)
        if large:
            count = (count or 1.0) * large
            total, count = (total + count, 0.0) if large >= 1e3 else (total, count)
        elif word[0].isdecimal():
            count += float(word)
        else:
            count += {"half": 0.5, "couple": 2.0}.get(word, float(NUMBER_WORDS.get(word, 0)))
    return total + count


def _shared(found: list[Said], text: str) -> list[Said]:
    """ "0.40, 0.48 and 0.41 m", "2-3 m", "3 m (± 1)": a unit that stands once is that of all."""
    for place in range(len(found) - 2, -1, -1):
        one, two = found[place : place + 2]
        gap = text[one.end : two.start]
        between = gap.strip() == "and" and _BETWEEN.search(text[max(one.start - 16, 0) : one.start])
        listed = "." in one.text and _SHARING.fullmatch(gap)
        if _RANGE.fullmatch(gap) or between or listed:
            found[place] = _in_unit(one, two)
        elif _MARGIN.fullmatch(gap):
            found[place : place + 2] = _in_unit(one, two), _in_unit(two, one)
    return found


def _in_unit(said: Said, like: Said) -> Said:
    """A number that has no unit of its own, in that of another."""
    if said.other or said.unit != Quantity(1.0):
        return said
    value = _quantity(said.value.value * like.unit.value, like.unit)
    step = said.step * like.unit.value
    return said._replace(value=value, step=step, unit=like.unit, other=like.other)


def _joined(found: list[Said], text: str) -> list[Said]:
    """ "5 ft 3 in" as one."""
    kept: list[Said] = []
    for said in found:
        last = kept[-1] if kept else None
        if last is not None and _goes_on(last, said, text):
            value = _quantity(last.value.value + said.value.value, said.unit)
            whole = text[last.start : said.end].rstrip()
            kept[-1] = said._replace(text=whole, start=last.start, value=value)
        else:
            kept.append(said)
    return kept


def _goes_on(one: Said, two: Said, text: str) -> bool:
    return (
        one.value.powers == two.value.powers != PLAIN
        and two.value.value < one.unit.value
        and (one.value.value / one.unit.value + 1e-9) % 1 < 1e-8
        and _PARTS.fullmatch(text[one.end : two.start]) is not None
    )
