"""What an engine costs beside the work, and what a second worker brings.

    python -m benchmarks.engine [--frames 256] [--distinct 20] [--questions 200] [--repeats 1]

The same frames as `benchmarks.build` are built by worker processes of this machine and by a Ray
cluster that is started for the run, two workers each, and by one worker alone. Every command is
run on one shard a worker and on all shards; the difference is the time without start-up. With
`--repeats` the commands take turns and the shortest time of each counts, because other work on the
machine only ever adds to it. The issue's figures are for 2,048 frames.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.build import make_frames, timed_build
from calipers.pipeline import SHARD_RECORDS

WORKERS = 2
RUNS = {
    "embedded": ("--workers", str(WORKERS)),
    "ray": ("--workers", str(WORKERS), "--engine", "ray"),
    "alone": ("--workers", "1"),
}
"""Options of the commands."""

Seconds = dict[tuple[str, bool], float]
"""Seconds of each run of `RUNS`, of few shards and of all."""


def times(
    frames: Path, place: Path, few: int, options: tuple[str, ...], repeats: int
) -> tuple[Seconds, set[int]]:
    """The shortest time of each command; and how many questions were asked of all frames."""
    best: Seconds = {}
    questions = set()
    for _ in range(repeats):
        for name, own in RUNS.items():
            for whole in (False, True):
                out = place / "out"
                limit = () if whole else ("--limit", str(few))
                timing = timed_build(frames, out, *options, *own, *limit)
                best[name, whole] = min(timing.elapsed_s, best.get((name, whole), timing.elapsed_s))
                if whole:
                    questions.add(timing.run["counts"]["questions"])
                shutil.rmtree(out)
    return best, questions


def measure(
    count: int, distinct: int, questions: int, size_wh: tuple[int, int], repeats: int
) -> list[str]:
    """Run the benchmark and say what was seen."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # Ray starts many processes
    few = min(count // 2, WORKERS * SHARD_RECORDS)
    options = ("--questions-per-scene", str(questions))
    with tempfile.TemporaryDirectory() as place:
        frames = make_frames(Path(place) / "frames", distinct, count, size_wh)
        best, asked = times(frames, Path(place), few, options, repeats)
    if len(asked) != 1:
        raise SystemExit(f"the engines asked different numbers of questions: {asked}")
    net = {name: max(best[name, True] - best[name, False], 1e-9) for name in RUNS}
    whole = {name: best[name, True] for name in RUNS}
    start = {name: best[name, True] - net[name] * count / (count - few) for name in RUNS}
    return [
        f"engine, ray against embedded: {100 * (net['ray'] / net['embedded'] - 1):+.1f} % without "
        f"start-up ({net['ray']:.1f} and {net['embedded']:.1f} s for {count - few} frames), "
        f"{100 * (whole['ray'] / whole['embedded'] - 1):+.1f} % with it "
        f"({whole['ray']:.1f} and {whole['embedded']:.1f} s for {count} frames, of which start-up "
        f"{start['ray']:.1f} and {start['embedded']:.1f} s; load {os.getloadavg()[0]:.1f})",
        f"engine, two workers against one: {net['alone'] / net['embedded']:.2f} times as fast "
        f"without start-up, {whole['alone'] / whole['embedded']:.2f} with it",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--distinct", type=int, default=20)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480))
    given = parser.parse_args()
    size_wh = (given.size[0], given.size[1])
    found = measure(given.frames, given.distinct, given.questions, size_wh, given.repeats)
    print("\n".join(found))


if __name__ == "__main__":
    main()
