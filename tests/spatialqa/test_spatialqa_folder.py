"""SpatialQA of a folder of frames and of a run, to Parquet."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from calipers import build
from calipers.cli import main
from calipers.errors import UsageError
from calipers.io.questions import QUESTION_SCHEMA
from calipers.samples.folder import write_frames
from calipers.spatialqa.folder import write_spatialqa
from spatialqa.seen_scenes import frame_of


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    made = []
    for number in range(3):
        frame = frame_of(mirrored=number == 1)
        frame.id, frame.image = f"f{number}", f"images/f{number}.png"
        made.append(frame)
    write_frames(folder, made, "Test frames.", depth="npy")
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    lacking = json.loads(lines[2])
    del lacking["depth_file_name"]
    (folder / "metadata.jsonl").write_text("\n".join([*lines[:2], json.dumps(lacking)]) + "\n")
    return folder


def test_frames_become_questions_with_two_more_columns(frames: Path, tmp_path: Path) -> None:
    record = write_spatialqa(frames, tmp_path / "out", count=12)
    table = pq.read_table(tmp_path / "out" / "qa")
    assert table.schema.names == [*QUESTION_SCHEMA.names, "level", "messages"]
    assert table.num_rows == record["counts"]["questions"] == 24
    assert sum(record["types"].values()) == sum(record["levels"].values()) == 24
    told = [row for row in table.to_pylist() if row["messages"]]
    assert len(told) == record["counts"]["answered_by_tool"] > 0
    assert told[0]["messages"][-1] == {"role": "assistant", "content": told[0]["answer"]}
    talks = json.loads((tmp_path / "out" / "conversations.json").read_text())
    assert [talk["id"] for talk in talks] == table["id"].to_pylist()
    talk = next(talk for talk in talks if talk["id"] == told[0]["id"])
    assert talk["image"] == [told[0]["image"], told[0]["depth_image"]]
    texts = [turn["value"] for turn in talk["conversations"]]
    assert texts == ["<image 1>\n<image 2>\n" + told[0]["question"]] + [
        turn["content"] for turn in told[0]["messages"][1:]
    ]
    assert [turn["from"] for turn in talk["conversations"]] == ["human", "gpt"] * (len(texts) // 2)
    (skipped,) = map(json.loads, (tmp_path / "out" / "skipped.jsonl").read_text().splitlines())
    assert skipped["id"] == "f2"
    assert skipped["reason"] == "no_depth"
    assert record["skipped"] == {"no_depth": 1}


def test_frames_without_intrinsics_have_the_reason_of_all_runs(
    frames: Path, tmp_path: Path
) -> None:
    lines = (frames / "metadata.jsonl").read_text().splitlines()
    without = {k: v for k, v in json.loads(lines[0]).items() if k != "intrinsics"}
    (frames / "metadata.jsonl").write_text("\n".join([json.dumps(without), lines[1]]) + "\n")
    record = write_spatialqa(frames, tmp_path / "out", count=3)
    assert record["skipped"] == {"no_intrinsics": 1}


def test_quiet_is_quiet(frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spatialqa", str(frames), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_text_is_no_list_of_types(frames: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="types: wanted a list of names, got the string 'contact'"):
        write_spatialqa(frames, tmp_path / "out", types="contact")


def test_a_run_gives_the_same_as_its_frames(frames: Path, tmp_path: Path) -> None:
    build(frames, tmp_path / "run", questions_per_scene=1, workers=1, limit=2)
    for source, out in ((frames, "a"), (tmp_path / "run", "b")):
        write_spatialqa(source, tmp_path / out, count=20, seed=4)
    one, two = (pq.read_table(tmp_path / out / "qa").to_pylist() for out in ("a", "b"))
    assert one == two
    assert len(one) == 40


def test_a_run_whose_frames_are_gone_is_asked_about_objects_only(
    frames: Path, tmp_path: Path
) -> None:
    build(frames, tmp_path / "run", questions_per_scene=1, workers=1, limit=2)
    frames.rename(tmp_path / "elsewhere")
    record = write_spatialqa(tmp_path / "run", tmp_path / "out", count=20)
    assert record["counts"]["without_depth_map"] == 2
    assert record["counts"]["answered_by_tool"] == 0
    assert "point_depth" not in record["types"]


def test_a_full_folder_is_refused_unless_told(frames: Path, tmp_path: Path) -> None:
    write_spatialqa(frames, tmp_path / "out", count=2)
    with pytest.raises(UsageError, match="wanted a new or empty folder"):
        write_spatialqa(frames, tmp_path / "out")
    record = write_spatialqa(frames, tmp_path / "out", count=3, overwrite=True)
    assert record["counts"]["questions"] == 6


def test_the_command_says_what_was_made(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["spatialqa", str(frames), "--out", str(tmp_path / "out"), "--count", "5"]
    assert main([*arguments, "--types", "point_depth", "--tool-share", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "skipped   1 (no_depth)",
        "scenes    2",
        "questions 10, 10 of them answered by DepthAPI",
    ]
    assert main([*arguments, "--types", "colour", "--overwrite"]) == 2
    assert "unknown SpatialQA type 'colour'" in capsys.readouterr().err
