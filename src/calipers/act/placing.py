"""Pick and place in simulation, closed loop: an instruction, RGB-D and masks in, actions out.

The arm knows itself (the pose of its gripper, from its joints) and where the camera stands. All
that it knows of the things is depth, masks and captions of the frames that it takes: which thing is
meant, where it can be gripped, whether it hangs in the fingers after the lift, and whether it is
where it belongs in the end. What went wrong is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from calipers.act.grips import LEAST, Grip, Rig, grip
from calipers.errors import Skip, UsageError
from calipers.geometry.outline import aside
from calipers.io.masks import decode_mask
from calipers.reward.finding import find
from calipers.reward.goals import Goal, Phrase, parse
from calipers.reward.measures import Measurer, Measures, holds
from calipers.samples.robot_script import CLOSED, OPEN, Script, hold, move
from calipers.samples.robot_world import World
from calipers.stages.lift import lift
from calipers.types import Doubles, Frame, Scene, SceneObject

ABOVE_M = 0.11
DEEP_M = 0.035
"""How far below a thing's top the fingers close."""
FLOOR_M = 0.02
CARRY_M = 0.06
"""How far above a rim or a top a thing is carried, and above all that stands within"""
WAY_M = 0.08
"""this of the way."""
TRIES = 3

Look = Callable[[], Frame]


@dataclass(slots=True)
class Log:
    """What was done.

    Attributes:
        stages: of each step of the simulation.
        positions: all joints before each step, for `World.restore`.
        looks: frames that were taken, with the step before which.
        tries: how often it was begun.
        told: whether the arm itself holds the goal to be reached.
        why: what it gave up for, "" when it did not.
    """

    stages: list[str] = field(default_factory=list)
    positions: list[Doubles] = field(default_factory=list)
    looks: list[tuple[int, Frame]] = field(default_factory=list)
    tries: int = 0
    told: bool = False
    why: str = ""


class Placer:
    """Carries out goals "in" and "on" by a gripper.

    Args:
        world: the arm; only its own pose is read.
        rig: where the camera is.
        look: takes a frame with depth, masks and captions.
    """

    def __init__(self, world: World, rig: Rig, look: Look) -> None:
        self.world, self.rig, self.look = world, rig, look
        self.log = Log()

    def run(self, instruction: str) -> Log:
        """Do what is said; up to `TRIES` times.

        Raises:
            UsageError: the instruction is not understood, or is no placing.
        """
        goal = parse(instruction)
        if goal.relation not in ("in", "on") or goal.reference is None:
            raise UsageError(f"wanted to put something in or on something, got {instruction!r}")
        measurer, home = Measurer(goal), self.world.grip_point()
        for _ in range(TRIES):
            self.log.tries += 1
            self.log.why = self._once(goal, goal.reference, measurer, home)
            self.log.told = holds(goal.relation, self._seen(measurer)[2], loose=True) is True
            if self.log.told:
                break
        return self.log

    def _once(self, goal: Goal, reference: Phrase, measurer: Measurer, home: Doubles) -> str:
        """One try; why it was given up, or ""."""
        frame, scene, _ = self._seen(measurer)
        try:
            target = self._grip(frame, scene, goal.target)
            base = self._grip(frame, scene, reference)
        except Skip as skip:
            return f"{skip.reason}: {skip.detail}"
        height = max(target.top - DEEP_M, target.bottom + FLOOR_M)
        self._do(self._take(target, height))
        found = self._seen(measurer)[2]
        if found.bottom_m is not None and found.bottom_m < 0.02:
            self._do(self._back(home))
            return "not held"
        clear = max(base.top, self._highest(frame, scene, goal.target, (target, base)))
        self._do(self._put(base, clear, height - target.bottom, goal.relation == "in"))
        self._do(self._back(home))
        return ""

    def _grip(self, frame: Frame, scene: Scene, phrase: Phrase) -> Grip:
        points = self._points(frame, scene.objects[find(scene, phrase)])
        if points is None:
            raise Skip("no_mask", f"{phrase} has no mask")
        return grip(points)

    def _points(self, frame: Frame, item: SceneObject) -> Doubles | None:
        """(N, 3) what is seen of an object, world frame; None without a mask."""
        assert frame.depth_m is not None
        assert frame.camera is not None
        if item.segmentation is None:
            return None
        return self.rig.points(frame.depth_m, decode_mask(item.segmentation), frame.camera)

    def _highest(
        self, frame: Frame, scene: Scene, carried: Phrase, way: tuple[Grip, Grip]
    ) -> float:
        """How high that stands which a thing could hit on its way from one grip to another; minus
        infinity where the way is free."""
        held, highest = find(scene, carried), -np.inf
        for k, item in enumerate(scene.objects):
            points = None if k == held or item.role is not None else self._points(frame, item)
            if points is not None:
                near = points[aside(points[:, :2], way[0].at, way[1].at) < WAY_M]
                if len(near) >= LEAST:
                    highest = max(highest, float(np.percentile(near[:, 2], 98)))
        return highest

    def _seen(self, measurer: Measurer) -> tuple[Frame, Scene, Measures]:
        frame = self.look()
        self.log.looks.append((len(self.log.stages), frame))
        scene = lift(frame, [item.rle and decode_mask(item.rle) for item in frame.objects or ()])
        return frame, scene, measurer.see(scene)

    def _take(self, thing: Grip, height: float) -> Script:
        above = np.array([*thing.at, thing.top + ABOVE_M])
        world, yaw = self.world, thing.yaw
        yield from move(world, above, yaw, OPEN, "approach", most=60)
        yield from move(world, above, yaw, OPEN, "turn", tolerance=0.0, most=5)
        down = np.array([*thing.at, height])
        yield from move(world, down, yaw, OPEN, "descend", speed=0.5, most=25)
        yield from hold(CLOSED, "close", 10)
        up = np.array([*thing.at, height + 0.14])
        yield from move(world, up, None, CLOSED, "lift")

    def _put(self, base: Grip, clear: float, hanging: float, inside: bool) -> Script:
        """Carry over a place, above what is as high as `clear`, and let go; what is held hangs so
        far below the fingertips."""
        over = np.array([*base.at, clear + CARRY_M + hanging])
        yield from move(self.world, np.array([*self.world.grip_point()[:2], over[2]]),
                        None, CLOSED, "lift")  # fmt: skip
        yield from move(self.world, over, None, CLOSED, "carry", most=60)
        floor = base.top - 0.03 if inside else base.top
        down = np.array([*base.at, floor + 0.006 + hanging])
        yield from move(self.world, down, None, CLOSED, "lower", speed=0.5, most=40)
        yield from hold(OPEN, "release", 8)

    def _back(self, home: Doubles) -> Script:
        up = self.world.grip_point() + np.array([0.0, 0.0, 0.1])
        yield from move(self.world, up, None, OPEN, "retreat", most=15)
        yield from move(self.world, home, None, OPEN, "retreat", most=25, tolerance=0.03)

    def _do(self, script: Script) -> None:
        for stage, action in script:
            self.log.stages.append(stage)
            self.log.positions.append(self.world.snapshot())
            self.world.step(action)
