"""A model that was trained with the tool measures, unless it is told not to."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from serving_processes import asking, client, metres, png, process

from calipers.cli import main
from calipers.model.speakers import load

PLAIN, MEASURED = "Depth(0.5,0.1), so 1.5 m.", "Depth(0.5,0.1)=3000"


@pytest.fixture(scope="module")
def trained(home: Path) -> Path:
    """The model that writes ``Depth(x,y)``, with what training says of it."""
    folder = shutil.copytree(home / "depth", home / "with-tool")
    (folder / "calipers.json").write_text(json.dumps({"see": "rgbd", "tool": True}))
    return folder


def test_the_folder_says_whether_a_model_knows_the_tool(home: Path, trained: Path) -> None:
    assert [load(str(folder)).tool for folder in (home / "depth", trained)] == [False, True]


@pytest.mark.parametrize(
    ("more", "measures"), [((), True), (("--depth-tool", "none"), False)], ids=["default", "none"]
)
def test_a_file_of_questions_is_answered_with_the_tool(
    more: tuple[str, ...], measures: bool, home: Path, trained: Path, tmp_path: Path
) -> None:
    line = {"id": 1, "image": "rgb/0001.png", "depth": "depth/0001.png", "question": "How far?"}
    (tmp_path / "q.jsonl").write_text(json.dumps(line))
    out = tmp_path / "a.jsonl"
    given = ["answer", str(tmp_path / "q.jsonl"), "--frames", str(home / "frames")]
    assert main([*given, "--model", str(trained), "--out", str(out), *more]) == 0
    assert json.loads(out.read_text())["text"].startswith(MEASURED) == measures
    record = json.loads((tmp_path / "a.jsonl.run.json").read_text())
    assert record["depth_tool"] == ("text" if measures else "none")


@pytest.mark.parametrize("name", ["depth", "with-tool"])
def test_a_chat_measures_where_the_model_was_taught_to(
    name: str, home: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("How far is the red box?"))
    assert main(["chat", str(home / "frames"), "--model", str(home / name)]) == 0
    assert capsys.readouterr().out.startswith(MEASURED) == (name == "with-tool")


def test_an_endpoint_measures_unless_a_request_says_not_to(trained: Path) -> None:
    said = []
    with process("--model", trained, "--max-tokens", 64) as url, client(url) as http:
        for more in ({}, {"depth_tool": "none"}):
            own = {"calipers": {"depth": metres(2.0), **more}}
            found = http.chat.completions.create(
                model="with-tool", messages=asking(png()), extra_body=own
            )
            said.append(found.choices[0].message.content)
    assert [text.startswith("Depth(0.5,0.1)=2000") for text in said] == [True, False]


def test_a_way_to_measure_that_there_is_not(home: Path, capsys: Any) -> None:
    given = ["--model", "/no/such/model", "--depth-tool", "ruler"]
    assert main(["chat", str(home / "frames"), *given]) == 2
    assert "--depth-tool: wanted none, text, native, got 'ruler'" in capsys.readouterr().err
