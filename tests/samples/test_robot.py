"""A simulated robot: what it does, what touches what, and what the camera sees of it."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from calipers.actions import ActionSpace
from calipers.cli import main
from calipers.errors import UsageError
from calipers.io.masks import decode_mask
from calipers.questions.robot import ROBOT_TYPES, ask_robot, is_flat
from calipers.samples.faults import Faults
from calipers.stages.lift import lift
from calipers.stages.refer import refer
from calipers.verbs import ask_scenes, build

pytest.importorskip("robosuite")

from calipers.samples.robot import Run, delta, truth_record, write_robot
from calipers.samples.robot_world import GRIPPER, TABLE_M, Thing, World


@pytest.fixture(scope="module")
def placing():
    return Run(3, "Panda", "pick_place", "name")


def lifted(frame, given=True):
    """The scene of a frame, with references; `given` False hides what the physics says."""
    if not given:
        frame.extra = {}
    scene = lift(frame, [decode_mask(item.rle) for item in frame.objects])
    refer(scene.objects, scene.frame)
    return scene


def test_a_thing_is_grasped_carried_and_put_into_the_bin(placing):
    held = []
    for moment in placing.moments[::4]:
        placing.world.restore(moment.positions)
        held.append(placing.world.held())
    assert held[0] is None
    assert placing.job.target in held
    last = placing.look(len(placing.moments) - 1)
    assert last.truth.held is None
    assert last.truth.in_bin == [last.truth.target]


def test_contacts_and_gaps_agree(placing):
    for step in range(0, len(placing.moments), 36):
        truth = placing.look(step, colours=False).truth
        assert (truth.gaps == truth.gaps.T).all()
        touching = {(a, b) for a, b in zip(*np.nonzero(np.triu(truth.gaps == 0, 1)))}
        assert {(int(a), int(b)) for a, b in touching} == set(truth.contacts)


def test_moments_are_chosen_touching_near_and_far(placing):
    chosen = placing.choose(5)
    assert len(chosen) == 5
    touching = []
    for step in chosen:
        placing.world.restore(placing.moments[step].positions)
        touching.append((GRIPPER, placing.job.target) in placing.world.contacts())
    assert sum(touching) == 2


def test_the_picture_shows_what_the_depth_and_the_masks_say(placing):
    made = placing.look(0)
    frame = made.frame
    assert frame.rgb.shape == (240, 320, 3)
    assert frame.objects[0].role == "gripper"
    masks = np.array([decode_mask(item.rle) for item in frame.objects])
    assert masks.sum(axis=0).max() == 1
    v, u = np.nonzero(np.isfinite(frame.depth_m))
    z = frame.depth_m[v, u]
    x = (u - frame.camera.cx) / frame.camera.fx * z
    y = (v - frame.camera.cy) / frame.camera.fy * z
    up = np.stack((x, y, z), axis=1) @ placing.view.world_from_camera.T[:, 2] + placing.view.at[2]
    on_table = np.abs(up - TABLE_M) < 1e-4
    assert on_table.mean() > 0.2
    target = masks[made.truth.target][v, u]
    thing = placing.job.things[placing.job.target]
    assert up[target].max() == pytest.approx(TABLE_M + thing.size[2], abs=0.003)


def test_the_same_seed_gives_the_same_frame(placing):
    again = Run(3, "Panda", "pick_place", "name")
    assert len(again.moments) == len(placing.moments)
    first, second = (run.look(20, Faults()).frame for run in (placing, again))
    assert (first.rgb == second.rgb).all()
    assert np.array_equal(first.depth_m, second.depth_m, equal_nan=True)


def test_actions_lead_from_pose_to_pose_and_fit_their_bins(placing):
    poses, actions = [], []
    for step in range(0, 24, 4):
        placing.world.restore(placing.moments[step].positions)
        poses.append(placing.world.gripper_pose()[:3, 3])
        actions.append(placing.look(step, colours=False, after=4).frame.extra["robot"]["action"])
    moved = np.cumsum([action[:3] for action in actions], axis=0)[:-1]
    assert moved == pytest.approx(np.array(poses[1:]) - poses[0], abs=1e-5)
    space = ActionSpace.of(actions)
    error = np.abs(space.decode(space.encode(actions)) - actions)
    assert (error <= space.step / 2 + 1e-12).all()
    assert delta(np.eye(4), np.eye(4), -1.0).tolist() == [0, 0, 0, 0, 0, 0, -1]


def test_a_cup_on_the_table_touches_the_table_and_nothing_else():
    things = [
        Thing("cup", "red cup", (0.05, 0.05, 0.09), (0.0, 0.1), (0.8, 0.1, 0.1)),
        Thing("block", "blue block", (0.04, 0.04, 0.05), (0.0, -0.1), (0.1, 0.1, 0.8)),
    ]
    world = World("UR5e", things)
    for _ in range(5):
        world.step(np.zeros(7))
    assert not any(a >= GRIPPER for a, _ in world.contacts())
    apart = 0.2 - 0.025 - 0.02
    assert world.gaps([0, 1])[0, 1] == pytest.approx(apart, abs=0.002)


def test_a_photo_is_flat_and_the_real_thing_is_told():
    run = Run(8, "UR5e", "lift", "illusion")
    made = run.look(0)
    scene = lifted(made.frame)
    (photo,) = made.truth.photos
    assert is_flat(scene.objects[photo])
    assert not is_flat(scene.objects[made.truth.target])
    (question,) = ask_robot(scene, 1, 0, types=["pick_real"])
    assert question.object_index == [made.truth.target, photo]


def test_a_folder_of_frames_with_its_truth(tmp_path):
    write_robot(tmp_path / "robot", count=2, seed=3, robot="Panda", task="touch", faults=True)
    rows = [json.loads(r) for r in (tmp_path / "robot/metadata.jsonl").read_text().splitlines()]
    truth = [json.loads(r) for r in (tmp_path / "robot/truth.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [row["id"] for row in truth]
    assert rows[0]["contacts"] == truth[0]["contacts"]
    assert rows[0]["objects"]["role"][0] == "gripper"
    assert rows[0]["robot"]["task"] == "touch"


def test_the_benchmark_of_contact_counts_every_state(placing):
    from benchmarks.contact import report

    states = [placing.look(step, colours=False) for step in (0, 100)]
    assert states[1].truth.held == states[1].truth.target
    text = report(iter(states))
    lines = text.splitlines()
    assert "contact, exact depth: 100.0 % of 2 clear states" in lines[0]
    assert lines[2].split() == ["true", "contact", "1", "0", "0"]
    assert lines[3].split() == ["true", "apart", "0", "1", "0"]
    assert lines[-1] == "states: Panda 2, pick_place 2"


def test_what_is_unknown_is_refused():
    with pytest.raises(UsageError, match="Panda"):
        Run(0, "Sawyer")
    with pytest.raises(UsageError, match="lift"):
        Run(0, "Panda", "juggle")


def test_truth_is_plain_json(placing):
    record = truth_record(placing.look(0, colours=False))
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_the_command_line_names_robot_task_and_variant(tmp_path, capsys):
    options = ["--robot", "ur5e", "--task", "pick-place", "--variant", "illusion", "--seed", "4"]
    assert main(["sample", "robot", str(tmp_path / "a"), "--frames", "1", *options]) == 0
    lines = (tmp_path / "a" / "metadata.jsonl").read_text().splitlines()
    robot = json.loads(lines[0])["robot"]
    assert (robot["name"], robot["task"], robot["told_by"]) == ("UR5e", "pick_place", "illusion")
    assert len(lines) == 1
    assert main(["sample", "robot", str(tmp_path / "b"), "--robot", "atlas"]) == 2
    assert "wanted one of Panda, UR5e, got 'atlas'" in capsys.readouterr().err


def test_a_run_of_the_command_line_asks_about_the_robot(tmp_path):
    write_robot(tmp_path / "frames", count=2, seed=1)
    build(tmp_path / "frames", tmp_path / "run", questions_per_scene=12)
    rows = pq.read_table(tmp_path / "run" / "qa").to_pylist()
    kinds = Counter(row["type"] in {row.id for row in ROBOT_TYPES} for row in rows)
    assert kinds == {True: 8, False: 16}
    ask_scenes(tmp_path / "run", tmp_path / "again", questions_per_scene=12)
    assert pq.read_table(tmp_path / "again" / "qa").to_pylist() == rows
