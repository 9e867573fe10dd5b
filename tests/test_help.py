"""What ``--help`` lists is what there is: samples, codecs, benchmarks, formats."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from importlib import import_module

import pytest
from rich.console import Console

from calipers.cli import app
from calipers.depth_codec import RANGE_M
from calipers.evals.harness.export import HARNESSES
from calipers.evals.tasks.table import TASKS
from calipers.io.exports.export import FORMATS
from calipers.samples import SAMPLES


@pytest.fixture
def shown() -> Callable[[str], dict[str, str]]:
    """What the help of a command says of each argument and option, by its first name."""

    def read(command: str) -> dict[str, str]:
        wide = Console(file=io.StringIO(), width=1000)  # a line each, and of nobody else
        app([command, "--help"], console=wide)
        found: dict[str, str] = {}
        for line in wide.file.getvalue().strip().splitlines():
            said = line.strip("│ *")
            if line[1:6].strip(" *"):  # else more of the option before
                found[name := said.partition(" ")[0]] = ""
            found[name] = f"{found[name]} {said}"
        return found

    return read


def words(said: str) -> set[str]:
    """Names in a text, whatever stands between them."""
    return {word.strip(",.;:()[]") for word in said.split()}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_and_their_options_are_told(
    name: str, shown: Callable[[str], dict[str, str]]
) -> None:
    pytest.importorskip("mujoco")
    found = shown("sample")
    assert f"{name}: {SAMPLES[name]}" in found.pop("NAME")
    writer = getattr(import_module(f"calipers.samples.{name}"), f"write_{name}")
    takes = {f"--{option}" for option in inspect.signature(writer).parameters}
    options = {k: said for k, said in found.items() if k.startswith("--")}
    told = {option for option, said in options.items() if name in words(said)}
    assert told == takes & set(options)


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        ("answer", "--codec", RANGE_M),
        ("chat", "--codec", RANGE_M),
        ("serve", "--codec", RANGE_M),
        ("export", "--depth", RANGE_M),
        ("export", "--format", [*FORMATS, *HARNESSES]),
        ("eval", "TASK", TASKS),
    ],
)
def test_names_that_may_be_given_are_told(
    command: str, option: str, names: list[str], shown: Callable[[str], dict[str, str]]
) -> None:
    assert set(names) <= words(shown(command)[option])
