"""Bring what people and models write of a length into one form: digits, a space, a unit.

Each step looks for something rare before it does anything, since nearly all answers are plain.
"""

from __future__ import annotations

import html
import re

from calipers.evals.numerals import NUMBER, PARTS, in_digits, upright, with_part, without_powers
from calipers.units import UNITS_M

_NAMES = sorted((u for u in UNITS_M if u.isalpha()), key=len, reverse=True)
_LONG = "|".join(u for u in _NAMES if len(u) > 1 and u != "in")
_ANY = "|".join(_NAMES)
_SHORT = "mm|cm|dm|km|m|ft|in|yd|feet|foot|inch|inches"

_BOX = r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
_SCALAR = re.compile(rf"\\?scalar{_BOX}")
_UNIT_BOX = re.compile(rf"\\?distance\\?_unit{_BOX}")
_FRAC = re.compile(r"(\d?)\s*\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_SI = re.compile(r"\\(?:SI|qty)\s*(?:\[[^\]]*\])?\{([^{}]*)\}\s*\{([^{}]*)\}")
_MARKUP = re.compile(
    r"\\(?:text|textrm|textbf|textit|mathrm|mathbf|mbox|rm|unit|operatorname)\s*\{([^}]*)\}"
    r"|\{\\rm\s([^{}]*)\}"
    r"|\\(?:[,;:! ()\[\]]|(?:approx|sim|quad)\b)|[$`]"
)
_MARKS = frozenset("\\$`*~^_{<&+")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?(?:b|i|u|p|em|strong|span|code|mark)\b[^<>]*>", re.IGNORECASE)
_SUP = re.compile(r"<sup>\s*([^<>]*?)\s*</sup>", re.IGNORECASE)
_TWO_TICKS = re.compile(r"(?<=\d)\s?''")
_UNDERLINE = re.compile(r"(?<!\w)_+(?=\.?\d)")
_INDEX = re.compile(r"([A-Za-z])\s*\[\d+\]")
_QUOTED = re.compile(r"""(?<![\d\w])(["'])(-?\d+(?:\.\d+)?)\1""")
_STAR = re.compile(
    rf"(?<=\d)\s*\*+\s*(?=\d)|(?<=\d)(\s?(?:{_ANY}))(?:\*| \* )(?=\d)", re.IGNORECASE
)
_APPROXIMATE = re.compile(r"~~+|~(?!\s*\.?\d)")
_RAISED_UNIT = re.compile(r"(?<=[A-Za-zμ])\s?\^\s?(?:\{\s*([23])\s*\}|([23])(?!\d))")

_ODD = re.compile(rf"\d(?: \d{{3}}(?!\d)|\s?(?:{_SHORT})\d|\s*[(\[]|\s+in\s)", re.IGNORECASE)
_SPACED = re.compile(
    r"(?<![\d.,])(?<!region )(?<!object )(?<!step )(\d{1,3}(?: \d{3})+)(?!\d)", re.IGNORECASE
)
_UNIT_POWER = re.compile(
    rf"(?<=\d)(\s?(?:{_SHORT}))([23])(?![\w\"'])(?!\.\d)(?!\s?(?:{_SHORT})\b)", re.IGNORECASE
)
_GLUED = re.compile(
    rf"(?<=\d)(\s?(?:ft|feet|foot|yd|m|km|cm))"
    rf"(?=\d+(?:\.\d+)?\s?(?:(?:{_SHORT})(?![A-Za-z])|[\"']))",
    re.IGNORECASE,
)
_GLUED_BARE = re.compile(
    r"(?<=\d)(\s?(?:ft|feet|foot|m(?=\d\d(?!\d))))(?=\d{1,2}(?!\w|[.,]\d))", re.IGNORECASE
)
_BRACKETED = re.compile(rf"(?<=\d)\s*[(\[]\s*(?:in\s+)?((?:{_ANY})[²³]?)\.?\s*[)\]]", re.IGNORECASE)
_TWICE = re.compile(
    rf"\d+(?:\.\d+)?\s*\(\s*(\d+(?:\.\d+)?)\s*\)(?=\s*-?\s*(?:{_ANY})\b)", re.IGNORECASE
)
_OR_MORE = re.compile(rf"(?<=\d)\+(?=\s*-?\s*(?:{_ANY})\b)", re.IGNORECASE)
_LABEL = re.compile(
    rf"(?:(?<=_)({_LONG}|m)|(?<!\d)(?<!\d\s)\(\s*(?:in\s+)?({_ANY})\s*\)"
    rf"|\b(?<!\d)(?<!\d[\s-])({_LONG}))"
    rf"[\"']?\s*[:=]\s*((?:(?:about|approximately|roughly)\s+|~\s*)?(?:{NUMBER})"
    rf"(?:\s*(?:[-–~±]|to)\s*(?:{NUMBER}))?)(?![.,]?\d|,\s*\d|[ \t]*[\w\"'%°²³(/])",
    re.IGNORECASE,
)
_IN_UNITS = re.compile(rf"(?<=\d)\s+in\s+({_LONG})\b", re.IGNORECASE)

