"""Points → a table: each rule over all cases and over each tag, with intervals, and baselines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calipers.evals.intervals import Mean, Share, bootstrap
from calipers.evals.rules import Measure, rule
from calipers.evals.score import Scored
from calipers.evals.sets import Together, together
from calipers.types import Doubles

ALL = "all"
"""The tag that every case has."""


@dataclass(frozen=True, slots=True)
class Row:
    """One rule over the cases of one tag.

    Attributes:
        right, wrong, partly, no_answer, unscored: how many; of errors only the last two.
        mean: of the points; of a share its interval is Wilson's, else the bootstrap's, which there
            may be none of.
        chance_adjusted: (right − expected) / (asked − expected), where a random choice would get
            some right; None elsewhere.
    """

    rule: str
    tag: str
    measure: Measure
    right: int
    wrong: int
    partly: int
    no_answer: int
    unscored: int
    mean: Mean
    median: float | None = None
    chance_adjusted: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        own = {name: getattr(self, name) for name in self.__slots__ if name != "mean"}
        return own | {"mean": self.mean.mean, "low": self.mean.low, "high": self.mean.high}


def rows(scored: Scored, seed: int = 0) -> list[Row]:
    """Every rule over all cases, then over each tag; where it says nothing there is no row."""
    tagged: dict[str, list[int]] = defaultdict(list)
    for place, case in enumerate(scored.cases):
        for tag in (ALL, *dict.fromkeys(case.tags)):
            tagged[tag].append(place)
    found = []
    for key, points in scored.points.items():
        applies = _applies(scored, key)
        for tag, places in tagged.items():
            chosen = np.array(places)[applies[places]]
            if len(chosen):
                found.append(_row(scored, key, tag, chosen, points[chosen], seed))
    return found


def _applies(scored: Scored, key: str) -> Any:
    kinds = rule(key).kinds
    return np.array([case.kind in kinds for case in scored.cases], bool)


def _row(scored: Scored, key: str, tag: str, places: Any, points: Doubles, seed: int) -> Row:
    measure = rule(key).measure
    known = ~np.isnan(points)
    graded = measure != "error"
    silent = np.array([scored.status[k] not in ("read", "no truth") for k in places])
    silent &= known | (not graded)
    said = known & ~silent
    right = int((points[said] == 1).sum()) if graded else 0
    wrong = int((points[said] == 0).sum()) if graded else 0
    mean = _mean(scored, measure, places, points, right, int(known.sum()), seed)
    return Row(
        rule=key,
        tag=tag,
        measure=measure,
        right=right,
        wrong=wrong,
        partly=int(said.sum()) - right - wrong if graded else 0,
        no_answer=int(silent.sum()),
        unscored=int((~known & ~silent).sum()),
        mean=mean,
        median=float(np.median(points[known])) if known.any() and not graded else None,
        chance_adjusted=_adjusted(scored, places[known], right) if measure == "share" else None,
    )


def _mean(
    scored: Scored, measure: Measure, places: Any, points: Doubles, right: int, of: int, seed: int
) -> Mean:
    if measure == "share":
        share = Share.of(right, of)
        return Mean(share.share, share.low, share.high, of)
    groups = [scored.cases[k].group for k in places]
    return bootstrap(points, groups, seed, bounded=measure == "score")


def _adjusted(scored: Scored, places: Any, right: int) -> float | None:
    """(ΣX − Σ1/n) / (N − Σ1/n), as SITE-Bench has it."""
    chances = [scored.cases[k].chance for k in places]
    if not chances or None in chances:
        return None
    expected = sum(chance for chance in chances if chance is not None)
    return chance_adjusted(right, len(chances), expected)


def chance_adjusted(right: float, asked: int, expected: float) -> float | None:
    """What is right beyond chance, of what could be; 0 at chance, 1 when all is right.

    >>> chance_adjusted(5, 10, 2.5), chance_adjusted(1, 10, 2.5), chance_adjusted(3, 3, 3)
    (0.3333333333333333, -0.2, None)
    """
    return (right - expected) / (asked - expected) if asked > expected else None


Find = Callable[[str, str], Row]
"""The row of a rule's name and a tag; raises KeyError where there is none."""
Overall = Callable[[Find], float | None]
"""The one number that a benchmark states, from rows."""


