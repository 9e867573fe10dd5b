"""Take what was answered out of a model's text: yes or no, an option, a number, a clock, points.

Each reader returns None where the text does not say one thing. Lengths and areas are read by
`calipers.evals.quantities`, comparisons of two things by `calipers.evals.relations`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence

from calipers.errors import DataError
from calipers.evals.numerals import in_digits, upright
from calipers.evals.quantities import ENDLESS, read_length
from calipers.thoughts import parted
from calipers.units import parse_length

_ANSWER_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_WHOLE_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_ANSWER_LINE = re.compile(
    r"(?:final answer|(?<![\w\"'])answer)\**\s*(?:is\b|[:=])\s*\**\s*(?=\S)", re.IGNORECASE
)


def final(text: str) -> str:
    """The part of a response that counts.

    What follows ``</think>``; of that the last ``<answer>…</answer>``, else the last
    ``\\boxed{…}``, else what follows the last "answer:" or "the answer is". Of thoughts that do
    not end nothing counts but an ``<answer>…</answer>``.

    >>> final("<think>1 m?</think>So <answer>2 m</answer>"), final("First 1 m. Final answer: 3 m")
    ('2 m', '3 m')
    >>> final("<think>The door is 2 m, so the chair is 1 m, or perhaps")
    ''
    """
    if "<" in text:
        text, unended = parted(text)
        answers = _WHOLE_ANSWER if unended else _ANSWER_TAG
        tagged: list[str] = answers.findall(text + unended)
        if tagged or unended:
            return tagged[-1].strip() if tagged else ""
    if "boxed{" in text:
        return _boxed(text)
    if "nswer" in text:
        tail = _ANSWER_LINE.split(text)[-1]
        text = tail or text
    return text.strip()


def _boxed(text: str) -> str:
    """What the last box holds, with the braces in it."""
    start = place = text.rindex("boxed{") + len("boxed{")
    depth = 1
    while place < len(text) and depth:
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        place += 1
    return text[start : place - (depth == 0)].strip()


_REFUSAL = re.compile(
    r"\b(?:sorry|can(?:no|['’])t|unable to|not able to|not possible|impossible|as an ai"
    r"|do(?:n['’]t| not) know|not sure|unsure|no (?:idea|clue|way)|unclear|undetermined"
    r"|insufficient|not enough|not visible|difficult to|hard to)\b|\bcannot be\b",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a text in which nothing could be read says that it gives no answer.

    >>> is_refusal("I'm sorry, I can't measure that."), is_refusal("far")
    (True, False)
    """
    return _REFUSAL.search(text) is not None


