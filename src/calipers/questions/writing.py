"""Facts into text, last of all: the book of templates and how a fact chooses its answer.

A type's answers are grouped by what is true (its *outcome*): "yes", "no" and "same" of predicates,
"winner" and "same" of choices, the two words and "same" of classifications, "value", "touching"
(gap 0) and "resting" (elevation 0) of measures. Each outcome has short and long answers.

Template ids count from one: ``left_predicate.q07``, ``left_predicate.yes.short.1``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from calipers.errors import DataError
from calipers.questions.grammar import Template, compile_template
from calipers.questions.registry import TYPE_LIST, QuestionType

Choices = list[tuple[str, Template]]
"""Templates with their ids."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The templates of one type: `answers` holds (short, long) for each of its `outcomes`."""

    questions: Choices
    answers: list[tuple[Choices, Choices]]


@dataclass(frozen=True, slots=True)
class Book:
    """The templates of all types in the order of `TYPE_LIST`; `counts` (43,) of questions."""

    entries: list[Entry]
    counts: NDArray[np.intp]


ZERO_OUTCOMES = {"gap": "touching", "elevation": "resting"}
"""Measures that say something else than a length when they are exactly 0."""


def outcomes(row: QuestionType) -> tuple[str, ...]:
    """What can be true of a type: tie, first and second label; or a value, and zero.

    >>> from calipers.questions.registry import TYPES
    >>> outcomes(TYPES["left_choice"]), outcomes(TYPES["gap"])
    (('same', 'winner', 'winner'), ('value', 'touching'))
    """
    if row.shape == "choice":
        return ("same", "winner", "winner")
    if row.shape == "measure":
        return ("value", *(zero for name, zero in ZERO_OUTCOMES.items() if name == row.id))
    return row.labels or ()


def make_book(raw: Mapping[str, Any]) -> Book:
    """Compile templates from what the YAML files hold: type id → questions, answers.

    Raises:
        DataError: a type, an outcome or a list is missing or empty, or a template is malformed.
    """
    entries = [_entry(row, raw) for row in TYPE_LIST]
    return Book(entries, np.array([len(e.questions) for e in entries], dtype=np.intp))


@cache
def book() -> Book:
    """The package's own templates, read once."""
    raw: dict[str, Any] = {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    folder = resources.files("calipers.questions") / "templates"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            raw |= yaml.load(file.read_text("utf-8"), Loader=loader)
    return make_book(raw)


def _entry(row: QuestionType, raw: Mapping[str, Any]) -> Entry:
    names = ("A", "B")[: row.arity]
    source = raw.get(row.id, {})
    questions = _compiled(source.get("questions"), names, f"{row.id}.q", "{:02d}")
    if row.kind == "qualitative":
        names = ("A", "B", "winner", "loser")
    answers: dict[str, tuple[Choices, Choices]] = {}
    for outcome in dict.fromkeys(outcomes(row)):
        lists, stem = source.get("answers", {}).get(outcome, {}), f"{row.id}.{outcome}"
        answers[outcome] = (
            _compiled(lists.get("short"), names, f"{stem}.short.", "{}"),
            _compiled(lists.get("long"), names, f"{stem}.long.", "{}"),
        )
    return Entry(questions, [answers[outcome] for outcome in outcomes(row)])


def _compiled(
    texts: Iterable[str] | None, names: tuple[str, ...], stem: str, number: str
) -> Choices:
    compiled = [
        (stem + number.format(k), compile_template(text, names))
        for k, text in enumerate(texts or (), start=1)
    ]
    if not compiled:
        raise DataError(f"templates: wanted at least one of {stem}*, got none")
    return compiled
