"""Work that overlaps: items made in another thread before they are asked for.

Decoding pictures, running models and geometry release the interpreter's lock for most of their
time, so threads are enough, and nothing has to be copied between processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOK_S = 0.1


class _End(Generic[Item]):
    """The end of the items, and the error that ended them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Iterable[Item], room: int = 1) -> Iterator[Item]:
    """Yield the same items, made in a thread, up to `room` of them before they are asked for.

    An error of `items` is raised here, in its place. Leaving early stops the thread.

    >>> list(ahead(x * x for x in range(4)))
    [0, 1, 4, 9]
    """
    queue: Queue[Item | _End[Item]] = Queue(room)
    stop = Event()
    maker = Thread(target=_make, args=(items, queue, stop), daemon=True)
    maker.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        with suppress(Empty):
            queue.get_nowait()
        maker.join()


def _make(items: Iterable[Item], queue: Queue[Item | _End[Item]], stop: Event) -> None:
    end: _End[Item] = _End()
    try:
        for item in items:
            if not _put(item, queue, stop):
                break
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that asks
        end = _End(error)
    _put(end, queue, stop)


def _put(item: Item | _End[Item], queue: Queue[Item | _End[Item]], stop: Event) -> bool:
    while not stop.is_set():
        with suppress(Full):
            queue.put(item, timeout=_LOOK_S)
            return True
    return False


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Yield ``work(item)`` in the items' order, `threads` of them at work at a time.

    >>> list(in_threads(abs, [-3, 2, -1], threads=2))
    [3, 2, 1]
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
