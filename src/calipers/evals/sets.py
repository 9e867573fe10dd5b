"""Questions that only count when all of their set are right: pairs, rotations, mirror images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from calipers.evals.intervals import Share
from calipers.evals.score import Scored


class Together(NamedTuple):
    """Sets in which all is right, of those that are scored.

    Attributes:
        right, trials, share, low, high: as of `calipers.evals.intervals.Share`.
        incomplete: of the scored sets those with fewer questions than another of their kind with
            as many options.
    """

    right: int
    trials: int
    share: float | None
    low: float | None
    high: float | None
    incomplete: int = 0

    def __str__(self) -> str:
        said = str(Share(*self[:5]))
        return f"{said}, {self.incomplete} of them incomplete" if self.incomplete else said


def together(scored: Scored, key: str) -> dict[str, Together]:
    """Sets of which every case must be right (all rotations, both mirror images): kind → share.

    Sets with a case that is unscored are left out, and so are kinds of which no set has two cases.
    """
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, case in enumerate(scored.cases):
        for kind, name in case.sets.items():
            found[kind][name].append(place)
    return {
        kind: _all_right(scored, key, list(sets.values()))
        for kind, sets in found.items()
        if any(len(places) > 1 for places in sets.values())
    }


def _all_right(scored: Scored, key: str, sets: Sequence[Sequence[int]]) -> Together:
    points = scored.points[key]
    known = [places for places in sets if not np.isnan(points[list(places)]).any()]
    right = sum(bool((points[list(places)] == 1).all()) for places in known)
    most: Counter[int] = Counter()
    for places in sets:
        options = len(scored.cases[places[0]].choices)
        most[options] = max(most[options], len(places))
    short = sum(len(places) < most[len(scored.cases[places[0]].choices)] for places in known)
    return Together(*Share.of(right, len(known)), incomplete=short)
