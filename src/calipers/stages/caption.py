"""Captions for objects that came without.

The number of words a caption may have is drawn from 1 to 6 for every box, as FlexCap's is in the
paper (SpatialVLM, arXiv 2401.12168), so that names range from "cup" to "blue cup with a broken
handle". It is drawn from the seed, the frame's id and the box alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from calipers.stages.filling import Ask, Outcome, take, wanted_shape
from calipers.stages.segment import boxes_of
from calipers.types import Frame, FrameObject

MOST_WORDS = 6


def word_limit(seed: int, frame_id: str, box_xywh: Sequence[float]) -> int:
    """Draw 1 to `MOST_WORDS`, the same on every machine.

    >>> [word_limit(0, "kitchen", (10, 20, 30, 40)), word_limit(1, "kitchen", (10, 20, 30, 40))]
    [4, 3]
    """
    box = " ".join(f"{float(v):.3f}" for v in box_xywh)
    text = f"{seed}\0{frame_id}\0{box}".encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") % MOST_WORDS + 1


def caption(frames: Sequence[Frame], ask: Ask, seed: int) -> list[Outcome]:
    """Give every object without a caption one; its phrase where the expert's is empty.

    Where the expert tells none (None), the object alone stays without: it becomes one that is not
    asked about (``no_caption``), and the record says how many there are.
    """
    todo = [[o for o in frame.objects or () if o.caption is None] for frame in frames]
    open_objects = dict(zip(map(id, frames), todo))
    words = [
        [word_limit(seed, frame.id, item.bbox_xywh) for item in objects]
        for frame, objects in zip(frames, todo)
    ]

    def use(frame: Frame, captions: Sequence[str | None]) -> None:
        objects = open_objects[id(frame)]
        wanted_shape("captions", (len(captions),), (len(objects),))
        for item, text in zip(objects, captions):
            item.caption = None if text is None else text.strip() or item.phrase
        unnamed = list(captions).count(None)
        told = {"unnamed": unnamed} if unnamed else {}
        frame.filled["captions"] = {"expert": ask.signature, **told}

    return take(frames, ask(frames, [boxes_of(objects) for objects in todo], words), use)


def caption_by_phrase(objects: Sequence[FrameObject]) -> None:
    """Name objects without a caption as what they were looked for."""
    for item in objects:
        if item.caption is None:
            item.caption = item.phrase
