"""Metres in, words out and back: lengths rounded and written the way people say them.

`say_length` walks a decision tree with three uniform numbers; nothing else is random.

==========  =====================================================  ======================
drawn with  question                                               answer
==========  =====================================================  ======================
``u[0]``    imperial or metric?                                    imperial 20 %, metric 80 %
``u[1]``    how precise?                                           the table below
``u[2]``    which unit, written short or in full?                  the rules below
==========  =====================================================  ======================

Precision, as shares of *all* answers, by the length:

==================  ============  =================  =================  ========
length              round figure  normal             precise            imperial
==================  ============  =================  =================  ========
below 0.85 m        15 %          45 %, 2 digits     20 %, 3 digits     20 %
0.85 to 0.95 m      75 %          3 %, 1 digit       2 %, 2 digits      20 %
0.95 to 1.25 m      75 %          3 %, 2 digits      2 %, 3 digits      20 %
1.25 to 12.5 m      15 %          45 %, 2 digits     20 %, 3 digits     20 %
12.5 m and more     75 %          3 %, 2 digits      2 %, 3 digits      20 %
==================  ============  =================  =================  ========

Round figures are 1, 1.5, 2, 3, 4, 5, 6, 7, 8 and 9 times a power of ten, the nearest one, so never
more than 20 % off; one exception: from 0.85 m on people say "1 meter". Below 1 cm normal and
precise give two digits, below 1 mm everything gives one.

Imperial: half round, 30 % normal, 20 % precise. Round figures are as above, in inches below
10.5 in, then feet, then miles from 2,500 ft. Normal is two digits below 3 in, whole inches below
2 ft, feet and inches below 20 ft, whole feet below 1,000 ft, tens of feet below half a mile, then
miles. Precise is tenths of an inch below 2 ft, tenths of a foot below 100 ft, whole feet below half
a mile, then miles.

Units go by magnitude: mm below 1 cm, cm or mm below 10 cm, cm or m below 1 m, m below 1 km, then
km. The limits are those of the rounded figure, so 0.9996 m is never "100.0 cm". Round figures from
1 m and from 1 ft on are spelled out ("20 meters"), and so are inches always, since "7 in in front
of" reads badly; others are short ("1.2 m") 60 % of the time.

What is published of the tree (SpatialVLM, arXiv:2401.12168, section 3.2): 0.86 m becomes "1 meter"
with 75 %, "3 feet" or "90 cm" less often (here 10 % and 3 %, short and long together); 23 m becomes
"20 meters" with high probability (here 75 %); imperial units have 20 %. Where this leaves the tree
open, the smaller error was chosen.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence

from calipers.errors import DataError

INCH_M = 0.0254
FOOT_M = 0.3048
MILE_M = 1609.344
IMPERIAL_SHARE = 0.2
SMALLEST_M = 0.00005  # below it people say zero
LARGEST_M = 9.5e6

_Say = Callable[[float, float], str]  # (metres, u[2]) -> text
_Form = tuple[float, str, str]  # steps a unit, singular, plural
_Scale = tuple[list[float], list[_Say]]  # upper limits in metres, one more way to say than limits

_FIGURES = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
_NAMES = {
    "mm": (0.001, "millimeter", "millimeters"),
    "cm": (0.01, "centimeter", "centimeters"),
    "m": (1.0, "meter", "meters"),
    "km": (1000.0, "kilometer", "kilometers"),
    "in": (INCH_M, "inch", "inches"),
    "ft": (FOOT_M, "foot", "feet"),
    "mi": (MILE_M, "mile", "miles"),
}
# Ten equal slots of u[2] for each decade of metres: a short unit, or "long" and the unit.
_SLOTS = {
    -4: ["mm"] * 6 + ["long mm"] * 4,
    -3: ["mm"] * 6 + ["long mm"] * 4,
    -2: ["cm"] * 4 + ["mm"] * 2 + ["long cm"] * 3 + ["long mm"],
    -1: ["cm"] * 4 + ["m"] * 2 + ["long cm"] * 2 + ["long m"] * 2,
    0: ["m"] * 6 + ["long m"] * 4,
    1: ["m"] * 6 + ["long m"] * 4,
    2: ["m"] * 6 + ["long m"] * 4,
}
_KILOMETRES = ["km"] * 6 + ["long km"] * 4
_INCHES = ["long in"] * 10
_FEET = ["ft"] * 6 + ["long ft"] * 4
_MILES = ["long mi"] * 10


def say_length(value_m: float, u: Sequence[float]) -> str:
    """Say a length in metres as a person would, decided by three uniforms in [0, 1).

    The same arguments give the same text, and for given ``u`` a longer length is never said to be
    shorter. Relative error, measured over lengths spread evenly in log scale from 0.01 m to 50 m:
    mean 3.3 %, median 1.0 %, 95th percentile 14 %, at most 20 %; of lengths from 1.25 to 12.5 m:
    2.2, 0.6, 11 and 20 %. Round figures make nearly all of it.

    Raises:
        DataError: when the length is negative, not finite, or 9,500 km and more.

    >>> say_length(0.86, (0.5, 0.4, 0.0))
    '1 meter'
    >>> say_length(1.6, (0.1, 0.6, 0.9))
    '5 feet 3 inches'
    >>> say_length(0.034, (0.9, 0.5, 0.2))
    '3.4 cm'
    """
    system, precision, form = u
    if not SMALLEST_M <= value_m < LARGEST_M:
        return _say_edge(value_m, system, form)
    metric = system >= IMPERIAL_SHARE
    rough, normal, scales = _METRIC[bisect_right(_LIMITS_M, value_m)] if metric else _IMPERIAL
    limits, says = scales[0 if precision < rough else 1 if precision < normal else 2]
    return says[bisect_right(limits, value_m)](value_m, form)


def is_fine(text: str) -> bool:
    """Whether a text of `say_length` has three digits or more, too fine for "about" before it.

    >>> is_fine("57.3 cm"), is_fine("0.147 m"), is_fine("0.86 m"), is_fine("2 feet 10 inches")
    (True, True, False, False)
    """
    return len(text.partition(" ")[0].replace(".", "").strip("0")) > 2


def _say_edge(value_m: float, system: float, form: float) -> str:
    if not 0 <= value_m < LARGEST_M:
        raise DataError(f"length: wanted 0 to {LARGEST_M:g} metres, got {value_m}")
    if system < IMPERIAL_SHARE:
        return "0 inches"
    return "0 cm" if form < 0.6 else "0 meters"


def _form(slot: str, step_m: float) -> _Form:
    unit = slot.removeprefix("long ")
    unit_m, one, many = _NAMES[unit]
    steps = unit_m / step_m
    steps = round(steps) if steps >= 1 else 1 / round(1 / steps)
    return (steps, one, many) if slot.startswith("long") else (steps, unit, unit)


def _steps(step_m: float, slots: list[str]) -> _Say:
    """Say multiples of a step."""
    forms = [_form(slot, step_m) for slot in slots]

    def say(value_m: float, form: float) -> str:
        count = int(value_m / step_m + 0.5)
        steps, one, many = forms[int(form * 10)]
        return f"{count / steps:g} {one if count == steps else many}"

    return say


def _fixed(figure_m: float, slots: list[str]) -> _Say:
    """Say one figure, whatever the value."""
    texts = []
    for slot in slots:
        unit_m, one, many = _NAMES[slot.removeprefix("long ")]
        number = f"{figure_m / unit_m:g}"
        name = slot if not slot.startswith("long") else one if number == "1" else many
        texts.append(f"{number} {name}")
    return lambda _, form: texts[int(form * 10)]


def _feet_inches(value_m: float, form: float) -> str:
    feet, inches = divmod(int(value_m / INCH_M + 0.5), 12)
    if not inches and form < 0.6:
        return f"{feet} ft"
    foot = "foot" if feet == 1 else "feet"
    if not inches:
        return f"{feet} {foot}"
    return f"{feet} {foot} {inches} {'inch' if inches == 1 else 'inches'}"


def _scale(rows: list[tuple[float, _Say]]) -> _Scale:
    """From (upper limit in metres, how to say) rows; the last limit is never reached."""
    return [limit for limit, _ in rows[:-1]], [say for _, say in rows]


def _digits(digits: int) -> _Scale:
    """Metric texts of so many significant digits."""
    rows = []
    for decade in range(-4, 7):
        kept = min(digits, decade + 5)
        limit = 10.0 ** (decade + 1) * (1 - 0.5 * 10.0**-kept)
        rows.append((limit, _steps(10.0 ** (decade + 1 - kept), _SLOTS.get(decade, _KILOMETRES))))
    return _scale(rows)


def _ladder(figures: list[tuple[float, list[str]]], lower: dict[float, float]) -> _Scale:
    """Round figures (metres, slots), rising; limits lie half-way, or where ``lower`` says."""
    rows = []
    for (figure, slots), (after, _) in zip(figures, [*figures[1:], figures[-1]]):
        rows.append((lower.get(after, (figure + after) / 2), _fixed(figure, slots)))
    return _scale(rows)


def _metric_figures() -> list[tuple[float, list[str]]]:
    figures = [(tenth * 1e-4, _SLOTS[-4]) for tenth in range(1, 10)]
    for decade in range(-3, 7):
        slots = _SLOTS.get(decade, _KILOMETRES)
        if decade >= 0:
            slots = ["long m" if decade < 3 else "long km"] * 10
        figures += [(round(f * 10.0**decade, 4), slots) for f in _FIGURES]
    return [pair for pair in figures if pair[0] != 0.9]


def _imperial_figures() -> list[tuple[float, list[str]]]:
    figures = [(f * 10.0**d * INCH_M, _INCHES) for d in range(-3, 1) for f in _FIGURES]
    figures.append((10 * INCH_M, _INCHES))
    feet = [f * 10**d for d in range(4) for f in _FIGURES if f * 10**d <= 2000]
    figures += [(f * FOOT_M, ["long ft"] * 10) for f in feet]
    miles = [0.5, 0.6, 0.7, 0.8, 0.9] + [f * 10**d for d in range(4) for f in _FIGURES]
    return figures + [(f * MILE_M, _MILES) for f in miles]


def _imperial_small() -> list[tuple[float, _Say]]:
    return [
        (0.0995 * INCH_M, _steps(0.001 * INCH_M, _INCHES)),
        (0.995 * INCH_M, _steps(0.01 * INCH_M, _INCHES)),
    ]


def _imperial_normal() -> _Scale:
    return _scale(
        [
            *_imperial_small(),
            (2.95 * INCH_M, _steps(0.1 * INCH_M, _INCHES)),
            (23.5 * INCH_M, _steps(INCH_M, _INCHES)),
            (239.5 * INCH_M, _feet_inches),
            (999.5 * FOOT_M, _steps(FOOT_M, _FEET)),
            (2635 * FOOT_M, _steps(10 * FOOT_M, _FEET)),
            (0.995 * MILE_M, _steps(0.01 * MILE_M, _MILES)),
            (9.95 * MILE_M, _steps(0.1 * MILE_M, _MILES)),
            (LARGEST_M, _steps(MILE_M, _MILES)),
        ]
    )


def _imperial_precise() -> _Scale:
    return _scale(
        [
            *_imperial_small(),
            (23.95 * INCH_M, _steps(0.1 * INCH_M, _INCHES)),
            (99.95 * FOOT_M, _steps(0.1 * FOOT_M, _FEET)),
            (2639.5 * FOOT_M, _steps(FOOT_M, _FEET)),
            (9.995 * MILE_M, _steps(0.01 * MILE_M, _MILES)),
            (99.95 * MILE_M, _steps(0.1 * MILE_M, _MILES)),
            (LARGEST_M, _steps(MILE_M, _MILES)),
        ]
    )


# Rows of the tree: u[1] below the first number means round, below the second normal, else precise.
_Row = tuple[float, float, tuple[_Scale, _Scale, _Scale]]
_ROUND = _ladder(_metric_figures(), {1.0: 0.85})
_ONE, _TWO, _THREE = _digits(1), _digits(2), _digits(3)
_USUAL: _Row = (15 / 80, 60 / 80, (_ROUND, _TWO, _THREE))
_ROUGH: _Row = (75 / 80, 78 / 80, (_ROUND, _TWO, _THREE))
_LIMITS_M = [0.85, 0.95, 1.25, 12.5]
_METRIC: list[_Row] = [_USUAL, (75 / 80, 78 / 80, (_ROUND, _ONE, _TWO)), _ROUGH, _USUAL, _ROUGH]
_IMPERIAL: _Row = (
    0.5,
    0.8,
    (
        _ladder(_imperial_figures(), {FOOT_M: 10.5 * INCH_M, 0.5 * MILE_M: 2500 * FOOT_M}),
        _imperial_normal(),
        _imperial_precise(),
    ),
)

UNITS_M = {
    **dict.fromkeys(("µm", "μm", "micron", "microns", "micrometer", "micrometers"), 1e-6),
    **dict.fromkeys(("mm", "mms", "millimeter", "millimeters", "millimetre", "millimetres"), 0.001),
    **dict.fromkeys(("cm", "cms", "centimeter", "centimeters", "centimetre", "centimetres"), 0.01),
    **dict.fromkeys(("dm", "decimeter", "decimeters", "decimetre", "decimetres"), 0.1),
    **dict.fromkeys(("m", "mtr", "mtrs", "mts", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("km", "kms", "kilometer", "kilometers", "kilometre", "kilometres"), 1000.0),
    **dict.fromkeys(("in", "inch", "inches", '"', "″", "”"), INCH_M),
    **dict.fromkeys(("ft", "foot", "feet", "'", "′", "’"), FOOT_M),
    **dict.fromkeys(("yd", "yds", "yard", "yards"), 0.9144),
    **dict.fromkeys(("mi", "mile", "miles"), MILE_M),
}
"""What a unit of length is called → its metres."""
_SYMBOLS = "\"″”'′’"
_WORDS = "|".join(sorted((u for u in UNITS_M if u not in _SYMBOLS), key=len, reverse=True))
# A number with its unit. A sign or a dash before it ("-3 m", "2-3 m") is not one plain length,
# "3 in the box" is not three inches, and "3 m/s", "3 m2" and "3 feet squared" are no lengths.
_NO_LENGTH = r"\s*/\s*[A-Za-z]|\s+(?:per|squared|cubed)\b|[23](?![\w\"″”.])"
_LENGTH = re.compile(
    rf"(?<![\w.,+−–-])(?<!\d )(\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)\s*-?\s*"
    rf"(?:({_WORDS})(?![A-Za-z²³^])(?!{_NO_LENGTH})|([{_SYMBOLS}]))",
    re.IGNORECASE,
)
_INCHES_AFTER_FEET = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:(?:in|inch|inches)(?![A-Za-z])|[\"″”])", re.IGNORECASE
)
_NOT_INCHES = re.compile(r"\s+(?:the|a|an|this|that|front|total|all|each|my|its)\b", re.IGNORECASE)
_BETWEEN_PARTS = re.compile(r"[\s,]*(?:and\s+)?")


def _parts(text: str) -> list[tuple[str, float]]:
    """The one length in a text as [(digits, unit in metres)], feet and inches as two parts."""
    found = [m for m in _LENGTH.finditer(text) if not _is_preposition(m, text)]
    if not found:
        raise DataError(f"length: wanted a number with a unit, got {text[:80]!r}")
    first = found[0]
    parts = [(first[1].replace(",", ""), UNITS_M[(first[2] or first[3]).lower()])]
    end = first.end()
    if parts[0][1] == FOOT_M:
        gap = _BETWEEN_PARTS.match(text, end)
        inches = _INCHES_AFTER_FEET.match(text, gap.end() if gap else end)
        if inches:
            parts.append((inches[1], INCH_M))
            end = inches.end()
    if any(m.start() >= end for m in found[1:]):
        raise DataError(f"length: wanted one length, got several in {text[:80]!r}")
    return parts


def _is_preposition(match: re.Match[str], text: str) -> bool:
    return (match[2] or "").lower() == "in" and _NOT_INCHES.match(text, match.end()) is not None


def parse_length(text: str) -> float:
    """Read the one length in a text, in metres; the inverse of `say_length`.

    Reads what people write besides: "about 3 feet", "5'3\\"", "5 ft 3 in", "1,200 m", "2 km".

    Raises:
        DataError: when there is no length with a unit, or more than one.

    >>> parse_length("1.2 m"), parse_length("about 3 feet")
    (1.2, 0.9144000000000001)
    >>> round(parse_length("5'3\\""), 4)
    1.6002
    """
    return sum(float(digits) * unit_m for digits, unit_m in _parts(text))


def tolerance(text: str) -> float:
    """Half the width, in metres, of what the length in a text can mean.

    Half a step of its last digit; zeros at the end of a whole number are no digits ("20 meters" is
    15 to 25 m); of two digits the last of which is 5, the step is five ("15 meters" is 12.5 to
    17.5 m); inches after feet are whole inches. So for every text that `say_length` makes,
    ``abs(parse_length(text) - value_m) <= tolerance(text)``.

    Raises:
        DataError: as `parse_length`.

    >>> round(tolerance("1.2 m"), 6), round(tolerance("20 meters"), 6), round(tolerance("86 cm"), 6)
    (0.05, 5.0, 0.005)
    """
    parts = _parts(text)
    digits, unit_m = parts[-1]
    whole, _, decimals = digits.partition(".")
    step = 10.0 ** -len(decimals)
    significant = (whole + decimals).lstrip("0")
    if not decimals and len(parts) == 1:
        stripped = significant.rstrip("0")
        step *= 10.0 ** (len(significant) - len(stripped))
        significant = stripped
    if len(significant) == 2 and significant[1] == "5" and len(parts) == 1:
        step *= 5
    return 0.5 * step * unit_m * (1 + 1e-9)
