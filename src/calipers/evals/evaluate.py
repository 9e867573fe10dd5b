"""From a benchmark's name, its files and a model's answers to a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from calipers.errors import UsageError
from calipers.evals.baselines import baselines
from calipers.evals.cases import Case
from calipers.evals.places import NOTATIONS
from calipers.evals.regions import Mask
from calipers.evals.report import Report, report
from calipers.evals.score import score
from calipers.evals.tasks.table import task


def evaluate(
    name: str,
    data: str | Path,
    answers: Mapping[str, str],
    *,
    blind: Mapping[str, str] | None = None,
    rules: Sequence[str] | None = None,
    points: str | None = None,
    seed: int = 0,
) -> Report:
    """Score a model on a benchmark, with what can be answered blind beside it.

    Args:
        name: one of `calipers.evals.tasks.table.TASKS`.
        data: the user's download: a file or a folder.
        answers: id of the question → the model's text.
        blind: the model's answers without the picture, to stand beside.
        rules: names of rules (default: those of each kind of question).
        points: how a model means coordinates that do not say it themselves: one of
            `calipers.evals.places.NOTATIONS` (default: as the task's questions ask for them).
        seed: of the bootstrap.

    Raises:
        UsageError: the task, the data or a rule cannot be used.
        DataError: an answer belongs to no question.
    """
    chosen = task(name)
    cases = chosen.cases(data)
    if points is not None:
        cases = _noted(cases, points)
    others = baselines(cases, rules)
    if blind is not None:
        others = {"blind": score(cases, blind, rules), **others}
    found = report(name, score(cases, answers, rules), chosen.overall, others, seed)
    if chosen.published is None:
        return found
    return replace(found, overall={**found.overall, **chosen.published(Path(data), answers)})


def _noted(cases: Sequence[Case], notation: str) -> list[Case]:
    """The cases, coordinates read in another notation.

    Raises:
        UsageError: there is no such notation, or no question for it.
    """
    if notation not in NOTATIONS:
        raise UsageError(f"points: wanted one of {', '.join(NOTATIONS)}, got {notation!r}")
    asked = [case.truth for case in cases if case.kind == "points"]
    if not asked:
        raise UsageError("points: no question is answered with points")
    if notation == "pixels" and any(t is not None and not isinstance(t, Mask) for t in asked):
        raise UsageError("points: pixels: not known of what size the pictures are, without masks")
    return [replace(case, notation=notation) if case.kind == "points" else case for case in cases]
