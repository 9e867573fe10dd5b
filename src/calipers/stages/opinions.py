"""Which way is down, when several tell: experts, and the plane found in the depth.

Two opinions support each other when they differ by at most `AGREE_DEG`. The opinion whose
supporters, itself included, have most confidence together is taken (the surest, when equal), and
its own confidence is multiplied by their share of all confidence: alone against one as sure as
itself, it is halved. Below the least confidence of `calipers.stages.gravity` the frame stays
without gravity and its scene has no level frame. What everybody said is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from calipers.experts.base import DepthMap, Gravity
from calipers.geometry.plane import find_planes, local_planes
from calipers.stages.filling import Ask, Outcome, take
from calipers.stages.gravity import LEAST_CONFIDENCE, find_level
from calipers.types import Floats, Frame

AGREE_DEG = 10.0
DEPTH_PLANE = "depth_plane"
IN_DOUBT = "in_doubt"


def fill_gravity(frames: Sequence[Frame], experts: Mapping[str, tuple[Ask, bool]]) -> list[Outcome]:
    """Ask all experts (name → expert, and whether it wants the depth) and settle on a direction.

    An expert that fails on a frame has no opinion there; the others decide.
    """
    cameras = [frame.camera for frame in frames]
    depths = [_depth_map(frame) for frame in frames]
    nothing = [None for _ in frames]
    told = {
        name: ask(frames, cameras, depths if wants_depth else nothing)
        for name, (ask, wants_depth) in experts.items()
    }
    signatures = {name: ask.signature for name, (ask, _) in experts.items()}
    rows = [{name: answers[i] for name, answers in told.items()} for i in range(len(frames))]

    def use(frame: Frame, answers: Mapping[str, Any]) -> None:
        opinions = {n: a for n, a in answers.items() if isinstance(a, Gravity)}
        _settle(frame, _with_plane(frame, opinions), signatures)

    return take(frames, rows, use)


def _depth_map(frame: Frame) -> DepthMap | None:
    return None if frame.depth_m is None else DepthMap(frame.depth_m, None, frame.normals)


def _with_plane(frame: Frame, opinions: dict[str, Gravity]) -> dict[str, Gravity]:
    if frame.depth_m is not None and frame.camera is not None:
        blocks = local_planes(frame.depth_m, frame.camera)
        level = find_level(blocks, find_planes(blocks))
        if level is not None:
            plane = Gravity(level.gravity.astype(np.float32), level.confidence)
            return opinions | {DEPTH_PLANE: plane}
    return opinions


def _settle(frame: Frame, opinions: Mapping[str, Gravity], signatures: Mapping[str, str]) -> None:
    best = settle(opinions)
    if best is None:
        frame.gravity_source = IN_DOUBT
        return
    name, confidence = best
    down = opinions[name].down
    told = {other: _as_told(opinion, down) for other, opinion in opinions.items()}
    frame.filled["gravity"] = {"expert": signatures.get(name, name), "opinions": told}
    sure = confidence >= LEAST_CONFIDENCE
    frame.gravity = down if sure else None
    frame.gravity_source = name if sure else IN_DOUBT
    frame.gravity_confidence = confidence


def _as_told(opinion: Gravity, down: Floats) -> dict[str, float]:
    off = round(angle_deg(down, opinion.down), 2)
    return {"degrees_off": off, "confidence": round(float(opinion.confidence), 4)}


def settle(opinions: Mapping[str, Gravity]) -> tuple[str, float] | None:
    """Choose among opinions: whose, and with what confidence; None when nobody has one.

    >>> down, left = np.float32([0, 1, 0]), np.float32([1, 0, 0])
    >>> settle({"a": Gravity(left, 0.5), "b": Gravity(down, 0.25), "c": Gravity(down, 0.75)})
    ('c', 0.5)
    """
    names = list(opinions)
    total = sum(opinion.confidence for opinion in opinions.values())
    if total <= 0:
        return None
    support = {name: sum(_supporters(opinions, name)) for name in names}
    best = max(names, key=lambda name: (round(support[name], 9), opinions[name].confidence))
    return best, opinions[best].confidence * (support[best] / total)


def _supporters(opinions: Mapping[str, Gravity], name: str) -> Sequence[float]:
    down = opinions[name].down
    return [o.confidence for o in opinions.values() if angle_deg(o.down, down) <= AGREE_DEG]


def angle_deg(a: Floats, b: Floats) -> float:
    """The angle between two unit vectors, degrees; exact also when it is small."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))
