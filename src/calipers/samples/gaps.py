"""Distances between groups of primitive solids, each with its own proof.

MuJoCo 3.3.7's mj_geomDistance is not used: between boxes metres apart it returned 0, and between
others up to 4 cm too much. Here the closest points of all pairs are found together by accelerated
projected gradient (Beck and Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm", 2009,
with O'Donoghue and Candès' restarts). Points inside two solids bound their distance from above; any
plane between them bounds it from below. A pair is done when the two bounds meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calipers.samples.solids import Part
from calipers.types import Bools, Doubles

CLOSE_M = 2e-5  # how near the two bounds must come
TOUCH_M = 2 * CLOSE_M  # what is nearer touches
ROUNDS, STEPS = 60, 25


@dataclass(slots=True)
class _Solids:
    """One side of N pairs: x = at + axes @ u with u in a box, a cylinder or the unit ball.

    Spheres and capsules are a point and a segment (boxes without volume) and a ``skin``.
    """

    at: Doubles
    axes: Doubles
    half: Doubles
    skin: Doubles
    cylinder: Bools
    ellipsoid: Bools

    @classmethod
    def of(cls, parts: Sequence[Part]) -> _Solids:
        """Pack parts; cylinders keep (radius, radius, half length) in ``half``."""
        rows = [_pack(part) for part in parts]
        return cls(
            at=np.stack([part.at for part in parts]),
            axes=np.stack([axes for axes, _, _ in rows]),
            half=np.array([half for _, half, _ in rows]),
            skin=np.array([skin for _, _, skin in rows]),
            cylinder=np.array([part.shape == "cylinder" for part in parts]),
            ellipsoid=np.array([part.shape == "ellipsoid" for part in parts]),
        )

    def take(self, rows: NDArray[np.int64]) -> _Solids:
        """These rows only, repeated as often as they are named."""
        return _Solids(
            self.at[rows],
            self.axes[rows],
            self.half[rows],
            self.skin[rows],
            self.cylinder[rows],
            self.ellipsoid[rows],
        )

    def points(self, u: Doubles) -> Doubles:
        """(N, 3) world points of (N, 3) own coordinates."""
        return np.asarray(self.at + np.einsum("nij,nj->ni", self.axes, u))

    def turn_back(self, vectors: Doubles) -> Doubles:
        """The gradient in own coordinates of one in the world, divided by its steepness."""
        steep = np.where(self.ellipsoid[:, None], (self.axes**2).sum(axis=1), 1.0)
        return np.asarray(
            np.einsum("nij,ni->nj", self.axes, vectors) / steep.max(axis=1, keepdims=True)
        )

    def clip(self, u: Doubles) -> Doubles:
        """The nearest own coordinates that are inside."""
        out = np.clip(u, -self.half, self.half)
        round_ = np.where(self.ellipsoid[:, None], [1, 1, 1], [1, 1, 0]) * u
        length = np.maximum(np.linalg.norm(round_, axis=1), 1e-12)
        curved = self.cylinder | self.ellipsoid
        shrink = np.minimum(1, self.half[:, 0] / length)[:, None]
        kept = np.where(self.ellipsoid[:, None], u * shrink, out)
        kept[self.cylinder, :2] = (u * shrink)[self.cylinder, :2]
        return np.where(curved[:, None], kept, out)

    def reach(self, directions: Doubles) -> Doubles:
        """How far each solid goes along its own (N, 3) unit direction, skin included."""
        local = np.abs(np.einsum("nij,ni->nj", self.axes, directions))
        flat = (local * self.half).sum(axis=1)
        can = self.half[:, 0] * np.hypot(local[:, 0], local[:, 1]) + self.half[:, 2] * local[:, 2]
        out = np.where(self.cylinder, can, flat)
        out = np.where(self.ellipsoid, np.linalg.norm(local, axis=1), out)
        return np.asarray(out + self.skin)


def _pack(part: Part) -> tuple[Doubles, tuple[float, float, float], float]:
    a, b, _ = part.size
    if part.shape == "box":
        return part.turn, part.size, 0.0
    if part.shape == "ellipsoid":
        return part.turn * np.array(part.size), (1.0, 1.0, 1.0), 0.0
    if part.shape == "cylinder":
        return part.turn, (a, a, b), 0.0
    return part.turn, (0.0, 0.0, b if part.shape == "capsule" else 0.0), a


def group_gaps(groups: Sequence[Sequence[Part]]) -> Doubles:
    """(N, N) smallest distances between N groups of solids, metres, within 0.02 mm; 0 under 0.04.

    >>> cubes = [[Part("box", (0.5, 0.5, 0.5), np.array([x, 0, 0]))] for x in (0.0, 1.25)]
    >>> round(float(group_gaps(cubes)[0, 1]), 4)
    0.25
    """
    count = len(groups)
    out = np.zeros((count, count))
    if count < 2:
        return out
    owner = np.repeat(np.arange(count), [len(group) for group in groups])
    solids = _Solids.of([part for group in groups for part in group])
    first, second = np.nonzero(owner[:, None] < owner[None])
    out_of = owner[first] * count + owner[second]
    best = _search(solids.take(first), solids.take(second), out_of, count * count)
    best = np.where(np.isfinite(best), best, 0).reshape(count, count)
    return np.asarray(best + best.T)


def _search(a: _Solids, b: _Solids, out_of: NDArray[np.int64], count: int) -> Doubles:
    """The least upper bound of each group pair, once no pair of its solids can be nearer."""
    least = np.full(count, np.inf)
    u, v = np.zeros_like(a.at), np.zeros_like(b.at)
    for _ in range(ROUNDS):
        upper, lower = _bounds(a, b, u, v)
        np.minimum.at(least, out_of, upper)
        keep = np.flatnonzero((lower < least[out_of] - CLOSE_M) & (least[out_of] > CLOSE_M))
        if not len(keep):
            break
        a, b, u, v, out_of = a.take(keep), b.take(keep), u[keep], v[keep], out_of[keep]
        u, v = _descend(a, b, u, v)
    least[least <= TOUCH_M] = 0
    return least


def _bounds(a: _Solids, b: _Solids, u: Doubles, v: Doubles) -> tuple[Doubles, Doubles]:
    apart = b.points(v) - a.points(u)
    length = np.linalg.norm(apart, axis=1)
    normal = apart / np.maximum(length, 1e-12)[:, None]
    lower = ((b.at - a.at) * normal).sum(axis=1) - a.reach(normal) - b.reach(-normal)
    return np.maximum(length - a.skin - b.skin, 0), lower


def _descend(a: _Solids, b: _Solids, u: Doubles, v: Doubles) -> tuple[Doubles, Doubles]:
    """A number of accelerated steps on the squared distance of all pairs."""
    speed = np.ones(len(u))
    ahead_u, ahead_v = u, v
    for _ in range(STEPS):
        apart = b.points(ahead_v) - a.points(ahead_u)
        new_u = a.clip(ahead_u + 0.5 * a.turn_back(apart))
        new_v = b.clip(ahead_v - 0.5 * b.turn_back(apart))
        uphill = ((ahead_u - new_u) * (new_u - u)).sum(axis=1)
        uphill += ((ahead_v - new_v) * (new_v - v)).sum(axis=1)
        speed = np.where(uphill > 0, 1.0, speed)
        faster = (1 + np.sqrt(1 + 4 * speed**2)) / 2
        push = ((speed - 1) / faster)[:, None]
        ahead_u, ahead_v = new_u + push * (new_u - u), new_v + push * (new_v - v)
        u, v, speed = new_u, new_v, faster
    return u, v
