"""A shard through a worker, whatever becomes of the worker.

A shard that ends its worker is tried again as a whole. When it ends that one too, the record that
was read last is tried alone, and where that is not it, the shard is halved until single records
are left. A record that ends its worker each time it is tried alone is poisoned: the shard is done
without it, and it is left out with a reason of `calipers.io.records.POISONS`. Trials keep
nothing, so a shard's results still appear all at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from calipers.engine.task import Task, cut
from calipers.engine.worker import Lost, Worker
from calipers.errors import RunError, Skip
from calipers.io.inputs.shards import Shard

TRIES = 2
"""So often a shard as a whole, and a record alone, must end its worker to be suspected."""
ROUNDS = 3
"""So often a shard may end its worker as a whole when no record of it does alone."""

_LOG = logging.getLogger(__name__)


class StuckError(RunError):
    """A shard cannot be done, though each of its records can."""


def finish(worker: Worker, index: int, shard: Any) -> int:
    """Do a shard; return how many records it had.

    Raises:
        StuckError: it cannot be done, and no record of it is to blame.
        RunError: no worker can be started.
        Exception: whatever the work raises.
    """
    poisoned: dict[int, Skip] = {}
    fruitless = 0
    while True:
        outcome = _tries(worker, Task(index, shard, poisoned), 1 if poisoned else TRIES)
        if not isinstance(outcome, Lost):
            return outcome
        found = dict(_poisoned(worker, index, shard, poisoned, outcome))
        poisoned |= found
        fruitless += not found
        if fruitless == ROUNDS:
            raise StuckError(
                f"shard {index} ends its worker ({outcome.reason}: {outcome.detail}), and no "
                "record of it does alone; the same command tries it again"
            )


def _tries(worker: Worker, task: Task, tries: int) -> int | Lost:
    for _ in range(tries):
        outcome = worker.do(task)
        if not isinstance(outcome, Lost):
            break
        _LOG.warning("shard %d, %s: %s", task.index, outcome.reason, outcome.detail)
    return outcome


def _poisoned(
    worker: Worker, index: int, shard: Any, known: dict[int, Skip], lost: Lost
) -> Iterator[tuple[int, Skip]]:
    """The records that end their worker alone, beside those known."""
    if not isinstance(shard, Shard):
        return
    if lost.place is not None and lost.place not in known:
        found = list(_search(worker, index, shard, lost.place, 1, known))
        if found:
            yield from found
            return
    yield from _search(worker, index, shard, 0, shard.count, known)


def _search(
    worker: Worker, index: int, shard: Shard, first: int, count: int, known: dict[int, Skip]
) -> Iterator[tuple[int, Skip]]:
    here = {place - first: skip for place, skip in known.items() if first <= place < first + count}
    if len(here) == count:
        return
    task = Task(index, cut(shard, first, count), here, rehearsal=True)
    outcome = _tries(worker, task, TRIES if count == 1 else 1)
    if not isinstance(outcome, Lost):
        return
    if count == 1:
        detail = f"{outcome.detail}; so {TRIES} times alone, and with its shard"
        yield first, Skip(outcome.reason, detail)
        return
    half = count // 2
    yield from _search(worker, index, shard, first, half, known)
    yield from _search(worker, index, shard, first + half, count - half, known)
