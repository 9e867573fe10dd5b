"""A question with its true answer, and how the answer to it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from calipers.errors import UsageError
from calipers.evals.extract import read_count, read_number, read_yes_no
from calipers.evals.hours import read_clock
from calipers.evals.options import read_option
from calipers.evals.places import read_points
from calipers.evals.quantities import Quantity, read_area, read_length
from calipers.evals.regions import Mask
from calipers.evals.relations import read_comparison, read_which
from calipers.evals.responses import finals, is_refusal, with_unit


@dataclass(frozen=True, slots=True)
class Case:
    """One question of a benchmark.

    Attributes:
        id: what an answer names it by.
        kind: how the answer is read: one of `KINDS`.
        truth: what a right answer says, as the kind's reader returns it (of lengths metres, of
            areas square metres, of points a `Region`); None when it is not known, so the case
            cannot be scored.
        unit: what a bare number means, where the question asks for that unit.
        choices: the options, in the order of the letters.
        names: the two things that are compared.
        compares: what is compared, and 1 or −1: ("tall", −1) asks for the shorter one.
        tags: under which names it counts, besides in the whole ("3D", "Depth", "Omni3D").
        noun: what it asks about, for the baseline that answers with the median of its class.
        cluster: cases of one cluster are not independent; their picture, unless given.
        sets: kind of set → its name; all cases of a set have to be right ("circular", "flip").
        notation: how plain pairs of coordinates are meant: one of
            `calipers.evals.places.NOTATIONS`.
    """

    id: str
    kind: str
    truth: Any
    question: str = ""
    images: tuple[str, ...] = ()
    unit: str | None = None
    choices: tuple[str, ...] = ()
    names: tuple[str, str] = ("", "")
    compares: tuple[str, int] = ("", 1)
    tags: tuple[str, ...] = ()
    noun: str = ""
    cluster: str = ""
    sets: Mapping[str, str] = field(default_factory=dict)
    notation: str = "share"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"{self.id}: kind: wanted one of {', '.join(KINDS)}, got {self.kind}")

    def read(self, text: str) -> Any:
        """What a text answers to this question; None when that cannot be told."""
        return KINDS[self.kind](self, text)

    def answer(self, response: str) -> tuple[Any, str]:
        """What a whole response answers, and the part of it that was read, or should have been.

        Read is the part that counts, else what follows an earlier "answer:", unless a later one
        says that it gives none. A length without its unit takes the one behind it, else, unless
        the question asks for a unit, the only one that the response names.

        >>> Case("a", "length", 1.0).answer("The width is 1.5 m. Answer: 1.5")
        (1.5, '1.5')
        """
        parts = finals(response)
        for part in parts:
            found = self.read(part) if part else None
            if part and self.kind == "length" and (found is None or self.unit):
                found = self.read(with_unit(part, response, self.unit is None))
            if found is not None:
                return found, part
            if is_refusal(part):
                break
        return None, parts[0]

    @property
    def chance(self) -> float | None:
        """The share that a random choice gets right; None where nothing is chosen from."""
        if self.kind == "option":
            return 1 / len(self.choices) if self.choices else None
        return 0.5 if self.kind in ("yes-no", "compare-yes-no") else None

    @property
    def group(self) -> str:
        """Its cluster: what was given, or its pictures, or itself."""
        return self.cluster or "\n".join(self.images) or self.id


def _middle(read: Callable[[str, str | None], Quantity | None], case: Case, text: str) -> Any:
    found = read(text, case.unit)
    return None if found is None else found.value


def _option(case: Case, text: str) -> Any:
    return read_option(text, {chr(65 + place): words for place, words in enumerate(case.choices)})


def _points(case: Case, text: str) -> Any:
    mask = case.truth.pixels if isinstance(case.truth, Mask) else None
    return read_points(text, case.notation, None if mask is None else mask.shape[::-1])


def _compare_yes_no(case: Case, text: str) -> Any:
    """Yes, no or same: by the word, else by what the text says of the two things."""
    said = read_yes_no(text)
    quantity, sign = case.compares
    found = None if said else read_comparison(text, case.names, quantity)
    return said or {None: None, 0: "same", sign: "yes", -sign: "no"}[found]


def _compare_which(case: Case, text: str) -> Any:
    return read_which(text, case.names, *case.compares)


def _compare(case: Case, text: str) -> Any:
    quantity, sign = case.compares
    found = read_comparison(text, case.names, quantity)
    return None if found is None else found * sign


def _text(case: Case, text: str) -> Any:
    """The text in small letters without the article and the full stop."""
    words = text.casefold().strip(" .!\n").split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)


KINDS: Mapping[str, Callable[[Case, str], Any]] = {
    "length": partial(_middle, read_length),
    "area": partial(_middle, read_area),
    "number": lambda case, text: read_number(text),
    "count": lambda case, text: read_count(text),
    "clock": lambda case, text: read_clock(text),
    "yes-no": lambda case, text: read_yes_no(text),
    "option": _option,
    "points": _points,
    "compare-yes-no": _compare_yes_no,
    "compare-which": _compare_which,
    "compare": _compare,
    "text": _text,
}
"""How an answer is read, by the kind of the question."""

NUMERIC = frozenset(("length", "area", "number", "count", "clock"))
"""Kinds whose truth is a number."""


def by_id(cases: Sequence[Case]) -> dict[str, Case]:
    """Cases by their ids.

    Raises:
        UsageError: two have the same.
    """
    found: dict[str, Case] = {}
    for case in cases:
        if case.id in found:
            raise UsageError(f"two questions have the id {case.id!r}")
        found[case.id] = case
    return found
