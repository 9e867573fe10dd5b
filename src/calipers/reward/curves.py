"""From measures frame by frame to a reward, and to whether the goal is reached.

The reward is ``exp(-left / SCALE_M)``, where *left* is the way that is left in metres: of the hand
to the target, and of the target to where it goes. Once the target is there the hand counts no more,
so that letting go and drawing back costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from calipers.errors import DataError, Skip
from calipers.reward.goals import Goal, Relation
from calipers.reward.measures import Measurer, Measures, holds
from calipers.types import Bools, Doubles, Scene

SCALE_M = 0.2
"""The way that is left at which the reward is 1/e."""
USUAL = (2, 2)
"""Frames in a row that must say so before a goal counts as reached, and that must deny it, loosely,
before it counts as lost."""
FRAMES: dict[Relation, tuple[int, int]] = {"touched": (1, 1), "lifted": (2, 1)}
"""Where they are others: a touch may last no longer, and what falls is down in the next frame."""
THERE_M, SLACK_M = 0.02, 0.01
"""As a model says it a goal is reached when no more than this is left, and lost when more than this
and the slack is: it speaks in whole centimetres."""
SIDES: frozenset[Relation] = frozenset({"left", "right", "front", "behind"})
"""What no distance tells."""
_WEIGHTS = np.array([0.25, 0.5, 0.25])


@dataclass(frozen=True, slots=True)
class Curve:
    """A reward for each of N frames.

    Attributes:
        goal: what is rewarded.
        left_m: (N,) the way that is left as it was measured, metres; NaN where it was not.
        reward: (N,) 0 to 1, of the smoothed way; frames that were not measured lie on the line
            between their neighbours, or are like the nearest at the ends.
        reached: (N,) whether the goal is reached, with hysteresis.
    """

    goal: Goal
    left_m: Doubles
    reward: Doubles
    reached: Bools

    @property
    def success(self) -> bool:
        """Whether the goal is reached in the end; a touch counts whenever it was."""
        if self.goal.relation == "touched":
            return bool(self.reached.any())
        return bool(self.reached[-1])


class Detector:
    """Tells whether a goal is reached, frame by frame; what is not told changes nothing.

    >>> detector = Detector("in")
    >>> [detector.see(told, told) for told in (True, None, True, False, True, False, False)]
    [False, False, True, True, True, True, False]
    """

    def __init__(self, relation: Relation) -> None:
        self.reached = False
        self._rise, self._fall = FRAMES.get(relation, USUAL)
        self._count = 0

    def see(self, strictly: bool | None, loosely: bool | None) -> bool:
        """Take what a frame says (see `measures.holds`); return whether the goal is reached now."""
        against = strictly is True if not self.reached else loosely is False
        known = strictly if not self.reached else loosely
        if known is not None:
            self._count = self._count + 1 if against else 0
        if self._count >= (self._fall if self.reached else self._rise):
            self.reached, self._count = not self.reached, 0
        return self.reached


def left(relation: Relation, found: Measures) -> float:
    """The way that is left in one frame, metres; NaN where it was not measured.

    The hand's way is the mean of the gap and of the way from its fingertips to the middle of the
    target: the one has no offset, the other goes on where the first is zero.
    """
    if relation == "touched":
        return _hand(found)
    if found.bring_m is None:
        return float("nan")
    if found.bring_m == 0 and relation != "lifted":
        return 0.0
    return found.bring_m + _hand(found)


def _hand(found: Measures) -> float:
    if found.gap_m is None or found.reach_m is None:
        return float("nan")
    return (found.gap_m + found.reach_m) / 2


def curve(scenes: Iterable[Scene], goal: Goal) -> Curve:
    """The reward of an episode by the tools: from lifted scenes, in order of time.

    Args:
        scenes: with a gripper (role "gripper"); one camera that stands still.
        goal: see `calipers.reward.parse`.

    Raises:
        Skip: ``not_measured``, when no frame tells how much is left.
    """
    measurer = Measurer(goal)
    return from_measures(goal, [measurer.see(scene) for scene in scenes])


def from_measures(goal: Goal, found: Sequence[Measures], model: Sequence[float] = ()) -> Curve:
    """The reward of an episode of N frames.

    Args:
        goal: what is rewarded.
        found: by the tools, a frame each; empty where only a model was asked.
        model: (N,) the way that is left as a model says it, metres, NaN for no answer; it fills in
            what the tools do not tell, see `joined`.

    Whether the goal is reached is told by `holds`, and by `said_there` where that tells nothing and
    a model was asked.

    Raises:
        Skip: ``not_measured``.
    """
    told = np.array([left(goal.relation, one) for one in found], dtype=np.float64)
    if len(model):
        told = joined(told, np.asarray(model, dtype=np.float64))
    relation, detector = goal.relation, Detector(goal.relation)
    frames = zip(found or [Measures()] * len(told), told.tolist())
    reached = [detector.see(_there(relation, *f), _there(relation, *f, loose=True)) for f in frames]
    return Curve(goal, told, rewards(told), np.array(reached, dtype=np.bool_))


def _there(relation: Relation, found: Measures, left_m: float, loose: bool = False) -> bool | None:
    told = holds(relation, found, loose)
    return said_there(relation, left_m, loose) if told is None else told


def said_there(relation: Relation, left_m: float, loose: bool = False) -> bool | None:
    """Whether a goal is reached by the way that a model says is left; None for what it cannot tell.

    A model is asked distances alone: whether a thing was let go they do not tell.

    >>> said_there("in", 0.02), said_there("in", 0.03), said_there("in", 0.03, loose=True)
    (True, False, True)
    >>> said_there("left", 0.0) is None
    True
    """
    if np.isnan(left_m) or relation in SIDES:
        return None
    return left_m <= THERE_M + (SLACK_M if loose else 0.0)


def joined(tools: Doubles, model: Doubles) -> Doubles:
    """What tools measured, and where they did not what a model says, (N,) metres.

    A model is shifted by the median of how far it is off where both speak.

    >>> nan = float("nan")
    >>> joined(np.array([1.0, nan, 0.8]), np.array([1.2, 1.1, 1.0])).round(2).tolist()
    [1.0, 0.9, 0.8]
    """
    if not len(tools):
        return model
    if tools.shape != model.shape:
        raise DataError(f"wanted {len(tools)} answers of a model, got {len(model)}")
    both = np.isfinite(tools) & np.isfinite(model)
    shift = float(np.median((tools - model)[both])) if both.any() else 0.0
    return np.where(np.isfinite(tools), tools, np.maximum(model + shift, 0))


def rewards(left_m: Doubles) -> Doubles:
    """(N,) rewards of (N,) ways that are left: filled in, smoothed over three frames.

    Raises:
        Skip: ``not_measured``, when all are NaN.

    >>> rewards(np.array([0.2, np.nan, 0.2])).round(3).tolist()
    [0.368, 0.368, 0.368]
    """
    known = np.flatnonzero(np.isfinite(left_m))
    if not len(known):
        raise Skip("not_measured", "no frame tells how much is left to go")
    filled = np.interp(np.arange(len(left_m)), known, left_m[known])
    padded = np.pad(filled, 1, mode="edge")
    return np.exp(-np.convolve(padded, _WEIGHTS, "valid") / SCALE_M)
