"""How far a scene is from a goal, in metres: from the gripper to the target, and to where it goes.

Lengths are of boxes in the level frame (x to the viewer's right, y away from them, z up from what
carries everything), so gravity or a support surface must be known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from calipers.geometry.frames import level_from_camera
from calipers.geometry.outline import beyond, outline
from calipers.geometry.relations import LEAST_DOUBT_M, TOUCHING_M
from calipers.questions.robot import RobotView
from calipers.reward import finding
from calipers.reward.following import Follower
from calipers.reward.goals import Goal, Phrase, Relation
from calipers.types import Doubles, Scene, SceneObject

LIFT_M = 0.05
"""What is to be lifted is to be this high above what carries everything."""
BESIDE_M, AWAY_M, SIDE_M = 0.05, 0.20, 0.15
"""Next to something is nearer than this to it, away from it farther; left, right, in front of and
behind it not farther than the last."""
ON_M = 0.02
"""What is on something has its underside as near as this to the other's top, and its middle not
farther than this beyond: what was let go there can lie on nothing else, a camera's noise shifts a
thing that is followed by up to 15 mm, and of what carries it a part is hidden."""
PIXELS, EXACT_M = 2, 1e-4
"""No gap is known better than so many pixels where depth has noise (of more than that at 1 m): a
camera loses the rim of either thing."""
STILL_M, ALIKE, MOST_VIEWS = 0.01, 0.8, 15
"""What has moved by less lies still; views with so large a part of the pixels of the best are as
good; so many are kept."""
TIP_M = 0.02
"""The lowest part of a gripper that stands for its fingertips."""


class Box(NamedTuple):
    """A box in the level frame, metres.

    Attributes:
        center, size: (..., 3) and (3,).
        outline: (K, 2) corners, from the middle, of what it holds when it is looked down on: a box
            lies along the viewing direction, and a thing that does not leaves its corners empty.
            None for all of the box.
    """

    center: Doubles
    size: Doubles
    outline: Doubles | None = None

    @classmethod
    def of(cls, item: SceneObject, level_from_camera: Doubles) -> Box | None:
        """The box of an object; None where it has none in the level frame."""
        if item.center_level is None or item.size_level is None:
            return None
        center, size = (v.astype(np.float64) for v in (item.center_level, item.size_level))
        around = item.points() @ level_from_camera[:3, :3].T + level_from_camera[:3, 3] - center
        return cls(center, size, outline(np.clip(around, -size / 2, size / 2)[:, :2]))


@dataclass(frozen=True, slots=True)
class Measures:
    """What a scene tells of a goal, metres; None for what it does not tell.

    Attributes:
        gap_m: between the surfaces of gripper and target.
        reach_m: from the fingertips to the middle of the target.
        bring_m: from where the target is to where it is to be; 0 when it is there.
        bottom_m: the target's underside above what carries everything.
        doubt_m: how well the gap is known.
    """

    gap_m: float | None = None
    reach_m: float | None = None
    bring_m: float | None = None
    bottom_m: float | None = None
    doubt_m: float = LEAST_DOUBT_M

    @property
    def told(self) -> bool:
        """Whether there is a number for the way that is left."""
        return self.reach_m is not None and self.bring_m is not None


def _beyond(a: Box, b: Box) -> Doubles:
    """(...,) metres, horizontal, from the middle of a to the outline of b; 0 inside."""
    if b.outline is not None:
        return beyond((a.center - b.center)[..., :2], b.outline)
    off = np.abs(a.center[..., :2] - b.center[..., :2]) - b.size[:2] / 2
    return np.asarray(np.linalg.norm(np.maximum(off, 0), axis=-1))


def _apart(a: Box, b: Box) -> Doubles:
    """(...,) metres between two boxes."""
    off = np.abs(a.center - b.center) - (a.size + b.size) / 2
    return np.asarray(np.linalg.norm(np.maximum(off, 0), axis=-1))


def _bottom(a: Box) -> Doubles:
    return np.asarray(a.center[..., 2] - a.size[2] / 2)


def _top(b: Box) -> Doubles:
    return np.asarray(b.center[..., 2] + b.size[2] / 2)


def _in(a: Box, b: Box) -> Doubles:
    return np.hypot(_beyond(a, b), np.maximum(_bottom(a) - _top(b) + 0.005, 0))


def _on(a: Box, b: Box) -> Doubles:
    beside, above = _beyond(a, b), np.abs(_bottom(a) - _top(b))
    return np.hypot(np.maximum(beside - ON_M, 0), np.maximum(above - ON_M, 0))


def _side(axis: int, sign: float) -> Callable[[Box, Box], Doubles]:
    """Beyond the reference along an axis, and not far from it."""

    def left_to_go(a: Box, b: Box) -> Doubles:
        ahead = sign * (a.center[..., axis] - b.center[..., axis])
        short = np.maximum((a.size[axis] + b.size[axis]) / 2 - ahead, 0)
        return np.asarray(np.hypot(short, np.maximum(_apart(a, b) - SIDE_M, 0)))

    return left_to_go


_BRING: Mapping[Relation, Callable[[Box, Box], Doubles]] = {
    "in": _in,
    "on": _on,
    "beside": lambda a, b: np.maximum(_apart(a, b) - BESIDE_M, 0),
    "away": lambda a, b: np.maximum(AWAY_M - _apart(a, b), 0),
    "left": _side(0, -1.0),
    "right": _side(0, 1.0),
    "front": _side(1, -1.0),
    "behind": _side(1, 1.0),
}


def bring(relation: Relation, target: Box, reference: Box | None) -> Doubles:
    """(...,) metres from where a target is to where a relation holds; 0 where it does.

    Args:
        relation: of a goal.
        target: its center may be many, (..., 3).
        reference: what it is to lie to; None for "touched" and "lifted".

    >>> cup = Box(np.array([[0.0, 0, 0.05], [0, 0, 0.5]]), np.array([0.06, 0.06, 0.1]))
    >>> bring("lifted", cup, None).round(2).tolist()
    [0.05, 0.0]
    >>> bowl = Box(np.array([0.3, 0, 0.04]), np.array([0.2, 0.2, 0.08]))
    >>> bring("in", cup, bowl).round(2).tolist()
    [0.2, 0.42]
    """
    if relation == "lifted":
        return np.maximum(LIFT_M - _bottom(target), 0)
    if reference is None:
        return np.zeros(target.center.shape[:-1])
    return _BRING[relation](target, reference)


class _Thing:
    """Something that is followed: which object it is, where it is, and its box.

    Args:
        phrase: what it is called; None for the gripper.
    """

    def __init__(self, phrase: Phrase | None) -> None:
        self._track = None if phrase is None else finding.Tracker(phrase)
        self._begin()

    def _begin(self) -> None:
        self.follower = Follower(turns=self._track is None)
        self._views: list[tuple[int, Box]] = []
        self._box: Box | None = None
        self._middle = np.zeros(3)

    def see(self, scene: Scene, level: Doubles | None) -> int | None:
        """The position of the object in a scene; None where it is not seen.

        Args:
            scene: the next one.
            level: (4, 4) level from camera coordinates; None without gravity.
        """
        if self._track is None:
            found = finding.gripper(scene)
        else:
            meant = self._track.mine
            found = self._track.see(scene)
            if self._track.mine != meant:
                self._begin()
        if found is None:
            return None
        item = scene.objects[found]
        before = self.middle() if self.known else None
        self.follower.see(item.points().astype(np.float64), item.pixels)
        if self.follower.fresh:
            self._middle = _middle(item) if self._track else fingertips(scene, found)
            if before is not None and np.linalg.norm(self._middle - before) > STILL_M:
                self._views.clear()
        if self._track and level is not None and np.linalg.norm(self.follower.pose.shift) < STILL_M:
            self._look(item, level)
        return found

    def _look(self, item: SceneObject, level: Doubles) -> None:
        """Let a view of the thing, where its best view was, speak for its box."""
        box = Box.of(item, level)
        if box is not None:
            self._views.append((item.pixels, box))
            self._views.sort(key=lambda view: -view[0])
            del self._views[MOST_VIEWS:]
            self._box = _typical(self._views)

    @property
    def known(self) -> bool:
        """Whether it was ever seen."""
        return self.follower.cloud is not None

    def middle(self) -> Doubles:
        """(3,) where its middle, or the gripper's fingertips, are now, camera frame."""
        return self.follower.pose(self._middle)

    def box(self, level_from_camera: Doubles | None) -> Box | None:
        """Its box now; None without a level frame."""
        if self._box is None or level_from_camera is None:
            return None
        moved = level_from_camera[:3, :3] @ (self.middle() - self._middle)
        return self._box._replace(center=self._box.center + moved)


