"""Runs: the same rows for any number of workers, after a kill, and when asked again from scenes."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import calipers
from calipers import pipeline, work
from calipers.errors import RunError, Skip, UsageError
from calipers.pipeline import SHARD_RECORDS, Options
from calipers.types import Camera, Frame
from calipers.work import Clock, frame_to_scene
from tiny_frames import BOXES, HEIGHT, WIDTH, Record, write_frames

COUNT = 300


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("frames"), COUNT)


@pytest.fixture(scope="module")
def built(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "run"
    pipeline.build(frames, out)
    return out


def rows(out: Path, kind: str) -> pa.Table:
    return pq.read_table(out / kind)


def parts(out: Path) -> list[str]:
    return sorted(str(part.relative_to(out)) for part in out.glob("*/*.parquet"))


def same_rows(one: Path, other: Path) -> bool:
    return parts(one) == parts(other) and all(
        rows(one, kind).equals(rows(other, kind)) for kind in ("scenes", "qa")
    )


def test_a_run_has_all_scenes_and_questions(built: Path) -> None:
    scenes = [scene.id for scene in calipers.read_scenes(built)]
    assert scenes == [f"f{number:04d}" for number in range(COUNT)]
    per_scene = rows(built, "qa")["scene_id"].value_counts().to_pylist()
    assert [row["counts"] for row in per_scene] == [20] * COUNT
    assert parts(built)[-1] == f"scenes/part-{(COUNT - 1) // SHARD_RECORDS:05d}.parquet"
    record = json.loads((built / "run.json").read_text())
    assert record["counts"]["records"] == record["counts"]["scenes"] == COUNT
    assert record["counts"]["questions"] == 20 * COUNT == sum(record["types"].values())
    assert set(record["seconds"]) >= {"read", "lift", "refer", "ask", "elapsed"}
    assert (built / "skipped.jsonl").read_text() == ""


def test_two_workers_give_the_same_rows(frames: Path, built: Path, tmp_path: Path) -> None:
    pipeline.build(frames, tmp_path / "two", workers=2)
    assert same_rows(built, tmp_path / "two")


def test_asking_again_from_scenes_gives_the_same_questions(
    frames: Path, built: Path, tmp_path: Path
) -> None:
    pipeline.ask(built, tmp_path / "asked")
    assert same_rows(built, tmp_path / "asked")
    record = json.loads((tmp_path / "asked" / "run.json").read_text())
    assert record["scenes_run"] == json.loads((built / "run.json").read_text())
    assert record["counts"]["scenes"] == COUNT


def test_scenes_first_and_questions_later(frames: Path, built: Path, tmp_path: Path) -> None:
    pipeline.scenes(frames, tmp_path, limit=40)
    assert not (tmp_path / "qa").exists()
    pipeline.ask(tmp_path, tmp_path)
    assert rows(tmp_path, "qa").equals(rows(built, "qa").slice(0, 800))
    with pytest.raises(UsageError, match="seed 0, now 1"):
        pipeline.ask(tmp_path, tmp_path, seed=1)
    pipeline.ask(tmp_path / "scenes", tmp_path, seed=1, overwrite=True)
    assert rows(tmp_path, "qa")["seed"].unique().to_pylist() == [1]
    pipeline.ask(tmp_path / "scenes" / "part-00001.parquet", tmp_path / "one", types=["distance"])
    asked = rows(tmp_path / "one", "qa")
    assert asked["type"].unique().to_pylist() == ["distance"]
    assert asked["scene_id"].unique().to_pylist() == [f"f{number:04d}" for number in range(32, 40)]


def test_unfinished_scenes_are_not_asked(tmp_path: Path, built: Path) -> None:
    (tmp_path / "scenes").mkdir()
    part = "scenes/part-00000.parquet"
    (tmp_path / part).write_bytes((built / part).read_bytes())
    record = json.loads((built / "run.json").read_text()) | {"status": "running"}
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="its run is not finished"):
        pipeline.ask(tmp_path, tmp_path / "out")


def test_a_finished_run_is_not_done_again(frames: Path, tmp_path: Path) -> None:
    pipeline.build(frames, tmp_path, limit=40)
    before = {part: (tmp_path / part).stat().st_mtime_ns for part in parts(tmp_path)}
    seen: list[int] = []
    pipeline.build(frames, tmp_path, limit=40, progress=lambda done, total: seen.append(done))
    assert seen == []
    assert {part: (tmp_path / part).stat().st_mtime_ns for part in parts(tmp_path)} == before


def test_progress_counts_records_also_when_a_run_goes_on(frames: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    pipeline.build(frames, tmp_path, limit=70, progress=lambda *told: seen.append(told))
    assert seen == [(32, 70), (64, 70), (70, 70)]
    (tmp_path / "scenes" / "part-00001.parquet").unlink()
    pipeline.build(frames, tmp_path, limit=70, progress=lambda *told: seen.append(told))
    assert seen[3:] == [(70, 70)]


def test_killed_and_given_again(frames: Path, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "calipers", "build", str(frames), "--out", str(out)]
    command += ["--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(out.glob("scenes/part-*"))) < 2:
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    finished = len(list(out.glob("scenes/part-*")))
    assert 2 <= finished < len(list(built.glob("scenes/part-*")))
    assert json.loads((out / "run.json").read_text())["status"] == "running"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert same_rows(built, out)
    assert json.loads((out / "run.json").read_text())["counts"]["records"] == COUNT
    assert not list(out.rglob("*.tmp"))


def test_workers_end_with_a_killed_parent(frames: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "calipers", "build", str(frames), "--out", str(tmp_path)]
    process = subprocess.Popen(
        [*command, "--workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("scenes/part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait()
    while session(process.pid):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.02)


def session(leader: int) -> list[int]:
    """The living processes of a session (field 6 of /proc/PID/stat; the state is field 3)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, owner = entry.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(owner) == leader and state != "Z":
            found.append(int(entry.parent.name))
    return found


