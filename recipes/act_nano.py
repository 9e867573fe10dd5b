"""SpatialBot's learned form: actions as text in 101 bins with four frames of history, by nano.

    python recipes/act_nano.py OUT [--episodes 40] [--steps 300] [--rollouts 10]

Scripted runs of "Lift …" (seeds from 0) become conversations of `calipers train`: the picture is a
mosaic, the present frame above and the four frames before it below, in colours and in depth; the
question is `calipers.actions.prompt`, with the last four actions; the answer is the next one. A
calipers-nano is trained from random weights. Then it is measured as it is: on runs that it has not
seen (seeds from 100,000) the bins that it is off, beside "as the last time" and "stand still"; and
in closed loop, where the physics says whether the thing was lifted.

Cost: three seconds of one core an episode; training 300 steps about six minutes of two cores.
Needs the extras `robots` and `train`. Nothing is downloaded, no GPU is used.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from calipers.actions import HISTORY, ActionSpace, frames_of_history, prompt, read, say
from calipers.errors import DataError
from calipers.model.answering import Answerer, load
from calipers.samples.robot import Run
from calipers.samples.robot_outcome import achieved
from calipers.samples.robot_world import STEP_M, STEP_RAD
from calipers.train.run import train
from calipers.types import Frame

SIZE_WH, SMALL_WH = (128, 96), (32, 24)
STRIDE = 4
SPACE = ActionSpace.symmetric(move_m=0.08, turn_rad=0.5)
TEST_SEED = 100_000
MOST_ACTIONS = 45


def mosaic(frames: list[Frame]) -> Frame:
    """One frame of 128x128: the last above, the four before it below, oldest on the left."""
    from calipers.depth_codec import resize

    rgb = np.zeros((128, 128, 3), np.uint8)
    depth = np.full((128, 128), np.nan, np.float32)
    places = [(SMALL_WH, 96, 32 * k) for k in range(HISTORY)]
    for frame, (size, row, column) in zip(frames, [*places, (SIZE_WH, 0, 0)]):
        assert frame.rgb is not None
        assert frame.depth_m is not None
        area = np.s_[row : row + size[1], column : column + size[0]]
        small = Image.fromarray(frame.rgb).resize(size, Image.Resampling.BILINEAR)
        rgb[area], depth[area] = np.asarray(small), resize(frame.depth_m, size)
    return Frame(frames[-1].id, "mosaic.png", 128, 128, rgb=rgb, depth_m=depth)


def episode(seed: int) -> tuple[str, list[Frame], np.ndarray]:
    """Instruction, frames and bins (N, 7) of a scripted run, five actions a second."""
    run = Run(seed, "Panda", "lift", "name", size_wh=SIZE_WH)
    rng = np.random.default_rng(seed)
    frames = [run.see(k, rng, STRIDE)[0] for k in range(0, len(run.moments) - STRIDE, STRIDE)]
    actions = [frame.extra["robot"]["action"] for frame in frames]
    return run.job.instruction, frames, SPACE.encode(actions, clip=True)


def write(out: Path, seeds: range) -> Path:
    """Conversations of some episodes, as `calipers train` reads them."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in seeds:
        instruction, frames, bins = episode(seed)
        for k in range(len(frames)):
            made = mosaic([frames[place] for place in frames_of_history(k)])
            name = f"{seed:06d}-{k:03d}"
            assert made.rgb is not None
            assert made.depth_m is not None
            Image.fromarray(made.rgb).save(out / f"{name}.png")
            millimetres = np.rint(1000 * np.nan_to_num(made.depth_m)).astype(np.uint16)
            Image.fromarray(millimetres).save(out / f"{name}-depth.png")
            asked = {"from": "human", "value": f"<image>\n{prompt(instruction, [*bins[:k]])}"}
            said = {"from": "gpt", "value": say(bins[k])}
            images = [f"{name}.png", f"{name}-depth.png"]
            rows.append({"id": name, "image": images, "conversations": [asked, said]})
    file = out / "conversations.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    return file


