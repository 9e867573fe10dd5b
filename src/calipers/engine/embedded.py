"""The embedded engine: worker processes of this machine, each watched by a thread."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue
from threading import Event, Lock, Thread
from typing import Any

from calipers.engine.careful import StuckError, finish
from calipers.engine.worker import Limits, StoppedError, Worker

MEMORY_SHARE = 0.9
"""Of the machine's memory, for all workers together."""


def machine_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its control group's."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            found.append(int((Path("/sys/fs/cgroup") / name).read_text()))
    return min(found)


def worker_memory(workers: int, given_gb: float | None) -> int:
    """Bytes that each of some workers of one machine may take."""
    if given_gb is not None:
        return int(given_gb * 1e9)
    return int(MEMORY_SHARE * machine_memory() / workers)


def in_workers(
    work: Any, jobs: Iterable[tuple[int, Any]], workers: int, limits: Limits
) -> Iterator[int]:
    """Do shards, (index, shard), in worker processes; yield how many records each had.

    Raises:
        StuckError: at the end, when a shard cannot be done.
        RunError: no worker can be started.
        Exception: whatever the work raises.
    """
    team = _Team(work, jobs, limits)
    threads = [Thread(target=team.run, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    left, stuck = workers, None
    try:
        while left:
            outcome = team.outcomes.get()
            if outcome is None:
                left -= 1
            elif isinstance(outcome, StuckError):
                stuck = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome
    finally:
        team.stop.set()
        for thread in threads:
            thread.join()
    if stuck is not None:
        raise stuck


class _Team:
    def __init__(self, work: Any, jobs: Iterable[tuple[int, Any]], limits: Limits) -> None:
        self.work, self.limits = work, limits
        self.jobs = iter(jobs)
        self.lock, self.stop = Lock(), Event()
        self.outcomes: Queue[int | BaseException | None] = Queue()

    def run(self) -> None:
        """Own one worker until there is nothing more to do."""
        try:
            with Worker(self.work, self.limits, self.stop) as worker:
                while (job := self._next()) is not None:
                    self._do(worker, *job)
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by who asked for the outcomes
            self.outcomes.put(error)
        self.outcomes.put(None)

    def _next(self) -> tuple[int, Any] | None:
        with self.lock:
            return None if self.stop.is_set() else next(self.jobs, None)

    def _do(self, worker: Worker, index: int, shard: Any) -> None:
        try:
            self.outcomes.put(finish(worker, index, shard))
        except StuckError as error:
            self.outcomes.put(error)
