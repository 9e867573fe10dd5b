"""Colours of a cast frame: surface colour and pattern, two lamps, shadows of the first lamp."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from calipers.samples.casting import Caster
from calipers.samples.solids import Part, Pattern, normals
from calipers.types import Doubles

AMBIENT = 0.38
LAMP_SHARES = (0.55, 0.30)
GRAIN = 1.5  # standard deviation of the picture's noise, of 255
_GAMMA = (255 * np.linspace(0, 1, 1024) ** (1 / 1.25)).astype(np.float32)


def shade(
    caster: Caster,
    ids: NDArray[np.int32],
    points: Doubles,
    lamps: Doubles,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """(N, 3) colours of (N, 3) world points seen on parts ``ids`` (-1: nothing, black)."""
    order = np.argsort(ids, kind="stable")
    points = points[order]
    edges = np.searchsorted(ids[order], np.arange(len(caster.parts) + 1))
    colour = np.zeros((len(ids), 3), dtype=np.float32)
    facing = np.zeros((len(ids), 3))
    for part, start, end in zip(caster.parts, edges, edges[1:], strict=False):
        if end > start:
            local = (points[start:end] - part.at) @ part.turn
            around = normals(part.shape, part.size, local)
            colour[start:end] = _paint(part, local, around)
            facing[start:end] = around @ part.turn.T
    light = AMBIENT + _lamp_light(caster, points, facing, lamps)
    colour *= light[:, None].astype(np.float32) * (len(_GAMMA) - 1)
    image = np.empty_like(colour)
    image[order] = _GAMMA[np.clip(colour, 0, len(_GAMMA) - 1).astype(np.int16)]
    image += GRAIN * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def _lamp_light(caster: Caster, points: Doubles, facing: Doubles, lamps: Doubles) -> Doubles:
    total = np.zeros(len(points))
    for number, (lamp, share) in enumerate(zip(lamps, LAMP_SHARES, strict=True)):
        ray = points - lamp
        length = np.sqrt(np.einsum("ij,ij->i", ray, ray))
        lit = share * np.maximum(-np.einsum("ij,ij->i", ray, facing) / length, 0)
        lit[np.isnan(lit)] = 0
        if number == 0:
            rows = np.flatnonzero(lit > 0.01)
            _, reached = caster.cast(lamp, ray[rows])
            shadowed = rows[reached * length[rows] < length[rows] - 0.004]
            lit[shadowed] *= 0.25
        total += lit
    return total


def _paint(part: Part, local: Doubles, around: Doubles) -> Doubles:
    rgb = np.array(part.paint.rgb)
    tone = _PATTERNS[part.paint.pattern](local / part.paint.period_m, around)
    return np.asarray(rgb * tone[:, None])


def _plain(p: Doubles, around: Doubles) -> Doubles:
    return np.ones(len(p))


def _wood(p: Doubles, around: Doubles) -> Doubles:
    rings = np.sin(2 * np.pi * (p[:, 0] + 0.35 * np.sin(1.7 * p[:, 1] + 0.8 * p[:, 2])))
    planks = np.floor(p[:, 0] / 2).astype(int) % 5
    return np.asarray(1 + 0.07 * rings + 0.03 * (planks - 2))


def _checker(p: Doubles, around: Doubles) -> Doubles:
    flat = np.where(np.abs(around) > 0.7, 0, np.floor(p + 1e-6))
    return np.asarray(1 - 0.45 * (flat.sum(axis=1) % 2))


def _tiles(p: Doubles, around: Doubles) -> Doubles:
    joint = np.abs(p[:, :2] - np.round(p[:, :2])).min(axis=1) < 0.012
    return np.asarray(np.where(joint, 0.65, 1.0))


_PATTERNS: dict[Pattern, Callable[[Doubles, Doubles], Doubles]] = {
    "plain": _plain,
    "wood": _wood,
    "checker": _checker,
    "tiles": _tiles,
}
