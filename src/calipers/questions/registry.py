"""The 43 question types of SpatialVLM as one table; ids, order and weights as the paper plots them.

A type compares or measures one *quantity* (computed in `questions.facts`). The quantities of
comparisons are signed and named by what a positive value says of A against B: ``left``, ``above``,
``behind``, ``tall``, ``wide``, ``big``; a type with sign −1 asks for the opposite word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calipers.errors import UsageError
from calipers.types import Doubles, Kind

Shape = Literal["predicate", "choice", "classify", "measure"]


@dataclass(frozen=True, slots=True)
class QuestionType:
    """One row: what is asked, of how many objects, and how often.

    Attributes:
        quantity: what is compared or measured; `sign` −1 turns it round.
        needs_level: never asked of a scene without gravity.
        weight_camera, weight_level: relative weight without and with a level frame; they hold
            inside each kind.
    """

    id: str
    shape: Shape
    quantity: str
    sign: int
    needs_level: bool
    weight_camera: int
    weight_level: int

    @property
    def kind(self) -> Kind:
        """Quantitative when the answer is a measure."""
        return "quantitative" if self.shape == "measure" else "qualitative"

    @property
    def arity(self) -> int:
        """How many objects the question is about."""
        return 1 if self.id in ("height", "width", "elevation") else 2

    @property
    def labels(self) -> tuple[str, str, str] | None:
        """Labels of a tie, of sign · quantity > 0 and of < 0; None for measures.

        >>> TYPES["right_predicate"].labels, TYPES["tall_short_classify"].labels
        (('same', 'yes', 'no'), ('same', 'tall', 'short'))
        """
        if self.shape == "predicate":
            return ("same", "yes", "no")
        if self.shape == "choice":
            return ("same", "A", "B")
        if self.shape == "classify":
            first, second, _ = self.id.split("_")
            return ("same", first, second)
        return None


_ROWS: tuple[tuple[str, Shape, str, int, bool, int, int], ...] = (
    # id                      shape        quantity  sign level  wF wT
    ("left_predicate", "predicate", "left", 1, False, 4, 4),
    ("right_predicate", "predicate", "left", -1, False, 4, 4),
    ("above_predicate", "predicate", "above", 1, True, 0, 4),
    ("below_predicate", "predicate", "above", -1, True, 0, 4),
    ("behind_predicate", "predicate", "behind", 1, False, 3, 3),
    ("front_predicate", "predicate", "behind", -1, False, 3, 3),
    ("tall_predicate", "predicate", "tall", 1, True, 0, 2),
    ("short_predicate", "predicate", "tall", -1, True, 0, 2),
    ("wide_predicate", "predicate", "wide", 1, False, 2, 2),
    ("thin_predicate", "predicate", "wide", -1, False, 2, 2),
    ("big_predicate", "predicate", "big", 1, True, 1, 1),
    ("small_predicate", "predicate", "big", -1, True, 1, 1),
    ("left_choice", "choice", "left", 1, False, 2, 2),
    ("right_choice", "choice", "left", -1, False, 2, 2),
    ("above_choice", "choice", "above", 1, True, 0, 2),
    ("below_choice", "choice", "above", -1, True, 0, 2),
    ("behind_choice", "choice", "behind", 1, False, 2, 2),
    ("front_choice", "choice", "behind", -1, False, 2, 2),
    ("tall_choice", "choice", "tall", 1, True, 0, 1),
    ("short_choice", "choice", "tall", -1, True, 0, 1),
    ("wide_choice", "choice", "wide", 1, False, 1, 1),
    ("thin_choice", "choice", "wide", -1, False, 1, 1),
    ("big_choice", "choice", "big", 1, True, 1, 1),
    ("small_choice", "choice", "big", -1, True, 1, 1),
    ("left_right_classify", "classify", "left", 1, False, 3, 3),
    ("above_below_classify", "classify", "above", 1, True, 0, 3),
    ("behind_front_classify", "classify", "behind", 1, False, 2, 2),
    ("tall_short_classify", "classify", "tall", 1, True, 0, 2),
    ("wide_thin_classify", "classify", "wide", 1, False, 2, 2),
    ("big_small_classify", "classify", "big", 1, True, 1, 1),
    ("distance", "measure", "distance", 1, False, 4, 4),
    ("gap", "measure", "gap", 1, False, 0, 1),
    ("height", "measure", "height", 1, True, 0, 1),
    ("width", "measure", "width", 1, False, 0, 1),
    ("elevation", "measure", "elevation", 1, True, 0, 1),
    ("vertical_distance", "measure", "vertical_distance", 1, True, 0, 2),
    ("horizontal_distance", "measure", "horizontal_distance", 1, True, 0, 2),
    ("above_difference", "measure", "above", 1, True, 0, 1),
    ("below_difference", "measure", "above", -1, True, 0, 1),
    ("behind_difference", "measure", "behind", 1, False, 1, 1),
    ("front_difference", "measure", "behind", -1, False, 1, 1),
    ("left_difference", "measure", "left", 1, False, 1, 1),
    ("right_difference", "measure", "left", -1, False, 1, 1),
)

TYPES: Mapping[str, QuestionType] = {row[0]: QuestionType(*row) for row in _ROWS}
"""The 43 types by id, qualitative ones first."""
TYPE_LIST: tuple[QuestionType, ...] = tuple(TYPES.values())
QUALITATIVE = sum(t.kind == "qualitative" for t in TYPE_LIST)
"""How many rows at the front of the table are qualitative."""
DEFAULT_MIX = 0.5
"""Share of qualitative questions."""

Mix = float | Mapping[str, float]


def question_type(name: str) -> QuestionType:
    """Return the row of a type; raises `UsageError` with the nearest names for an unknown one."""
    if name not in TYPES:
        raise UsageError(_why_unknown(name))
    return TYPES[name]


def _why_unknown(name: str) -> str:
    stem = name.split("_")[0]
    near = [t for t in TYPES if stem and t.startswith(stem)] or list(TYPES)
    known = ", ".join(near)
    return f"unknown question type {name!r}; there are: {known} (others: `calipers spatialqa`)"


def names_of(types: Iterable[str] | None) -> tuple[str, ...] | None:
    """The names of types as they are given, and None, which is all of them.

    Raises:
        UsageError: a single string, which would be taken for a list of letters.
    """
    if isinstance(types, str):
        raise UsageError(f"types: wanted a list of names, got the string {types!r}")
    return None if types is None else tuple(types)


def weights(level: bool, types: Iterable[str] | None = None, mix: Mix | None = None) -> Doubles:
    """Return the (43,) share of each type among the questions of a scene; they add up to 1,
    or are all 0 when the options leave nothing to ask.

    Args:
        level: whether the scene has a level frame.
        types: ask only these. A type that the paper never asks without a level frame but that does
            not need one (``gap``, ``width``) keeps its weight when it is named here.
        mix: share of qualitative questions, or a weight for each type (those left out get none).

    Raises:
        UsageError: an unknown type, a share outside [0, 1], a weight below 0.

    >>> w = weights(level=True)
    >>> round(float(w[0]), 4), round(float(w[:QUALITATIVE].sum()), 4)
    (0.0317, 0.5)
    """
    named = None if types is None else {question_type(t).id for t in types}
    if isinstance(mix, Mapping):
        return _normalised(np.array([_given(t, mix, named, level) for t in TYPE_LIST]))
    share = DEFAULT_MIX if mix is None else float(mix)
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"mix: wanted a share of qualitative questions in [0, 1], got {mix}")
    raw = np.array([_published(t, named, level) for t in TYPE_LIST])
    qualitative, quantitative = raw[:QUALITATIVE], raw[QUALITATIVE:]
    halves = (_normalised(qualitative) * share, _normalised(quantitative) * (1.0 - share))
    return _normalised(np.concatenate(halves))


def _published(row: QuestionType, named: set[str] | None, level: bool) -> float:
    if level:
        weight = row.weight_level
    elif row.needs_level:
        weight = 0
    elif named is None:
        weight = row.weight_camera
    else:
        weight = row.weight_camera or row.weight_level
    return float(weight) if named is None or row.id in named else 0.0


def _given(
    row: QuestionType, mix: Mapping[str, float], named: set[str] | None, level: bool
) -> float:
    for name, weight in mix.items():
        if not 0 <= weight < float("inf"):
            raise UsageError(f"mix: wanted a weight of 0 or more for {name}, got {weight}")
        question_type(name)
    blocked = (row.needs_level and not level) or (named is not None and row.id not in named)
    return 0.0 if blocked else float(mix.get(row.id, 0.0))


def _normalised(raw: Doubles) -> Doubles:
    total = raw.sum()
    return raw / total if total > 0 else raw
