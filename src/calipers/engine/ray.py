"""The engine for clusters: actors of Ray core that do shards, wherever there is room for one.

An actor owns one worker process (`calipers.engine.worker`) that runs the whole list of steps with
its models loaded, so a poisoned record is dealt with where it is, and what Ray sees dying is only
what was killed from outside: an actor or a node. Its shard goes to another. Each actor has one
shard at a time and shards are cut as they are asked for, so memory does not grow with the input.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from calipers.engine.careful import StuckError, finish
from calipers.engine.embedded import worker_memory
from calipers.engine.share import CPUS
from calipers.engine.worker import Limits, Worker
from calipers.errors import MissingExtraError, RunError, UsageError

MOVES = 10
"""So often may actors be lost with the same shard."""
ROOM_S = 600.0
"""With no actor started after so long the run gives up."""
LOOK_S = 2.0
CONNECT_S = 10.0
LOCAL = "local"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where, and with how much each.

    Attributes:
        address: "auto", "HOST:PORT" or "ray://HOST:PORT"; None takes $RAY_ADDRESS, or where that
            is not set starts Ray on this machine.
        workers: how many actors; None for as many as there is room for.
        gpu: share of a GPU that each asks for, where there are any.
    """

    address: str | None = None
    workers: int | None = None
    gpu: float = 0.0


class Hand:
    """An actor: owns a worker process, one of `neighbours` on its machine."""

    def __init__(self, work: Any, limits: Limits, neighbours: int) -> None:
        if limits.memory_bytes is None:
            limits = replace(limits, memory_bytes=worker_memory(neighbours, None))
        self.worker = Worker(work, limits)

    def ready(self) -> int:
        """Its process id; a call that returns when the actor is there."""
        return os.getpid()

    def do(self, index: int, shard: Any) -> int:
        """Do a shard; as `calipers.engine.careful.finish`."""
        return finish(self.worker, index, shard)


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The module ``ray``, connected.

    Raises:
        MissingExtraError: it is not installed.
        UsageError: there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("--engine ray", "cluster") from error
    mine = not ray.is_initialized()
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    if mine:
        _look_for(address)
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **_alone(address))
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"address: no Ray cluster at {address}: {error}") from error
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()


