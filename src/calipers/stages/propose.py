"""Boxes of objects in pictures that came without: what to look for, and which boxes to keep.

=====================  ======  ==================================================================
rule                   number  why
=====================  ======  ==================================================================
`NMS_IOU`              0.6     of two boxes that overlap more, the better scored stays, whatever
                               their phrases: "cup" and "mug" are one thing
`LEAST_SIDE_PX`        8       a smaller box holds too few depth readings to be measured
`LEAST_AREA`           0.0005  of the picture, for the same reason
`MOST_AREA`            0.8     of the picture; more is the room, not a thing in it
`MOST_BORDERS`         2       a box at three borders of the picture is cut off or background
`MOST_OBJECTS`         20      best scored first, so that later steps stay affordable
=====================  ======  ==================================================================

None of them is in the papers; they are choices of this project.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from calipers.errors import Skip
from calipers.experts.base import Proposal
from calipers.stages.captions import noun_phrases
from calipers.stages.filling import Ask, Outcome, take, wanted_shape
from calipers.types import Bools, Doubles, Frame, FrameObject, Rle

NMS_IOU = 0.6
LEAST_SIDE_PX = 8.0
LEAST_AREA = 0.0005
MOST_AREA = 0.8
MOST_BORDERS = 2
MOST_OBJECTS = 20
_AT_BORDER_PX = 1.0

Encode = Callable[[Bools], Rle]


def phrases_for(
    frames: Sequence[Frame], vocabulary: Sequence[str], tagger: Ask | None
) -> list[list[str] | Skip]:
    """What to look for in each picture: the vocabulary, else what tagger and caption name."""
    if vocabulary:
        return [list(vocabulary) for _ in frames]
    tags = [[] for _ in frames] if tagger is None else tagger(frames)
    found: list[list[str] | Skip] = []
    for frame, named in zip(frames, tags, strict=True):
        if isinstance(named, Skip):
            found.append(named)
            continue
        if tagger is not None:
            frame.filled["tagger"] = {"expert": tagger.signature, "tags": list(named)}
        found.append(list(dict.fromkeys([*named, *noun_phrases(frame.caption or "")])))
    return found


def propose(
    frames: Sequence[Frame], ask: Ask, phrases: Sequence[Sequence[str]], encode: Encode
) -> list[Outcome]:
    """Give each frame the objects that are found in it."""

    def use(frame: Frame, proposals: Sequence[Proposal]) -> None:
        kept = choose_boxes(proposals, (frame.width, frame.height))
        frame.objects = [_object(frame, proposal, encode) for proposal in kept]
        frame.filled["objects"] = {"expert": ask.signature, "proposed": len(proposals)}

    return take(frames, ask(frames, [list(words) for words in phrases]), use)


def choose_boxes(proposals: Sequence[Proposal], size_wh: tuple[int, int]) -> list[Proposal]:
    """Keep boxes by the rules above, best scored first; without scores, in the model's order."""
    sound = [proposal for proposal in proposals if is_object(proposal.bbox_xyxy, size_wh)]
    ranked = sorted(sound, key=lambda p: -(p.score if p.score is not None else 1.0))
    kept: list[Proposal] = []
    for proposal in ranked:
        if len(kept) == MOST_OBJECTS:
            break
        boxes = np.array([other.bbox_xyxy for other in kept]).reshape(-1, 4)
        if not (overlaps(np.array(proposal.bbox_xyxy), boxes) > NMS_IOU).any():
            kept.append(proposal)
    return kept


def is_object(box_xyxy: Sequence[float], size_wh: tuple[int, int]) -> bool:
    """Whether a box can be of an object, by its size and its place in the picture.

    >>> is_object((10, 10, 60, 40), (100, 100)), is_object((0, 50, 100, 100), (100, 100))
    (True, False)
    """
    x1, y1, x2, y2 = box_xyxy
    width, height = size_wh
    share = (x2 - x1) * (y2 - y1) / (width * height)
    gaps = (x1, y1, width - x2, height - y2)
    borders = sum(gap < _AT_BORDER_PX for gap in gaps)
    large = min(x2 - x1, y2 - y1) >= LEAST_SIDE_PX and share >= LEAST_AREA
    return large and share <= MOST_AREA and borders <= MOST_BORDERS


def overlaps(box: Doubles, boxes: Doubles) -> Doubles:
    """(N,) intersection over union of a box with (N, 4) others, x1 y1 x2 y2.

    >>> overlaps(np.array([0, 0, 2, 2.0]), np.array([[0, 0, 2, 1.0], [2, 2, 3, 3]])).tolist()
    [0.5, 0.0]
    """
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    total = np.prod(box[2:] - box[:2]) + areas - shared
    return np.asarray(shared / np.maximum(total, 1e-9))


def _object(frame: Frame, proposal: Proposal, encode: Encode) -> FrameObject:
    x1, y1, x2, y2 = (float(v) for v in proposal.bbox_xyxy)
    found = FrameObject((x1, y1, x2 - x1, y2 - y1), score=proposal.score, phrase=proposal.phrase)
    if proposal.mask is not None:
        wanted_shape("mask", proposal.mask.shape, (frame.height, frame.width))
        if proposal.mask.any():
            found.rle = encode(proposal.mask)
    return found
