"""Follow a thing that keeps its shape through partial views: its cloud, laid on what is seen now.

A thing behind the hand that reaches for it shows a part of itself, and the box of that part jumps.
Here the cloud of its best view is moved by the iterative closest point method (Besl and McKay, "A
Method for Registration of 3-D Shapes", 1992), each point that is seen now to its nearest of the
cloud, so that what is hidden now pulls at nothing; the farthest fifth is left out. Along an axis
on which no end is seen (the middle of a tube) the place is only as good as the one before.

A depth camera loses thin parts, fingers say, now and then. Of what turns, the cloud therefore grows
by what other views show of it, or a view without the fingers would stand for the whole hand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from calipers.types import Doubles

BETTER = 1.15
"""A view with so many times the pixels of the best so far takes its place,"""
MOVED_M = 0.02
"""of a thing with a box as long as it has not moved by more than this: in the air nobody knows
where it ends below."""
NEW_M, NEAR_M = 0.004, 0.03
"""What is farther than this from a cloud is new to it, and farther than that no part of it;"""
FITS_M = 0.006
"""added when four fifths of what is seen are nearer than this to the cloud."""
BADLY_M = 0.004
"""A mean distance beyond this is of points laid badly; then they are laid anew from places"""
TRIED_M = 0.02
"""so far to each side."""
_ROUNDS, _KEPT, _STILL_M, _LEAST = 25, 0.8, 1e-4, 12


class Pose(NamedTuple):
    """A turn (3, 3) and a shift (3,) from the place of the best view, camera frame, metres."""

    turn: Doubles
    shift: Doubles

    def __call__(self, points: Doubles) -> Doubles:
        """(..., 3) points of the best view, where they are now."""
        return np.asarray(points @ self.turn.T + self.shift)


STILL = Pose(np.eye(3), np.zeros(3))


class Follower:
    """Follows one thing.

    Args:
        turns: whether it turns too, as a hand does; else it only shifts.

    Attributes:
        cloud: (N, 3) of the best view so far, camera frame; None before the first.
        pose: from there to where it is now.
        fresh: whether the last view became the best one.
    """

    def __init__(self, turns: bool) -> None:
        self.turns = turns
        self.cloud: Doubles | None = None
        self.pose = STILL
        self.fresh = False
        self._pixels = 0
        self._tree: cKDTree | None = None

    def see(self, cloud: Doubles, pixels: int) -> Pose:
        """Lay the thing on a cloud (M, 3) that is seen now, over so many pixels."""
        self.fresh = self.cloud is None or self._better(pixels)
        known = self.cloud is not None and len(cloud) >= _LEAST
        if known and (self.turns or not self.fresh):
            self.pose = self._laid(cloud)
        if self.fresh:
            missed = self._missed(cloud) if known and self.turns else cloud[:0]
            self._take(np.concatenate((cloud, missed)))
            self._pixels, self.pose = pixels, STILL
        elif known and self.turns:
            self._grow(cloud)
        return self.pose

    def _take(self, cloud: Doubles) -> None:
        self.cloud, self._tree = cloud, cKDTree(cloud)

    def _grow(self, seen: Doubles) -> None:
        """Add what a view that fits shows beyond the cloud."""
        assert self.cloud is not None
        back, away = self._from(seen)
        new = back[(away > NEW_M) & (away < NEAR_M)]
        if len(new) and _fits(away):
            self._take(np.concatenate((self.cloud, new)))

    def _missed(self, seen: Doubles) -> Doubles:
        """What the cloud has beyond a view that fits, where it is now."""
        now = self.now()
        away = cKDTree(seen).query(now)[0]
        new = (away > NEW_M) & (away < NEAR_M) & _fits(self._from(seen)[1])
        return np.asarray(now[new])

    def _from(self, seen: Doubles) -> tuple[Doubles, Doubles]:
        """Points that are seen now, at the place of the cloud, and how far each is from it."""
        assert self._tree is not None
        back = (seen - self.pose.shift) @ self.pose.turn
        return back, self._tree.query(back)[0]

    def _better(self, pixels: int) -> bool:
        assert self.cloud is not None
        moved = float(np.linalg.norm(self.now().mean(axis=0) - self.cloud.mean(axis=0)))
        return pixels > BETTER * self._pixels and (self.turns or moved < MOVED_M)

    def now(self) -> Doubles:
        """(N, 3) the whole cloud where it is now."""
        assert self.cloud is not None
        return self.pose(self.cloud)

    def _laid(self, seen: Doubles) -> Pose:
        """The best of going on from where it was and from where its middle would have it; where
        that fits badly, from places all around."""
        assert self.cloud is not None
        turn, shift = self.pose
        ahead = seen.mean(axis=0) - self.now().mean(axis=0)
        best = min(
            (self._refined(Pose(turn, shift + by), seen) for by in (0 * ahead, ahead)), key=_off
        )
        if self.turns and best[1] > BADLY_M:
            around = TRIED_M * np.concatenate((np.eye(3), -np.eye(3)))
            others = (self._refined(Pose(turn, shift + by), seen) for by in around)
            best = min((best, *others), key=_off)
        return best[0]

    def _refined(self, pose: Pose, seen: Doubles) -> tuple[Pose, float]:
        assert self._tree is not None
        assert self.cloud is not None
        cut = 0.0
        for _ in range(_ROUNDS):
            back = (seen - pose.shift) @ pose.turn
            away, nearest = self._tree.query(back)
            kept = away <= np.quantile(away, _KEPT)
            moved = _fitted(self.cloud[nearest[kept]], seen[kept], pose.turn, self.turns)
            step = float(np.linalg.norm(moved.shift - pose.shift))
            pose, cut = moved, float(away[kept].mean())
            if step < _STILL_M:
                break
        return pose, cut


def _off(laid: tuple[Pose, float]) -> float:
    return laid[1]


def _fits(away: Doubles) -> bool:
    return bool(np.quantile(away, _KEPT) < FITS_M)


def _fitted(source: Doubles, goal: Doubles, turn: Doubles, turns: bool) -> Pose:
    """The rigid motion that takes points to points with the least squares (Kabsch, 1976)."""
    a, b = source.mean(axis=0), goal.mean(axis=0)
    if turns:
        left, _, right = np.linalg.svd((source - a).T @ (goal - b))
        flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(right.T @ left.T))])
        turn = right.T @ flip @ left.T
    return Pose(turn, b - turn @ a)
