"""``calipers tools``: schemas, errors in one line, and an end by Ctrl-C."""

from __future__ import annotations

import builtins
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from calipers.cli import main
from calipers.tools import openai_tools


def test_the_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tools", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == openai_tools()


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["serve", "--root", "nothing"], 2, "calipers: --root: not a folder: nothing"),
        (["mcp", "--root", "nothing"], 2, "calipers: --root: not a folder: nothing"),
        (
            ["serve", "--token-env", "NO_SUCH_TOKEN"],
            2,
            "calipers: --token-env: the environment variable NO_SUCH_TOKEN is not set",
        ),
        (
            ["mcp", "--open", "../x"],
            1,
            "calipers: wanted a relative path under the allowed root, no '..'",
        ),
        (["mcp", "--open", "x"], 1, "calipers: there is nothing at that path"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    code: int,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("mcp")
    monkeypatch.chdir(tmp_path)
    assert main(["tools", *arguments]) == code
    assert capsys.readouterr().err == line + "\n"


@pytest.mark.parametrize(("verb", "package"), [("serve", "starlette"), ("mcp", "mcp")])
def test_a_missing_extra_is_named(
    verb: str, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = builtins.__import__

    def without(name: str, *arguments: Any, **rest: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return plain(name, *arguments, **rest)

    for name in ("calipers.tools.service", "calipers.tools.mcp_server"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["tools", verb]) == 1
    assert capsys.readouterr().err.endswith(f"pip install 'calipers[{verb}]'\n")


def test_serves_until_interrupted(tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    command = [sys.executable, "-m", "calipers", "tools", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx2.get(f"{url}/health", trust_env=False).json()["sessions"] == 0
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 0
