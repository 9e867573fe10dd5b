"""docs/tools.md: its transcript is what happens, and it names every tool and reason."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from calipers.tools import TOOLS
from calipers.tools.results import REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "tools.md").read_text("utf-8")


def test_the_transcript_is_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("imgviz")
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestParser().get_doctest(PAGE, {}, "tools.md", "tools.md", 0)
    assert len(examples.examples) >= 12
    said: list[str] = []
    failed, tried = doctest.DocTestRunner().run(examples, out=said.append)
    assert (failed, tried) == (0, len(examples.examples)), "".join(said)


def test_every_tool_has_a_row() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(TOOLS)


def test_every_reason_is_named() -> None:
    assert [reason for reason in REASONS if f"`{reason}`" not in PAGE] == []
