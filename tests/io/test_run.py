"""Run folders: atomic parts, one run at a time, other options refused, all told at the end."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from calipers.errors import RunError, UsageError
from calipers.io.questions import QUESTION_SCHEMA, questions_table
from calipers.io.run import (
    Notes,
    RunFolder,
    RunSpec,
    atomic,
    copy_part,
    part_path,
    read_run,
    write_part,
)
from calipers.io.scenes import scenes_table

SPEC = RunSpec(
    command="build",
    version="1.0",
    writes=("qa", "scenes"),
    given={"seed": 3},
    defaulted={"workers": 1, "limit": None},
    input={"path": "/frames", "digest": "d1"},
)
NO_QUESTIONS = questions_table({name: [] for name in QUESTION_SCHEMA.names})


def write_shard(folder: Path, index: int, skipped: list[dict[str, str]] | None = None) -> None:
    asked = Notes(Counter(questions=2), types=Counter(distance=2), seconds={"ask": 0.5})
    write_part(folder, "qa", index, NO_QUESTIONS, asked)
    notes = Notes(
        Counter(records=3, scenes=2),
        unreferenced=Counter(background=1),
        seconds={"lift": 1.0},
        skipped=skipped or [],
    )
    write_part(folder, "scenes", index, scenes_table([]), notes)


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_atomic_gives_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a" / "file"
    with atomic(target) as sink:
        sink.write(b"one")
        assert not target.exists()
    assert target.read_bytes() == b"one"
    with pytest.raises(TypeError), atomic(target) as sink:
        sink.writelines([b"two", 2])  # type: ignore[list-item]
    assert target.read_bytes() == b"one"
    assert files(tmp_path) == {"a/file"}


def test_atomic_files_have_the_usual_permissions(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with atomic(tmp_path / "file"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_a_shard_is_finished_when_all_its_parts_are_there(tmp_path: Path) -> None:
    with RunFolder(tmp_path, SPEC) as run:
        assert not run.finished(0)
        write_part(tmp_path, "qa", 0, NO_QUESTIONS, Notes())
        assert not run.finished(0)
        write_shard(tmp_path, 0)
        assert run.finished(0)
        part = part_path(tmp_path, "scenes", 0)
        part.write_bytes(part.read_bytes()[:-1])
        assert not run.finished(0)


def test_the_end_tells_everything(tmp_path: Path) -> None:
    lost = {"id": "x", "stage": "read", "reason": "missing_file", "detail": 'a "quoted"\nname'}
    with RunFolder(tmp_path, SPEC) as run:
        assert json.loads((tmp_path / "run.json").read_text())["status"] == "running"
        write_shard(tmp_path, 0)
        write_shard(tmp_path, 1, [lost])
        record = run.finish(2, elapsed_s=1.5)
    assert record == read_run(tmp_path)
    assert record["status"] == "complete"
    assert record["counts"] == {"records": 6, "scenes": 4, "questions": 4}
    assert record["skipped"] == {"read": {"missing_file": 1}}
    assert record["unreferenced"] == {"background": 2}
    assert record["types"] == {"distance": 4}
    assert record["seconds"] == {"lift": 2.0, "ask": 1.0, "elapsed": 1.5}
    assert record["arguments"] == {"given": {"seed": 3}, "defaulted": {"workers": 1, "limit": None}}
    assert (record["calipers"], record["seed"], record["experts"]) == ("1.0", 3, {})
    assert [json.loads(line) for line in (tmp_path / "skipped.jsonl").open()] == [lost]


def test_the_same_options_go_on_and_strays_are_swept(tmp_path: Path) -> None:
    with RunFolder(tmp_path, SPEC):
        write_shard(tmp_path, 0)
    (tmp_path / "qa" / ".part-00001.parquet.1.tmp").write_bytes(b"cut off")
    again = replace(
        SPEC, given={"seed": 3, "workers": 8, "strict": True}, defaulted={"limit": None}
    )
    with RunFolder(tmp_path, again) as run:
        assert run.finished(0)
    assert "qa/.part-00001.parquet.1.tmp" not in files(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"given": {"seed": 4}}, "seed 3, now 4"),
        ({"command": "scenes"}, "command 'build', now 'scenes'"),
        ({"version": "1.1"}, "version '1.0', now '1.1'"),
        ({"input": {"path": "/frames", "digest": "d2"}}, "input digest 'd1', now 'd2'"),
        ({"given": {"seed": 3, "types": ["gap"]}}, "types None, now ['gap']"),
    ],
)
def test_other_options_are_refused_and_named(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    with RunFolder(tmp_path, SPEC) as run:
        write_shard(tmp_path, 0)
        run.finish(1, 0.0)
    before = files(tmp_path)
    other = replace(SPEC, **change)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught, RunFolder(tmp_path, other):
        pass
    assert told in str(caught.value)
    assert files(tmp_path) == before
    with RunFolder(tmp_path, other, overwrite=True) as run:
        assert not run.finished(0)
        assert files(tmp_path) == {"run.json", ".lock"}


def test_overwrite_starts_anew_once(tmp_path: Path) -> None:
    with RunFolder(tmp_path, SPEC) as run:
        write_shard(tmp_path, 0)
        run.finish(1, 0.0)
    with RunFolder(tmp_path, SPEC, overwrite=True) as run:
        assert not run.finished(0)
        write_shard(tmp_path, 0)
    with RunFolder(tmp_path, SPEC, overwrite=True) as run:
        assert run.finished(0)


def test_overwrite_deletes_the_splits_of_the_old_scenes_and_nothing_else(tmp_path: Path) -> None:
    of_scenes = {"splits/part-00000.parquet", "splits/splits.json"}
    with RunFolder(tmp_path, SPEC) as run:
        write_shard(tmp_path, 0)
        run.finish(1, 0.0)
    for name in (*of_scenes, "splits/mine.txt", "report.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"old")
    with RunFolder(tmp_path, SPEC) as run:
        assert files(tmp_path) > of_scenes  # the same run goes on
    with RunFolder(tmp_path, SPEC, overwrite=True):
        pass  # begun and not finished: goes on
    assert files(tmp_path) > of_scenes
    with RunFolder(tmp_path, replace(SPEC, given={"seed": 9}), overwrite=True):
        assert files(tmp_path) == {"run.json", ".lock", "splits/mine.txt"}


def test_asking_joins_scenes_and_overwrites_only_questions(tmp_path: Path) -> None:
    only_scenes = replace(SPEC, command="scenes", writes=("scenes",))
    with RunFolder(tmp_path, only_scenes) as run:
        write_part(tmp_path, "scenes", 0, scenes_table([]), Notes(Counter(records=1)))
        made_by = run.finish(1, 0.0)
    asks = replace(SPEC, command="ask", writes=("qa",), scenes_run=made_by)
    with RunFolder(tmp_path, asks) as run:
        write_part(tmp_path, "qa", 0, NO_QUESTIONS, Notes(Counter(questions=5)))
        record = run.finish(1, 0.0)
    assert record["scenes_run"] == made_by
    assert record["counts"] == {"records": 1, "questions": 5}
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "splits.json").write_bytes(b"{}")
    other = replace(asks, given={"seed": 4})
    with pytest.raises(UsageError, match="seed 3, now 4"), RunFolder(tmp_path, other):
        pass
    with RunFolder(tmp_path, other, overwrite=True):
        left = {"scenes/part-00000.parquet", "splits/splits.json"}
        assert files(tmp_path) == {"run.json", ".lock", *left}


def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path, SPEC),
        pytest.raises(RunError, match="another run is at work"),
        RunFolder(tmp_path, SPEC),
    ):
        pass
    with RunFolder(tmp_path, SPEC) as run:
        assert not run.finished(0)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"")
    with (
        pytest.raises(UsageError, match="is not empty and holds no run"),
        RunFolder(tmp_path, SPEC, overwrite=True),
    ):
        pass
    assert files(tmp_path) == {"holiday.png"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"options": 1}'])
def test_a_broken_run_json_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=r"run\.json: not"), RunFolder(tmp_path, SPEC):
        pass


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="cannot be written"), RunFolder(tmp_path / "out", SPEC):
        pass


def test_parts_are_copied_whole(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", 0)
    source = part_path(tmp_path / "a", "scenes", 0)
    copy_part(source, tmp_path / "b", "scenes", 4)
    copied = part_path(tmp_path / "b", "scenes", 4)
    assert copied.name == "part-00004.parquet"
    assert copied.read_bytes() == source.read_bytes()
    assert Notes.read(copied).counts == {"records": 3, "scenes": 2}


def test_names_that_are_no_utf8_are_told(tmp_path: Path) -> None:
    lost = {"id": "x", "stage": "read", "reason": "missing_file", "detail": "\udcff.png 📷"}
    with RunFolder(tmp_path, SPEC) as run:
        write_shard(tmp_path, 0, [lost])
        run.finish(1, 0.0)
    text = (tmp_path / "skipped.jsonl").read_text("utf-8")
    assert "\\udcff.png 📷" in text
    assert json.loads(text) == lost
