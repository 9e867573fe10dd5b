"""From robot episodes to a SpatialQA training set and its benchmark.

    python recipes/robot_spatialqa.py OUT [--frames 1000] [--test-frames 100] [--questions 20]

Simulated episodes (seeds from 0) become `OUT/train`: Parquet, and SpatialBot's conversations.json.
Others (seeds from 100,000), which no question of the training set is about, become `OUT/bench`, a
SpatialBench-like set of six columns. Depth and masks have a depth camera's faults in both.

Cost: at most three seconds of one core a frame, nearly all of it physics and ray casting (6 frames
took 17 s with all start-up); nothing is downloaded, no GPU is used. Needs the extra `robots`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from calipers.bench.make import make
from calipers.samples.robot import write_robot
from calipers.spatialqa.folder import write_spatialqa

TEST_SEED = 100_000


def main() -> None:
    """Simulate, ask, and make the benchmark."""
    parser = argparse.ArgumentParser(description="Robot episodes into SpatialQA and a benchmark.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--test-frames", type=int, default=100)
    parser.add_argument("--questions", type=int, default=20)
    options = parser.parse_args()
    episodes, others = options.out / "episodes", options.out / "test-episodes"
    write_robot(episodes, count=options.frames, seed=0, faults=True)
    write_robot(others, count=options.test_frames, seed=TEST_SEED, faults=True)
    asked = write_spatialqa(episodes, options.out / "train", count=options.questions)
    made = make(others, options.out / "bench")
    questions = sum(column["questions"] for column in made["columns"].values())
    sys.stdout.write(
        f"train {asked['counts']['questions']} questions, bench {questions} questions\n"
    )


if __name__ == "__main__":
    main()
