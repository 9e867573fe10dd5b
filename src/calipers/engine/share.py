"""How much of a machine a worker asks for on a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable

from calipers.experts.table import Entry

CPUS = 1
"""Cores a worker: geometry is one thread, and decoding overlaps with the models."""
GPU_BYTES = 24e9
BYTES_A_PARAMETER = 8
"""Weights in 32 bits, and as much again for what is computed from pictures."""
UNKNOWN_SHARE = 0.1


def gpu_share(entries: Iterable[Entry]) -> float:
    """The share of a GPU that a worker with these experts asks for, between 0 and 1.

    An entry's own ``gpu`` counts; one without is taken by its parameters, for a GPU of 24 GB. This
    is a rule of thumb, not a measurement.

    >>> from calipers.experts.table import BY_NAME
    >>> gpu_share([BY_NAME["moge2"]])
    0.12
    >>> gpu_share([])
    0
    """
    return min(1, round(sum(map(_share, entries)), 2))


def _share(entry: Entry) -> float:
    if entry.gpu is not None:
        return entry.gpu
    if entry.needs != "models" or not (entry.id or entry.size):
        return 0.0
    found = re.fullmatch(r"([0-9.]+)([MB])", entry.size)
    if found is None:
        return UNKNOWN_SHARE
    parameters = float(found[1]) * {"M": 1e6, "B": 1e9}[found[2]]
    return max(0.01, round(parameters * BYTES_A_PARAMETER / GPU_BYTES + 0.005, 2))
