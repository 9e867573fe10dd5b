"""A LeRobot dataset gets rewards and stays a LeRobot dataset."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from calipers.cli import main
from calipers.errors import UsageError
from calipers.io.exports.lerobot import Step, write_lerobot
from calipers.io.frames import read_shard
from calipers.io.inputs.lerobot import open_lerobot
from calipers.io.masks import encode_mask
from calipers.reward.datasets import REWARD, SUCCESS, annotate, measure_dataset
from calipers.types import Camera, Frame

CAMERA = Camera(fx=100, fy=100, cx=79.5, cy=59.5, width=160, height=120)
DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
LEFT = (0.40, 0.30, 0.20, 0.10, 0.004)
"""Metres between the hand and the cup, both 1 m away."""


def frame(number, gap_m):
    """A wall, a cup, and a hand to the left of it; one pixel is one centimetre."""
    depth = np.full((120, 160), 1.5, np.float32)
    cup, grip = np.zeros((2, 120, 160), bool)
    cup[50:62, 100:110] = True
    right = 100 - round(100 * gap_m)
    grip[46:66, right - 12 : right] = True
    depth[cup | grip] = 1.0
    boxes = {"cup": cup, "robot gripper": grip}
    objects = {
        "bbox": [[100, 50, 10, 12], [right - 12, 46, 12, 20]],
        "caption": list(boxes),
        "segmentation": [encode_mask(mask) for mask in boxes.values()],
        "role": [None, "gripper"],
    }
    made = Frame(
        f"frame-{number}", f"{number}.png", 160, 120, depth_m=depth, camera=CAMERA,
        rgb=np.full((120, 160, 3), 90, np.uint8), gravity=np.array([0, 1.0, 0]),
    )  # fmt: skip
    return Step(made, {"objects": objects}, [0.0] * 7, [0.0] * 7)


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "episodes"
    episodes = [
        (words, [frame(k, gap) for k, gap in enumerate(gaps)])
        for words, gaps in (("Touch the cup.", LEFT), ("Touch the cup.", LEFT[:3]))
    ]
    write_lerobot(root, episodes, 5, "Panda")
    return root


def test_rewards_are_those_of_the_frame_that_follows(dataset, tmp_path):
    out = tmp_path / "rewarded"
    found = annotate(dataset, out)
    table = pq.read_table(out / DATA)
    reward = found.curves[0].reward
    assert np.all(np.diff(reward) > 0)
    assert table[REWARD].to_pylist()[:5] == pytest.approx([*reward[1:], reward[-1]])
    assert table[SUCCESS].to_pylist() == [False, False, False, True, True, False, False, False]
    assert [curve.success for curve in found.curves.values()] == [True, False]
    # 10 cm nearer each frame: the gap and the way to the middle shrink by as much
    assert np.diff(found.curves[0].left_m[:4]) == pytest.approx(-0.1, abs=0.004)


def test_what_is_written_reads_back_and_says_what_it_has(dataset, tmp_path):
    out = tmp_path / "rewarded"
    annotate(dataset, out)
    before, after = (pq.read_table(root / DATA) for root in (dataset, out))
    assert after.schema.names == [*before.schema.names, REWARD, SUCCESS]
    assert after.select(before.schema.names).equals(before)
    info = json.loads((out / "meta/info.json").read_text())
    assert info["features"][REWARD] == {"dtype": "float32", "shape": [1], "names": None}
    assert info["features"][SUCCESS] == {"dtype": "bool", "shape": [1], "names": None}
    stats = json.loads((out / "meta/stats.json").read_text())
    assert stats[SUCCESS]["mean"] == [0.25]
    assert stats[REWARD]["max"] == pytest.approx([max(after[REWARD].to_pylist())])
    assert (out / "meta/tasks.parquet").read_bytes() == (
        dataset / "meta/tasks.parquet"
    ).read_bytes()
    (shard,) = open_lerobot(out).shards(64)
    frames = list(read_shard(shard, pixels=True))
    assert [f.extra["robot"]["step"] for f in frames] == [0, 1, 2, 3, 4, 0, 1, 2]
    assert frames[0].rgb.shape == (120, 160, 3)


def test_statistics_of_each_episode_gain_both_columns_and_keep_theirs(dataset, tmp_path):
    note = {"info": {"features": {"length": {"dtype": "int64", "_type": "Value"}}}}
    before = pq.read_table(dataset / EPISODES)
    said = {b"huggingface": json.dumps(note).encode(), b"own": b"kept"}
    pq.write_table(before.replace_schema_metadata(said), dataset / EPISODES)
    out = tmp_path / "out"
    annotate(dataset, out)
    after, rows = pq.read_table(out / EPISODES), pq.read_table(out / DATA)
    assert after.select(before.schema.names).equals(before)
    assert after.schema.metadata == {b"own": b"kept"}
    reward = np.array(rows[REWARD].to_pylist())
    for episode, some in enumerate((reward[:5], reward[5:])):
        for stat in ("min", "max", "mean", "std"):
            found = after[f"stats/{REWARD}/{stat}"][episode].as_py()
            assert found == pytest.approx([getattr(some, stat)()])
        assert after[f"stats/{SUCCESS}/count"][episode].as_py() == [len(some)]
    assert [cell.as_py() for cell in after[f"stats/{SUCCESS}/mean"]] == [[0.4], [0.0]]
    stats = [json.loads((root / "meta/stats.json").read_text()) for root in (dataset, out)]
    assert {**stats[1], **stats[0]} == stats[1]
    assert {*stats[1]} - {*stats[0]} == {REWARD, SUCCESS}


def test_a_dataset_without_statistics_gets_those_of_the_new_columns(dataset, tmp_path):
    (dataset / "meta/stats.json").unlink()
    table = pq.read_table(dataset / EPISODES)
    bare = [name for name in table.schema.names if not name.startswith("stats/")]
    pq.write_table(table.select(bare), dataset / EPISODES)
    annotate(dataset, tmp_path / "out")
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    assert {*stats} == {REWARD, SUCCESS}
    names = pq.read_schema(tmp_path / "out" / EPISODES).names
    assert {name.rpartition("/")[0] for name in names if name.startswith("stats/")} == {
        f"stats/{REWARD}", f"stats/{SUCCESS}",
    }  # fmt: skip


def test_a_note_of_the_columns_in_the_file_is_kept_true(dataset, tmp_path):
    table = pq.read_table(dataset / DATA)
    note = {"info": {"features": {"index": {"dtype": "int64", "_type": "Value"}}}}
    wanted = table.replace_schema_metadata({b"huggingface": json.dumps(note).encode()})
    pq.write_table(wanted, dataset / DATA)
    annotate(dataset, tmp_path / "out")
    metadata = pq.read_schema(tmp_path / "out" / DATA).metadata
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    assert features[REWARD] == {"dtype": "float32", "_type": "Value"}
    assert set(features) == {"index", REWARD, SUCCESS}


def test_a_model_is_asked_and_fills_in(dataset):
    def ask(seen, question):
        assert seen.rgb.shape == (120, 160, 3)
        return "0.5 m"

    alone = measure_dataset(dataset, by="model", ask=ask)
    assert alone.curves[0].left_m.tolist() == [0.5] * 5
    both = measure_dataset(dataset, by="both", ask=ask)
    assert both.curves[0].left_m == pytest.approx(measure_dataset(dataset).curves[0].left_m)


def test_a_model_alone_tells_success_by_what_is_left(dataset, tmp_path):
    out = tmp_path / "out"
    found = annotate(dataset, out, by="model", ask=lambda seen, question: "touching, 0 cm")
    assert [curve.success for curve in found.curves.values()] == [True, True]
    table = pq.read_table(out / DATA)
    assert table[REWARD].to_pylist() == [1.0] * 8
    assert table[SUCCESS].to_pylist() == [True] * 8
    far = measure_dataset(dataset, by="model", ask=lambda seen, question: "10 cm")
    assert not far.curves[0].success
    with pytest.raises(UsageError, match="distances, not which side"):
        measure_dataset(dataset, "put the cup left of the box", "model", lambda *asked: "0 cm")


def test_an_empty_goal_is_none_and_no_episodes_own(dataset, tmp_path, capsys):
    for goal in ("", "  "):
        with pytest.raises(UsageError, match=r"^goal: wanted .*, got '"):
            annotate(dataset, tmp_path / "out", goal=goal)
    given = ["reward", "annotate", str(dataset), "--out", str(tmp_path / "out"), "--goal", ""]
    assert main(given) == 2
    assert "goal: wanted" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_into_the_dataset_that_is_read(dataset, tmp_path):
    (tmp_path / "link").symlink_to(dataset)
    for out in (dataset / "x", tmp_path / "link" / "data" / "x"):
        with pytest.raises(UsageError, match="wanted a folder that is not in"):
            annotate(dataset, out)
        assert not out.exists()


def test_what_was_never_seen_is_named(dataset):
    with pytest.raises(UsageError, match="never saw the spoon"):
        measure_dataset(dataset, "touch the spoon")
    with pytest.raises(UsageError, match=r"never saw the fork and the leftmost bin \("):
        measure_dataset(dataset, "put the fork in the left bin")


def test_what_cannot_be_annotated_is_refused(dataset, tmp_path):
    done = tmp_path / "done"
    annotate(dataset, done)
    with pytest.raises(UsageError, match=r"has next\.reward already"):
        annotate(done, tmp_path / "again")
    with pytest.raises(UsageError, match="new or empty"):
        annotate(dataset, done)
    with pytest.raises(UsageError, match="by 'model': wanted a model"):
        annotate(dataset, tmp_path / "a", by="model")
    with pytest.raises(UsageError, match=r"^goal: wanted .*, got 'open the drawer'$"):
        annotate(dataset, tmp_path / "b", goal="open the drawer")
    other = tmp_path / "other"
    write_lerobot(other, [("Open the drawer.", [frame(0, 0.4)])], 5, "Panda")
    with pytest.raises(UsageError, match=r"episode 0: goal: wanted .* give --goal"):
        annotate(other, tmp_path / "b")
    with pytest.raises(UsageError, match="episode 0: no frame tells"):
        annotate(dataset, tmp_path / "c", goal="touch the spoon")
    with pytest.raises(UsageError, match="wanted a LeRobot dataset"):
        annotate(tmp_path, tmp_path / "d")


def test_the_command_line(dataset, tmp_path, capsys):
    out = tmp_path / "rewarded"
    assert main(["reward", "annotate", str(dataset), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("episode 0: 5 frames; first 0.")
    assert lines[0].endswith("reached")
    assert lines[1].endswith("not reached")
    assert main(["reward", "goal", "stack the cup on the box"]) == 0
    assert capsys.readouterr().out == "on: target 'the cup', reference 'the box'\n"
    assert main(["reward", "annotate", str(dataset), "--out", str(out)]) == 2
    assert "new or empty" in capsys.readouterr().err
    picture = tmp_path / "map.png"
    given = [str(dataset), "--goal", "touch the cup", "--out", str(picture)]
    assert main(["reward", "map", *given]) == 2  # the camera looks at a wall
    assert "no_level" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["m.xyz", "m", "none/m.png"])
def test_a_map_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys, name):
    given = ["nowhere", "--goal", "touch the cup", "--out", str(tmp_path / name)]
    assert main(["reward", "map", *given]) == 2
    said = capsys.readouterr().err
    assert name in said
    assert said.count("\n") == 1
    assert "nowhere" not in said
