"""Work that overlaps keeps its order, hands on its errors and ends when nobody listens."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from calipers.flow import ahead, in_threads


def counting(made: list[int], stop: int = 100) -> Iterator[int]:
    for number in range(stop):
        made.append(number)
        yield number


def until(done: bool, deadline: float) -> bool:
    time.sleep(0.005)
    return done or time.monotonic() > deadline


def test_order_stays_and_only_so_many_are_made_ahead() -> None:
    made: list[int] = []
    items = ahead(counting(made), room=2)
    assert next(items) == 0
    deadline = time.monotonic() + 5
    while not until(len(made) >= 4, deadline):
        pass
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]  # one taken, two waiting, one in hand
    assert list(items) == list(range(1, 100))


def test_an_error_comes_in_its_place() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("the third shoe")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="the third shoe"):
        next(items)


def test_leaving_early_stops_the_thread() -> None:
    before = threading.active_count()
    items = ahead(counting([]))
    next(items)
    items.close()
    assert threading.active_count() == before


def test_threads_work_at_once_and_in_order() -> None:
    meet = threading.Barrier(3, timeout=10)

    def work(number: int) -> int:
        meet.wait()  # passes only when three are at work together
        return number * number

    assert list(in_threads(work, range(9), threads=3)) == [n * n for n in range(9)]


def test_an_error_in_a_thread() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda n: 1 // n, [1, 0, 2], threads=2))
