"""Families of questions beside the 43 types: any number of objects, any outcomes, same templates.

A family is a table of `FamilyType`s, one YAML file of templates in ``templates/families`` in the
grammar of `calipers.questions.grammar`, and a function that finds `Statement`s in a scene. What
they share is here: the book of templates, which statements are asked, and how they are said.

A template's placeholders are the names of its type: ``{A}``, ``{is A}`` and so on for references,
and equally for other words (``{W}`` for "tallest"); ``{value}`` is the statement's length or text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, TypeVar

import numpy as np
import yaml

from calipers.errors import DataError, UsageError
from calipers.questions.grammar import Template, compile_template, slot_values
from calipers.questions.registry import names_of
from calipers.questions.sampling import generator
from calipers.questions.writing import LENGTHS
from calipers.types import Fact, Kind, Question, Scene
from calipers.units import say_length

AnyQuestion = TypeVar("AnyQuestion", bound=Question)


@dataclass(frozen=True, slots=True)
class FamilyType:
    """One row of a family.

    Attributes:
        names: what its templates call the words of a statement, in order.
        outcomes: what can be true; each has its own answers.
    """

    id: str
    kind: Kind
    names: tuple[str, ...]
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A fact that a question can be asked about, ready to be said.

    Attributes:
        fact: the exact fact; `Fact.type` is the row's id.
        outcome: which of the row's outcomes holds.
        words: what each of the row's names says.
        text: what ``{value}`` says; None for the length `Fact.value`.
    """

    fact: Fact
    outcome: str
    words: tuple[str, ...]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class FamilyBook:
    """The compiled templates of a family: questions by type, answers by (type, outcome, length)."""

    types: Mapping[str, FamilyType]
    questions: Mapping[str, tuple[Template, ...]]
    answers: Mapping[tuple[str, str, str], tuple[Template, ...]]

    def chosen(self, types: Iterable[str] | None) -> set[str]:
        """The ids to ask; all without a choice.

        Raises:
            UsageError: no such type in the family.
        """
        names = names_of(types)
        wanted = set(self.types if names is None else names)
        unknown = sorted(wanted - set(self.types))
        if unknown:
            there = ", ".join(self.types)
            raise UsageError(f"unknown question type {unknown[0]!r}; there are: {there}")
        return wanted


def make_family_book(rows: Iterable[FamilyType], raw: Mapping[str, Any]) -> FamilyBook:
    """Compile what a YAML file holds: type id → questions, answers by outcome and length.

    Raises:
        DataError: a list is missing or empty, or a template is malformed.
    """
    types = {row.id: row for row in rows}
    questions, answers = {}, {}
    for row in types.values():
        source = raw.get(row.id, {})
        questions[row.id] = _compiled(source.get("questions"), row, row.id)
        for outcome in row.outcomes:
            lists = source.get("answers", {}).get(outcome, {})
            for length in LENGTHS:
                stem = f"{row.id}.{outcome}.{length}"
                answers[row.id, outcome, length] = _compiled(lists.get(length), row, stem)
    return FamilyBook(types, questions, answers)


def _compiled(texts: Sequence[str] | None, row: FamilyType, stem: str) -> tuple[Template, ...]:
    if not texts:
        raise DataError(f"templates: wanted at least one of {stem}, got none")
    return tuple(compile_template(text, row.names) for text in texts)