def recipe(out: Path, data: Path, steps: int) -> Path:
    """The file that `calipers train` takes."""
    made = {
        "out": "model",
        "model": "nano",
        "nano": {"picture_wh": [128, 128], "width": 96, "layers": 2, "language_layers": 3},
        "data": [{"general": str(data.relative_to(out))}],
        "pictures": 16,
        "stages": [{"name": "act", "learn": ["vision", "projector", "language"],
                    "steps": steps, "lr": 1.0e-3}],
    }  # fmt: skip
    file = out / "recipe.yaml"
    file.write_text(yaml.safe_dump(made), encoding="utf-8")
    return file


def judged(model: Answerer, seeds: range) -> dict[str, float]:
    """Mean bins off per number on runs that were not learnt from; share of unreadable answers."""
    off: dict[str, list[float]] = {"model": [], "as the last time": [], "stand still": []}
    asked, answers = 0, 0
    for seed in seeds:
        instruction, frames, bins = episode(seed)
        for k in range(HISTORY, len(frames), 2):
            shown = mosaic([frames[place] for place in frames_of_history(k)])
            (text,) = model.texts([(shown, prompt(instruction, [*bins[:k]]))], 0.0)
            asked += 1
            try:
                told = read(text)
            except DataError:
                continue
            answers += 1
            still = np.array([50] * 6 + [bins[k - 1][6]])
            for name, guess in zip(off, (told, bins[k - 1], still)):
                off[name].append(float(np.abs(guess - bins[k]).mean()))
    found = {f"bins off, {name}": float(np.mean(values)) for name, values in off.items() if values}
    return found | {"asked": asked, "readable": answers}


def rollout(model: Answerer, seed: int) -> bool:
    """Whether the model lifts the thing of an unseen table."""
    run = Run(seed, "Panda", "lift", "name", size_wh=SIZE_WH, scripted=False)
    rng, bins = np.random.default_rng(seed), list[np.ndarray]()
    frames: deque[Frame] = deque(maxlen=HISTORY + 1)
    for _ in range(MOST_ACTIONS):
        frames.append(run.now(grain=rng))
        shown = [frames[0]] * (HISTORY + 1 - len(frames)) + list(frames)
        (text,) = model.texts([(mosaic(shown), prompt(run.job.instruction, bins))], 0.0)
        try:
            bins.append(read(text))
        except DataError:
            return False
        follow(run, SPACE.decode(bins[-1]))
        if achieved(run.world, run.job):
            return True
    return False


def follow(run: Run, action: np.ndarray) -> None:
    """Go by an action, in the axes of the robot's base, in as many steps as it was taken from."""
    goal = run.world.grip_point() + action[:3]
    turn = action[3:6] / STRIDE / STEP_RAD
    for _ in range(STRIDE):
        step = (goal - run.world.grip_point()) / STEP_M
        run.world.step(np.clip(np.array([*step, *turn, np.sign(action[6])]), -1, 1))


def main() -> None:
    """Write demonstrations, train, and measure."""
    parser = argparse.ArgumentParser(description="A calipers-nano that acts.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--test-episodes", type=int, default=4)
    parser.add_argument("--rollouts", type=int, default=10)
    options = parser.parse_args()
    data = options.out / "demonstrations/conversations.json"
    if not data.exists():
        write(data.parent, range(options.episodes))
    train(recipe(options.out, data, options.steps))
    model = load(options.out / "model")
    for name, value in judged(model, range(TEST_SEED, TEST_SEED + options.test_episodes)).items():
        sys.stdout.write(f"{name}: {value:.2f}\n")
    done = sum(rollout(model, TEST_SEED + k) for k in range(options.rollouts))
    sys.stdout.write(f"lifted in closed loop: {done} of {options.rollouts}\n")


if __name__ == "__main__":
    main()
