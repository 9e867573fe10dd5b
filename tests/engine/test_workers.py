"""Workers that crash, hang or eat memory: what was to blame is left out, all else is done."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from calipers.engine.careful import StuckError, finish
from calipers.engine.embedded import in_workers, machine_memory, worker_memory
from calipers.engine.task import Slice, Task, cut
from calipers.engine.worker import Limits, Lost, Worker
from calipers.io.inputs.listings import Names
from engine.poisons import Touching, shard

LIMITS = Limits(patience_s=1.5, memory_bytes=600 * 2**20)
PATIENT = replace(LIMITS, patience_s=60.0)
"""Where nothing hangs: on a busy machine 600 MiB are not taken in 1.5 s."""
NAMES = [f"n{number}" for number in range(8)]


def lines(folder: Path, index: int = 0) -> list[str]:
    return (folder / str(index)).read_text().splitlines()


def with_poison(name: str, place: int) -> list[str]:
    return [*NAMES[:place], name, *NAMES[place + 1 :]]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "crash",
            "crashed: its process was ended by SIGSEGV; so 2 times alone, and with its shard",
        ),
        ("exit", "crashed: its process ended with exit code 3; so 2 times alone, and with its"),
        ("hang", "timed_out: no sign of life for 1.5 s; so 2 times alone, and with its shard"),
        ("eat", "out_of_memory: took "),
    ],
)
def test_a_poisoned_record_is_left_out_alone(name: str, told: str, tmp_path: Path) -> None:
    limits = LIMITS if name == "hang" else PATIENT
    with Worker(Touching(tmp_path, tmp_path), limits) as worker:
        assert finish(worker, 0, shard(with_poison(name, 5))) == 8
    done = lines(tmp_path)
    assert done[:5] + done[6:] == NAMES[:5] + NAMES[6:]
    assert done[5].startswith(f"{name} {told}")


def test_several_poisons_of_a_shard(tmp_path: Path) -> None:
    with Worker(Touching(tmp_path, tmp_path), LIMITS) as worker:
        assert finish(worker, 0, shard(["crash", "a", "exit", "b", "crash"])) == 5
    assert [line.split(":")[0] for line in lines(tmp_path)] == [
        "crash crashed",
        "a",
        "exit crashed",
        "b",
        "crash crashed",
    ]


def test_what_ends_a_worker_once_is_not_left_out(tmp_path: Path) -> None:
    with Worker(Touching(tmp_path, tmp_path), LIMITS) as worker:
        assert finish(worker, 0, shard(["a", "crash-once", "b"])) == 3
    assert lines(tmp_path) == ["a", "crash-once", "b"]


def test_a_shard_that_fails_only_as_a_whole_is_stuck(tmp_path: Path) -> None:
    work = Touching(tmp_path, tmp_path, together=True)
    with (
        Worker(work, LIMITS) as worker,
        pytest.raises(StuckError, match=r"shard 7 ends its worker \(crashed: .* SIGSEGV"),
    ):
        finish(worker, 7, shard(["crash", "a", "b", "crash"]))
    assert not (tmp_path / "7").exists()


def test_a_rehearsal_keeps_nothing(tmp_path: Path) -> None:
    with Worker(Touching(tmp_path, tmp_path), LIMITS) as worker:
        assert worker.do(Task(0, shard(NAMES), rehearsal=True)) == 8
        assert not (tmp_path / "0").exists()
        lost = worker.do(Task(0, shard(["a", "b", "crash"]), rehearsal=True))
    assert lost == Lost("crashed", "its process was ended by SIGSEGV", 2)


def test_a_fault_of_a_step_is_raised_and_names_its_lines(tmp_path: Path) -> None:
    with Worker(Touching(tmp_path, tmp_path), LIMITS) as worker:
        with pytest.raises(ValueError, match="fault") as caught:
            finish(worker, 0, shard(["a", "fault"]))
        assert "poisons.py" in caught.value.__notes__[0]
        assert finish(worker, 0, shard(["a"])) == 1


def test_a_cut_shard_has_the_places_of_the_whole() -> None:
    part = cut(shard(NAMES), 3, 2)
    assert (part.first_record, part.count) == (3, 2)
    assert part.lines == Slice(Names(tuple(NAMES)), 3, 2)
    assert [line["file_name"] for line in part.lines.read()] == ["n3", "n4"]


def test_two_workers_do_all_shards_and_the_stuck_one_is_told_last(tmp_path: Path) -> None:
    jobs = [(index, shard(NAMES[: index + 1])) for index in range(6)]
    jobs[2] = (2, shard(["crash", "crash"]))
    done: list[int] = []
    with pytest.raises(StuckError, match="shard 2"):
        done.extend(in_workers(Touching(tmp_path, tmp_path, together=True), iter(jobs), 2, LIMITS))
    for index in (0, 1, 3, 4, 5):
        assert lines(tmp_path, index) == NAMES[: index + 1]


def test_workers_do_linear_algebra_in_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Worker(os.getenv, LIMITS) as worker:  # type: ignore[arg-type]
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        assert worker.do(Task("OPENBLAS_NUM_THREADS", "0")) == "1"  # type: ignore[arg-type]
    assert "OPENBLAS_NUM_THREADS" not in os.environ


def test_leaving_early_ends_the_workers(tmp_path: Path) -> None:
    jobs = ((index, shard(["a", "hang"])) if index else (0, shard(["a"])) for index in range(9))
    start = time.monotonic()
    results = in_workers(Touching(tmp_path, tmp_path), jobs, 2, Limits(patience_s=600))
    assert next(results) == 1
    results.close()
    assert time.monotonic() - start < 60
    assert not [path for path in tmp_path.iterdir() if path.name != "0"]


def test_memory_of_a_worker() -> None:
    assert worker_memory(3, 2.5) == 2_500_000_000
    assert worker_memory(3, None) == int(0.9 * machine_memory() / 3)
    assert machine_memory() > 2**28