@lru_cache(maxsize=8)
def family_book(name: str, rows: tuple[FamilyType, ...]) -> FamilyBook:
    """The package's own templates of a family, ``templates/families/<name>.yaml``, read once."""
    file = resources.files("calipers.questions") / "templates" / "families" / f"{name}.yaml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return make_family_book(rows, yaml.load(file.read_text("utf-8"), Loader=loader))


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement on its way to a record.

    Attributes:
        template: position of its question among those of its type.
        number: of the question in its scene.
        rng: decides how it is said.
        concise: share of short answers.
    """

    statement: Statement
    template: int
    number: int
    seed: int
    rng: np.random.Generator
    concise: float


Write = Callable[[Scene, Draft, FamilyBook], AnyQuestion]
"""Makes the record of a question."""


def ask_statements(
    scene: Scene,
    statements: Sequence[Statement],
    book: FamilyBook,
    count: int,
    seed: int,
    types: Iterable[str] | None = None,
    concise: float = 0.5,
) -> list[Question]:
    """Ask up to `count` different questions: a pure function of its arguments.

    Types take turns, and inside a type its outcomes, so that "no" is asked as often as "yes" where
    the scene has both. A statement comes again, in other words, only after all others of its
    outcome.

    Raises:
        UsageError: an unknown type, a count below 0, or `concise` outside [0, 1].
    """
    return write_statements(scene, statements, book, count, seed, types, concise, written)


def write_statements(
    scene: Scene,
    statements: Sequence[Statement],
    book: FamilyBook,
    count: int,
    seed: int,
    types: Iterable[str] | None,
    concise: float,
    write: Write[AnyQuestion],
) -> list[AnyQuestion]:
    """Do what `ask_statements` does, with records of another make.

    Raises:
        UsageError: an unknown type, a count below 0, or `concise` outside [0, 1].
    """
    if count < 0 or not 0.0 <= concise <= 1.0:
        raise UsageError(
            f"wanted a count of 0 or more and concise in [0, 1], got {count}, {concise}"
        )
    wanted = book.chosen(types)
    rng = generator(seed, f"{scene.id}\x00{','.join(book.types)}")
    piles = _piles([s for s in statements if s.fact.type in wanted], book, rng)
    made: list[AnyQuestion] = []
    while piles and len(made) < count:
        for key in list(piles):
            if len(made) == count:
                break
            outcomes = piles[key]
            pile = outcomes.pop(0)
            statement, template = pile.pop(0)
            if pile:
                outcomes.append(pile)
            if not outcomes:
                del piles[key]
            draft = Draft(statement, template, len(made), seed, rng, concise)
            made.append(write(scene, draft, book))
    return made


Pile = list[tuple[Statement, int]]


def _piles(
    statements: Sequence[Statement], book: FamilyBook, rng: np.random.Generator
) -> dict[str, list[Pile]]:
    """Type → one pile an outcome: its statements in random order, then again in other words."""
    order = [statements[k] for k in rng.permutation(len(statements)).tolist()]
    grouped: dict[str, dict[str, list[Statement]]] = {}
    for statement in order:
        by_outcome = grouped.setdefault(statement.fact.type, {})
        by_outcome.setdefault(statement.outcome, []).append(statement)
    piles: dict[str, list[Pile]] = {}
    for id, by_outcome in grouped.items():
        number = len(book.questions[id])
        for some in by_outcome.values():
            first = rng.integers(number, size=len(some)).tolist()
            pile = [
                (statement, (start + again) % number)
                for again in range(number)
                for statement, start in zip(some, first)
            ]
            piles.setdefault(id, []).append(pile)
    return piles


def written(scene: Scene, draft: Draft, book: FamilyBook) -> Question:
    """Write a draft down in the words of the book."""
    statement, template, number, rng = draft.statement, draft.template, draft.number, draft.rng
    fact = statement.fact
    row, length = book.types[fact.type], LENGTHS[int(rng.random() >= draft.concise)]
    uniforms = rng.random(3).tolist()
    said = statement.text
    if said is None:
        said = "" if fact.value is None else say_length(fact.value, uniforms)
    slots = [form for word in statement.words for form in slot_values(word)] + [said]
    answers = book.answers[row.id, statement.outcome, length]
    answer = int(rng.integers(len(answers)))
    return Question(
        id=f"{scene.id}#{row.id}-{number}",
        scene_id=scene.id,
        image=scene.image,
        depth_image=scene.depth_image,
        type=row.id,
        kind=row.kind,
        question=book.questions[row.id][template].render(slots),
        answer=answers[answer].render(slots),
        objects=[scene.objects[k].reference or "" for k in fact.object_index],
        object_index=list(fact.object_index),
        value=fact.value,
        unit=fact.unit,
        label=fact.label,
        frame=fact.frame,
        margin=fact.margin,
        question_template=f"{row.id}.q{template + 1:02d}",
        answer_template=f"{row.id}.{statement.outcome}.{length}.{answer + 1}",
        seed=draft.seed,
    )