class Measurer:
    """Measures scenes, one after another, against a goal; follows the things in between.

    What is hidden is where it was last, and a part of a thing stands for the whole.
    """

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self._target, self._hand = _Thing(goal.target), _Thing(None)
        self._reference = _Thing(goal.reference) if goal.reference else None

    def unseen(self) -> list[str]:
        """What was never seen."""
        things = (self.goal.target, self._target), (self.goal.reference, self._reference)
        missing = [str(phrase) for phrase, thing in things if thing and not thing.known]
        return missing if self._hand.known else [*missing, "the robot gripper"]

    def see(self, scene: Scene) -> Measures:
        """Measure the next scene."""
        down = scene.gravity
        level = None if down is None else level_from_camera(down, scene.support_plane)
        target, hand = self._target.see(scene, level), self._hand.see(scene, level)
        if self._reference is not None:
            self._reference.see(scene, level)
        if not self._target.known:
            return Measures()
        gap, reach = self._reach(scene, hand, target)
        far = float(self._target.middle()[2])
        noisy = scene.depth_stats["noise"] > EXACT_M
        doubt = noisy * PIXELS * far / min(scene.camera.fx, scene.camera.fy)
        box = self._target.box(level)
        reference = self._reference.box(level) if self._reference else None
        if box is None or (self._reference is not None and reference is None):
            touch = self.goal.relation == "touched"
            return Measures(gap, reach, 0.0 if touch else None, doubt_m=doubt)
        away = float(bring(self.goal.relation, box, reference))
        return Measures(gap, reach, away, float(_bottom(box)), doubt)

    def _reach(
        self, scene: Scene, hand: int | None, target: int | None
    ) -> tuple[float | None, float | None]:
        """The gap and the reach; None while the gripper is out of sight."""
        if hand is None:
            return None, None
        clouds = self._hand.follower.now(), self._target.follower.now()
        gap = float(cKDTree(clouds[0]).query(clouds[1])[0].min())
        if target is not None:
            gap = min(gap, RobotView(scene).gap(hand, target)[0])
        return gap, float(np.linalg.norm(self._hand.middle() - self._target.middle()))


