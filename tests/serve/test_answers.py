"""`calipers answer`: files of answers by real models on this machine and at an endpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from calipers.cli import main
from calipers.evals.answers import load_answers
from chat_server import failed, said, serving

DEPTH = {"id": "q1", "image": "rgb/0001.png", "depth": "depth/0001.png", "question": "How far?"}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def answer(*arguments: object) -> int:
    return main(["answer", *map(str, arguments)])


def test_a_run_is_answered_and_scored(home: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "a.jsonl"
    assert answer(home / "run", "--model", home / "nano", "--out", out) == 0
    assert capsys.readouterr().out == f"answered  24\nanswers   {out}\n"
    assert rows(out)[0] == {"id": "f0000#0", "text": "It is 1.5 m."}
    assert [row["id"] for row in rows(out)] == [f"f{f:04d}#{q}" for f in range(4) for q in range(6)]
    assert main(["eval", "run", "--data", str(home / "run"), "--answers", str(out)]) == 0
    assert "gives-number" in capsys.readouterr().out


def test_the_same_command_goes_on_and_another_is_refused(
    home: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "a.jsonl"
    given = (home / "run", "--model", home / "nano", "--out", out)
    assert answer(*given) == 0
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:3]) + lines[3][:9])
    capsys.readouterr()
    assert answer(*given) == 0
    assert capsys.readouterr().out == f"before    3\nanswered  21\nanswers   {out}\n"
    assert out.read_bytes() == whole
    assert answer(*given, "--together", 8) == 0  # how many at once is no part of what is asked
    assert answer(*given, "--samples", 2) == 2
    assert f"{out}: was asked with samples 1, now it is 2" in capsys.readouterr().err
    cold = ("--samples", 2, "--temperature", 0.01)
    assert answer(*given, *cold, "--overwrite", "--limit", 2) == 0
    found = rows(out)
    assert [(row["id"], row["text"]) for row in found] == [
        ("f0000#0", "1.5 m"), ("f0000#1", "1.5 m"),
    ]  # fmt: skip
    assert all(text.endswith("1.5 m.") for row in found for text in row["samples"])
    assert [len(row["samples"]) for row in found] == [2, 2]


def test_a_killed_run_goes_on(home: Path, tmp_path: Path) -> None:
    lines = [DEPTH | {"id": k} for k in range(120)]
    questions = tmp_path / "q.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "a.jsonl"
    command = [sys.executable, "-m", "calipers", "answer", str(questions), "--out", str(out)]
    command += ["--model", str(home / "nano"), "--frames", str(home / "frames"), "--together", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment)
    while process.poll() is None and (not out.exists() or out.stat().st_size < 100):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = out.read_bytes().count(b"\n")
    assert 0 < done < 120
    assert answer(questions, *command[5:]) == 0
    assert [row["id"] for row in rows(out)] == [str(k) for k in range(120)]
    assert all(text.startswith("It is 1.5 m.") for text in load_answers(out).values())


def test_depth_is_written_into_the_answer(home: Path, tmp_path: Path) -> None:
    """The wall at (0.5, 0.1) is 3 m away; the model goes on behind what it is told."""
    (tmp_path / "q.jsonl").write_text(json.dumps(DEPTH))
    out = tmp_path / "a.jsonl"
    given = ("--frames", home / "frames", "--model", home / "depth", "--depth-tool", "text")
    assert answer(tmp_path / "q.jsonl", *given, "--out", out) == 0
    (row,) = rows(out)
    assert row["text"].startswith("Depth(0.5,0.1)=3000")
    assert row["calls"] == [{"tool": "depth_at", "asked": "Depth(0.5,0.1)", "answer": "3000"}]


def test_what_cannot_be_read_is_left_out_with_its_reason(
    home: Path, tmp_path: Path, capsys: Any
) -> None:
    lines = [DEPTH, DEPTH | {"id": "q2", "image": "gone.png"}, DEPTH | {"id": "q3"}]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "a.jsonl"
    given = ("--frames", home / "frames", "--model", home / "nano", "--out", out)
    assert answer(tmp_path / "q.jsonl", *given) == 0
    assert "skipped   1 " in capsys.readouterr().out
    assert [row["id"] for row in rows(out)] == ["q1", "q3"]
    (left,) = rows(tmp_path / "a.jsonl.skipped.jsonl")
    assert (left["id"], left["reason"]) == ("q2", "missing_file")


def test_no_answer_at_all_is_an_error(home: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "q.jsonl").write_text(json.dumps(DEPTH | {"image": "gone.png"}))
    out = tmp_path / "a.jsonl"
    given = ("--frames", home / "frames", "--model", home / "nano", "--out", out)
    assert answer(tmp_path / "q.jsonl", *given) == 1
    assert f"1 skipped; see {out}.skipped.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "q.jsonl:1: not JSON"),
        ('{"id": 1, "image": "a.png"}', "q.jsonl:1: wanted an object with id, image and question"),
    ],
)
def test_a_line_that_is_no_question(
    line: str, message: str, home: Path, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "q.jsonl").write_text(line)
    given = ("--model", home / "nano", "--out", tmp_path / "a.jsonl")
    assert answer(tmp_path / "q.jsonl", *given) == 2
    assert message in capsys.readouterr().err


def ask_endpoint(home: Path, tmp_path: Path, script: Any, *more: object) -> tuple[Any, Path]:
    (tmp_path / "q.jsonl").write_text(
        "".join(json.dumps(DEPTH | {"id": k}) + "\n" for k in range(3))
    )
    out = tmp_path / "a.jsonl"
    with serving(script) as server:
        given = ("--frames", home / "frames", "--model", "m", "--base-url", server.url)
        assert answer(tmp_path / "q.jsonl", *given, "--out", out, *more) == 0
    return server, out


def test_an_endpoint_is_asked_with_pictures(home: Path, tmp_path: Path) -> None:
    server, out = ask_endpoint(home, tmp_path, lambda body: said("2 m"), "--see", "rgbd")
    assert [row["text"] for row in rows(out)] == ["2 m"] * 3
    parts = server.asked[0].body["messages"][0]["content"]
    assert [p["type"] for p in parts] == ["text", "image_url", "text", "image_url", "text"]
    assert [p["text"] for p in parts if p["type"] == "text"] == ["RGB: ", "Depth: ", "How far?"]


def test_samples_of_an_endpoint_differ_and_are_averaged(home: Path, tmp_path: Path) -> None:
    lengths = {0: "1 m", 1: "about 120 cm", 2: "0.8 m"}
    server, out = ask_endpoint(
        home, tmp_path, lambda body: said(lengths[body["seed"]]), "--samples", 3
    )
    assert {row["text"] for row in rows(out)} == {"1 m"}
    assert rows(out)[0]["samples"] == list(lengths.values())
    assert {asked.body["temperature"] for asked in server.asked} == {0.7}


def test_a_question_that_an_endpoint_refuses_costs_no_other(home: Path, tmp_path: Path) -> None:
    left = [failed(400, "no cats"), said("1 m"), said("1 m")]
    _, out = ask_endpoint(home, tmp_path, lambda body: left.pop())
    assert len(rows(out)) == 2
    assert "no cats" in rows(tmp_path / "a.jsonl.skipped.jsonl")[0]["detail"]


def test_an_endpoint_measures_by_tool_calls(home: Path, tmp_path: Path) -> None:
    call = {"name": "depth_at", "arguments": '{"x": 0.5, "y": 0.1}'}

    def script(body: dict[str, Any]) -> Any:
        told = [m["content"] for m in body["messages"] if m["role"] == "tool"]
        if told:
            return said(f"{json.loads(told[0])['value']:g} m")
        calls = [{"id": "c", "type": "function", "function": call}]
        return said(None, tool_calls=calls, finish_reason="tool_calls")

    _, out = ask_endpoint(home, tmp_path, script, "--depth-tool", "native")
    assert rows(out)[0]["text"] == "3 m"
    assert rows(out)[0]["calls"][0]["tool"] == "depth_at"
