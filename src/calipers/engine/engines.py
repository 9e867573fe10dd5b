"""Which engine does the shards of a run: this process, processes of this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from os import cpu_count
from typing import Any, Protocol

from calipers.engine.embedded import in_workers, worker_memory
from calipers.engine.share import gpu_share
from calipers.engine.worker import Limits
from calipers.errors import UsageError
from calipers.experts.runner import crew
from calipers.work import FramesWork, Work, wants_experts

EMBEDDED, RAY = "embedded", "ray"
MOST_WORKERS = 16


class Engaging(Protocol):
    """The options that decide who does the shards; see `calipers.pipeline.Options`."""

    @property
    def workers(self) -> int | None: ...  # noqa: D102
    @property
    def engine(self) -> str: ...  # noqa: D102
    @property
    def address(self) -> str | None: ...  # noqa: D102
    @property
    def patience(self) -> float: ...  # noqa: D102
    @property
    def memory(self) -> float | None: ...  # noqa: D102


def check_engine(options: Engaging) -> None:
    """Refuse options that make no sense.

    Raises:
        UsageError: saying which.
    """
    if options.engine not in (EMBEDDED, RAY):
        raise UsageError(f"engine: wanted {EMBEDDED} or {RAY}, got {options.engine!r}")
    if options.address is not None and options.engine != RAY:
        raise UsageError(f"address: is of a Ray cluster; give engine {RAY} too")
    for name, value in (("patience", options.patience), ("memory", options.memory)):
        if value is not None and not value > 0:
            raise UsageError(f"{name}: wanted more than 0, got {value}")


def run_jobs(
    work: Work, jobs: Iterable[tuple[int, Any]], options: Engaging, goes_on: bool = False
) -> Iterator[int]:
    """Do shards, (index, shard); yield how many records each had.

    Args:
        work: what is done to them.
        jobs: the shards, asked for one by one.
        options: who does them.
        goes_on: whether a run was ended before it was finished: by a record perhaps, so that from
            then on work is done in processes of its own, unless one worker was asked for.
    """
    jobs = iter(jobs)
    first = list(islice(jobs, 2))
    jobs = chain(first, jobs)
    if options.engine == RAY:
        return _in_cluster(work, jobs, options, _wanting(work, first)) if first else iter(())
    workers = options.workers or _sensible_workers(work, first)
    few = workers == 1 or len(first) < 2  # starting workers would take longer
    if options.workers == 1 or (few and not goes_on):
        return work.stream(jobs)
    limits = Limits(options.patience, worker_memory(workers, options.memory))
    return in_workers(work, jobs, workers, limits)


def _in_cluster(
    work: Work, jobs: Iterator[tuple[int, Any]], options: Engaging, experts: bool
) -> Iterator[int]:
    from calipers.engine.ray import Cluster, in_cluster

    memory = None if options.memory is None else int(options.memory * 1e9)
    gpu = 0.0
    if experts and isinstance(work, FramesWork) and work.hiring.device != "cpu":
        gpu = gpu_share(chain.from_iterable(work.hiring.choice.experts.values()))
    cluster = Cluster(options.address, options.workers, gpu)
    return in_cluster(work, jobs, Limits(options.patience, memory), cluster)


def _wanting(work: Work, first: list[tuple[int, Any]]) -> bool:
    """Whether experts have to look at the first pictures."""
    return isinstance(work, FramesWork) and any(
        wants_experts(shard, crew(work.hiring)) for _, shard in first
    )


def _sensible_workers(work: Work, first: list[tuple[int, Any]]) -> int:
    return 1 if _wanting(work, first) else min(cpu_count() or 1, MOST_WORKERS)
