"""Which object of a scene a phrase means, and where it is in the scenes that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from calipers.errors import Skip
from calipers.questions.robot import GRIPPER, is_flat
from calipers.reward.goals import Choice, Phrase
from calipers.types import Doubles, Scene, SceneObject

THICKER = 2.0
"""Of things that all seem flat one is real that is so many times as thick as any other."""
LOOKS = 5
"""Which is the tallest or largest is told by the median of so many looks at all of them."""
_SIZES: tuple[Choice, ...] = ("shortest", "tallest", "smallest", "largest")
JUMP_M = 0.25
"""While one of several alike is hidden, what is farther from where one was is taken for another."""


def find(scene: Scene, phrase: Phrase) -> int:
    """The position of the object that a phrase means.

    Raises:
        Skip: ``not_found``, or ``ambiguous`` where several are meant.
    """
    group = alike(scene, phrase.noun)
    if not group:
        raise Skip("not_found", f"{scene.id}: no object is called {phrase.noun!r}")
    if phrase.choice is not None:
        return _chosen(scene, group, phrase)
    if len(group) > 1:
        raise Skip("ambiguous", f"{scene.id}: {len(group)} objects are called {phrase.noun!r}")
    return group[0]


def alike(scene: Scene, noun: str) -> list[int]:
    """Objects with a place in 3D whose caption is a noun, or has all its words and ends alike.

    An exact caption goes before one that only has the words.
    """
    wanted = noun.lower().split()
    things = [k for k, item in enumerate(scene.objects) if item.lifted and item.role is None]
    words = {k: scene.objects[k].caption.lower().split() for k in things}
    exact = [k for k in things if words[k] == wanted]
    if exact:
        return exact
    return [k for k in things if words[k][-1:] == wanted[-1:] and {*wanted} <= {*words[k]}]


def gripper(scene: Scene) -> int | None:
    """The position of the gripper; None where it is not seen or has no place in 3D."""
    found = [k for k, item in enumerate(scene.objects) if item.role == GRIPPER and item.lifted]
    return found[0] if len(found) == 1 else None


def _across(item: SceneObject) -> float:
    assert item.center_camera is not None
    return float(item.center_camera[0])


def _deep(item: SceneObject) -> float:
    assert item.center_camera is not None
    return float(item.center_camera[2])


def _tall(item: SceneObject) -> float:
    size = item.size_camera if item.size_level is None else item.size_level
    assert size is not None
    return float(-size[1] if item.size_level is None else size[2])


def _large(item: SceneObject) -> float:
    assert item.size_camera is not None
    return float(np.prod(item.size_camera.astype(np.float64)))


_RANKS: Mapping[Choice, tuple[Callable[[SceneObject], float], int]] = {
    "leftmost": (_across, 0), "rightmost": (_across, -1),
    "nearest": (_deep, 0), "farthest": (_deep, -1),
    "shortest": (_tall, 0), "tallest": (_tall, -1),
    "smallest": (_large, 0), "largest": (_large, -1),
}  # fmt: skip


def _chosen(scene: Scene, group: Sequence[int], phrase: Phrase) -> int:
    assert phrase.choice is not None
    if phrase.choice == "real":
        return _real(scene, group, phrase)
    if phrase.choice == "middle":
        if len(group) % 2 == 0:
            raise Skip("ambiguous", f"{scene.id}: none of {len(group)} is the middle one")
        return sorted(group, key=lambda k: _across(scene.objects[k]))[len(group) // 2]
    measure, rank = _RANKS[phrase.choice]
    return sorted(group, key=lambda k: measure(scene.objects[k]))[rank]


def _real(scene: Scene, group: Sequence[int], phrase: Phrase) -> int:
    """The one that is not flat; where all seem flat from afar, the one that is clearly thicker.

    A flat one alone is not the real one: that may be out of sight.
    """
    solid = [k for k in group if not is_flat(scene.objects[k])]
    if len(solid) == 1:
        return solid[0]
    thick = {k: _thickness(scene.objects[k]) for k in group}
    first, *others = sorted(group, key=lambda k: -thick[k])
    if solid or not others or any(thick[first] < THICKER * thick[k] for k in others):
        raise Skip("ambiguous", f"{scene.id}: {len(solid)} of {phrase.noun!r} are solid")
    return first


def _thickness(item: SceneObject) -> float:
    """The standard deviation of its points off the plane that fits them best, metres."""
    points = item.points().astype(np.float64)
    singular = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return float(singular[2] / np.sqrt(len(points)))


class Tracker:
    """Finds a thing once by its phrase, and from then on by where it was.

    All that are called alike are followed together, each where it was last seen, so that one that
    is hidden for a while is not taken for its neighbour. The camera stands still.

    Args:
        phrase: what is looked for.

    Attributes:
        mine: which of them is meant; may change in the first `LOOKS` scenes, -1 before the first.
    """

    def __init__(self, phrase: Phrase) -> None:
        self.phrase = phrase
        self.mine = -1
        self._places: Doubles | None = None
        self._measured: list[list[float]] = []

    def see(self, scene: Scene) -> int | None:
        """Where it is in a scene; None where it is not seen, or not yet clear which is meant."""
        group = alike(scene, self.phrase.noun)
        if self._places is None:
            return self._begin(scene, group)
        if not group:
            return None
        seen = np.array([scene.objects[k].center_camera for k in group], dtype=np.float64)
        away = np.linalg.norm(self._places[:, None] - seen[None], axis=2)
        tracks, found = linear_sum_assignment(np.minimum(away, 4 * JUMP_M))
        most = JUMP_M if len(group) < len(self._places) else np.inf
        now: dict[int, int] = {}
        for track, k in zip(tracks.tolist(), found.tolist()):
            if away[track, k] <= most:
                self._places[track] = seen[k]
                now[track] = group[k]
        if len(now) == len(self._places) and len(self._measured) < LOOKS:
            self._measure([scene.objects[now[track]] for track in range(len(now))])
        return now.get(self.mine)

    def _measure(self, things: Sequence[SceneObject]) -> None:
        """Look at all that are called alike, in the order of their tracks, and choose again."""
        choice = self.phrase.choice
        if choice is not None and choice in _SIZES:
            measure, rank = _RANKS[choice]
            self._measured.append([measure(item) for item in things])
            self.mine = int(np.argsort(np.median(self._measured, axis=0))[rank])

    def _begin(self, scene: Scene, group: Sequence[int]) -> int | None:
        try:
            found = find(scene, self.phrase)
        except Skip:
            return None
        places = [scene.objects[k].center_camera for k in group]
        self._places, self.mine = np.array(places, dtype=np.float64), list(group).index(found)
        self._measure([scene.objects[k] for k in group])
        return group[self.mine]