_YES = frozenset(("yes", "yeah", "yep", "true", "correct", "indeed", "certainly"))
_NO = frozenset(("no", "nope", "false", "incorrect", "wrong"))
_NOT_A_NO = re.compile(
    r"\bno (?:idea|clue|way|clear|visible|real|information|difference|doubt)\b|\bnot? sure\b",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[a-z]+(?:['’][a-z]+)?")
_TRUTH = re.compile(
    r"(\bnot |n['’]t )?\b(true|false)\b"
    r"(?!-|\s+(?!that\b|because\b|since\b|as\b|for\b|in\b|here\b)[a-z])"
)
"""A statement that something is true; "the true height" is none."""


def read_yes_no(text: str) -> str | None:
    """Read "yes" or "no" where that is the first word, or the only one of both.

    "That is true" is a yes where neither is said, "That is not true" a no. Of "correct", "indeed",
    "wrong", … only the first word counts.

    >>> read_yes_no("Yes, it is."), read_yes_no("Not sure."), read_yes_no("I would say no.")
    ('yes', None, 'no')
    >>> read_yes_no("No idea."), read_yes_no("It is unknown"), read_yes_no("Yes and no")
    (None, None, 'yes')
    """
    words: list[str] = _LETTERS.findall(_NOT_A_NO.sub(" ", text.lower()))
    if not words:
        return None
    if words[0] in _YES:
        return "yes"
    if words[0] in _NO:
        return "no"
    found = {word for word in words if word in ("yes", "no")}
    if not found and ("true" in words or "false" in words):
        found = {_truth(match) for match in _TRUTH.finditer(text.lower())}
    return found.pop() if len(found) == 1 else None


def _truth(match: re.Match[str]) -> str:
    return "yes" if (match[2] == "true") != bool(match[1]) else "no"


_COUNTS = {"none": 0, "no": 0}
_COUNT_WORDS = re.compile(r"[a-z]+|\d+(?:\.\d+)?")
MOST = 1e15
"""A count beyond is no answer."""


def read_count(text: str) -> int | None:
    """The one whole number in a text, in digits or words.

    >>> read_count("There are two cups."), read_count("3"), read_count("2 or 3"), read_count("many")
    (2, 3, None, None)
    >>> read_count("twenty-one"), read_count("3.0"), read_count("2.5")
    (21, 3, None)
    """
    words = _COUNT_WORDS.findall(in_digits(upright(text)).lower())
    found = {_COUNTS.get(word, word) for word in words if word in _COUNTS or word[0].isdigit()}
    whole = {int(number) for number in map(float, found) if number.is_integer() and number < MOST}
    return whole.pop() if len(whole) == 1 else None


_PLAIN_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w%])")


def read_number(text: str, last: bool = True) -> float | None:
    """A number without a unit; of several the last one (or the first).

    >>> [read_number(text) for text in ("3 left, 2 right, so 5", "There are none.", "many")]
    [5.0, 0.0, None]
    """
    found = _PLAIN_NUMBER.findall(text) or _PLAIN_NUMBER.findall(in_digits(text))
    if found:
        number = float(found[-1 if last else 0].replace(",", ""))
        return number if abs(number) < ENDLESS else None
    return 0.0 if re.search(r"\bnone\b|^no\b(?! idea| clue)", text, re.IGNORECASE) else None


_OPTION = re.compile(r"\(?\b([A-Z])[.):]\s*([^\n]*?)(?=\s*\(?\b[A-Z][.):]\s|\n|$)")
_LEADING = re.compile(r"\W*(?:option |choice )?\(?([A-Za-z])(?:[.):,\]}]|\W*$)", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\(([A-Za-z])\)")
_LETTER = re.compile(
    r"(?<![\w'’])(?:([B-HJ-Z])|(A|I)(?!['’]|\s+(?!is\b|or\b|and\b)[a-z]))(?![\w'’])"
)
"""An option's letter; "A" before a word is an article, and "I" a person."""


_HEDGED = re.compile(
    r"\W*(?:option |choice )?([A-Z])\W*?(?:[,/;&]|\bor\b|\band\b)\W*(?:option |choice )?([A-Z])"
    r"(?![\w'’]|\s+(?!or\b|and\b)[a-z])",
    re.IGNORECASE,
)
"""Two letters at the start, neither of them marked as the answer."""


def options(question: str) -> dict[str, str]:
    """Letters and words of the options in a question.

    >>> options("Where is it? A. on the left B. on the right")
    {'A': 'on the left', 'B': 'on the right'}
    """
    return {letter: words.strip(" ,;") for letter, words in _OPTION.findall(question)}


def lettered(choices: Sequence[str]) -> dict[str, str]:
    """Options by letter.

    >>> lettered(("left", "right"))
    {'A': 'left', 'B': 'right'}
    """
    return {chr(65 + place): words for place, words in enumerate(choices)}


def read_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the option that a text says, by letter or by words; None unless it is one.

    A letter that the text starts with or has in brackets goes before others, a letter before
    words, and words that hold other options' words before those.

    >>> choices = {"A": "on the left", "B": "on the right"}
    >>> [read_option(t, choices) for t in ("(B)", "b", "B. on the right", "On the left.", "A or B")]
    ['B', 'B', 'B', 'A', None]
    >>> read_option("Not sure", {"A": "Yes", "B": "No"}) is None
    True
    """
    known = choices.keys() or set("ABCDEF")
    first = _LEADING.match(text)
    if first and first[1].upper() in known and not _hedges(text, known):
        return first[1].upper()
    for pattern in (_IN_BRACKETS, _LETTER):
        said = {match[match.lastindex or 0].upper() for match in pattern.finditer(text)} & set(
            known
        )
        if said:
            return said.pop() if len(said) == 1 else None
    return _by_words(text.casefold(), choices)


def _hedges(text: str, known: Collection[str]) -> bool:
    """Whether a text starts with two letters of options."""
    if re.search(r"\b(?:or|and|/)\b", text[:12]):
        return True
    both = _HEDGED.match(text)
    return both is not None and both[1].upper() != both[2].upper() and both[2].upper() in known


def _by_words(text: str, choices: Mapping[str, str]) -> str | None:
    """The one option whose words stand in the text, outside of longer options' words."""
    found = []
    for key, words in sorted(choices.items(), key=lambda item: -len(item[1])):
        folded = words.casefold().strip(" .")
        spot = _word_place(text, folded)
        if folded and spot >= 0:
            found.append(key)
            text = text.replace(folded, "\0")
    return found[0] if len(found) == 1 else None


def _word_place(text: str, words: str) -> int:
    """Where words stand in a text, not as parts of others; −1 if nowhere."""
    spot = text.find(words) if words else -1
    while spot >= 0:
        end = spot + len(words)
        if not text[max(spot - 1, 0) : spot].isalnum() and not text[end : end + 1].isalnum():
            return spot
        spot = text.find(words, spot + 1)
    return -1


_CLOCK = re.compile(r"(?<!\d)(\d{1,2})(?::(\d\d))?\s*-?\s*o\s?['’`]?\s?clock", re.IGNORECASE)
_HOUR = re.compile(r"(?<![\d.])(\d{1,2})(?::(\d\d))?(?![\d.])")


def read_clock(text: str) -> float | None:
    """An hour from 0 up to 12 (12 o'clock is 0); of several the last one.

    >>> read_clock("around the 10 o'clock direction"), read_clock("twelve o'clock"), read_clock("3")
    (10.0, 0.0, 3.0)
    """
    plain = in_digits(text)
    found = _CLOCK.findall(plain) or _HOUR.findall(plain)
    if not found:
        return None
    hours, minutes = found[-1]
    hour = int(hours) + int(minutes or 0) / 60
    return hour % 12 if 0 <= hour < 13 else None


_FLOAT = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_PAIR = re.compile(rf"[(\[]\s*({_FLOAT})\s*,\s*({_FLOAT})\s*[)\]]")
_MOLMO = re.compile(rf'x\d*\s*=\s*"\s*({_FLOAT})"\s+y\d*\s*=\s*"\s*({_FLOAT})"')
_MOLMO2 = re.compile(r'coords\s*=\s*"([^"]*)"')
_POINT_2D = re.compile(rf'"point(?:_2d)?"\s*:\s*\[\s*({_FLOAT})\s*,\s*({_FLOAT})\s*\]')
_LOC = re.compile(r"(?<!>)<loc(\d{4})><loc(\d{4})>(?!<loc)")
POINT_SCALES = {"share": 1.0, "percent": 100.0, "thousand": 1000.0}
"""What stands for the whole width and height, by the name of the notation."""

Points = tuple[tuple[float, float], ...]


def read_points(text: str, notation: str = "share") -> Points | None:
    """Points as shares of width and height, in the order of the text; None without any.

    Molmo's ``<point x= y=>`` are percent, ``{"point_2d": [x, y]}`` (Qwen) and Molmo 2's ``coords``
    thousandths, PaliGemma's ``<loc0256><loc0512>`` y before x in parts of 1024; plain pairs are
    what `notation` says. Nothing is clipped: a point outside of the picture stays outside.

    Args:
        text: a model's answer.
        notation: one of `POINT_SCALES`.

    >>> read_points("[(0.5, 0.25), (1.2, 0)]"), read_points('[{"point_2d": [500, 250]}]')
    (((0.5, 0.25), (1.2, 0.0)), ((0.5, 0.25),))
    """
    for pattern, scale in ((_POINT_2D, 1000.0), (_MOLMO, 100.0)):
        found = pattern.findall(text)
        if found:
            return tuple((float(x) / scale, float(y) / scale) for x, y in found)
    if places := _LOC.findall(text):
        return tuple((int(x) / 1024, int(y) / 1024) for y, x in places)
    coords = _MOLMO2.findall(text)
    if coords:
        return _molmo2(coords)
    scale = POINT_SCALES[notation]
    pairs = _PAIR.findall(text)
    return tuple((float(x) / scale, float(y) / scale) for x, y in pairs) or None


def _molmo2(coords: Sequence[str]) -> Points | None:
    """``coords="1 1 990 800 2 …"``: the picture's number, then triples of place, x and y."""
    found: list[tuple[float, float]] = []
    for text in coords:
        numbers = [float(n) for n in re.findall(_FLOAT, text)][1:]
        found += [(x / 1000, y / 1000) for x, y in zip(numbers[1::3], numbers[2::3])]
    return tuple(found) or None


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


def polygon(text: str) -> Points | None:
    """A polygon written as a list of pairs, in shares of width and height.

    >>> polygon("[(0, 0), (1, 0), (1, 1)]")
    ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    """
    try:
        pairs = json.loads(text.replace("(", "[").replace(")", "]"))
        corners = tuple((float(x), float(y)) for x, y in pairs)
    except (ValueError, TypeError):
        return None
    return corners if len(corners) > 2 else None