def _typical(views: Sequence[tuple[int, Box]]) -> Box:
    """The box of a thing that lies still: the median of views, the best first, nearly as large as
    the best, for one view of a camera may be off by centimetres; the outline is the best view's."""
    best = views[0][1]
    some = [box for pixels, box in views if pixels >= ALIKE * views[0][0]]
    center, size = (np.median([box[k] for box in some], axis=0) for k in (0, 1))
    held = None if best.outline is None else np.clip(best.outline, -size[:2] / 2, size[:2] / 2)
    return Box(center, size, held)


def _middle(item: SceneObject) -> Doubles:
    assert item.center_camera is not None
    return item.center_camera.astype(np.float64)


def fingertips(scene: Scene, hand: int) -> Doubles:
    """(3,) the middle of the lowest `TIP_M` of a gripper, camera frame, metres."""
    points = scene.objects[hand].points().astype(np.float64)
    down = np.array([0.0, 1.0, 0.0]) if scene.gravity is None else scene.gravity.astype(float)
    depth = points @ down
    tips = points[depth > depth.max() - TIP_M]
    return np.asarray((tips.min(axis=0) + tips.max(axis=0)) / 2)


def holds(relation: Relation, found: Measures, loose: bool = False) -> bool | None:
    """Whether a goal is reached in one scene; None where that is not told.

    Touched: the surfaces touch, as far as can be told. Lifted: high enough, and the gripper is at
    it. All others: where it is to be, and let go of. `loose` asks whether it still is reached,
    which takes more to lose than to gain: what is in doubt changes nothing.
    """
    slack = 0.01 if loose else 0.0
    gap = found.gap_m
    if relation == "touched":
        return None if gap is None else gap <= TOUCHING_M + found.doubt_m + slack
    if found.bring_m is None:
        return None
    if relation == "lifted":
        near = gap is None or gap <= 2 * TOUCHING_M + slack
        return found.bring_m <= LIFT_M - 0.04 + slack and near
    apart = gap is None or gap > TOUCHING_M - slack
    return found.bring_m <= slack and apart
