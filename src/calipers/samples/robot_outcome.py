"""Runs that go wrong, and whether a run did what it was told, as the physics has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from calipers.samples.robot_script import OPEN, Job, Script, Task, hold, perform
from calipers.samples.robot_world import BACKGROUND, GRIPPER, TABLE_M, World

Flaw = Literal["stop", "empty", "slip", "other"]

FLAWS: dict[Task, tuple[Flaw, ...]] = {
    "lift": ("stop", "empty", "slip", "other"),
    "stack": ("stop", "empty", "slip", "other"),
    "pick_place": ("stop", "empty", "slip", "other"),
    "touch": ("stop", "other"),
}
"""What can go wrong: the arm stops half-way, never closes its fingers, opens them while it carries,
or takes another thing."""
LIFTED_M = 0.04
"""A thing whose underside is higher above the table than this was lifted."""
_STOPS = {
    "touch": ("creep",),
    "lift": ("descend", "close", "lift"),
    "stack": ("descend", "close", "lift", "carry", "lower"),
    "pick_place": ("descend", "close", "lift", "carry", "lower"),
}


def spoilt(world: World, job: Job, flaw: Flaw, rng: np.random.Generator) -> Script:
    """The actions of a job with a flaw; what comes of them is for the physics to say.

    Where there is no other thing to take, the arm stops.
    """
    others = [k for k, t in enumerate(job.things) if k != job.target and t.form in _TAKEN]
    if flaw == "other" and others:
        yield from perform(world, replace(job, target=int(rng.choice(others))), rng)
    elif flaw in ("stop", "other"):
        yield from _stopped(perform(world, job, rng), str(rng.choice(_STOPS[job.task])))
    else:
        starts = {"empty": 0, "slip": int(rng.integers(4, 9))}
        yield from _let_go(perform(world, job, rng), starts[flaw])


_TAKEN = ("cup", "block")


def _stopped(script: Script, at: str) -> Script:
    """Stand still as soon as a stage begins."""
    grip = OPEN
    for stage, action in script:
        if stage == at:
            yield from hold(grip, "stopped", 20)
            return
        grip = float(action[6])
        yield stage, action


def _let_go(script: Script, steps: int) -> Script:
    """Open the fingers for good after so many steps of lifting; at 0 they never close."""
    lifted = 0
    for stage, action in script:
        lifted += stage == "lift"
        if steps == 0 or lifted > steps:
            action = np.array([*action[:6], OPEN])
        yield stage, action


def achieved(world: World, job: Job) -> bool:
    """Whether the job is done as the world stands now.

    Touched: a contact acts. Lifted: held, its underside more than `LIFTED_M` above the table.
    Placed and stacked: let go of, and in the bin or in contact with what it is to stand on, above
    it, and not with the table too, as what fell off and leans on it.
    """
    touched = world.contacts()
    gripped = (GRIPPER, job.target) in touched
    if job.task == "touch":
        return gripped
    at = world.place(job.target)[0]
    bottom = float(at[2]) - job.things[job.target].size[2] / 2
    if job.goal is None:
        return world.held() == job.target and bottom > TABLE_M + LIFTED_M
    if gripped:
        return False
    if job.task == "pick_place":
        return inside(world, job.target, job.goal)
    pair = (min(job.target, job.goal), max(job.target, job.goal))
    over = at[2] > world.place(job.goal)[0][2] + world.things[job.goal].size[2] / 2
    return pair in touched and bool(over) and (BACKGROUND, job.target) not in touched


def inside(world: World, thing: int, container: int) -> bool:
    """Whether a thing's middle is over a bin's floor and its underside below the rim."""
    at, turn = world.place(container)
    local = (world.place(thing)[0] - at) @ turn
    half = np.array(world.things[container].size) / 2
    over = (np.abs(local[:2]) < half[:2]).all()
    return bool(over and local[2] - world.things[thing].size[2] / 2 < half[2] - 0.005)
