"""Runs on a Ray cluster of two nodes in processes of their own: the rows of any other run.

Which kills are tried here, and how many more in `benchmarks.faults`: see there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

from benchmarks import faults

from calipers import pipeline
from calipers.errors import UsageError
from engine.test_engines import experts, rows, skipped
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
        patch.setenv(faults.MARK, "test")
        yield


@pytest.fixture(scope="module")
def address(environment: None) -> Iterator[str]:
    with faults.Nodes() as nodes:
        yield nodes.address


@pytest.mark.slow
def test_on_a_cluster_the_rows_and_what_is_left_out_are_the_same(
    address: str, tmp_path: Path
) -> None:
    photos = write_photos(tmp_path / "photos", 40)
    options = {"experts": experts(tmp_path / "e.yaml", {5: "crash"}), "patience": 60}
    pipeline.build(photos, tmp_path / "here", workers=2, **options)
    seen: list[int] = []
    found = pipeline.build(
        photos,
        tmp_path / "there",
        workers=2,
        engine="ray",
        address=address,
        progress=lambda done, total: seen.append(done),
        **options,
    )
    assert found["skipped"] == {"engine": {"crashed": 1}}
    assert set(skipped(tmp_path / "there")) == {"p05.png"}
    assert seen[-1] == 40
    for kind in ("scenes", "qa"):
        assert rows(tmp_path / "there", kind) == rows(tmp_path / "here", kind)


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
def test_nothing_is_lost_by_kills(environment: None, tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames", 32 * 3 * (len(KINDS) + 2))
    told = faults.measure(frames, tmp_path, (), KINDS, seed=1)
    count = 32 * 3 * (len(KINDS) + 2)
    assert told.startswith(f"{len(KINDS)} kills (")
    assert "the command given 2 times" in told
    assert f"scenes {count} of {count}, equal, qa {20 * count} of {20 * count}, equal" in told
    assert told.endswith("0 duplicates, 0 half-made files, counts equal")
