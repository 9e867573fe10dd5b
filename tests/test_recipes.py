"""Each recipe runs, at a tiny size."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from calipers.evals.spatialbench import load, missing_pictures

RECIPES = Path(__file__).parents[1] / "recipes"


def test_robot_episodes_become_a_training_set_and_a_benchmark(tmp_path: Path) -> None:
    pytest.importorskip("robosuite")
    command = [sys.executable, str(RECIPES / "robot_spatialqa.py"), str(tmp_path / "out")]
    sizes = ["--frames", "2", "--test-frames", "4", "--questions", "9"]
    ran = subprocess.run([*command, *sizes], capture_output=True, text=True, check=True)
    table = pq.read_table(tmp_path / "out" / "train" / "qa")
    assert table.num_rows == 18
    talks = json.loads((tmp_path / "out" / "train" / "conversations.json").read_text("utf-8"))
    assert len(talks) == 18
    items = load(tmp_path / "out" / "bench")
    assert missing_pictures(items, tmp_path / "out" / "bench") == []
    said = re.search(r"train (\d+) questions, bench (\d+) questions", ran.stdout)
    assert said
    assert (int(said[1]), int(said[2])) == (18, len(items))
    scenes = set(table["scene_id"].to_pylist())
    assert not scenes & {item.extra["scene_id"] for item in items}
