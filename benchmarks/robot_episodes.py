"""Episodes of the simulated robot as RGB-D frames without colours, kept on disk once they are made.

Physics and rays cost a few seconds an episode; what is measured in the frames costs milliseconds.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from calipers.samples.faults import Faults, apply_faults
from calipers.samples.robot import Run
from calipers.samples.robot_outcome import FLAWS, Flaw, achieved
from calipers.samples.robot_script import TASKS
from calipers.types import Frame

SIZE_WH = (320, 240)
STRIDE = 5
"""Every so many steps of the simulation a frame: four a second."""
CAMERA = Faults(mask_px=0)
"""A depth camera's noise, holes and mixed pixels; exact masks."""


@dataclass(slots=True)
class Episode:
    """Frames, and what the physics knows of each.

    Attributes:
        far_m: from the point between the finger pads to the middle of the target, metres.
        done: whether the task is done in this moment; a touch also in one since the frame before.
        stages: what the script was doing.
    """

    seed: int
    task: str
    flaw: Flaw | None
    instruction: str
    frames: list[Frame] = field(default_factory=list)
    far_m: list[float] = field(default_factory=list)
    done: list[bool] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)


def perform(seed: int, flawed: bool) -> Episode:
    """One episode: tasks take turns, and so do the flaws; robot, variant and all else by chance."""
    task = TASKS[seed % len(TASKS)]
    flaws = FLAWS[task]
    flaw = flaws[seed // len(TASKS) % len(flaws)] if flawed else None
    run = Run(seed, None, task, flaw=flaw, size_wh=SIZE_WH)
    episode = Episode(seed, task, flaw, run.job.instruction)
    last = len(run.moments) - 1
    before = 0
    for step in sorted({*range(0, last, STRIDE), last}):
        between = range(before, step) if task == "touch" else ()
        touched = any(_done_at(run, k) for k in between)
        before = step
        episode.frames.append(run.see(step, after=0)[0])
        middle = run.world.place(run.job.target)[0]
        episode.far_m.append(float(np.linalg.norm(run.world.grip_point() - middle)))
        episode.done.append(touched or achieved(run.world, run.job))
        episode.stages.append(run.moments[step].stage)
    return episode


def _done_at(run: Run, step: int) -> bool:
    run.world.restore(run.moments[step].positions)
    return achieved(run.world, run.job)


def kept(folder: Path, seed: int, flawed: bool) -> Episode:
    """The episode from disk, made if it is not there; the folder is our own, not a stranger's."""
    file = folder / f"{seed:06d}-{'flawed' if flawed else 'straight'}.pickle"
    if file.exists():
        found: Episode = pickle.loads(file.read_bytes())
        return found
    made = perform(seed, flawed)
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(pickle.dumps(made))
    part.replace(file)
    return made


def with_faults(episode: Episode) -> list[Frame]:
    """The frames as a depth camera sees them."""
    rng = np.random.default_rng([episode.seed, 11])
    return [apply_faults(frame, CAMERA, rng) for frame in episode.frames]
