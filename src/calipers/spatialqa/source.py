"""Scenes with their depth maps: of a folder of frames, or of a run whose frames are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from calipers.errors import Skip
from calipers.io.frames import FrameFolder, Skipped, read_record, shard_lines
from calipers.io.run import input_folder, read_run
from calipers.io.scenes import read_scenes, scene_parts
from calipers.spatialqa.names import kinds_of
from calipers.types import Floats, Frame, Scene
from calipers.work import Clock, frame_to_scene

_NEEDED = {"depth": "depth_m", "intrinsics": "camera", "objects": "objects"}
NAMES_FROM = 2000
"""The vocabulary is that of so many first records."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A scene, its depth map (None when it is not at hand), and the folder of its picture."""

    scene: Scene
    depth_m: Floats | None
    folder: Path | None


def is_run(path: Path) -> bool:
    """Whether a path holds scenes rather than frames."""
    return path.is_file() or (path / "scenes").is_dir() or any(path.glob("*.parquet"))


def shots(path: Path, limit: int | None = None) -> Iterator[Shot | Skipped]:
    """Every scene of a run or of a folder of frames, with the records that cannot be used.

    Frames need depth, intrinsics and objects of their own: no expert is asked. A run's depth maps
    are those of the frames it was made of, where these are still there.

    Raises:
        UsageError: neither frames nor scenes are there.
    """
    found = _of_run(path) if is_run(path) else _of_frames(path)
    return islice(found, limit)


def vocabulary(path: Path) -> tuple[str, ...]:
    """Kinds of things that the first `NAMES_FROM` records name."""
    if is_run(path):
        scenes = islice(read_scenes(path), NAMES_FROM)
        return kinds_of([item.caption for item in scene.objects] for scene in scenes)
    lines = (line for shard in FrameFolder.open(path).shards(1000) for line in shard_lines(shard))
    return kinds_of(_captions(line) for line in islice(lines, NAMES_FROM))


def _captions(line: dict[str, Any] | None) -> list[str]:
    objects = line.get("objects") if isinstance(line, dict) else None
    captions = objects.get("caption") if isinstance(objects, dict) else None
    return [c for c in captions if isinstance(c, str)] if isinstance(captions, list) else []


def _frames(path: Path) -> Iterator[Frame | Skipped]:
    for shard in FrameFolder.open(path).shards(1000):
        for number, line in enumerate(shard_lines(shard), start=shard.first_record):
            yield read_record(shard, number, line)


def _of_frames(path: Path) -> Iterator[Shot | Skipped]:
    for frame in _frames(path):
        yield frame if isinstance(frame, Skipped) else _lifted(frame, path)


def _lifted(frame: Frame, folder: Path) -> Shot | Skipped:
    for what, given in _NEEDED.items():
        if getattr(frame, given) is None:
            detail = f"the frame has no {what}; `calipers build` fills that in"
            return Skipped(frame.id, "read", f"no_{what}", detail)
    clock = Clock()
    try:
        return Shot(frame_to_scene(frame, clock), frame.depth_m, folder)
    except Skip as skip:
        return Skipped(frame.id, "lift", skip.reason, skip.detail)


def _of_run(path: Path) -> Iterator[Shot | Skipped]:
    run = read_run(path) if path.is_dir() else None
    folder = None if run is None else input_folder(run)
    there = folder is not None and folder.is_dir()
    frames = _frames(folder) if folder is not None and there else iter(())
    for part in scene_parts(path):
        for scene in read_scenes(part):
            # scenes stand in the order of their frames, those skipped left out
            frame = next((f for f in frames if isinstance(f, Frame) and f.id == scene.id), None)
            depth = None if frame is None else frame.depth_m
            fits = depth is not None and depth.shape == (scene.height, scene.width)
            yield Shot(scene, depth if fits else None, folder if there else None)
