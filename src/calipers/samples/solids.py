"""Primitive solids of simulated scenes: their extent, their surface and their normals, exactly.

Sizes are MuJoCo's half sizes: box (x, y, z), sphere (r), capsule and cylinder (r, half length along
local z, without a capsule's caps), ellipsoid (x, y, z). All lengths are metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from calipers.types import Doubles

Shape = Literal["box", "sphere", "capsule", "cylinder", "ellipsoid"]
Pattern = Literal["plain", "wood", "checker", "tiles"]
Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Paint:
    """A colour in 0..1, and the pattern drawn with it; ``period_m`` is the pattern's length."""

    rgb: Rgb
    pattern: Pattern = "plain"
    period_m: float = 0.1


GREY = Paint((0.5, 0.5, 0.5))


@dataclass(frozen=True, slots=True)
class Part:
    """One primitive: where it is (``at``), how it is turned (``turn``), how large it is."""

    shape: Shape
    size: tuple[float, float, float]
    at: Doubles
    turn: Doubles = field(default_factory=lambda: np.eye(3))
    paint: Paint = GREY

    def moved(self, turn: Doubles, at: Doubles) -> Part:
        """The part after ``x -> turn @ x + at``."""
        return replace(self, turn=turn @ self.turn, at=turn @ self.at + at)

    def reach(self, directions: Doubles) -> Doubles:
        """How far the part goes from its centre along each unit row of (N, 3) ``directions``.

        >>> float(Part("sphere", (0.1, 0, 0), np.zeros(3)).reach(np.eye(3))[2])
        0.1
        """
        local = np.abs(directions @ self.turn)
        a, b, _ = self.size
        if self.shape == "box":
            return np.asarray(local @ np.array(self.size))
        if self.shape == "ellipsoid":
            return np.asarray(np.linalg.norm(local * np.array(self.size), axis=1))
        if self.shape == "sphere":
            return np.full(len(local), a)
        if self.shape == "capsule":
            return np.asarray(local[:, 2] * b + a)
        return np.asarray(local[:, 2] * b + a * np.hypot(local[:, 0], local[:, 1]))

    def area(self) -> float:
        """Surface, square metres (ellipsoid: Knud Thomsen's formula, within 1.1 %)."""
        a, b, c = self.size
        if self.shape == "box":
            return 8 * (a * b + b * c + c * a)
        if self.shape == "ellipsoid":
            p = 1.6075
            mean = ((a * b) ** p + (a * c) ** p + (b * c) ** p) / 3
            return float(4 * np.pi * mean ** (1 / p))
        if self.shape == "sphere":
            return 4 * np.pi * a * a
        if self.shape == "capsule":
            return 4 * np.pi * a * (a + b)
        return 2 * np.pi * a * (a + 2 * b)

    def surface(self, count: int, rng: np.random.Generator) -> Doubles:
        """(count, 3) points spread over the surface, in the frame of ``at`` and ``turn``."""
        return np.asarray(self._local_surface(count, rng) @ self.turn.T + self.at)

    def _local_surface(self, count: int, rng: np.random.Generator) -> Doubles:
        a, b, _ = self.size
        if self.shape == "box":
            return _on_box(np.array(self.size), count, rng)
        ball = rng.normal(size=(count, 3))
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        if self.shape in ("sphere", "ellipsoid"):
            return np.asarray(ball * (a if self.shape == "sphere" else np.array(self.size)))
        if self.shape == "capsule":
            side = rng.random(count) * (a + b) < b
            ring = ball * [1, 1, 0] / np.linalg.norm(ball[:, :2], axis=1, keepdims=True)
            ring[:, 2] = rng.uniform(-b, b, count) / a
            caps = ball + np.sign(ball[:, 2:]) * [0, 0, b / a]
            return np.asarray(a * np.where(side[:, None], ring, caps))
        return _on_cylinder(a, b, count, rng)


