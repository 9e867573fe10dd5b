"""Every benchmark runs, at a tiny size, and prints a figure that could be true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.__main__ import BENCHMARKS, Row, machine, seen
from benchmarks.build import make_frames
from benchmarks.memory import pss_bytes, tree

pytest.importorskip("mujoco")
ROOT = Path(__file__).parents[1]
NUMBER = r"([\d.,]+)"

# Arguments at a tiny size, and for each pattern the range in which its numbers must lie.
SMALL = {
    ("lift", "--frames", "1", "--repeats", "1"): [
        (f"lift, exact depth: median {NUMBER} ms", 0.5, 2000),
        (f"lift, depth with faults: median {NUMBER} ms", 0.5, 2000),
    ],
    ("size", "--scenes", "1"): [
        (f"size, exact depth: {NUMBER} kB a scene of 8 objects in a part of 1;", 10, 30),
        (f"largest {NUMBER} kB", 10, 30),
    ],
    ("codec", "--repeats", "1"): [
        (f"codec, packed24: {NUMBER} megapixels/s packing", 1, 10_000),
        (f"codec, inverse8: .* packing, {NUMBER} unpacking", 1, 10_000),
        (f"codec, resize edge: {NUMBER} megapixels/s", 0.1, 10_000),
    ],
    ("build", "--frames", "4", "--distinct", "2", "--questions", "3", "--size", "160", "120"): [
        (f"frames/s without start-up, {NUMBER} with it", 0.1, 10_000),
        (f"for 4 frames, {NUMBER} questions", 12, 12),
        (f"lift {NUMBER}", 0.1, 2000),
    ],
    ("memory", "--few", "1", "--frames", "2", "--distinct", "1"): [
        (f"memory: {NUMBER} MB at 1 frames", 40, 2000),
        (f", {NUMBER} MB at 2 frames", 40, 2000),
    ],
    ("ask", "1", "10", "3"): [
        (f"ask, level frame: {NUMBER} questions/s", 100, 10_000_000),
        (f"ask, lifted scenes: {NUMBER} questions/s", 100, 10_000_000),
    ],
    ("stream", "--scenes", "2", "--samples", "800", "--lifted", "1"): [
        (f"stream, 200 questions a scene: {NUMBER} samples/s", 100, 10_000_000),
        (f"memory: {NUMBER} MB at most in the second tenth", 40, 2000),
        (f"asked: {NUMBER} questions of 2 scenes", 400, 400),
        (f"bytes a question, {NUMBER} kB a scene", 5, 60),
        (f"10,000,000 scenes: {NUMBER} GB of scenes", 50, 600),
    ],
    ("multistep", "--frames", "2", "--first-seed", "4002", "--coordinator"): [
        (f"multistep, exact depth: {NUMBER} %", 90, 100),
        (f"multistep, a camera's faults, the same questions: {NUMBER} %", 80, 100),
        (f"multistep, coordinator: .* in answers, {NUMBER} untraced", 0, 0),
    ],
    ("reason", "--frames", "2"): [
        (f"reason, script in the process: {NUMBER} ms a step", 0.2, 300),
        (f"reason, script behind HTTP: {NUMBER} ms a step", 0.5, 600),
    ],
    ("tools", "--frames", "1", "--points", "20", "--seconds", "0.5"): [
        (f"depth at a point, exact depth: {NUMBER} % of 20;", 100, 100),
        (f"near or far, exact depth: {NUMBER} %", 100, 100),
        (f"service alone: {NUMBER} requests/s", 10, 100_000),
        (f"hostile clients: .* p99 {NUMBER} ms, 0 errors", 0, 10_000),
    ],
    ("evals", "--answers", "300"): [
        (f"evals: {NUMBER} answers/s", 1000, 10_000_000),
        (f"{NUMBER} different lengths", 60, 150),
        (f"baselines: {NUMBER} s", 0, 60),
    ],
    ("episode", "--few", "2", "--frames", "4"): [
        (f"episode: {NUMBER} MB at 2 frames", 40, 2000),
        (f", {NUMBER} frames/s", 0.5, 5000),
    ],
    ("spatialqa", "--frames", "1", "--size", "320", "240"): [
        (f"spatialqa, exact: {NUMBER} % of", 80, 100),
        (f"spatialqa, faults: {NUMBER} % of", 80, 100),
    ],
    ("accuracy", "--frames", "1"): [(f"clear comparisons right: {NUMBER} %", 50, 100)],
}


@pytest.mark.parametrize("arguments", SMALL, ids=lambda arguments: arguments[0])
def test_prints_a_figure_that_could_be_true(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", f"benchmarks.{arguments[0]}", *arguments[1:]]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for pattern, low, high in SMALL[arguments]:
        found = re.search(pattern, text)
        assert found, f"{pattern} not in:\n{text}"
        assert low <= float(found[1].replace(",", "")) <= high, found[0]
    name = arguments[0]
    for row in (row for (known, *_), rows in BENCHMARKS.items() if known == name for row in rows):
        assert re.match(r"(median )?-?[\d.,]+", seen(row, text)), (row.quantity, text)


def test_the_frames_of_a_benchmark_have_their_own_ids_and_files(tmp_path: Path) -> None:
    folder = make_frames(tmp_path / "frames", 1, 3, (160, 120))
    lines = (folder / "metadata.jsonl").read_text("utf-8").splitlines()
    assert [re.findall(r'"id": "(\d+)"', line) for line in lines] == [
        ["000000"],
        ["000001"],
        ["000002"],
    ]
    assert sorted(path.name for path in (folder / "images").glob("00*")) == [
        "000000.jpg",
        "000001.jpg",
        "000002.jpg",
    ]


def test_memory_counts_the_children() -> None:
    script = "import subprocess, sys; subprocess.run(['sleep', '60'])"
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        try:
            while len(found := tree(parent.pid)) < 2:
                assert parent.poll() is None
            assert found[0] == parent.pid
            assert sum(map(pss_bytes, found)) > pss_bytes(found[0]) > 1_000_000
        finally:
            for process in reversed(found):
                subprocess.run(["kill", str(process)], check=True)
    assert pss_bytes(parent.pid) == 0


def test_a_row_takes_its_figure_from_under_its_heading() -> None:
    text = "## exact: 2 frames\na\nb: 1 %\n## faults: 2 frames\nb: 2 %\n"
    pattern = r"(?s)## faults: (?:(?!\n## ).)*?\nb: ([^\n]*)"
    assert seen(Row("", "", pattern), text) == "2 %"
    assert re.search(r"\d+ cores, \d+ GB; Python 3", machine())
