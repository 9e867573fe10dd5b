"""How sure a share is that was seen in few trials."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

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
