"""Episodes exported from RLDS: steps become frames, in order, from any place."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from calipers.errors import UsageError
from calipers.io.frames import read_shard
from calipers.io.inputs.rlds import STEPS, open_rlds
from calipers.io.inputs.sources import open_frames


@pytest.fixture
def episodes(tmp_path):
    for episode, count in (("episode_2", 3), ("episode_10", 2)):
        folder = tmp_path / episode
        folder.mkdir()
        lines = []
        for step in range(count):
            Image.fromarray(np.full((4, 6, 3), step, np.uint8)).save(folder / f"{step}.png")
            depth = np.full((4, 6), 1000 + step, np.uint16)
            Image.fromarray(depth).save(folder / f"{step}.depth.png")
            observation = {"image": f"{step}.png", "depth": f"{step}.depth.png", "joints": [1.0]}
            record = {"observation": observation, "action": [0.5] * 7, "is_last": step == count - 1}
            lines.append(json.dumps(record | {"language_instruction": "Lift it."}))
        (folder / STEPS).write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("size", [1, 2, 10])
def test_steps_are_frames_in_natural_order(episodes, size):
    shards = open_frames(episodes).shards(size)
    frames = [frame for shard in shards for frame in read_shard(shard, pixels=True)]
    assert [frame.id for frame in frames] == [
        *(f"episode_2-{k:06d}" for k in range(3)),
        *(f"episode_10-{k:06d}" for k in range(2)),
    ]
    assert [int(frame.rgb[0, 0, 0]) for frame in frames] == [0, 1, 2, 0, 1]
    assert frames[2].depth_m[0, 0] == pytest.approx(1.002)
    assert frames[2].extra["robot"] == {
        "action": [0.5] * 7,
        "is_last": True,
        "instruction": "Lift it.",
        "observation": {"joints": [1.0]},
        "episode": "episode_2",
        "step": 2,
    }


def test_a_step_without_a_picture_is_refused_alone(episodes):
    with (episodes / "episode_10" / STEPS).open("a") as file:
        file.write('{"observation": {}}\n{"observation": {"image": "../../x.png"}}\n')
    shard = next(open_rlds(episodes).shards(10))
    reasons = [getattr(frame, "reason", None) for frame in read_shard(shard)]
    assert reasons[:5] == [None] * 5
    assert None not in reasons[5:]


def test_an_empty_episode_is_no_input(tmp_path):
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / STEPS).write_text("\n")
    with pytest.raises(UsageError, match="no steps"):
        open_frames(tmp_path)
