"""Masks for boxes that came without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calipers.stages.filling import Ask, Outcome, take, wanted_shape
from calipers.stages.propose import Encode
from calipers.types import Bools, Floats, Frame, FrameObject


def boxes_of(objects: Sequence[FrameObject]) -> Floats:
    """(N, 4) float32 x1 y1 x2 y2 of objects, pixels."""
    boxes = [(x, y, x + w, y + h) for x, y, w, h in (item.bbox_xywh for item in objects)]
    return np.array(boxes, dtype=np.float32).reshape(-1, 4)


def segment(frames: Sequence[Frame], ask: Ask, encode: Encode) -> list[Outcome]:
    """Give every object without a mask the one found in its box; an empty one stays away."""
    todo = [[o for o in frame.objects or () if o.rle is None] for frame in frames]
    open_objects = dict(zip(map(id, frames), todo))

    def use(frame: Frame, masks: Bools) -> None:
        objects = open_objects[id(frame)]
        wanted_shape("masks", masks.shape, (len(objects), frame.height, frame.width))
        for item, mask in zip(objects, masks):
            item.rle = encode(mask) if mask.any() else None
        frame.filled["masks"] = {"expert": ask.signature}

    return take(frames, ask(frames, [boxes_of(objects) for objects in todo]), use)
