"""What a frame must have before it is lifted, and who fills it in: the table `FILL`.

A step takes the frames of a batch that lack something and returns, for each, why it is left out,
or None. What was given is never replaced. Without an expert a frame that lacks depth, intrinsics
or objects is left out with its reason; one that lacks masks or captions goes on without.

==============================================  ================================================
the frame has no                                what runs
==============================================  ================================================
depth and no objects (a plain photo)            filter, before anything else
depth                                           depth expert
intrinsics, given or in EXIF                    the depth expert's own where it runs; else a
                                                gravity expert that sees the camera; else the
                                                field of view that the preset assumes
objects                                         tagger, when the proposer wants phrases and no
                                                vocabulary was given; then the object expert
masks of all objects                            mask expert, for the boxes without
captions of all objects                         caption expert, for the boxes without
gravity, and no depth or ``--experts`` given    all gravity experts; compared with the depth
==============================================  ================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calipers.errors import Skip
from calipers.experts.image_text import SCENES
from calipers.experts.runner import Crew, Expert
from calipers.io.masks import encode_mask
from calipers.stages.caption import caption, caption_by_phrase
from calipers.stages.depth import assume_camera, fill_camera, fill_depth
from calipers.stages.filling import Outcome
from calipers.stages.filter import keep_scenes
from calipers.stages.opinions import fill_gravity
from calipers.stages.propose import phrases_for, propose
from calipers.stages.segment import segment
from calipers.types import Frame


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it fills, which frames lack that, and how a batch of them is filled."""

    name: str
    lacks: Callable[[Frame, Crew], bool]
    fill: Callable[[Sequence[Frame], Crew], list[Outcome]]


def _all_skip(frames: Sequence[Frame], crew: Crew, role: str, reason: str) -> list[Outcome]:
    crew.lack(role, len(frames))
    detail = f"no {role} {'was' if role == 'depth' else 'were'} given and {crew.missing(role)}"
    return [Skip(reason, detail) for _ in frames]


def _is_plain(frame: Frame, crew: Crew) -> bool:
    return frame.depth_m is None and frame.objects is None


def _filter(frames: Sequence[Frame], crew: Crew) -> list[Outcome]:
    expert = crew.first("filter")
    if expert is None:
        return crew.without("filter", frames)
    return keep_scenes(frames, expert, SCENES, crew.hiring.choice.scene_share)


def _lacks_camera_before_depth(frame: Frame, crew: Crew) -> bool:
    depth = crew.first("depth")
    wanted = frame.depth_m is not None or (depth is not None and depth.entry.camera)
    return frame.camera is None and wanted


def _lacks_camera(frame: Frame, crew: Crew) -> bool:
    return frame.camera is None


def _intrinsics(frames: Sequence[Frame], crew: Crew) -> list[Outcome]:
    """Ask gravity experts for the camera, in order, then assume."""
    outcomes: dict[int, Outcome] = dict.fromkeys(range(len(frames)))
    for expert in crew.all("gravity"):
        todo = [i for i, f in enumerate(frames) if f.camera is None]
        if todo and not expert.entry.depth:
            fill_camera([frames[i] for i in todo], expert, expert.entry.name)
    for i, frame in enumerate(frames):
        if frame.camera is None:
            outcomes[i] = _assume(frame, crew)
    return list(outcomes.values())


def _assume(frame: Frame, crew: Crew) -> Outcome:
    fov = crew.hiring.choice.assume_fov_deg
    if fov is not None:
        assume_camera(frame, fov)
        return None
    asked = any(not expert.entry.depth for expert in crew.all("gravity"))
    why = "no expert told them" if asked else "no calibration expert is configured"
    return Skip("no_intrinsics", f"no intrinsics were given and {why}")


def _depth(frames: Sequence[Frame], crew: Crew) -> list[Outcome]:
    expert = crew.first("depth")
    if expert is None:
        return _all_skip(frames, crew, "depth", "no_depth")
    return fill_depth(frames, expert, expert.entry.name)


