"""Runs on a Ray cluster of two nodes in processes of their own: the rows of any other run.

Which kills are tried here, and how many more in `benchmarks.faults`: see there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

pytest.importorskip("ray")

from benchmarks import faults

from calipers import pipeline
from calipers.engine.ray import Cluster, in_cluster
from calipers.engine.worker import Limits
from calipers.errors import UsageError
from calipers.io.inputs.shards import Shard
from engine.poisons import Halves, shard
from engine.test_engines import PATIENCE_S, experts, rows, skipped
from known_experts import write_photos
from tiny_frames import write_frames

KINDS = ["worker", "driver"] if "CI" in os.environ else ["worker", "actor", "driver", "node"]
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPATH", str(TESTS))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # with Ray's own 15 a busy machine starves them
        patch.setenv(faults.MARK, uuid4().hex)  # its kills are not to reach other tests' workers
        yield


@pytest.fixture(scope="module")
def address(environment: None) -> Iterator[str]:
    with faults.Nodes(cores=2, gpus=1) as nodes:
        yield nodes.address


@pytest.mark.slow
@pytest.mark.parametrize("gpu", [0.0, 1.0], ids=["in one place", "filled here, measured there"])
def test_on_a_cluster_the_rows_and_what_is_left_out_are_the_same(
    address: str, tmp_path: Path, gpu: float
) -> None:
    photos = write_photos(tmp_path / "photos", 200)
    poison = {5: "crash", 150: "hang"}
    given = experts(tmp_path / "e.yaml", poison, gpu)
    options = {"experts": given, "patience": PATIENCE_S, "cache": "none"}
    pipeline.build(photos, tmp_path / "here", workers=2, **options)
    seen: list[int] = []
    found = pipeline.build(
        photos,
        tmp_path / "there",
        workers=4,
        engine="ray",
        address=address,
        progress=lambda done, total: seen.append(done),
        **options,
    )
    assert found["skipped"] == {"engine": {"crashed": 1, "timed_out": 1}}
    assert skipped(tmp_path / "there") == skipped(tmp_path / "here")
    assert set(skipped(tmp_path / "there")) == {"p05.png", "p150.png"}
    assert seen[-1] == 200
    for kind in ("scenes", "qa"):
        assert rows(tmp_path / "there", kind) == rows(tmp_path / "here", kind)


@pytest.mark.slow
def test_who_fills_waits_for_who_does_the_rest(address: str, tmp_path: Path) -> None:
    """Two hands (there are two GPUs) and two helpers: six shards are under way, and one is next."""
    count, done, ahead = 40, 0, []

    def jobs() -> Iterator[tuple[int, Shard]]:
        for index in range(count):
            ahead.append(index - done)
            yield index, shard(["a", "b"], index)

    cluster = Cluster(address, workers=4, gpu=1.0)
    for records in in_cluster(Halves(tmp_path, rest_s=0.3), jobs(), Limits(), cluster):
        assert records == 2
        done += 1
    assert done == count
    assert 3 <= max(ahead) <= 7
    who: dict[str, dict[int, str]] = {"fill": {}, "rest": {}, "whole": {}}
    for path in tmp_path.iterdir():
        what, index, process = path.name.split("-")
        assert int(index) not in who[what]  # nothing is done twice
        who[what][int(index)] = process
    assert who["fill"].keys() == who["rest"].keys()
    assert who["fill"].keys() | who["whole"].keys() == set(range(count))
    moved = [index for index in who["fill"] if who["fill"][index] != who["rest"][index]]
    assert moved  # on a busy machine few are


@pytest.mark.slow
def test_a_fault_of_a_step_and_a_worker_that_cannot_start_end_the_run(
    address: str, tmp_path: Path
) -> None:
    photos = write_photos(tmp_path / "photos", 1)
    row = experts(tmp_path / "e.yaml")
    row.write_text(row.read_text().replace("engine.deadly:Depth", "engine.nothing:Depth"))
    with pytest.raises(UsageError, match=r"no such module: engine\.nothing"):
        pipeline.build(
            photos, tmp_path / "out", workers=1, engine="ray", address=address, experts=row
        )


def test_there_is_no_cluster_at_that_address(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="address: no Ray cluster at nowhere"):
        pipeline.build(
            write_frames(tmp_path / "frames", 1),
            tmp_path / "out",
            engine="ray",
            address="nowhere:1",
        )


@pytest.mark.slow
@pytest.mark.parametrize("divided", [False, True], ids=["in one place", "filled, then measured"])
def test_nothing_is_lost_by_kills(environment: None, tmp_path: Path, divided: bool) -> None:
    count = 32 * 3 * (len(KINDS) + 2)
    options: tuple[str, ...] = ()
    if divided:
        frames = write_photos(tmp_path / "frames", count // 4)
        for path in list(frames.iterdir()):
            for copy in "abc":
                (frames / f"{copy}-{path.name}").hardlink_to(path)
        row = experts(tmp_path / "e.yaml", gpu=1.0)
        options = ("--experts", str(row), "--cache", "none")
    else:
        frames = write_frames(tmp_path / "frames", count)
    told = faults.measure(frames, tmp_path, options, KINDS, seed=1, node=(2, int(divided)))
    assert told.startswith(f"{len(KINDS)} kills (")
    assert "the command given 2 times" in told
    assert re.search(rf"scenes {count} of {count}, equal, qa (\d+) of \1, equal", told)
    assert told.endswith("0 duplicates, 0 half-made files, counts equal")
