"""Give a LeRobot dataset of version 3 a reward and a success for every step.

Columns are named as LeRobot names them, ``next.reward`` and ``next.success``: what a step's action
leads to, that is, the reward of the frame after it; the last frame of an episode has its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from calipers.errors import Skip, UsageError
from calipers.io.frames import read_shard
from calipers.io.inputs.lerobot import INFO, is_lerobot, open_lerobot
from calipers.io.masks import decode_mask
from calipers.reward.columns import REWARD, SUCCESS, write_columns
from calipers.reward.curves import SIDES, Curve, from_measures
from calipers.reward.goals import Goal, parse
from calipers.reward.measures import Measurer, Measures
from calipers.reward.models import Asks, said_left
from calipers.stages.lift import lift
from calipers.types import Frame

By = Literal["tools", "model", "both"]
_SHARD = 64


@dataclass(frozen=True, slots=True)
class Annotated:
    """What was written.

    Attributes:
        curves: episode → its curve.
        steps: (episode, step) → place in that curve.
    """

    curves: Mapping[int, Curve]
    steps: Mapping[tuple[int, int], int]

    def values(self, episode: int, step: int) -> tuple[float, bool]:
        """The reward and the success that the action of a step leads to."""
        found = self.curves[episode]
        place = min(self.steps[episode, step] + 1, len(found.reward) - 1)
        return float(found.reward[place]), bool(found.reached[place])


def annotate(
    root: Path, out: Path, goal: str | None = None, by: By = "tools", ask: Asks | None = None
) -> Annotated:
    """Write a copy of a dataset with rewards.

    Args:
        root: a LeRobot dataset of version 3; its frames need depth, camera and objects for the
            tools, colours for a model.
        out: a new or empty folder, not in `root`.
        goal: what is rewarded; None takes each episode's own instruction.
        by: whose measures count. "both" asks a model too, for what the tools do not tell.
        ask: the model.

    Raises:
        UsageError: no such dataset, a goal that is not understood, rewards that are there already,
            no model to ask, one that is asked alone on which side of a thing another is, or an
            episode in which nothing could be measured.
    """
    if not is_lerobot(root):
        raise UsageError(f"{root}: wanted a LeRobot dataset (a folder with {INFO})")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: wanted a new or empty folder")
    if out.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{out}: wanted a folder that is not in {root}")
    if (by == "tools") != (ask is None):
        raise UsageError(f"by {by!r}: wanted {'no model' if by == 'tools' else 'a model'}")
    info = json.loads((root / INFO).read_text("utf-8"))
    there = sorted({REWARD, SUCCESS} & {*info.get("features", {})})
    if there:
        raise UsageError(f"{root}: has {there[0]} already")
    found = measure_dataset(root, goal, by, ask)
    write_columns(root, out, info, found.values)
    return found


def measure_dataset(
    root: Path, goal: str | None = None, by: By = "tools", ask: Asks | None = None
) -> Annotated:
    """The curves of a dataset's episodes; one frame is in memory at a time.

    Arguments and errors are those of `annotate`.
    """
    wanted = None if goal is None else parse(goal)
    episodes: dict[int, _Episode] = {}
    steps: dict[tuple[int, int], int] = {}
    for episode, step, frame in _frames(root, pixels=ask is not None):
        if episode not in episodes:
            episodes[episode] = _Episode(wanted or _told(frame, episode), by, ask)
        steps[episode, step] = len(episodes[episode])
        episodes[episode].see(frame)
    return Annotated({k: one.curve(k) for k, one in episodes.items()}, steps)


def _frames(root: Path, pixels: bool) -> Iterator[tuple[int, int, Frame]]:
    for shard in open_lerobot(root).shards(_SHARD):
        for frame in read_shard(shard, pixels=pixels):
            if not isinstance(frame, Frame):
                raise UsageError(f"{root}: {frame.id}: {frame.reason}, {frame.detail}")
            robot = frame.extra["robot"]
            yield int(robot["episode"]), int(robot["step"]), frame


def _told(frame: Frame, episode: int) -> Goal:
    """The goal that an episode's instruction says."""
    try:
        return parse(str((frame.extra.get("robot") or {}).get("instruction", "")))
    except UsageError as error:
        raise UsageError(f"episode {episode}: {error}; give --goal") from error


class _Episode:
    """The measures of an episode, as its frames come."""

    def __init__(self, goal: Goal, by: By, ask: Asks | None) -> None:
        if by == "model" and goal.relation in SIDES:
            raise UsageError(f"by 'model': it tells distances, not which side ({goal.text!r})")
        self.goal, self.ask = goal, ask
        self.measurer = None if by == "model" else Measurer(goal)
        self.found: list[Measures] = []
        self.said: list[float] = []

    def __len__(self) -> int:
        return max(len(self.found), len(self.said))

    def see(self, frame: Frame) -> None:
        if self.measurer is not None:
            self.found.append(_measured(self.measurer, frame))
        if self.ask is not None:
            self.said.append(said_left(self.goal, frame, self.ask))

    def curve(self, episode: int) -> Curve:
        try:
            return from_measures(self.goal, self.found, self.said)
        except Skip as skip:
            unseen = self.measurer.unseen() if self.measurer else []
            why = f": never saw {' and '.join(unseen)}" if unseen else ""
            said = f"episode {episode}: {skip.detail}{why} ({self.goal.text!r})"
            raise UsageError(said) from skip


def _measured(measurer: Measurer, frame: Frame) -> Measures:
    masks = [item.rle and decode_mask(item.rle) for item in frame.objects or ()]
    try:
        return measurer.see(lift(frame, masks))
    except Skip:
        return Measures()


def summary(found: Annotated) -> list[str]:
    """A line an episode: frames, reward at the beginning, at its best and in the end, success."""
    lines = []
    for number, one in sorted(found.curves.items()):
        ends = one.reward[0], one.reward.max(), one.reward[-1]
        said = ", ".join(f"{word} {value:.2f}" for word, value in zip(_ENDS, ends))
        untold = int(np.isnan(one.left_m).sum())
        missing = f", {untold} not measured" if untold else ""
        result = "reached" if one.success else "not reached"
        frames = len(one.reward)
        lines.append(f"episode {number}: {frames} frames{missing}; {said}; {result}")
    return lines


_ENDS = ("first", "best", "last")
