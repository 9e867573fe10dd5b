"""Write numbers in digits, however they are said: words, fractions, powers of ten, other scripts.

==================================================  ===================
in the text                                         written as
==================================================  ===================
``two and a half``, ``1 and 1/2``, ``1½``           ``2.5``, ``1.5``
``three-and-a-quarter``                             ``3.25``
``one thousand two hundred``, ``a couple of``       ``1200``, ``2``
``1.5 × 10^2``, ``1 x 10^{-3}``                     ``150``, ``0.001``
``１５０ｃｍ``, ``㎝``, ``’``                           ``150cm``, ``cm``, ``'``
==================================================  ===================
"""

from __future__ import annotations

import re
import unicodedata

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_ONES += " fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS = {
    **{word: n for n, word in enumerate(_ONES.split())},
    **{word: 20 + 10 * n for n, word in enumerate(_TENS.split())},
}
"""Words up to ninety; "twenty-five" is made of two."""
PARTS = {"half": 1 / 2, "quarter": 1 / 4, "fourth": 1 / 4, "third": 1 / 3, "fifth": 1 / 5}
PARTS |= {"eighth": 1 / 8, "tenth": 1 / 10}
"""Words for parts of one."""

DIGITS = (
    r"[1-9]\d{0,2}(?:\.\d{3})+,\d+|\d{1,3}(?:,\d{3})+\.\d+|\d+(?:,\d+)+(?![\d,]*\.\d)"
    r"|\d+(?:\.\d+)?"
)
NUMBER = rf"(?:{DIGITS})(?:e[+-]?\d+)?|\.\d+"
"""A number without its sign, as `value` takes it."""

_COMPOUND = re.compile(
    rf"\b({_TENS.replace(' ', '|')})[- ]({'|'.join(_ONES.split()[1:10])})\b", re.IGNORECASE
)
_WORD = re.compile(rf"\b({'|'.join(NUMBER_WORDS)})\b", re.IGNORECASE)
_WORDS = (*NUMBER_WORDS, *PARTS, "hundred", "thousand", "couple")
_WORDY = re.compile("|".join(w for w in _WORDS if not any(o in w for o in _WORDS if o != w)))
"""Finds all of the words by those in them: "fourteen" and "fourth" by "four"."""
_SAID = re.compile(rf"\b(?:{'|'.join(_WORDS)})s?\b", re.IGNORECASE)
_FEW = re.compile(r"\ba couple(?: of)?\b", re.IGNORECASE)
_PART = "|".join(PARTS)
_LARGE = re.compile(f"hundred|thousand|point|{_PART}", re.IGNORECASE)
_GAP = r"(?:\s+|-)"
_HUNDRED = re.compile(
    rf"\b(?:a|(\d{{1,4}})){_GAP}hundred"
    rf"(?:{_GAP}(?:and{_GAP})?(\d{{1,2}})(?!\.?\d|[ -]hundred))?\b",
    re.IGNORECASE,
)
_THOUSAND = re.compile(
    rf"\b(?:a|(\d{{1,6}}(?:\.\d+)?)){_GAP}thousand"
    rf"(?:{_GAP}(?:and{_GAP})?(\d{{1,3}})(?!\.?\d|[ -]thousand))?\b",
    re.IGNORECASE,
)
_POINT = re.compile(r"\b(\d+) point (\d+)((?: \d(?![\d.]))*)", re.IGNORECASE)
_AND_A_PART = re.compile(
    rf"\b(\d{{1,9}})[ -]and[ -](?:an?|(\d))[ -]({_PART})s?\b(?: of an?\b)?", re.IGNORECASE
)
_FRACTION = re.compile(
    r"(?<![\w./])(?:(\d{1,9})([ -]| and ))?(\d{1,9})/(\d{1,9})(?!\d|/|\.\d)", re.IGNORECASE
)
_BETWEEN = re.compile(r"between(?: about)? $", re.IGNORECASE)
_GLYPH = re.compile(r"(\d?)\s*([¼-¾⅐-⅞])")

_LIKE_ASCII = str.maketrans(
    {**dict.fromkeys("″”“", '"'), **dict.fromkeys("′’‘", "'"), **dict.fromkeys("∼〜", "~")}
    | {**dict.fromkeys("≈≃≅", "="), "º": "°", "ı": "i", "İ": "I", "è": "e", "È": "E"}
)
_RAISED = re.compile("[⁻⁺]?[⁰¹²³⁴-⁹]+")
_POWER = re.compile(
    rf"(?<![\w.^])(?:({NUMBER})\s*(?:[×x*·]|times)\s*)?(?<![\d.,])10\s*(?:\^|\*\*)"
    r"\s*[{(]?\s*([-+−]?\d{1,2})(?!\d)(?:\s*[)}])?",
    re.IGNORECASE,
)