def _objects(frames: Sequence[Frame], crew: Crew) -> list[Outcome]:
    expert = crew.first("objects")
    if expert is None:
        return _all_skip(frames, crew, "objects", "no_objects")
    phrases: list[list[str] | Skip] = [[] for _ in frames]
    if expert.entry.phrases or crew.hiring.vocabulary:
        phrases = phrases_for(frames, crew.hiring.vocabulary, crew.first("tagger"))
    outcomes: list[Outcome] = [_no_phrases(words, expert, crew) for words in phrases]
    ready = [i for i, outcome in enumerate(outcomes) if outcome is None]
    words = [found for found in phrases if not isinstance(found, Skip)]
    words = [found for found in words if found or not expert.entry.phrases]
    some = [frames[i] for i in ready]
    for i, outcome in zip(ready, propose(some, expert, words, encode_mask), strict=True):
        outcomes[i] = outcome
    return outcomes


def _no_phrases(words: list[str] | Skip, expert: Expert, crew: Crew) -> Outcome:
    if isinstance(words, Skip) or words or not expert.entry.phrases:
        return words if isinstance(words, Skip) else None
    who = "the tagger named nothing" if crew.first("tagger") else crew.missing("tagger")
    return Skip("no_objects", f"{expert.entry.name} had nothing to look for: {who}")


def _lacks_masks(frame: Frame, crew: Crew) -> bool:
    return any(item.rle is None for item in frame.objects or ())


def _masks(frames: Sequence[Frame], crew: Crew) -> list[Outcome]:
    expert = crew.first("masks")
    return crew.without("masks", frames) if expert is None else segment(frames, expert, encode_mask)


def _lacks_captions(frame: Frame, crew: Crew) -> bool:
    return any(item.caption is None for item in frame.objects or ())


def _captions(frames: Sequence[Frame], crew: Crew) -> list[Outcome]:
    expert = crew.first("captions")
    if expert is not None:
        return caption(frames, expert, crew.hiring.seed)
    for frame in frames:
        caption_by_phrase(frame.objects or ())
    return crew.without("captions", frames)


def _lacks_gravity(frame: Frame, crew: Crew) -> bool:
    asked = crew.hiring.choice.named or "depth" in frame.filled
    return frame.gravity is None and asked and bool(crew.all("gravity"))


def _gravity(frames: Sequence[Frame], crew: Crew) -> list[Outcome]:
    experts = {e.entry.name: (e, e.entry.depth) for e in crew.all("gravity")}
    return fill_gravity(frames, experts)


FILL: tuple[Step, ...] = (
    Step("filter", _is_plain, _filter),
    Step("intrinsics", _lacks_camera_before_depth, _intrinsics),
    Step("depth", lambda frame, crew: frame.depth_m is None, _depth),
    Step("intrinsics", _lacks_camera, _intrinsics),
    Step("objects", lambda frame, crew: frame.objects is None, _objects),
    Step("masks", _lacks_masks, _masks),
    Step("captions", _lacks_captions, _captions),
    Step("gravity", _lacks_gravity, _gravity),
)
"""The steps in order; a frame that one leaves out goes no further."""


def needs_pixels(line: Mapping[str, Any], crew: Crew) -> bool:
    """Whether some expert will look at the picture of a record, as it stands in the metadata."""
    no_depth = line.get("depth_file_name") is None
    objects = line.get("objects")
    columns = objects if isinstance(objects, dict) else {}
    measures = crew.first("depth") is not None
    asks_gravity = measures if no_depth else crew.hiring.choice.named
    absent = {
        "depth": no_depth,
        "objects": objects is None,
        "masks": objects is None or _gaps(columns, "segmentation"),
        "captions": objects is None or _gaps(columns, "caption"),
        "gravity": line.get("gravity") is None and asks_gravity,
    }
    if line.get("intrinsics") is None and any(not e.entry.depth for e in crew.all("gravity")):
        return True
    return any(missing and crew.first(role) is not None for role, missing in absent.items())


def _gaps(columns: Mapping[str, Any], name: str) -> bool:
    column = columns.get(name)
    return column is None or (isinstance(column, list) and None in column)
