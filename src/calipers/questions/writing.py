"""Facts into text, last of all: the book of templates and how a fact chooses its answer.

A type's answers are grouped by what is true (its *outcome*): "yes", "no" and "same" of predicates,
"winner" and "same" of choices, the two words and "same" of classifications, "value", "touching"
(gap 0) and "resting" (elevation 0) of measures. Each outcome has short and long answers.

Template ids count from one: ``left_predicate.q07``, ``left_predicate.yes.short.1``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from calipers.errors import DataError
from calipers.questions.grammar import FORMS, Template, capital, compile_template
from calipers.questions.registry import TYPE_LIST, QuestionType

Positions = NDArray[np.intp]
LENGTHS = ("short", "long")
SLOTS = 4 * len(FORMS) + 1
"""Slots of a sentence: the forms of A and of B, the same with a capital, and the value."""
_HEDGE = re.compile(r"\b(about|roughly|around|would say|estimate)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Book:
    """The templates of all types in flat lists, with their ids; types as in `TYPE_LIST`.

    Attributes:
        counts, first: (43,) how many question templates a type has, and where they begin.
        answer_counts, answer_first: (43, 3, 2) the same of answers, by type, position in the type's
            `outcomes`, and short or long.
        plain: for each answer, one of the same list that says its value without "about" or the
            like; the answer itself where it is plain or the list has no plain one.
        question_pieces, answer_pieces: (templates, most pieces) the pieces of each template, padded
            with empty ones: below `SLOTS` a slot, from there on SLOTS + a position in `words`.
        words: all texts that stand in templates, each once, the empty one first.
    """

    questions: list[Template]
    question_ids: list[str]
    counts: Positions
    first: Positions
    answers: list[Template]
    answer_ids: list[str]
    answer_counts: Positions
    answer_first: Positions
    plain: Positions
    question_pieces: Positions
    answer_pieces: Positions
    words: list[str]


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


def answer_names(row: QuestionType, outcome: str) -> tuple[str, ...]:
    """What an answer may call the objects: winner and loser instead of A and B of a choice."""
    return ("winner", "loser") if outcome == "winner" else ("A", "B")[: row.arity]


def make_book(raw: Mapping[str, Any]) -> Book:
    """Compile templates from what the YAML files hold: type id → questions, answers.

    Raises:
        DataError: a type, an outcome or a list is missing or empty, or a template is malformed.
    """
    questions, answers = _Shelf(), _Shelf()
    at = np.zeros((len(TYPE_LIST), 2), np.intp)
    at_answer = np.zeros((len(TYPE_LIST), 3, len(LENGTHS), 2), np.intp)
    for k, row in enumerate(TYPE_LIST):
        source = raw.get(row.id, {})
        names = ("A", "B")[: row.arity]
        at[k] = questions.put(f"{row.id}.q{{:02d}}", source.get("questions"), names)
        for o, outcome in enumerate(outcomes(row)):
            lists, names = source.get("answers", {}).get(outcome, {}), answer_names(row, outcome)
            for n, length in enumerate(LENGTHS):
                stem = f"{row.id}.{outcome}.{length}.{{}}"
                at_answer[k, o, n] = answers.put(stem, lists.get(length), names)
    words = {"": 0}
    return Book(
        questions=questions.templates,
        question_ids=questions.ids,
        counts=at[:, 1],
        first=at[:, 0],
        answers=answers.templates,
        answer_ids=answers.ids,
        answer_counts=at_answer[..., 1],
        answer_first=at_answer[..., 0],
        plain=_plain(answers.templates, at_answer.reshape(-1, 2).tolist()),
        question_pieces=_pieces(questions.templates, words),
        answer_pieces=_pieces(answers.templates, words),
        words=list(words),
    )


def _plain(templates: Sequence[Template], lists: Sequence[Sequence[int]]) -> Positions:
    """`Book.plain`, of templates in lists of (first, count)."""
    plain = list(range(len(templates)))
    for first, count in lists:
        texts = [(at, templates[at].text) for at in range(first, first + count)]
        sure = [at for at, text in texts if not _HEDGE.search(text)]
        hedged = [at for at, text in texts if "{value}" in text and _HEDGE.search(text)]
        for n, at in enumerate(hedged if sure else ()):
            plain[at] = sure[n % len(sure)]
    return np.array(plain, dtype=np.intp)


def _pieces(templates: Sequence[Template], words: dict[str, int]) -> Positions:
    """`Book.question_pieces` of templates; `words` (text → position) grows by what they need."""
    rows = [[_piece(piece, n == 0, words) for n, piece in enumerate(t.pieces)] for t in templates]
    padded = np.full((len(rows), max(map(len, rows))), SLOTS, dtype=np.intp)
    for row, pieces in zip(padded, rows):
        row[: len(pieces)] = pieces
    return padded


def _piece(piece: str | int, opens: bool, words: dict[str, int]) -> int:
    if isinstance(piece, str):
        return SLOTS + words.setdefault(capital(piece) if opens else piece, len(words))
    if piece < 0:
        return SLOTS - 1
    return piece + 2 * len(FORMS) * opens


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


class _Shelf:
    """Templates in a row, with their ids."""

    def __init__(self) -> None:
        self.templates: list[Template] = []
        self.ids: list[str] = []

    def put(self, stem: str, texts: Sequence[str] | None, names: Sequence[str]) -> tuple[int, int]:
        """Compile templates, numbered from one; return where they begin and how many they are."""
        if not texts:
            raise DataError(f"templates: wanted at least one of {stem.split('{')[0]}*, got none")
        first = len(self.templates)
        self.templates += [compile_template(text, names) for text in texts]
        self.ids += [stem.format(k) for k in range(1, len(texts) + 1)]
        return first, len(texts)