@dataclass(frozen=True, slots=True)
class Report:
    """A model's scores on a benchmark.

    Attributes:
        rows: every rule and tag.
        sets: kind of set → share of sets in which all is right; kinds of one question a set have
            none.
        overall: the benchmark's own formulas: name → value.
        baselines: name → the same of one that sees no picture.
        reasons: why nothing was read, and how often.
        leading: keys of the rules that come first for a kind of question that is there.
    """

    task: str
    cases: int
    rows: Sequence[Row]
    sets: Mapping[str, Together]
    overall: Mapping[str, float | None]
    reasons: Mapping[str, int]
    leading: Sequence[str]
    baselines: Mapping[str, Report] = field(default_factory=dict)

    def row(self, key: str, tag: str = ALL) -> Row:
        """A row by rule ("ratio-2" or "ratio-2@1") and tag.

        Raises:
            KeyError: there is none.
        """
        name = rule(key).key
        for one in self.rows:
            if (one.rule, one.tag) == (name, tag):
                return one
        raise KeyError((name, tag))

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "task": self.task,
            "cases": self.cases,
            "overall": dict(self.overall),
            "sets": {name: share._asdict() for name, share in self.sets.items()},
            "no_answer": dict(self.reasons),
            "rows": [one.to_json() for one in self.rows],
            "baselines": {name: one.to_json() for name, one in self.baselines.items()},
        }


def report(
    task: str,
    scored: Scored,
    overall: Mapping[str, Overall] | None = None,
    baselines: Mapping[str, Scored] | None = None,
    seed: int = 0,
) -> Report:
    """Sum up.

    Args:
        task: the benchmark's name.
        scored: a model's points.
        overall: name → formula of the benchmark's own numbers.
        baselines: name → the points of one that sees no picture.
        seed: of the bootstrap.
    """
    found = rows(scored, seed)
    exact = [key for key in scored.points if rule(key).name == "exact"]
    sets = together(scored, exact[0]) if exact else {}
    numbers = {name: _overall(found, formula) for name, formula in (overall or {}).items()}
    others = {
        name: report(task, one, overall, seed=seed) for name, one in (baselines or {}).items()
    }
    return Report(
        task, len(scored.cases), found, sets, numbers, scored.reasons(), _leading(scored), others
    )


def _leading(scored: Scored) -> list[str]:
    kinds = dict.fromkeys(case.kind for case in scored.cases)
    firsts = (next((k for k in scored.points if kind in rule(k).kinds), None) for kind in kinds)
    return [key for key in dict.fromkeys(firsts) if key is not None]


def _overall(found: Sequence[Row], formula: Overall) -> float | None:
    by_name = {(one.rule, one.tag): one for one in found}
    try:
        return formula(lambda name, tag: by_name[rule(name).key, tag])
    except KeyError:  # the formula asks for a part that this data does not have
        return None


def mean_of(name: str, *tags: str) -> Overall:
    """The unweighted mean over tags under one rule."""

    def formula(find: Find) -> float | None:
        means = [find(name, tag).mean.mean for tag in tags]
        known = [mean for mean in means if mean is not None]
        return sum(known) / len(known) if len(known) == len(means) else None

    return formula


def as_text(found: Report, every: bool = False) -> str:
    """The report as a table of text: all rules over all cases, and tags under the leading rules.

    Args:
        found: the report.
        every: show all rules of every tag.
    """
    names = list(found.baselines)
    shown = [one for one in found.rows if every or one.tag == ALL or one.rule in found.leading]
    head = ["rule", "of", "n", "score", "95 %", "no answer", "unscored", *names]
    table = [head, *(_cells(found, one, names) for one in shown)]
    widths = [max(len(line[k]) for line in table) for k in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in table]
    lines += [f"{name}: {share}" for name, share in found.sets.items()]
    for name, value in found.overall.items():
        beside = [
            f"{other} {_percent(one.overall[name])}" for other, one in found.baselines.items()
        ]
        lines.append(f"{name}: {_percent(value)}" + (f" ({', '.join(beside)})" if beside else ""))
    reasons = ", ".join(f"{n} {why}" for why, n in found.reasons.items())
    return "\n".join([*lines, f"nothing read: {reasons}"] if reasons else lines)


def _cells(found: Report, one: Row, baselines: Sequence[str]) -> list[str]:
    mean = one.mean
    between = "-" if mean.low is None else f"{_said(one, mean.low)} to {_said(one, mean.high)}"
    blank = str(one.no_answer) if one.no_answer else ""
    unscored = str(one.unscored) if one.unscored else ""
    asked = str(mean.points)
    own = [one.rule, one.tag, asked, _said(one, mean.mean), between, blank, unscored]
    return own + [_beside(found.baselines[name], one) for name in baselines]


def _beside(baseline: Report, one: Row) -> str:
    for other in baseline.rows:
        if (other.rule, other.tag) == (one.rule, one.tag):
            return _said(other, other.mean.mean)
    return "-"


def _said(one: Row, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if one.measure == "error" else f"{100 * value:.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