def test_two_runs_at_once(frames: Path, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another run is at work in this folder"):
            pipeline.build(frames, tmp_path)
    assert pipeline.build(frames, tmp_path, limit=1)["counts"]["scenes"] == 1


def test_other_pictures_are_other_input(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames", 2)
    pipeline.build(frames, tmp_path / "out")
    write_frames(frames, 3)
    with pytest.raises(UsageError, match="input digest"):
        pipeline.build(frames, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seed": -1}, "seed: wanted at least 0, got -1"),
        ({"questions_per_scene": -1}, "questions_per_scene: wanted at least 0"),
        ({"questions_per_scene": 10**6}, "at most 10000 questions a scene"),
        ({"workers": 0}, "workers: wanted at least 1"),
        ({"limit": 0}, "limit: wanted at least 1"),
        ({"types": []}, "at least one question type"),
        ({"types": ["colour"]}, "unknown question type 'colour'"),
        ({"types": "distance"}, "types: wanted a list of names, got the string 'distance'"),
        ({"mix": 1.5}, "mix: wanted a share"),
        ({"mix": {"distance": 0.0}}, "leave no question"),
        ({"types": ["gap"], "mix": 1.0}, "leave no question"),
    ],
)
def test_options_are_checked(options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Options(**options)  # type: ignore[arg-type]
    assert told in str(caught.value)


def frame(**given: object) -> Frame:
    whole: dict[str, object] = {
        "depth_m": np.full((24, 32), 2, np.float32),
        "camera": Camera(30, 30, 15.5, 11.5, 32, 24),
        "objects": [],
    }
    return Frame("f", "f.png", 32, 24, **(whole | given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("absent", "stage", "reason"),
    [
        ("camera", "intrinsics", "no_intrinsics"),
        ("depth_m", "depth", "no_depth"),
        ("objects", "objects", "no_objects"),
    ],
)
def test_what_no_expert_can_fill_is_skipped(absent: str, stage: str, reason: str) -> None:
    clock = Clock()
    with pytest.raises(Skip) as caught:
        frame_to_scene(frame(**{absent: None}), clock)
    assert (caught.value.reason, clock.stage) == (reason, stage)
    assert "expert is configured" in caught.value.detail


def test_a_frame_with_no_objects_in_it_is_a_scene() -> None:
    assert frame_to_scene(frame(), Clock()).objects == []


def test_a_fault_of_a_step_names_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "lift", lambda given, masks: 1 / 0)
    with pytest.raises(RunError, match="f: lift failed: ZeroDivisionError"):
        frame_to_scene(frame(), Clock())


def test_a_scene_takes_along_what_its_frame_carried(tmp_path: Path) -> None:
    def add(number: int, line: Record) -> None:
        line |= {"caption": "three things", "site": {"lab": 7}}
        line["objects"] |= {"score": [0.5, 0.75, 1.0], "role": [None, "hand", None]}

    pipeline.build(write_frames(tmp_path / "frames", 1, add), tmp_path / "out")
    (scene,) = calipers.read_scenes(tmp_path / "out")
    assert (scene.image, scene.depth_image) == ("rgb/0000.png", "depth/0000.png")
    assert (scene.caption, scene.extra) == ("three things", {"site": {"lab": 7}})
    assert (scene.gravity_source, scene.intrinsics_source) == ("given", "given")
    assert [item.score for item in scene.objects] == [0.5, 0.75, 1.0]
    assert [item.role for item in scene.objects] == [None, "hand", None]
    assert [item.bbox for item in scene.objects] == [tuple(box) for box in BOXES]
    sizes = [item.segmentation and item.segmentation["size"] for item in scene.objects]
    assert sizes == [[HEIGHT, WIDTH]] * 3
    depths = [item.depth_mean for item in scene.objects]
    assert all(0.8 < depth < 2.6 for depth in depths if depth is not None)
    assert None not in depths


def test_the_verbs_of_python(frames: Path, built: Path, tmp_path: Path) -> None:
    record = calipers.build(frames, tmp_path / "out", limit=1, questions_per_scene=5)
    assert record["counts"]["questions"] == 5
    assert (tmp_path / "out" / "report.html").is_file()
    scene = next(calipers.read_scenes(built))
    asked = calipers.ask(scene, 20, 0)
    written = rows(built, "qa").slice(0, 20).to_pylist()
    assert [asdict(question) for question in asked] == written
    a, b = (item.center_level for item in scene.objects[:2])
    assert a is not None
    assert b is not None
    fact = calipers.measure(scene, "distance", 0, 1)
    assert fact.value == pytest.approx(float(np.linalg.norm(a - b)), rel=1e-5)
    assert calipers.scenes(frames, tmp_path / "scenes", limit=2)["counts"]["scenes"] == 2
    with pytest.raises(AttributeError, match="no attribute 'streams'"):
        _ = calipers.streams
    with pytest.raises(TypeError, match="colour"):
        calipers.build(frames, tmp_path / "typo", colour="red")
    assert not (tmp_path / "typo").exists()
