"""Repeated ids, in memory and in temporary files."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from calipers.io.inputs.repeats import Repeats


@pytest.mark.parametrize("held", [1, 3, 1000])
def test_places_of_ids_that_came_before(held: int) -> None:
    repeats = Repeats(held)
    for name in ("a", "b", "a", "c"):
        repeats.add(name)
    repeats.skip(10)
    for name in ("b", "d", "a"):
        repeats.add(name)
    assert repeats.count == 17
    assert repeats.places().tolist() == [2, 14, 16]


def test_many_ids_agree_with_a_dictionary() -> None:
    names = np.random.default_rng(0).integers(0, 5000, 10_000).tolist()
    seen: set[int] = set()
    wanted = [place for place, name in enumerate(names) if name in seen or seen.add(name)]
    repeats = Repeats(held=512)
    for name in names:
        repeats.add(str(name))
    assert repeats.places().tolist() == wanted


def test_memory_does_not_grow_with_the_ids() -> None:
    peaks = []
    for count in (40_000, 160_000):
        repeats = Repeats(held=4096)
        tracemalloc.start()
        for number in range(count):
            repeats.add(str(number))
        assert repeats.places().tolist() == []
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
