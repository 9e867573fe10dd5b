"""What was asked before: a nano answers the same as its first and as its third question."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_processes import asking, client, metres, png, process

from calipers.cli import main
from calipers.model.speakers import load
from calipers.serve.chatting import Talking
from calipers.types import Frame

ASKED = ("How far is the red box?", "How tall is it?", "How far is the red box?")


def frame() -> Frame:
    rgb = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    return Frame("a", "a", 32, 24, rgb=rgb, depth_m=np.full((24, 32), 2, np.float32))


@pytest.mark.parametrize(("name", "tool"), [("nano", "none"), ("depth", "text")])
def test_a_chat_answers_the_same_question_the_same(name: str, tool: Any, home: Path) -> None:
    talking = Talking(load(str(home / name)), frame(), tool)
    first, _, third = ("".join(talking.ask(question)) for question in ASKED)
    assert first == third
    assert first.startswith("It is 1.5 m." if tool == "none" else "Depth(0.5,0.1)=2000")


def test_an_endpoint_answers_the_same_with_history(home: Path) -> None:
    before = [*asking(png(), ASKED[0]), {"role": "assistant", "content": "It is 7 m."},
              *asking(text=ASKED[1]), {"role": "assistant", "content": "It is 8 m."}]  # fmt: skip
    own = {"calipers": {"depth": metres(2.0)}}
    with process("--model", home / "nano") as url, client(url) as http:
        alone, after = (
            http.chat.completions.create(model="nano", messages=messages, extra_body=own)
            for messages in (asking(png(), ASKED[2]), [*before, *asking(text=ASKED[2])])
        )
    assert alone.choices[0].message.content == after.choices[0].message.content == "It is 1.5 m."
    assert alone.usage.prompt_tokens == after.usage.prompt_tokens


def chat(home: Path, *questions: str) -> int:
    frames = home / "frames" / "rgb" / "0001.png"
    sys.stdin = io.StringIO("\n".join(questions))
    return main(["chat", str(frames), "--model", str(home / "nano")])


def test_a_question_that_is_too_long_is_forgotten(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert chat(home, ASKED[0], "x" * 10_000, ASKED[0]) == 0
    heard = capsys.readouterr()
    assert heard.out == "It is 1.5 m.\n" * 2
    assert heard.err.startswith("calipers: the model takes 4096 tokens, got ")
    assert chat(home, "x" * 10_000) == 1
    assert capsys.readouterr().err.endswith("calipers: no question has an answer\n")
