"""Read how a text compares two things: which is the taller one, what is left of what.

A text is read clause by clause. In a clause a word of either side ("taller", "shorter") says how
its subject compares with the other thing. The subject is the first thing named that does not follow
"than", "compared with", "left of" and the like; a clause that names neither speaks of what the one
before spoke of, and one that names only what is compared with speaks of the other.

Where no clause before named a thing, the subject is the first one of a question that asks about it
("Is the mug taller than the box?" "No, it is shorter."); asked which of two, it is not known, and a
thing that follows on its own is it ("taller: the box"). "Region 1" and "[1]" are "Region [1]", and
where nothing is named "the former", "the second one" are things by their order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

Pattern = re.Pattern[str]


def _words(text: str) -> Pattern:
    return re.compile(rf"\b(?:{text})\b")


_RIGHT = (
    r"(?<!\bthat['’]s )(?<!\bthat is )(?<!\byou are )(?<!\byou['’]re )\bright\b"
    r"(?! (?:behind|above|below|over|under|beside|next|in front|on top|here|there|now)\b)"
)
"""A side; "that's right" and "right behind" are none."""

WORDS: Mapping[str, tuple[Pattern, Pattern]] = {
    "left": (
        _words("left|leftward|leftmost"),
        re.compile(rf"{_RIGHT}|\b(?:rightward|rightmost)\b"),
    ),
    "above": (
        _words("above|higher|highest|higher up|over|upper|on top"),
        _words("below|lower|lowest|lower down|under|underneath|beneath"),
    ),
    "behind": (
        _words(
            "behind|(?:farther|further)(?! forward)(?: back| away)?|farthest|furthest|deeper|back"
            "|greater|larger"
        ),
        _words("(?:in )?front|forward|nearer|closer|nearest|closest|smaller"),
    ),
    "tall": (
        _words("taller|tallest|tall|greater|larger|higher|more"),
        _words("shorter|shortest|short|smaller|less|lower"),
    ),
    "wide": (
        _words("wider|widest|wide|broader|greater|larger|more"),
        _words("narrower|narrowest|narrow|thinner|thinnest|thin|smaller|less"),
    ),
    "big": (
        _words("bigger|biggest|big|larger|largest|large|greater|more"),
        _words("smaller|smallest|small|less|tinier"),
    ),
}
"""What is compared → words for more of it, words for less."""

_SAME = re.compile(
    r"\bneither\b|\bsame\b|\bequal(?:ly)?\b|\bno clear\b|\bnot clearly\b|\btoo close to call\b"
    r"|\bin line\b|\b(?:about|nearly) level\b|\bidentical\b|\bsimilar\b"
    r"|\b(?:about|nearly|roughly|just|almost) as (?:\w+ ){1,5}as\b|\bis as \w+ as\b"
)
_CLAUSE = re.compile(r"[.;:,!?\n]+(?:\s|$)|\b(?:while|whereas|but|because|since)\b")
_NEGATION = re.compile(r"\b(?:not|never|isn['’]t|aren['’]t)\b|n['’]t\b")
_PART_AS = re.compile(r"\b(?:half|third|thirds|quarter|quarters|fraction) (?:of )?as $")
"""Before a word for more of something: "half as tall" is less tall."""
_REJECTED = re.compile("(?:\\bnot|\\brather than|\\binstead of) (?:the |an? )?[\1\2]")
_COMPARED = re.compile(
    r"(?:\bthan|\bcompared (?:with|to)|\brelative to|\b(?:left|right|front|top|that|those|side) of"
    r"|\bbehind|\babove|\bbelow|\bbeneath|\bunder|\bover|\bfrom|\bnext to|\bunlike)"
    r"\s+(?:the |a |an )?$"
)
_REGION = re.compile(r"region \[(\d+)\]")
_THING = r"(?: (?:one|object|item|thing|region)\b)?"
_VERB = r"(?:is|has|isn['’]t|appears|looks|stands|seems|lies|sits|extends|reaches)\b"
_OTHER = re.compile(rf"\b(?:the|its) other{_THING}(?=\W*$|[.,;:!?]| {_VERB})")
_JOINED = re.compile("[\1\2],? (?:and|or|versus|vs\\.?) (?:the |an? )?[\1\2]")
_CLAUSE_OF_NAME = re.compile(r" (?:that|which|on|with|in|to|of|at|by|near|far|from|behind|under)\b")
_ARTICLE = re.compile(r"^(?:the|an?) ", re.IGNORECASE)


def read_comparison(text: str, names: tuple[str, str], quantity: str) -> int | None:
    """1 where the first thing has more of a quantity than the second, −1 less, 0 about the same.

    Args:
        text: a model's answer.
        names: what the two things of the question are called.
        quantity: one of `WORDS`: left (further left), above, behind, tall, wide, big.

    >>> pair = ("the red mug", "the box")
    >>> read_comparison("No, the box is taller than the red mug.", pair, "tall")
    -1
    >>> read_comparison("Compared with the box, the red mug is taller.", pair, "tall")
    1
    >>> [read_comparison(text, pair, "left") for text in ("To the right.", "Hard to say.")]
    [-1, None]
    """
    return _comparison(_folded(text, names), quantity, 1)


def _comparison(folded: str, quantity: str, subject: int) -> int | None:
    """As `read_comparison`; the subject is 0 as long as it is not known."""
    if _SAME.search(folded):
        return 0
    turned: int | None = None
    waiting: int | None = None  # what is said of a thing that was not named yet
    for clause in _CLAUSE.split(folded):
        side, named = _side(clause, quantity), _subject(clause, subject)
        negated = _NEGATION.search(clause) is not None
        if side is None and _JOINED.search(clause):
            continue
        subject = named or subject
        if side is None and waiting and named and not negated:
            return waiting * named
        if side is None or not subject:
            waiting = waiting if side is None or negated else side
            continue
        if not negated:
            return side * subject
        turned = -side * subject if turned is None else turned
    return turned


def read_which(text: str, names: tuple[str, str], quantity: str, sign: int) -> str | None:
    """Which of two things a text names as the one with more (sign 1) or less (−1): "A" or "B".

    >>> read_which("It is the mug.", ("the mug", "the mug's lid"), "tall", 1)
    'A'
    >>> read_which("The box is shorter than the mug.", ("the mug", "the box"), "tall", 1)
    'A'
    >>> [read_which(t, ("the mug", "the box"), "tall", 1) for t in ("The latter.", "That one.")]
    ['B', None]
    """
    folded = _folded(text, names)
    said = _comparison(folded, quantity, 0)
    if said is not None:
        return "same" if said == 0 else "A" if said * sign > 0 else "B"
    folded = _REJECTED.sub("", folded) if _FIRST in folded and _SECOND in folded else folded
    named = [mark for mark in (_FIRST, _SECOND) if mark in folded]
    if len(named) != 1 or _NEGATION.search(folded):
        return None
    return "A" if named[0] == _FIRST else "B"


_FIRST, _SECOND, _NOT_THIS = "\1", "\2", "\3"
_BY_ORDER = tuple(
    (
        re.compile(
            rf"\bthe (?:{words}){_THING}(?=\W*$|[.,;:!?]| {_VERB})|^\W*(?:{words}){_THING}(?=\W*$)"
        ),
        mark,
    )
    for words, mark in (("first|former", _FIRST), ("second|latter", _SECOND))
)


def _folded(text: str, names: tuple[str, str]) -> str:
    """The text in small letters, the two things as one character each; the longer name first.

    Where neither whole name is said, a head noun is one that only one of both names has.
    """
    folded = text.casefold()
    first, second = (_ARTICLE.sub("", name).casefold().strip() for name in names)
    for name, mark in sorted(((first, _FIRST), (second, _SECOND)), key=lambda pair: -len(pair[0])):
        if name:
            region = _REGION.fullmatch(name)
            folded = (
                _region(region[1]).sub(mark, folded) if region else _replaced(folded, name, mark)
            )
    if _FIRST not in folded and _SECOND not in folded:
        for name, other, mark in ((first, second, _FIRST), (second, first, _SECOND)):
            if " " in name and (head := _head(name, other)):
                folded = _replaced(folded, head, mark)
    if "other" in folded:
        folded = _OTHER.sub(_NOT_THIS, folded)
    return folded if _FIRST in folded or _SECOND in folded else _by_order(folded)


@cache
def _head(name: str, other: str) -> str:
    """The noun of a name of several words; "" where the other name has it or it compares."""
    head = _CLAUSE_OF_NAME.split(name, maxsplit=1)[0].rpartition(" ")[2]
    compares = any(word.search(head) for pair in WORDS.values() for word in pair)
    return head if head.isalpha() and not compares and head not in other.split() else ""


def _by_order(folded: str) -> str:
    for pattern, mark in _BY_ORDER:
        folded = pattern.sub(mark, folded)
    return folded


@cache
def _region(number: str) -> Pattern:
    """What a region is called: "Region [0]", "region 0", "[0]"."""
    return re.compile(rf"\bregions?[\s_#]*(?:\[{number}\]|{number}\b)|\[{number}\]")


def _replaced(text: str, name: str, mark: str) -> str:
    """Whole words only: "cup" is not in "cupboard"."""
    out, *parts = text.split(name)
    before = out
    for after in parts:
        inside = before[-1:].isalnum() or after[:1].isalnum()
        out += (name if inside else mark) + after
        before = after
    return out


def _side(clause: str, quantity: str) -> int | None:
    """Which word stands first."""
    more, less = (pattern.search(clause) for pattern in WORDS[quantity])
    if more is None and less is None:
        return None
    if more and _PART_AS.search(clause, 0, more.start()):
        return -1
    if more is None or less is None:
        return 1 if less is None else -1
    return 1 if more.start() < less.start() else -1


def _subject(clause: str, before: int) -> int:
    """1 where a clause speaks of the first thing, −1 of the second, 0 of neither by name.

    "The other one" is the one that the clauses before did not speak of.
    """
    which = {_FIRST: 1, _SECOND: -1, _NOT_THIS: -before}
    compared_with = 0
    for place, character in enumerate(clause):
        if which.get(character):
            if not _COMPARED.search(clause, 0, place):
                return which[character]
            compared_with = compared_with or which[character]
    return -compared_with
