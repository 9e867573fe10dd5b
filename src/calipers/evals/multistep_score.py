"""Read and judge answers to questions of several steps: a label, a length, names, or their order.

=========================================  =====================================================
kinds                                      right when
=========================================  =====================================================
fits_in, free_space, path_clearance,       yes or no is the first word, or the only one of both
between
triangle_shape, viewpoint_side             the only shape, or side, that is said
clock_direction, count_within              the hour, or the number, that is said
stack_height                               the length is within `LENGTH_SHARE` of the true one
nearest_to                                 the only candidate that is named
child_reach                                the same candidates are named, or "none"
stacking_order, shortest_tour              the objects are named in the true order; of a tour
                                           with or without its start, whatever its length
=========================================  =====================================================

Of a response with a chain of thought what counts is its end, as `extract.final` finds it. Names are
found as they stand in the question, with or without "the".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from calipers.evals.extract import read_count, read_yes_no
from calipers.evals.hours import read_clock
from calipers.evals.quantities import read_length
from calipers.evals.responses import final

LENGTH_SHARE = 0.10
_LETTERS = "ABCDEFGH"
_SHAPES: Mapping[str, re.Pattern[str]] = {
    "equilateral": re.compile(r"\bequilateral\b"),
    "isosceles": re.compile(r"\bisosceles\b"),
    "right": re.compile(r"\bright(?:[- ]angled?\b|[- ](?:isosceles )?triangle\b|\b)"),
    "scalene": re.compile(r"\bscalene\b"),
    "line": re.compile(r"\b(?:in|on) (?:a|one) (?:straight )?line\b|\bcollinear\b|^line\b"),
}
_SIDE = re.compile(r"\b(left|right)\b")
_NONE = re.compile(r"\b(?:none|nothing|neither|no (?:object|one|thing))\b")

HINTS: Mapping[str, str] = {
    **dict.fromkeys(("fits_in", "free_space", "path_clearance", "between"), "Answer yes or no."),
    "triangle_shape": "Answer with one of: equilateral, isosceles, right-angled, right-angled "
    "isosceles, scalene, in a line.",
    "viewpoint_side": "Answer left or right.",
    "clock_direction": "Answer with an hour.",
    "count_within": "Answer with a number.",
    "stack_height": "Answer with a length and its unit.",
    "nearest_to": "Answer with its name.",
    "child_reach": "Answer with their names, or none.",
    **dict.fromkeys(
        ("stacking_order", "shortest_tour"), "Answer with the names in order, by commas."
    ),
}
"""What a question of each kind ends with in the benchmark."""


def read_shape(text: str) -> str | None:
    """The label of a triangle's shape.

    >>> read_shape("A right-angled, isosceles triangle."), read_shape("They lie in a line.")
    ('right isosceles', 'line')
    >>> read_shape("isosceles or scalene") is None
    True
    """
    said = {label for label, pattern in _SHAPES.items() if pattern.search(text.lower())}
    if said == {"right", "isosceles"}:
        return "right isosceles"
    return said.pop() if len(said) == 1 else None


def read_side(text: str) -> str | None:
    """Left or right, where only one of both is said.

    >>> read_side("On your left."), read_side("left or right")
    ('left', None)
    """
    said = set(_SIDE.findall(text.lower()))
    return said.pop() if len(said) == 1 else None


def named(text: str, names: Sequence[str]) -> list[int]:
    """Which names a text says, in the order of their first mentions.

    >>> named("The red cup, then the cup.", ["the cup", "the red cup", "the pan"])
    [1, 0]
    """
    left, places = text.casefold(), {}
    for k in sorted(range(len(names)), key=lambda k: -len(names[k])):
        words = re.escape(names[k].casefold().removeprefix("the "))
        pattern = re.compile(rf"(?<!\w){words}(?!\w)")
        found = pattern.search(left)
        if found is not None:
            places[k] = found.start()
            left = pattern.sub(lambda match: "\0" * len(match[0]), left)
    return sorted(places, key=lambda k: places[k])


def _hour(text: str) -> str | None:
    hour = read_clock(text)
    return None if hour is None else str(round(hour) % 12 or 12)


def _count(text: str) -> str | None:
    if _NONE.search(text.lower()):
        return "0"
    count = read_count(text)
    return None if count is None else str(count)


_READERS: Mapping[str, Callable[[str], str | None]] = {
    **dict.fromkeys(("fits_in", "free_space", "path_clearance", "between"), read_yes_no),
    "triangle_shape": read_shape,
    "viewpoint_side": read_side,
    "clock_direction": _hour,
    "count_within": _count,
}


def is_right(facts: Mapping[str, Any], response: str) -> bool | None:
    """Judge a response; None when nothing could be read from it.

    Args:
        facts: of the question: ``type``, ``label``, ``value`` and ``objects``.

    >>> is_right({"type": "between", "label": "no", "value": None, "objects": []}, "No, it is not.")
    True
    """
    type, label, text = facts["type"], facts["label"], final(response)
    if type == "stack_height":
        length = read_length(text)
        true = float(facts["value"])
        return (
            None if length is None else abs(length.value - true) <= LENGTH_SHARE * true * (1 + 1e-9)
        )
    if type in _READERS:
        said = _READERS[type](text)
        return None if said is None else said == label
    return _names_are_right(type, label, named(text, facts["objects"]), text)


def _names_are_right(type: str, label: str, said: list[int], text: str) -> bool | None:
    true = [] if label == "none" else [_LETTERS.index(letter) for letter in label.split(",")]
    if type == "child_reach":
        said = [k for k in said if k != 0]
        if not said:
            return not true if _NONE.search(text.lower()) else None
        return set(said) == set(true)
    if not said:
        return None
    if type == "nearest_to":
        return [k for k in said if k != 0] == true
    if type == "shortest_tour":
        return [k for k in said if k != 0] == true[1:]
    return said == true