def _look_for(address: str) -> None:
    """Refuse an address at which nobody listens; Ray itself asks for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as error:
        raise UsageError(f"address: no Ray cluster at {address}: {error}") from error


def _alone(address: str) -> dict[str, Any]:
    return {"include_dashboard": False} if address == LOCAL else {}


def in_cluster(
    work: Any, jobs: Iterable[tuple[int, Any]], limits: Limits, cluster: Cluster
) -> Iterator[int]:
    """Do shards, (index, shard), on a cluster; yield how many records each had.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: there is no cluster at the address.
        StuckError: at the end, when a shard cannot be done.
        RunError: no actor could be started, or the cluster went away.
        Exception: whatever the work raises.
    """
    with connected(cluster.address) as ray:
        crowd = _Crowd(ray, work, iter(jobs), limits, cluster)
        try:
            yield from crowd.run()
        except (ray.exceptions.RaySystemError, ray.exceptions.RpcError) as error:
            raise RunError(
                f"the cluster is gone ({error}); the same command goes on where it stopped"
            ) from error
        finally:
            crowd.dismiss()


@dataclass
class _Crowd:
    """The actors of a run and what they are at."""

    ray: Any
    work: Any
    jobs: Iterator[tuple[int, Any]]
    limits: Limits
    cluster: Cluster
    back: deque[tuple[int, Any]] = field(default_factory=deque)
    busy: dict[Any, tuple[Any, tuple[int, Any] | None]] = field(default_factory=dict)
    idle: list[Any] = field(default_factory=list)
    moves: Counter[int] = field(default_factory=Counter)
    stuck: StuckError | None = None
    counted: float = float("-inf")
    ready: float = field(default_factory=time.monotonic)
    failed: int = 0

    def run(self) -> Iterator[int]:
        """Do all jobs."""
        while True:
            self._hire()
            self._give()
            if not any(job for _, job in self.busy.values()) and not self._more():
                break
            yield from self._look()
        if self.stuck is not None:
            raise self.stuck

    def dismiss(self) -> None:
        """End all actors."""
        with suppress(self.ray.exceptions.RayError):
            for hand in [*self.idle, *(hand for hand, _ in self.busy.values())]:
                self.ray.kill(hand)

    def _more(self) -> bool:
        """Whether there is a job that nobody has."""
        if not self.back and (job := next(self.jobs, None)) is not None:
            self.back.append(job)
        return bool(self.back)

    def _room(self) -> int:
        """How many actors there may be."""
        if self.cluster.workers is not None:
            return self.cluster.workers
        there = self.ray.cluster_resources()
        room = there.get("CPU", 0) / CPUS
        if self._gpu(there):
            room = min(room, there["GPU"] / self.cluster.gpu)
        return max(1, int(room + 1e-6))

    def _gpu(self, there: dict[str, float]) -> float:
        return self.cluster.gpu if there.get("GPU", 0) > 0 else 0.0

    def _hire(self) -> None:
        """Start actors while there is room and something for them to do."""
        if time.monotonic() - self.counted < LOOK_S or not self._more():
            return
        self.counted = time.monotonic()
        gpu = self._gpu(self.ray.cluster_resources())
        room = self._room()
        nodes = sum(node["Alive"] for node in self.ray.nodes())
        given = (self.work, self.limits, -(-room // max(1, nodes)))
        options = {"num_cpus": CPUS, "num_gpus": gpu, "scheduling_strategy": "SPREAD"}
        for _ in range(room - len(self.idle) - len(self.busy)):
            hand = self.ray.remote(**options)(Hand).remote(*given)
            self.busy[hand.ready.remote()] = (hand, None)

    def _give(self) -> None:
        while self.idle and self._more():
            hand, job = self.idle.pop(), self.back.popleft()
            self.busy[hand.do.remote(*job)] = (hand, job)

    def _look(self) -> Iterator[int]:
        """Wait a little, and yield what was finished meanwhile."""
        done, _ = self.ray.wait(list(self.busy), num_returns=1, timeout=LOOK_S)
        for reference in done:
            hand, job = self.busy.pop(reference)
            try:
                records = self._result(reference)
            except self._gone() as error:
                self._lost(hand, job, error)
                continue
            self.idle.append(hand)
            self.ready, self.failed = time.monotonic(), 0
            if job is not None and records is not None:
                yield records
        working = any(job for _, job in self.busy.values())
        if not working and not self.idle and time.monotonic() - self.ready > ROOM_S:
            raise RunError(f"no worker could be started; the cluster has {self._resources()}")

    def _result(self, reference: Any) -> int | None:
        """What came out; None for a shard that is stuck."""
        try:
            return int(self.ray.get(reference))
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, StuckError):
                self.stuck = error.cause
                return None
            raise error.cause from error

    def _gone(self) -> tuple[type[Exception], ...]:
        """What Ray raises when an actor, or the node that it was on, cannot be reached any more."""
        errors = self.ray.exceptions
        return (
            errors.RayActorError,
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.ObjectLostError,
            errors.OutOfMemoryError,
        )

    def _lost(self, hand: Any, job: tuple[int, Any] | None, error: Exception) -> None:
        self.counted = float("-inf")
        with suppress(self.ray.exceptions.RayError):
            self.ray.kill(hand)  # it may be at work still
        if job is None:
            self.failed += 1
            if self.failed >= MOVES:
                raise RunError(f"no worker can be started: {error}")
            return
        index = job[0]
        self.moves[index] += 1
        _LOG.warning("shard %d: its actor is gone, another takes it", index)
        if self.moves[index] >= MOVES:
            raise RunError(f"shard {index}: {MOVES} actors were lost with it: {error}")
        self.back.append(job)

    def _resources(self) -> str:
        there = self.ray.cluster_resources()
        return f"{there.get('CPU', 0):g} CPUs, {there.get('GPU', 0):g} GPUs"
