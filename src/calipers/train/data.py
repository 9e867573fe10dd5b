"""What a model learns from: samples, and the frames that they are about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from calipers.errors import RunError, Skip, UsageError
from calipers.io.files import locate
from calipers.io.frames import FrameFolder, read_frame, shard_lines
from calipers.io.run import read_run
from calipers.io.scenes import read_scenes
from calipers.stream import split_scenes
from calipers.train.naming import Thing, names
from calipers.train.recipe import RunData
from calipers.types import Frame, Scene

Turns = list[tuple[str, str]]


class Seen(NamedTuple):
    """Where the pictures of a sample are; `image` and `depth` begin at `root`."""

    root: Path
    image: str
    depth: str | None
    depth_scale: float | None


class Sample(NamedTuple):
    """What is learnt at once: some turns about one frame, or about none; or names of its things."""

    seen: Seen | None
    turns: Turns
    spatial: bool
    things: tuple[Thing, ...] = ()


@dataclass(frozen=True, slots=True)
class Frames:
    """Where a run's frames are.

    Attributes:
        root: their folder.
        scales: metres per unit of the depth files that say so.
    """

    root: Path
    scales: Mapping[str, float]

    @classmethod
    def of(cls, source: RunData) -> Frames:
        """The frames of a run.

        Raises:
            UsageError: they are not there any more.
        """
        return cls.under(frames_root(source.run, source.frames))

    @classmethod
    def under(cls, root: Path) -> Frames:
        """The frames of a folder."""
        if not (root / "metadata.jsonl").exists():
            return cls(root, {})
        lines = (
            line for shard in FrameFolder.open(root).shards(1000) for line in shard_lines(shard)
        )
        scales = {
            line["depth_file_name"]: float(line["depth_scale"])
            for line in lines
            if isinstance(line, dict) and line.get("depth_scale") and line.get("depth_file_name")
        }
        return cls(root, scales)

    def seen(self, image: str, depth: str | None) -> Seen:
        """The pictures of a scene."""
        return Seen(self.root, image, depth, self.scales.get(depth or ""))


def frames_root(run: Path, frames: Path | None) -> Path:
    """The folder of the frames that a run was made of.

    Raises:
        UsageError: there is no run, it does not say, or they are not there any more.
    """
    record = read_run(Path(run))
    if record is None:
        raise UsageError(f"{run}: holds no run (wanted a folder with run.json)")
    said = frames or record.get("pictures")
    if said is None:
        raise UsageError(f"{run}: does not say where its pictures are; give frames: FOLDER")
    root = locate(said)
    if not root.is_dir():
        raise UsageError(f"the pictures are not at {root} any more; give frames: FOLDER")
    return root


def scenes_of(run: Path, split: str | None) -> Iterator[Scene]:
    """The scenes of a run, or of a part of it.

    Raises:
        UsageError: there are none, or no such split.
    """
    return read_scenes(run) if split is None else split_scenes(run, split)


def open_seen(seen: Seen) -> Frame:
    """Read the pictures of a sample.

    Raises:
        RunError: they cannot be read.
    """
    line = {
        "id": seen.image, "file_name": seen.image, "depth_file_name": seen.depth,
        "depth_scale": seen.depth_scale,
    }  # fmt: skip
    try:
        given = {name: value for name, value in line.items() if value is not None}
        return read_frame(seen.root, given, pixels=True)
    except Skip as skip:
        raise RunError(f"{seen.root / seen.image}: {skip}") from skip


class Cache:
    """What is made of frames, kept as long as it fits into some memory; the oldest goes first.

    Args:
        make: frame → array.
        megabytes: how much is kept.
    """

    def __init__(self, make: Callable[[Frame], Any], megabytes: int = 2000) -> None:
        self.make, self.left = make, megabytes * 10**6
        self.kept: OrderedDict[Seen, Any] = OrderedDict()

    @classmethod
    def frames(cls, megabytes: int = 500) -> Cache:
        """Keeps frames as they are."""
        return cls(lambda frame: frame, megabytes)

    def __call__(self, seen: Seen) -> Any:
        """What is made of the frame that `seen` names."""
        if seen in self.kept:
            return self.kept[seen]
        made = self.make(open_seen(seen))
        self.kept[seen], self.left = made, self.left - _bytes(made)
        while self.left < 0 and len(self.kept) > 1:
            _, old = self.kept.popitem(last=False)
            self.left += _bytes(old)
        return made


def _bytes(made: Any) -> int:
    if isinstance(made, Frame):
        return sum(a.nbytes for a in (made.rgb, made.depth_m) if a is not None)
    return int(made.nbytes)


def texts(found: Iterable[Sample]) -> Iterator[str]:
    """Every question, answer and name of some samples."""
    for sample in found:
        yield from names(sample.things)
        for turn in sample.turns:
            yield from turn
