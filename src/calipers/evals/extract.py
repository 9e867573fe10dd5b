"""Take what was answered out of a model's text: yes or no, a count, a number, a depth.

Each reader returns None where the text does not say one thing. Options are read by
`calipers.evals.options`, hours by `hours`, points by `places`, lengths and areas by `quantities`,
comparisons of two things by `relations`.
"""

from __future__ import annotations

import re

from calipers.errors import DataError
from calipers.evals.numerals import in_digits, upright
from calipers.evals.quantities import ENDLESS, read_length
from calipers.units import parse_length

_YES = frozenset(("yes", "yeah", "yep", "true", "correct"))
_NO = frozenset(("no", "nope", "false", "incorrect", "wrong"))
_PLAINLY = re.compile(r"\W*(yes|no)(?:[.,;:!]|\W*$)")
_ASSENT = re.compile(
    r"\W*(?:(?:certainly|indeed)\b(?!\s+not\b)"
    r"|(?:absolutely|definitely|of course|affirmative)\b(?=\W*$|[.,;:!\n]|\s+(?:it|they|that)\b))"
)
_DISSENT = re.compile(
    r"\W*(?:certainly|indeed|absolutely|definitely|probably|of course)\s+not\b|\W*negative\W*$"
)
_NO_ANSWER = re.compile(
    r"\bnot? sure\b|\b(?:yes\s*(?:/|\bor)\s*no|no\s*(?:/|\bor)\s*yes)\b"
    r"|(?:n['’]t|\bnot|\bcannot|\bnever)\s+(?:\w+\s+){0,2}(?:yes|no)\b"
    r"(?:\s*(?:/|\b(?:or|from|and)\b)\s*(?:yes|no)\b)?"
    r"|\bno[ \t]+(?!(?:it|its|this|that|the|they|these|those|there|i|we|you|he|she|because|since"
    r"|as|but|and|or|an?|in|on|at|by|to|from|for|with|not|if|so|although|though|only|actually"
    r"|definitely|is|no|yes)\b)[a-z]+"
)
"""Where "yes" and "no" are no answer: both as a choice, after "not", and "no" with a noun."""
_NONE_THERE = re.compile(
    r"\W*there(?:['’]s| is| are) no (?!(?:idea|clue|way|clear|visible|real|information|difference"
    r"|doubt|answer)\b)(?:(?!\bso\b)[^,;])*"
)
_LETTERS = re.compile(r"[a-z]+(?:['’][a-z]+)?")
_TRUTH = re.compile(
    r"((?:\bnot |n['’]t |\bcannot )(?:\w+ ){0,2})?\b(?:(true|correct)|false|incorrect)\b"
    r"(?!-|\s+(?!that\b|because\b|since\b|as\b|for\b|in\b|here\b)[a-z])"
)
"""A statement that something is true; "the true height" is none."""


def read_yes_no(text: str) -> str | None:
    """Read "yes" or "no" where that is the first word, or the only one of both.

    Nothing is said by "no" with a noun ("no obstacle, so it fits"), after "not", and by "yes or
    no". Where neither is said, "That is true" and "Certainly" are a yes, "That is incorrect",
    "Definitely not" and a plain "There is no cup" a no; of "wrong" only the first word counts.

    >>> read_yes_no("Yes, it is."), read_yes_no("Not sure."), read_yes_no("I would say no.")
    ('yes', None, 'no')
    >>> read_yes_no("No idea."), read_yes_no("It is unknown"), read_yes_no("Yes and no")
    (None, None, 'yes')
    """
    lower = text.lower()
    plain = _PLAINLY.match(lower)
    if plain:
        return plain[1]
    unsure = "no" in lower or "yes" in lower
    words: list[str] = _LETTERS.findall(_NO_ANSWER.sub(" ", lower) if unsure else lower)
    if not words:
        return None
    if words[0] in _YES:
        return "yes"
    if words[0] in _NO:
        return "no"
    found = {word for word in words if word in ("yes", "no")}
    if not found and ("true" in lower or "false" in lower or "correct" in lower):
        found = {_truth(match) for match in _TRUTH.finditer(lower)}
    if not found:
        return (
            "no"
            if _DISSENT.match(lower) or _NONE_THERE.fullmatch(lower)
            else "yes"
            if _ASSENT.match(lower)
            else None
        )
    return found.pop() if len(found) == 1 else None


