"""A goal in words: what is to be moved, where to, and how the two are to lie.

The grammar, in which ``T`` and ``R`` are phrases for things (see `Phrase.read`)::

    touch | reach (for, to, towards) | approach | poke | press | go to   T
    lift | raise | grasp | grab | take | pick (up)   T         (also "pick T up")
    put | place | move | set | drop | bring | push | stack   T   PLACE R
    pick up | take | grab | lift   T   and   put | place | …   it   PLACE R

    PLACE:  in, into, inside (of) · on, onto, on top of · next to, beside, near (to), close to ·
            left of, right of, in front of, behind · away from

``stack`` is only said with "on". Punctuation at the edges of words, courtesies and words for how it
is done count for nothing: "please", "gently", "put … back in", "lift up". What else is not of this
grammar is refused, with what it wants.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self

from calipers.errors import UsageError

Relation = Literal[
    "touched", "lifted", "in", "on", "beside", "left", "right", "front", "behind", "away"
]
Choice = Literal[
    "leftmost", "middle", "rightmost", "nearest", "farthest",
    "tallest", "shortest", "largest", "smallest", "real",
]  # fmt: skip

PLACES: dict[str, Relation] = {
    "in": "in", "into": "in", "inside": "in", "inside of": "in",
    "on": "on", "onto": "on", "on top of": "on",
    "next to": "beside", "beside": "beside", "near": "beside", "near to": "beside",
    "close to": "beside",
    "left of": "left", "to the left of": "left", "on the left of": "left",
    "to the left side of": "left", "on the left side of": "left",
    "right of": "right", "to the right of": "right", "on the right of": "right",
    "to the right side of": "right", "on the right side of": "right",
    "in front of": "front", "behind": "behind", "away from": "away",
}  # fmt: skip
CHOICES: dict[str, Choice] = {
    "leftmost": "leftmost", "left": "leftmost", "middle": "middle", "central": "middle",
    "rightmost": "rightmost", "right": "rightmost",
    "nearest": "nearest", "closest": "nearest", "farthest": "farthest", "furthest": "farthest",
    "tallest": "tallest", "highest": "tallest", "shortest": "shortest", "lowest": "shortest",
    "largest": "largest", "biggest": "largest", "smallest": "smallest", "real": "real",
}  # fmt: skip

_PUT = "(?:put|place|move|set|drop|bring|push)(?: up| down| back)?"
_LIFT = "(?:lift|raise|grasp|grab|take|pick)(?: back)?(?: up)?"
_REACH = "reach(?: out)?(?: for| to| towards?)?"
_TOUCH = f"(?:touch|{_REACH}|approach|poke|press(?: down)?(?: on)?|go to)"
_WHERE = "|".join(sorted(PLACES, key=len, reverse=True))
_PLACE = re.compile(rf"(?:(?<! the) (?:up|down|back|right))* (?P<p>{_WHERE})(?= )")
"""Not "right" after "the": that is where something stands ("the cup on the right next to …")."""
_PLACED = re.compile(rf"(?:{_PUT}|(?P<stack>stack)) (?P<rest>.+)")
_LIFTED = re.compile(rf"{_LIFT} (?P<t>.+?)(?:(?: back)? up)?")
_TOUCHED = re.compile(rf"{_TOUCH} (?P<t>.+)")
_TAKE_AND_PUT = re.compile(
    rf"{_LIFT} (?P<t>.+?)(?: up)?(?: and then| and| then) (?P<put>{_PUT}|stack) it(?P<rest> .+)"
)

_EDGES = ".!?;:\"'“”‘’`()"
_COURTESY = re.compile(r"^(?:can|could|will|would) you ")
_IDLE = {
    *("please", "kindly", "just", "now", "simply", "exactly", "directly", "immediately"),
    *("gently", "carefully", "slowly", "quickly", "softly"),
}
"""Words for how it is done: they change nothing of what is to be reached."""
_ARTICLES = ("the", "a", "an", "this", "that")
_STANDS = re.compile(r" (?:on|at|to|in) the (left|right|middle)(?: side)?$")
_NOT_THE_PHOTO = re.compile(r",? not the (?:photo|picture|print)(?: of (?:it|one))?$")
_PART = re.compile(r"(?:(?:side|half|part|edge|end|corner) )?of\b")
"""How a noun begins that is a part of a thing, or some of several: "the left side of the box"."""
_STRAY = {
    *("and", "it", "then", "or", "without", "not", "that", "which", "who", "is", "than", "next"),
    *("one", "other", "another", "both", "all", "each", "every", "second", "third"),
    *("to", "from", "at", "by", "out", "off", "up", "down", "away", "towards", "toward", "between"),
    *("above", "over", "under", "below", "beneath", "against", "through", "around", "across"),
    *("smaller", "larger", "bigger", "taller", "shorter", "cm", "mm", "inch", "inches"),
    *PLACES,
}
"""Words that no phrase for one thing has, for such a phrase would be read as something else."""
_ONE = re.compile(r"\bone(?=$| (?:on|at|to|in) the )")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A thing in words.

    Attributes:
        noun: what it is, without article and choice: "red cup".
        choice: which of several, or None.
    """

    noun: str
    choice: Choice | None = None

    @classmethod
    def read(cls, text: str) -> Self:
        """Take a phrase apart.

        Raises:
            UsageError: no noun, two choices, or words that no phrase for one thing has.

        >>> Phrase.read("the middle red cup"), Phrase.read("the cup on the left")
        (Phrase(noun='red cup', choice='middle'), Phrase(noun='cup', choice='leftmost'))
        >>> Phrase.read("the real can, not the photo of it")
        Phrase(noun='can', choice='real')
        """
        words = _STANDS.sub(r" \1", _NOT_THE_PHOTO.sub(" real", text.strip())).split()
        chosen = {CHOICES[word] for word in words if word in CHOICES}
        words = words[1:] if len(words) > 1 and words[0] in _ARTICLES else words
        noun = " ".join(word for word in words if word not in CHOICES)
        strange = [word for word in words if word in _STRAY or {*word} & {*",;"}]
        if not noun or len(chosen) > 1 or strange or _PART.match(noun):
            why = f" ({strange[0]!r})" if strange else ""
            raise UsageError(f"goal: wanted a phrase for one thing, got {text!r}{why}")
        return cls(noun, next(iter(chosen), None))

    def __str__(self) -> str:
        return f"the {self.choice} {self.noun}" if self.choice else f"the {self.noun}"


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached.

    Attributes:
        relation: how the target is to lie, to the gripper or to the reference.
        target: what is to be moved or touched.
        reference: what it is to lie to; None for "touched" and "lifted".
        text: the goal as it was said.
    """

    relation: Relation
    target: Phrase
    reference: Phrase | None
    text: str


def parse(text: str) -> Goal:
    """Read a goal.

    Raises:
        UsageError: it is not of the grammar above, in one line.

    >>> goal = parse("Put the apple in the bowl.")
    >>> goal.relation, str(goal.target), str(goal.reference)
    ('in', 'the apple', 'the bowl')
    >>> parse("pick up the red can").relation, parse("Stack A on B").relation
    ('lifted', 'on')
    >>> parse("open the box")
    Traceback (most recent call last):
        ...
    calipers.errors.UsageError: goal: wanted "touch …", "lift …" or "put … in …", got 'open the box'
    """
    said = _plain(text)
    carried = _TAKE_AND_PUT.fullmatch(said)
    if carried is not None:
        said = f"{carried['put']} {carried['t']}{carried['rest']}"
    words = " ".join(text.split())
    placed = _PLACED.fullmatch(said)
    if placed is not None:
        return _placing(placed["rest"], bool(placed["stack"]), words)
    lifted, touched = _LIFTED.fullmatch(said), _TOUCHED.fullmatch(said)
    if lifted is not None:
        return Goal("lifted", Phrase.read(lifted["t"]), None, words)
    if touched is not None:
        return Goal("touched", Phrase.read(touched["t"]), None, words)
    raise UsageError(f"goal: {_WANTED}, got {text[:80]!r}")


_WANTED = 'wanted "touch …", "lift …" or "put … in …"'


def _plain(text: str) -> str:
    """What is said, without what counts for nothing.

    A comma stays before an article, where two things are named, and a semicolon between sentences.

    >>> _plain("Please put the “red” apple, gently, into the bowl!")
    'put the red apple into the bowl'
    """
    parted = re.sub(r"[.;:!?]+(?=\s)", " ; ", text.lower().replace(",", " , "))
    words = [word if word == ";" else word.strip(_EDGES) for word in parted.split()]
    said = " ".join(word for word in words if word and word not in _IDLE).strip(" ,;")
    said = re.sub(r"(?: ,)+ (?=(?:the|a|an)\b)", ", ", said)
    return _COURTESY.sub("", re.sub(r"(?: ,)+(?= )", "", said))


def _placing(rest: str, stack: bool, text: str) -> Goal:
    """The goal of "T PLACE R": of several places the one that leaves a phrase on either side."""
    why = UsageError(f"goal: {_WANTED}, got {text[:80]!r}")
    for found in reversed([*_PLACE.finditer(rest)]):
        relation = PLACES[found["p"]]
        try:
            target = Phrase.read(rest[: found.start()])
            reference = Phrase.read(_ONE.sub(target.noun.split()[-1], rest[found.end() + 1 :]))
        except UsageError as error:
            why = error
            continue
        if target == reference:
            why = UsageError(f"goal: wanted two things, got {str(target)!r} twice")
        elif not stack or relation == "on":
            return Goal(relation, target, reference, text)
    raise why
