"""Frames a second of ``calipers build``: given depth and masks, files to a finished run folder.

    python -m benchmarks.build [--frames 512] [--distinct 60] [--workers 2] [--questions 200]

The frames are simulated rooms and table-tops of 640x480 with a depth camera's faults and fat
masks: JPEG pictures, 16-bit PNG depth, run-length masks, five to ten objects, no gravity. The
distinct ones are repeated under new ids (hard links) and shuffled; all files are in the page
cache. The command is run twice, on one shard a worker and on all: the first rate counts everything
from the start of the process to its end, the second only what the further frames took. Other work
on the machine slows both; the processor time of a frame hardly depends on it: one worker makes
1000 / it frames a second where a core is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from calipers.io.run import read_run
from calipers.pipeline import SHARD_RECORDS
from calipers.samples.faults import Faults
from calipers.samples.folder import write_frames
from calipers.samples.rooms import generate

REACH = 60


def make_frames(
    folder: Path, distinct: int, count: int, size_wh: tuple[int, int], own_words: bool = False
) -> Path:
    """Write `count` records of `distinct` simulated frames into a new folder, and return it.

    With `own_words` no two records share a caption.
    """
    frames = (generate(seed, size_wh=size_wh, faults=Faults()).frame for seed in range(distinct))
    write_frames(folder, frames, "Simulated frames.", image_format="jpeg")
    metadata = folder / "metadata.jsonl"
    records = [json.loads(line) for line in metadata.read_text("utf-8").splitlines()]
    random.Random(0).shuffle(records)
    with metadata.open("w", encoding="utf-8") as sink:
        for number in range(count):
            stem = f"{number:06d}"
            record = _renamed(folder, records[number % distinct], stem)
            if own_words:
                captions = [f"{caption} marked {stem}" for caption in record["objects"]["caption"]]
                record["objects"] = {**record["objects"], "caption": captions}
            sink.write(json.dumps(record) + "\n")
    return folder


def _renamed(folder: Path, record: dict[str, Any], stem: str) -> dict[str, Any]:
    """The record under another id, its files under names of their own."""
    names = {}
    for field in ("file_name", "depth_file_name"):
        old = Path(record[field])
        names[field] = f"{old.parent}/{stem}{old.suffix}"
        os.link(folder / old, folder / names[field])
    return {**record, **names, "id": stem}


def build_command(frames: Path, out: Path, *options: str) -> list[str]:
    """The command line of a build."""
    return [
        sys.executable,
        "-m",
        "calipers",
        "build",
        str(frames),
        "--out",
        str(out),
        *options,
        "--quiet",
    ]


class Timing(NamedTuple):
    """Seconds from start to end of a command, those of all its processes, its ``run.json``."""

    elapsed_s: float
    processor_s: float
    run: dict[str, Any]


def timed_build(frames: Path, out: Path, *options: str) -> Timing:
    """Build, and say how long it took."""
    start, before_s = time.perf_counter(), _processor_s()
    subprocess.run(build_command(frames, out, *options), check=True, stdout=subprocess.DEVNULL)
    elapsed_s = time.perf_counter() - start
    return Timing(elapsed_s, _processor_s() - before_s, read_run(out) or {})


def _processor_s() -> float:
    """Processor time of all commands that have ended, with their own processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(
    count: int, distinct: int, workers: int, questions: int, size_wh: tuple[int, int]
) -> str:
    """Run the benchmark and say what was seen."""
    few = min(count // 2, workers * SHARD_RECORDS)
    options = ("--workers", str(workers), "--questions-per-scene", str(questions))
    with tempfile.TemporaryDirectory() as place:
        frames = make_frames(Path(place) / "frames", distinct, count, size_wh)
        first = timed_build(frames, Path(place) / "few", *options, "--limit", str(few))
        whole = timed_build(frames, Path(place) / "all", *options)
    counts, seconds = whole.run["counts"], whole.run["seconds"]
    stages = ", ".join(
        f"{name} {1000 * value / count:.1f}" for name, value in seconds.items() if name != "elapsed"
    )
    return (
        f"{(count - few) / (whole.elapsed_s - first.elapsed_s):.1f} frames/s without start-up, "
        f"{count / whole.elapsed_s:.1f} with it ({whole.elapsed_s:.1f} s for {count} frames, "
        f"{counts['questions']} questions, {counts['objects'] / counts['scenes']:.1f} objects a "
        f"frame, {workers} workers; processor time of a frame without start-up "
        f"{1000 * (whole.processor_s - first.processor_s) / (count - few):.1f} ms; "
        f"ms a frame and core: {stages})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=512)
    parser.add_argument("--distinct", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480))
    given = parser.parse_args()
    size_wh = (given.size[0], given.size[1])
    print("build:", measure(given.frames, given.distinct, given.workers, given.questions, size_wh))


if __name__ == "__main__":
    main()
