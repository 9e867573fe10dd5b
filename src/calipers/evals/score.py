"""Answers → points: read every answer, then let every rule judge all of them at once.

Four things are told apart: **right**, **wrong**, **no answer** (nothing was said, or it could not
be read; it counts as not right) and **unscored** (the truth is not known, or the rule says nothing
of it; it counts nowhere).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from calipers.errors import DataError, UsageError
from calipers.evals.cases import NUMERIC, Case, by_id
from calipers.evals.responses import is_refusal
from calipers.evals.rules import RULES, Rule, rule
from calipers.types import Doubles

Status = Literal["read", "missing", "empty", "refusal", "unread", "no truth"]
Verdict = Literal["right", "wrong", "no answer", "unscored", "partly"]
DEFAULT_RULES: Mapping[str, tuple[str, ...]] = {
    "length": ("within-50-200", "gives-number", "within-67-150", "within-90-110", "ratio-2",
               "within-25", "abs-rel", "mra-paper", "mra-code"),
    "area": ("ratio-2", "within-25", "abs-rel", "mra-paper", "mra-code"),
    "number": ("ratio-2", "abs-rel", "mra-paper", "mra-code"),
    "count": ("exact", "count-error", "mra-paper", "mra-code"),
    "clock": ("clock-1", "clock-error"),
    "points": ("points-in-mask", "first-point-in-mask", "any-point-in-mask"),
    **dict.fromkeys(
        ("option", "yes-no", "compare-yes-no", "compare-which", "compare", "text"), ("exact",)
    ),
}  # fmt: skip
"""Kind of a question → the rules that judge it, unless others are asked for; the first leads."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of K cases.

    Attributes:
        said: what was read out of each answer; None where nothing was.
        status: why nothing was read, or "read".
        points: key of a rule → (K,) points, NaN where it says nothing.
    """

    cases: Sequence[Case]
    said: Sequence[Any]
    status: Sequence[Status]
    points: Mapping[str, Doubles]

    def verdict(self, key: str, place: int) -> Verdict:
        """What a rule makes of one case; "partly" for points between 0 and 1."""
        points = self.points[key][place]
        if np.isnan(points) and (self.status[place] in ("read", "no truth") or not _is_error(key)):
            return "unscored"
        if self.status[place] != "read":
            return "no answer"
        return "right" if points == 1 else "wrong" if points == 0 else "partly"

    def reasons(self) -> dict[str, int]:
        """How often nothing was read, by why."""
        return dict(Counter(status for status in self.status if status != "read"))


def _is_error(key: str) -> bool:
    return rule(key).measure == "error"


def score(
    cases: Sequence[Case],
    answers: Mapping[str, str],
    rules: Sequence[str] | None = None,
) -> Scored:
    """Score a model's answers.

    Args:
        cases: the questions.
        answers: id of the question → the model's text.
        rules: names of `RULES` (default: `DEFAULT_RULES` of each kind).

    Raises:
        DataError: an answer belongs to no question.
        UsageError: two questions have one id, or a rule is not known.

    >>> room = [Case("a", "length", 2.0), Case("b", "yes-no", "no"), Case("c", "yes-no", "no")]
    >>> found = score(room, {"a": "about 6 feet", "b": "Not sure."}, ["ratio-2", "exact"])
    >>> [found.verdict("ratio-2@1", 0), *(found.verdict("exact@1", k) for k in (1, 2))]
    ['right', 'no answer', 'no answer']
    >>> found.status
    ['read', 'refusal', 'missing']
    """
    known = by_id(cases)
    strange = [id for id in answers if id not in known]
    if strange:
        raise DataError(f"{len(strange)} answers belong to no question, the first to {strange[0]}")
    said, status = read_all(cases, answers)
    return judge(cases, said, status, rules)


def read_all(cases: Sequence[Case], answers: Mapping[str, str]) -> tuple[list[Any], list[Status]]:
    """What each case's answer says, and why nothing where it says nothing."""
    said: list[Any] = []
    status: list[Status] = []
    for case in cases:
        text = answers.get(case.id)
        found, part = case.answer(text) if text else (None, text)
        said.append(found)
        status.append("read" if found is not None else _why(part))
    return said, status


def _why(part: str | None) -> Status:
    """Why nothing was read in the part of an answer that counts."""
    if part is None:
        return "missing"
    if not part:
        return "empty"
    return "refusal" if is_refusal(part) else "unread"


def judge(
    cases: Sequence[Case],
    said: Sequence[Any],
    status: Sequence[Status] | None = None,
    rules: Sequence[str] | None = None,
) -> Scored:
    """Score what was read (or guessed by a baseline) already; None means no answer."""
    why: list[Status] = list(status or ("missing" if s is None else "read" for s in said))
    why = ["no truth" if case.truth is None else one for case, one in zip(cases, why)]
    chosen = None if rules is None else [rule(name) for name in rules]
    points: dict[str, Doubles] = {}
    for kind, places in _places_by_kind(cases).items():
        for one in _rules_for(kind, chosen):
            row = points.setdefault(one.key, np.full(len(cases), np.nan))
            _judge(one, kind, places, cases, said, why, row)
    if chosen is not None and not points and cases:
        raise UsageError(f"none of the rules {', '.join(rules or ())} fits these questions")
    return Scored(cases, said, why, points)


def _places_by_kind(cases: Sequence[Case]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, case in enumerate(cases):
        places.setdefault(case.kind, []).append(place)
    return places


def _rules_for(kind: str, chosen: Sequence[Rule] | None) -> list[Rule]:
    if chosen is None:
        return [RULES[name] for name in DEFAULT_RULES[kind]]
    return [one for one in chosen if kind in one.kinds]


def _judge(
    one: Rule,
    kind: str,
    places: Sequence[int],
    cases: Sequence[Case],
    said: Sequence[Any],
    status: Sequence[Status],
    row: Doubles,
) -> None:
    """Fill in the points of the cases at some places."""
    read = [k for k in places if status[k] == "read"]
    silent = [k for k in places if status[k] not in ("read", "no truth")]
    if one.measure != "error" and silent:
        row[silent] = _nothing_said(one, kind, [cases[k].truth for k in silent])
    if not read:
        return
    values: Any = [said[k] for k in read]
    truths: Any = [cases[k].truth for k in read]
    if kind in NUMERIC:
        values, truths = np.array(values, float), np.array(truths, float)
    row[read] = one.judge(values, truths)


def _nothing_said(one: Rule, kind: str, truths: Sequence[Any]) -> Doubles:
    """Zero points; NaN where the rule says nothing of the truth itself (a ratio to zero)."""
    if kind not in NUMERIC:
        return np.zeros(len(truths))
    known = np.array(truths, float)
    return np.where(np.isnan(one.judge(known, known)), np.nan, 0.0)