def _on_box(half: Doubles, count: int, rng: np.random.Generator) -> Doubles:
    points = rng.uniform(-1, 1, (count, 3))
    faces = half.prod() / half
    axis = rng.choice(3, count, p=faces / faces.sum())
    rows = np.arange(count)
    points[rows, axis] = np.sign(points[rows, axis])
    return np.asarray(points * half)


def _on_cylinder(radius: float, half: float, count: int, rng: np.random.Generator) -> Doubles:
    angle = rng.uniform(0, 2 * np.pi, count)
    side = rng.random(count) * (radius + 2 * half) < 2 * half
    r = np.where(side, radius, radius * np.sqrt(rng.random(count)))
    z = np.where(side, rng.uniform(-half, half, count), half * rng.choice([-1, 1], count))
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], axis=1)


def bounds(parts: Sequence[Part], axes: Doubles) -> tuple[Doubles, Doubles]:
    """Exact lowest and highest coordinate of ``parts`` along each unit row of (3, 3) ``axes``."""
    reach = np.stack([part.reach(axes) for part in parts])
    centre = np.stack([part.at for part in parts]) @ axes.T
    return (centre - reach).min(axis=0), (centre + reach).max(axis=0)


def surface(parts: Sequence[Part], count: int, rng: np.random.Generator) -> Doubles:
    """(about ``count``, 3) points over all parts, in proportion to their surfaces."""
    areas = np.array([part.area() for part in parts])
    shares = np.maximum(8, np.round(count * areas / areas.sum())).astype(int)
    return np.concatenate([p.surface(int(n), rng) for p, n in zip(parts, shares, strict=True)])


def normals(shape: Shape, size: tuple[float, float, float], local: Doubles) -> Doubles:
    """(N, 3) outward unit normals at (N, 3) points on the surface of a solid, its own frame."""
    a, b, _ = size
    if shape == "box":
        out = np.zeros_like(local)
        axis = np.argmax(np.abs(local) / np.array(size), axis=1)
        rows = np.arange(len(local))
        out[rows, axis] = np.sign(local[rows, axis])
        return out
    if shape == "cylinder":
        top = np.abs(local[:, 2]) > b - 1e-6
        out = np.where(top[:, None], local * [0, 0, 1], local * [1, 1, 0])
    elif shape == "capsule":
        out = local - np.clip(local, [0, 0, -b], [0, 0, b])
    else:
        out = local / (np.array(size) ** 2 if shape == "ellipsoid" else a)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))


def rotation(axis: Sequence[float], angle: float) -> Doubles:
    """The 3x3 rotation by ``angle`` radians about ``axis`` (Rodrigues' formula)."""
    x, y, z = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def block(size: Sequence[float], at: Sequence[float] | Doubles, paint: Paint) -> Part:
    """A box of full ``size`` with its centre at ``at``."""
    half = (size[0] / 2, size[1] / 2, size[2] / 2)
    return Part("box", half, np.array(at, dtype=float), paint=paint)


def post(radius: float, height: float, at: Sequence[float], paint: Paint) -> Part:
    """A standing cylinder whose lowest point is at ``at``."""
    middle = np.array([at[0], at[1], at[2] + height / 2])
    return Part("cylinder", (radius, height / 2, 0.0), middle, paint=paint)


def ball(radii: Sequence[float], at: Sequence[float], paint: Paint) -> Part:
    """A sphere (one radius) or an ellipsoid (three) around ``at``."""
    if len(radii) == 1:
        return Part("sphere", (radii[0], 0.0, 0.0), np.array(at, dtype=float), paint=paint)
    size = (radii[0], radii[1], radii[2])
    return Part("ellipsoid", size, np.array(at, dtype=float), paint=paint)


def rod(start: Sequence[float], end: Sequence[float], radius: float, paint: Paint) -> Part:
    """A capsule whose caps are centred on ``start`` and ``end``."""
    a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    length = float(np.linalg.norm(b - a))
    return Part("capsule", (radius, length / 2, 0.0), (a + b) / 2, _turn_z_to(b - a), paint)


def _turn_z_to(direction: Doubles) -> Doubles:
    z = direction / np.linalg.norm(direction)
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)