_OR_MINUS = re.compile(r"\bplus(?:[ -]or[ -]|[/-])minus\b", re.IGNORECASE)
_MINUS = re.compile(r"\b(?:minus|negative)\s+(?=\.?\d)", re.IGNORECASE)
_LEADING_POINT = re.compile(rf"(?<!\d )\bpoint (?=\d+\s*-?\s*(?:{_ANY})\b)", re.IGNORECASE)
_PART = "|".join(PARTS)
_AND_HALF = re.compile(
    rf"\b(\d{{1,9}})[- ]and[- ](half|quarter)[- ]({_LONG}|m|inch)\b", re.IGNORECASE
)
_A_PART = re.compile(
    rf"\b(?:(an?|\d)[- ]({_PART})s?|(half|quarter))"
    rf"(?:[- ]of)?(?:[- ]an?|[- ]1)?[- ]({_LONG}|inch)\b",
    re.IGNORECASE,
)
_AND_A_PART = re.compile(
    rf"\b(an?|\d+(?:\.\d+)?)[- ]?({_ANY}) and (?:an?|(\d)) ({_PART})s?\b"
    rf"(?![- ](?:of )?(?:an? )?(?:{_ANY})\b)",
    re.IGNORECASE,
)
_OF_A_UNIT = re.compile(rf"(?<=\.)(\d+) of (?:an?|1)[ -]({_ANY})\b", re.IGNORECASE)
_A_UNIT = re.compile(
    rf"(?<!of )(?<!to within )\ban? ({_LONG})\b"
    r"(?![- ](?:stick|rule|ruler|tape|scale|stool)s?\b)",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """A text without markup, its numbers in digits, each unit behind its number.

    >>> plain(r"$1.5\\,\\text{m}$"), plain("1~2 m"), plain("about ~2 m"), plain("**3** m")
    ('1.5 m ', '1~2 m', 'about ~2 m', '3 m')
    >>> plain("5ft3in"), plain("1 234 m"), plain("2 (meters)"), plain("3.5m2"), plain("half a foot")
    ('5ft 3in', '1234 m', '2 meters', '3.5m²', '0.5 foot')
    """
    text = upright(text)
    if "scalar" in text or "distance" in text:
        text = _unboxed(text)
    if "[" in text:
        text = _INDEX.sub(r"\1", text)
    if "'" in text or '"' in text:
        text = _QUOTED.sub(r"\2", _TWO_TICKS.sub('"', text))
    if not _MARKS.isdisjoint(text):
        text = _unmarked(text)
    text = in_digits(text)
    if ":" in text or "=" in text:
        text = _LABEL.sub(_label, text)
    if _ODD.search(text):
        text = _parted(text)
    return _in_words(text)


def with_articles(text: str) -> str:
    """ "a meter" with a number; only where no number has a unit.

    >>> with_articles("a meter away"), with_articles("a few tenths of a meter, by a meter stick")
    ('1 meter away', 'a few tenths of a meter, by a meter stick')
    """
    return _A_UNIT.sub(r"1 \1", text)


def _without_html(text: str) -> str:
    """Tags of letters away, raised digits and signs by name as others write them."""
    if "<" in text:
        text = _TAG.sub(" ", _SUP.sub(r"^\1", _BREAK.sub("\n", text)))
    return html.unescape(text) if "&" in text else text


def _unboxed(text: str) -> str:
    """Q-Spatial's form: the last scalar and the last unit, wherever they stand."""
    scalars, units = _SCALAR.findall(text), _UNIT_BOX.findall(text)
    if scalars and units:
        return f"{scalars[-1]} {units[-1]}"
    return _SCALAR.sub(r"\1", text) if scalars else text


def _unmarked(text: str) -> str:
    """LaTeX, Markdown and HTML away; `~` stays before a number, where it may be "to"."""
    if "<" in text or "&" in text:
        text = upright(_without_html(text))
    text = _OR_MORE.sub("", text.replace("{,}", ","))
    if "\\" in text:
        text = _FRAC.sub(_frac, _SI.sub(_si, text))
        text = text.replace("\\times", "×").replace("\\cdot", "×").replace("\\pm", "±")
    text = _MARKUP.sub(_marked, text)
    text = without_powers(text)
    if "*" in text:
        text = _STAR.sub(r"\1 × ", text).replace("*", "")
    if "_" in text:
        text = _UNDERLINE.sub("", text)
    if "~" in text:
        text = _APPROXIMATE.sub(" ", text)
    return _RAISED_UNIT.sub(_raised, text) if "^" in text else text


def _frac(match: re.Match[str]) -> str:
    return f"{match[1]} {match[2]}/{match[3]}" if match[1] else f"{match[2]}/{match[3]}"


def _si(match: re.Match[str]) -> str:
    return f"{match[1]} {match[2].replace(chr(92), '')}"


def _marked(match: re.Match[str]) -> str:
    inside = match[1] or match[2]
    return f"{inside} " if inside else " " if match[0][0] == "\\" else ""


def _label(match: re.Match[str]) -> str:
    return f": {match[4]} {match[1] or match[2] or match[3]}"


def _raised(match: re.Match[str]) -> str:
    return "²" if (match[1] or match[2]) == "2" else "³"


def _parted(text: str) -> str:
    """Digits that are parted by spaces together, numbers and units that are glued apart."""
    text = _SPACED.sub(lambda m: m[1].replace(" ", ""), text)
    text = _TWICE.sub(r"\1", text)  # "two (2) meters"
    text = _UNIT_POWER.sub(lambda m: f"{m[1]}{'²' if m[2] == '2' else '³'}", text)
    text = _GLUED_BARE.sub(r"\1 ", _GLUED.sub(r"\1 ", text))
    return _IN_UNITS.sub(r" \1", _BRACKETED.sub(r" \1", text))


def _in_words(text: str) -> str:
    """Signs, points and parts that are said in words."""
    small = text.lower()
    if "minus" in small or "negative" in small:
        text = _MINUS.sub("−", _OR_MINUS.sub("±", text))
    if "point" in small:
        text = _LEADING_POINT.sub("0.", text)
    of = " of a" in small or " of 1 " in small
    if of:
        text = _OF_A_UNIT.sub(r"\1 \2", text)
    if of or "half" in small or "quarter" in small or "third" in small:
        text = _AND_HALF.sub(lambda m: f"{with_part(m[1], None, m[2])} {m[3]}", text)
        text = _A_PART.sub(_a_part, _AND_A_PART.sub(_and_a_part, text))
    return text


def _and_a_part(match: re.Match[str]) -> str:
    whole = match[1] if match[1][0].isdigit() else "1"
    return f"{with_part(whole, match[3], match[4])} {match[2]}"


def _a_part(match: re.Match[str]) -> str:
    times = int(match[1]) if match[1] and match[1].isdigit() else 1
    return f"{times * PARTS[(match[2] or match[3]).lower()]:.6g} {match[4]}"
