"""Where the numbers of an answer come from: each is a tool's, the calculator's, the question's.

A number is taken for a result's when it is that result in its unit, rounded to the digits that are
written, and at most `MOST_OFF` away from it. Numbers come from the fields of results, never from
their text, so that nothing that an object is called can be quoted as a measure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from calipers.reason.numbers import Said, numbers
from calipers.reason.quantity import Quantity

MOST_OFF = 0.2
"""A rounded number is at most this share off: as far as `calipers.units.say_length` rounds."""

Kind = Literal["measured", "computed", "estimated", "asked", "name"]
How = Literal["as it is", "rounded", "converted", "converted and rounded"]


@dataclass(frozen=True, slots=True)
class Source:
    """A number that an answer may hold.

    Attributes:
        kind: "measured" by a tool, "computed" by the calculator, "estimated" by the spatial VLM,
            "asked": it stands in the question.
        result: name of the result, "" of the question.
        part: which of its numbers: value, margin, width, …
        value: what it is.
        unit: one of the unit in which the model was told it.
        untraced: numbers behind it that come from nowhere, as the model wrote them.
        other: what its unit is called where it is none of ours ("kg"), else "".
    """

    kind: Kind
    result: str
    part: str
    value: Quantity
    unit: Quantity
    untraced: tuple[str, ...] = ()
    other: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """A number of an answer.

    Attributes:
        text: as it stands there, from `start` to `end`.
        result, part: where it comes from; None of one that comes from nowhere.
        how: what was done to it.
        untraced: numbers behind it that come from nowhere.
    """

    text: str
    start: int
    end: int
    kind: Kind | None = None
    result: str | None = None
    part: str | None = None
    how: How | None = None
    untraced: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it comes from measures, estimates and the question alone."""
        return self.kind is not None and not self.untraced

    def to_json(self) -> dict[str, Any]:
        """Its fields, and `good`."""
        return {**asdict(self), "untraced": list(self.untraced), "good": self.good}


_NO_NAME = re.compile(
    r"\b(?:the|an?|of|is|are|it|they|and|or|to|at|by|in|on|from|between|about|around|roughly|nearly"
    r"|exactly|approximately|only|just|apart|away|far|long|wide|tall|high|deep|thick)\b"
)
"""Words that make no name of a measure."""


def sources_in(text: str, kind: Kind = "asked", result: str = "", part: str = "") -> list[Source]:
    """The numbers of a question, or of what a model says."""
    return [
        Source(kind, result, part, said.value, said.unit, other=said.other)
        for said in numbers(text)
    ]


def trace(text: str, sources: Sequence[Source], names: Iterable[str] = ()) -> list[Traced]:
    """Find where each number of an answer comes from.

    Args:
        text: the answer.
        sources: what there is; of several that fit the nearest is taken, the last of equals.
        names: what objects are called; numbers in a whole name are part of it, unless the name is
            nothing but a measure ("2.5 m").
    """
    spans = _spans(text, names)
    found = []
    for said in numbers(text):
        place = Traced(said.text, said.start, said.end)
        if any(start <= said.start and said.end <= end for start, end in spans):
            found.append(replace(place, kind="name"))
            continue
        source = nearest(said.value, said.step, sources, said.other)
        found.append(place if source is None else _traced(place, said, source))
    return found


def _spans(text: str, names: Iterable[str]) -> list[tuple[int, int]]:
    low = text.lower()
    spans = []
    for name in {name.lower() for name in names if _is_name(name)}:
        spans += [m.span() for m in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", low)]
    return spans


def _is_name(text: str) -> bool:
    """Whether a name with numbers has a word beside them and their units.

    >>> [name for name in ("box 12", "7up can", "2.5 m", "about 3 m", "mug") if _is_name(name)]
    ['box 12', '7up can']
    """
    found, rest = numbers(text), text.lower()
    for said in reversed(found):
        rest = f"{rest[: said.start]} {rest[said.end :]}"
    return bool(found) and re.search(r"[^\W\d_]{2,}", _NO_NAME.sub("", rest)) is not None


def _traced(place: Traced, said: Said, source: Source) -> Traced:
    exact = abs(said.value.value - source.value.value) <= 1e-9 * abs(source.value.value)
    other = said.unit.value != source.unit.value
    how: How = "as it is" if exact else "rounded"
    if other:
        how = "converted" if exact else "converted and rounded"
    return replace(
        place, kind=source.kind, result=source.result, part=source.part, how=how,
        untraced=source.untraced,
    )  # fmt: skip


def nearest(
    value: Quantity, step: float, sources: Sequence[Source], other: str = ""
) -> Source | None:
    """The source of which a number is the rounded form; None where there is none.

    Signs do not count: 0.4 m behind is -0.4 m in front.

    Args:
        value: the number.
        step: one in its last digit, in metres, seconds or radians.
        other: what its unit is called where it is none of ours.
    """
    best: tuple[tuple[bool, float], Source] | None = None
    for source in sources:
        true = abs(source.value.value)
        off = abs(abs(value.value) - true)
        fits = off <= 0.5 * step * (1 + 1e-6) and off <= MOST_OFF * true + 1e-12
        if (source.value.powers, source.other) == (value.powers, other) and fits:
            rank = (bool(source.untraced), off)
            if best is None or rank <= best[0]:
                best = rank, source
    return None if best is None else best[1]