def _truth(match: re.Match[str]) -> str:
    return "yes" if bool(match[2]) != bool(match[1]) else "no"


_COUNTS = {"none": "0", "no": "0"}
_COUNT_WORDS = re.compile(r"[a-z]+|\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?")
MOST = 1e15
"""A count beyond is no answer."""


def read_count(text: str) -> int | None:
    """The one whole number in a text, in digits or words; of several the sum of the others.

    >>> read_count("There are two cups."), read_count("3"), read_count("2 or 3"), read_count("many")
    (2, 3, None, None)
    >>> read_count("twenty-one"), read_count("3.0"), read_count("2.5"), read_count("1 and 3, so 4")
    (21, 3, None, 4)
    """
    plain = in_digits(upright(text)).lower()
    words = _COUNT_WORDS.findall(plain)
    said = [_COUNTS.get(word, word) for word in words if word in _COUNTS or word[0].isdigit()]
    found = {float(number.replace(",", "")) for number in said}
    if len(said) > 2 and len(found) > 1:
        total = _total(plain)
        found = found if total is None else {total}
    whole = {int(number) for number in found if number.is_integer() and number < MOST}
    return whole.pop() if len(whole) == 1 else None


_PLAIN_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w%])")


def _total(text: str) -> float | None:
    """Of three numbers or more the last one, or the first one before ":" or "(", if it is the sum.

    >>> _total("4 chairs: 2 left, 2 right"), _total("4 (1+3)"), _total("3 left, 2 right, so 5")
    (4.0, 4.0, 5.0)
    >>> _total("4 chairs, 1 taken, so 3"), _total("1, 2 or 3")
    (None, None)
    """
    places = list(_PLAIN_NUMBER.finditer(text))
    if len(places) < 3 or re.search(r"\bor\b", text):
        return None
    numbers = [float(place[0].replace(",", "")) for place in places]
    if sum(numbers[:-1]) == numbers[-1]:
        return numbers[-1]
    explained = re.search("[:(]", text[places[0].end() : places[1].start()])
    return numbers[0] if explained and sum(numbers[1:]) == numbers[0] else None


def read_number(text: str, last: bool = True) -> float | None:
    """A number without a unit; of several the last one (or the first).

    The parts of a sum, behind ":" or in brackets, do not count.

    >>> [read_number(text) for text in ("3 left, 2 right, so 5", "There are none.", "many")]
    [5.0, 0.0, None]
    >>> read_number("4 chairs: 2 left, 2 right"), read_number("Total: 4 (1+3)")
    (4.0, 4.0)
    """
    found = _PLAIN_NUMBER.findall(text) or _PLAIN_NUMBER.findall(in_digits(text))
    if found:
        total = _total(text) if last and len(found) > 2 else None
        number = float(found[-1 if last else 0].replace(",", "")) if total is None else total
        return number if abs(number) < ENDLESS else None
    return 0.0 if re.search(r"\bnone\b|^no\b(?! idea| clue)", text, re.IGNORECASE) else None


def read_depth(text: str) -> float | None:
    """Metres of the one length in a text; a number without a unit is millimetres.

    >>> read_depth("1520"), read_depth("It is 1.52 m away."), read_depth("far"), read_depth("3 kg")
    (1.52, 1.52, None, None)
    """
    try:
        return parse_length(text)
    except DataError:
        bare = re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)", text)
        found = read_length(text, unit="mm") if len(bare) == 1 else None
        return None if found is None else found.value