def in_digits(text: str) -> str:
    """Words for numbers and fractions written in digits.

    >>> in_digits("two and a half feet"), in_digits("twenty-five cm"), in_digits("1 1/2 inches")
    ('2.5 feet', '25 cm', '1.5 inches')
    >>> in_digits("one thousand mm"), in_digits("one and a quarter"), in_digits("1 and 1/2")
    ('1000 mm', '1.25', '1.5')
    """
    if _WORDY.search(text.lower()) and _SAID.search(text):
        text = _without_words(text)
    if not text.isascii():
        text = _GLYPH.sub(_glyph, text)
    return _FRACTION.sub(_fraction, text) if "/" in text else text


def _without_words(text: str) -> str:
    text = _COMPOUND.sub(
        lambda m: str(NUMBER_WORDS[m[1].lower()] + NUMBER_WORDS[m[2].lower()]), text
    )
    text = _FEW.sub("2", _WORD.sub(lambda m: str(NUMBER_WORDS[m[1].lower()]), text))
    if not _LARGE.search(text):
        return text
    text = _HUNDRED.sub(lambda m: str(100 * int(m[1] or 1) + int(m[2] or 0)), text)
    text = _THOUSAND.sub(lambda m: f"{1000 * float(m[1] or 1) + int(m[2] or 0):.12g}", text)
    text = _POINT.sub(lambda m: f"{m[1]}.{m[2]}{m[3].replace(' ', '')}", text)
    return _AND_A_PART.sub(lambda m: with_part(m[1], m[2], m[3]), text)


def with_part(whole: str, times: str | None, part: str) -> str:
    """A number and a part of one, in digits.

    >>> with_part("2", "3", "quarter"), with_part("1", None, "half")
    ('2.75', '1.5')
    """
    return f"{float(whole) + int(times or 1) * PARTS[part.lower()]:.12g}"


def _glyph(match: re.Match[str]) -> str:
    return f"{match[1]} {unicodedata.normalize('NFKC', match[2]).replace('⁄', '/')}"


def _fraction(match: re.Match[str]) -> str:
    """A fraction with the whole number before it; "between 1 and 3/2" are two numbers."""
    top, bottom = int(match[3]), int(match[4])
    if bottom == 0:
        return match[0]
    whole, link = match[1] or "", match[2] or ""
    if "a" in link.lower() and (top >= bottom or _BETWEEN.search(match.string, 0, match.start())):
        return f"{whole}{link}{top / bottom:.6g}"
    return f"{int(whole or 0) + top / bottom:.6g}"


def upright(text: str) -> str:
    """Letters, digits and signs of other widths and shapes as the plain ones.

    >>> upright("１５０ｃｍ"), upright("5′3″"), upright("3 m²"), upright("1½"), upright("mètres")
    ('150cm', '5\\'3"', '3 m^2', '1 1/2', 'metres')
    """
    if text.isascii():
        return text
    text = _GLYPH.sub(_glyph, text.translate(_LIKE_ASCII))
    text = _RAISED.sub(lambda m: f"^{m[0]}", text)
    return unicodedata.normalize("NFKC", text).replace("⁄", "/")


def without_powers(text: str) -> str:
    """Powers of ten written out.

    >>> without_powers("1.5 × 10^2 cm"), without_powers("10^{-2} m"), without_powers("2 x 10 cm")
    ('150 cm', '0.01 m', '2 x 10 cm')
    """
    return _POWER.sub(_power, text) if "^" in text or "**" in text else text


def _power(match: re.Match[str]) -> str:
    exponent = int(match[2].replace("−", "-"))
    return f"{value(match[1] or '1') * 10.0**exponent:.12g}"


def value(digits: str) -> float:
    """A number, its comma a thousand's or a decimal one.

    >>> value("1,200"), value("0,25"), value("1.234,5"), value("1,234.5")
    (1200.0, 0.25, 1234.5, 1234.5)
    """
    if "," not in digits:
        return float(digits)
    if 0 < digits.find(".") < digits.find(","):
        return float(digits.replace(".", "").replace(",", "."))
    whole, *groups = digits.partition(".")[0].split(",")
    thousands = all(len(group) == 3 for group in groups) and whole.strip("0") and len(whole) <= 3
    if thousands or len(groups) > 1:
        return float(digits.replace(",", ""))
    return float(digits.replace(",", "."))
