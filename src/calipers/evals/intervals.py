"""How sure a share or a mean is that was seen in few trials."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calipers.types import Doubles

Ints = NDArray[np.int64]

Z95 = 1.959963984540054
"""Of 95 % of a normal distribution, both tails cut."""


class Share(NamedTuple):
    """Successes of trials, and the 95 % interval of the share; all None without trials.

    >>> print(Share.of(29, 34))
    85.3 % [69.9, 93.6] (29 of 34)
    """

    right: int
    trials: int
    share: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, right: int, trials: int) -> Share:
        """Wilson's interval (E. B. Wilson, 1927, "Probable inference, the law of succession").

        >>> [round(v, 4) for v in Share.of(0, 10)[2:]], Share.of(0, 0).share
        ([0.0, 0.0, 0.2775], None)
        """
        if not trials:
            return cls(right, trials, None, None, None)
        share, square = right / trials, Z95 * Z95
        middle = share + square / (2 * trials)
        half = Z95 * sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
        scale = 1 + square / trials
        low, high = (middle - half) / scale, (middle + half) / scale
        return cls(right, trials, share, max(0.0, low), min(1.0, high))

    def __str__(self) -> str:
        if self.share is None or self.low is None or self.high is None:
            return "nothing to score"
        within = f"[{100 * self.low:.1f}, {100 * self.high:.1f}]"
        return f"{100 * self.share:.1f} % {within} ({self.right} of {self.trials})"


class Mean(NamedTuple):
    """A mean of points and its 95 % interval, None where that cannot be told; all None of none."""

    mean: float | None
    low: float | None
    high: float | None
    points: int


DRAWS = 1000
MOST_CLUSTERS = 5000
"""Of more clusters than this the interval is the normal one, with clusters' own variance."""


def bootstrap(
    points: Doubles, clusters: Sequence[str], seed: int = 0, bounded: bool = False
) -> Mean:
    """Mean of points, with the interval of drawing whole clusters again (percentiles).

    (B. Efron, 1979, "Bootstrap methods"; clusters: C. A. Field and A. H. Welsh, 2007,
    "Bootstrapping clustered data".) One cluster has no interval, and neither have clusters whose
    means are all the same, since then every draw is. But where all points are 0, or all are 1, of
    a rule that gives nothing beyond, it is Wilson's of as many trials as there are clusters.

    Args:
        points: (K,); NaN is left out.
        clusters: (K,) what each point belongs to: questions about one picture are not independent.
        seed: of the draws.
        bounded: whether points are from 0 to 1 by their rule.

    >>> bootstrap(np.array([0.0, 1.0, np.nan]), ["a", "b", "c"])
    Mean(mean=0.5, low=0.0, high=1.0, points=2)
    >>> bootstrap(np.array([0.0, 1.0]), ["a", "a"])
    Mean(mean=0.5, low=None, high=None, points=2)
    """
    known = ~np.isnan(points)
    if not known.any():
        return Mean(None, None, None, 0)
    kept = points[known]
    numbers = {name: n for n, name in enumerate(dict.fromkeys(clusters))}
    member = np.fromiter((numbers[name] for name in clusters), np.int64, len(clusters))[known]
    counts: Ints = np.bincount(member).astype(np.int64)
    sums = np.bincount(member, kept).astype(np.float64)
    sums, counts = sums[counts > 0], counts[counts > 0]
    low, high = _alike(sums / counts, bounded) or _drawn(sums, counts, seed)
    return Mean(float(kept.mean()), low, high, len(kept))


def _alike(means: Doubles, bounded: bool) -> tuple[float | None, float | None] | None:
    """The interval where every draw of clusters with such means is alike; None elsewhere."""
    size, mean = len(means), float(means[0])
    if size > 1 and not np.allclose(means, mean, rtol=0, atol=1e-12):
        return None
    if size < 2 or not bounded or mean not in (0, 1):
        return None, None
    return Share.of(size if mean else 0, size)[3:]


def _drawn(sums: Doubles, counts: Ints, seed: int) -> tuple[float, float]:
    """The interval of Σ sums / Σ counts over draws of clusters."""
    size = len(sums)
    if size > MOST_CLUSTERS:
        mean = sums.sum() / counts.sum()
        spread = Z95 * sqrt(float(((sums - mean * counts) ** 2).sum())) / counts.sum()
        return float(mean - spread), float(mean + spread)
    rng = np.random.default_rng(seed)
    means = np.empty(DRAWS)
    for draw in range(DRAWS):
        chosen = rng.integers(0, size, size)
        means[draw] = sums[chosen].sum() / counts[chosen].sum()
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
