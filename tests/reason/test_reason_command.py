"""`calipers reason` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted import computes, wants

from calipers.cli import main
from calipers.samples import write_sample
from chat_server import Act, said, serving


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reason") / "frames"
    write_sample("rooms", folder, count=1, seed=3)
    return folder


def run(script: list[Act], frames: Path, *more: str) -> int:
    with serving(script) as server:
        asked = ("reason", str(frames), "How far is the first from the second?")
        return main([*asked, "--model", "scripted", "--base-url", server.url, *more])


MEASURED = [
    wants(("locate", {})),
    wants(("distance", {"a": 0, "b": 1})),
    wants(computes("r2 < 100 m")),
    said("NO ANSWER: enough"),
]


def test_an_answer_with_its_chain(frames, tmp_path, capsys) -> None:
    first = tmp_path / "first.json"
    assert run(MEASURED, frames, "--json", str(first)) == 1
    assert capsys.readouterr().err == (
        "calipers: no answer: the model says that it cannot be answered (enough)\n"
    )
    calls = [c for turn in json.loads(first.read_text())["turns"] for c in turn["calls"]]
    metres, told = calls[1]["result"]["value"], calls[1]["result"]["text"]
    answer = f"They are {metres:.2f} m apart."
    files = tmp_path / "why.json", tmp_path / "why.html"
    more = ("--json", str(files[0]), "--page", str(files[1]), "--cost", "1", "--price-in", "2")
    assert run([*MEASURED[:3], said(answer)], frames, *more) == 0
    assert capsys.readouterr().out == f"r2   {told}\n{answer}\n"
    transcript = json.loads(files[0].read_text("utf-8"))
    assert (transcript["answer"], transcript["model"]) == (answer, "scripted")
    assert transcript["used"]["cost"] == pytest.approx(4 * 1000 * 2 / 1e6)
    assert "data:image/jpeg" in files[1].read_text("utf-8")


@pytest.mark.parametrize("option", ["--json", "--page"])
def test_a_file_that_cannot_be_written_is_told_before_the_model_is_asked(
    frames, tmp_path, capsys, option
) -> None:
    (tmp_path / "file").write_text("")
    for file in (tmp_path / "file" / "why", tmp_path):
        assert run([], frames, option, str(file)) == 2
        error = capsys.readouterr().err
        assert f"{file}: cannot be written" in error
        assert error.count("\n") == 1
    deep = tmp_path / "new" / "folder" / "why"
    assert run(MEASURED, frames, option, str(deep)) == 1
    assert deep.stat().st_size > 1000


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--cost", "1"), "budget: cost: wanted price_in or price_out with it"),
        (("--steps", "0"), "budget: steps: wanted more than 0, got 0"),
        (("--record", "nothing"), "there is no record of that id"),
        (("--fields", "[]", "--depth", "d.png"), "--fields: wanted a JSON object"),
        (("--style", "loud"), "--style"),
    ],
)
def test_bad_usage_is_one_line(frames, capsys, more, why) -> None:
    assert run([], frames, *more) == 2
    error = capsys.readouterr().err
    assert why in error
    assert error.count("\n") == 1
