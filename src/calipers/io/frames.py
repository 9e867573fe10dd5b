"""Read frames: a folder of images with a ``metadata.jsonl`` or bare, and shards of any input.

One line of the metadata is one frame; the other inputs (`calipers.io.inputs`) give such lines too.
A bad record is refused alone, as a `Skipped` with a reason of
`calipers.io.records.REASONS`; only an input that cannot be read at all raises.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from calipers.errors import DataError, Skip, UsageError
from calipers.io.depth import decode_depth, read_depth, to_metres
from calipers.io.exif import UPRIGHT, Turn, camera_from_focal
from calipers.io.files import is_remote, locate
from calipers.io.images import Picture, decode_picture, inside
from calipers.io.inputs.files import in_container, open_within
from calipers.io.inputs.listings import METADATA, Names, list_images, open_json_lines
from calipers.io.inputs.shards import FrameSource, Line, Shard, Unready
from calipers.io.masks import EDGE_PX, mask_box, rle_size, to_rle
from calipers.io.records import POISONS, ObjectLists, Record, parse_record, record_id
from calipers.types import Camera, Floats, Frame, FrameObject, Rle

STAGE = "read"


@dataclass(frozen=True, slots=True)
class Skipped:
    """One record that was left out: a line of ``skipped.jsonl``."""

    id: str
    stage: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class FrameFolder(FrameSource):
    """A folder of frames that has been looked through once."""

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Look through a folder; of the metadata only some line starts and repeated ids are kept.

        Raises:
            UsageError: not a folder, no images, or a ``metadata.jsonl`` that cannot be read.
        """
        root = locate(folder)
        if not root.is_dir():
            raise UsageError(f"{'not a folder' if root.exists() else 'no such folder'}: {root}")
        root = root if is_remote(root) else Path(os.path.realpath(root))
        if (root / METADATA).exists():
            listed = open_json_lines(root / METADATA)
            return cls(root, root, listed.index, listed.duplicates, listed.digest)
        names = list_images(root)
        digest = hashlib.blake2b("\n".join(names).encode(errors="surrogateescape"), digest_size=16)
        none = np.zeros(0, dtype=np.int64)
        return cls(root, root, Names(names), none, digest.hexdigest())

    def read_shard(self, shard: Shard, *, pixels: bool = False) -> Iterator[Frame | Skipped]:
        """Read one shard; the same as the function `read_shard`."""
        return read_shard(shard, pixels=pixels)


def read_shard(shard: Shard, *, pixels: bool = False) -> Iterator[Frame | Skipped]:
    """Read the records of a shard, one at a time.

    Args:
        shard: one of `FrameFolder.shards`.
        pixels: whether `Frame.rgb` is wanted; without it PNG files are checked, not decoded.
    """
    for place, line in enumerate(shard_lines(shard), start=shard.first_record):
        yield read_record(shard, place, line, pixels=pixels)


def read_record(
    shard: Shard, place: int, line: dict[str, Any], *, pixels: bool = False
) -> Frame | Skipped:
    """Read one record of a shard.

    Args:
        shard: the shard it belongs to.
        place: its place in the folder, from 0.
        line: the record as `shard_lines` gives it.
        pixels: as of `read_shard`.
    """
    name = record_id(line, place)
    if place in shard.duplicates:
        return Skipped(name, STAGE, "duplicate_id", f"an earlier record has the id {name!r}")
    try:
        root = locate(shard.folder)
        if isinstance(line, Unready):
            line = line.ready(root)
        return read_frame(root, line, pixels=pixels)
    except Skip as skip:
        stage = "engine" if skip.reason in POISONS else STAGE
        return Skipped(name, stage, skip.reason, skip.detail)


def read_frame(root: Path, line: dict[str, Any], *, pixels: bool = False) -> Frame:
    """Read one record of a folder.

    A picture that EXIF turns is turned upright. Depth, masks, boxes, intrinsics and gravity that
    come with it may belong to the stored picture or to the upright one: where the size of the
    depth or of a run-length mask fits only one of the two, that one is taken and everything is
    turned together; where nothing tells, the record is refused (``exif_rotation``).

    Args:
        root: the folder.
        line: the record as parsed from JSON.
        pixels: whether `Frame.rgb` is wanted.

    Raises:
        Skip: with a reason of `REASONS`.
    """
    record = parse_record(line)
    if not is_remote(root):
        root = Path(os.path.realpath(root))
    with open_within(root, record.file_name, "missing_file") as file:
        picture = decode_picture(file, record.file_name, pixels=pixels)
    raw = None
    if record.depth_file_name is not None:
        raw = _read_depth(root, record.depth_file_name)
    turn = _geometry_turn(record, raw, picture)
    frame = Frame(
        id=record_id(line, 0),
        image=record.file_name,
        width=picture.size_wh[0],
        height=picture.size_wh[1],
        rgb=picture.rgb,
        depth_image=record.depth_file_name,
        caption=record.caption,
        extra=_extra(record),
    )
    _add_geometry(frame, record, raw, turn)
    if frame.camera is None and picture.focal_35mm is not None:
        frame.camera = camera_from_focal(picture.focal_35mm, picture.size_wh)
        frame.intrinsics_source = "exif"
    return frame


def _add_geometry(frame: Frame, record: Record, raw: NDArray[Any] | None, turn: Turn) -> None:
    """Check what is given against the picture it belongs to, then turn it upright by `turn`."""
    upright = (frame.width, frame.height)
    size_wh = turn.size(upright)
    if raw is not None:
        frame.depth_m = turn.array(_depth(raw, record.depth_scale, size_wh))
    if record.intrinsics is not None:
        frame.camera = turn.camera(_camera(record.intrinsics, size_wh), upright)
        frame.intrinsics_source = "given"
    if record.gravity is not None:
        frame.gravity = turn.vector(_gravity(record.gravity))
        frame.gravity_source = "given"
    if record.objects is not None:
        frame.objects = _objects(record.objects, size_wh)
    if turn != UPRIGHT:
        for item in frame.objects or []:
            item.bbox_xywh = turn.box(item.bbox_xywh, upright)
            item.rle = None if item.rle is None else turn.mask(item.rle)


def _extra(record: Record) -> dict[str, Any]:
    extra = dict(record.model_extra or {})
    if record.objects is not None and record.objects.model_extra:
        extra["objects"] = dict(record.objects.model_extra)
    return extra


def _geometry_turn(record: Record, raw: NDArray[Any] | None, picture: Picture) -> Turn:
    """Decide how the geometry of a record has to be turned: with the picture, or not at all."""
    given = (raw, record.intrinsics, record.gravity, record.objects)
    if picture.turn == UPRIGHT or all(part is None for part in given):
        return UPRIGHT
    upright = picture.size_wh
    stored = picture.turn.size(upright)
    sizes = {(raw.shape[1], raw.shape[0])} if raw is not None else set()
    for segmentation in (record.objects and record.objects.segmentation) or []:
        if isinstance(segmentation, dict):
            height, width = rle_size(segmentation)
            sizes.add((width, height))
    if stored != upright and sizes == {stored}:
        return picture.turn
    if stored != upright and sizes == {upright}:
        return UPRIGHT
    if sizes - {stored, upright}:
        return UPRIGHT  # of no size that fits: refused as such where it is read
    raise Skip("exif_rotation", "EXIF turns the image; is its geometry turned too? Save it upright")


def _read_depth(root: Path, name: str) -> NDArray[Any]:
    if is_remote(root) or in_container(root, name):
        with open_within(root, name, "missing_depth_file") as file:
            return decode_depth(file, name)
    return read_depth(inside(root, name, "missing_depth_file"), name)


def _depth(raw: NDArray[Any], scale: float | None, size_wh: tuple[int, int]) -> Floats:
    height, width = raw.shape
    if (width, height) != size_wh:
        detail = f"depth is {width}x{height}, image is {size_wh[0]}x{size_wh[1]}"
        raise Skip("depth_size_mismatch", detail)
    return to_metres(raw, scale)


def _camera(matrix: list[list[float]], size_wh: tuple[int, int]) -> Camera:
    try:
        return Camera.from_matrix(matrix, size_wh)
    except DataError as error:
        raise Skip("bad_intrinsics", str(error)) from error


def _gravity(vector: list[float]) -> Floats:
    length = math.hypot(*vector)
    if not abs(length - 1) <= 1e-2:
        raise Skip("bad_gravity", f"wanted a unit vector, got {vector} of length {length:.3f}")
    return np.array([v / length for v in vector], dtype=np.float32)


def _objects(lists: ObjectLists, size_wh: tuple[int, int]) -> list[FrameObject]:
    columns = (lists.bbox, lists.caption, lists.segmentation, lists.score, lists.role)
    count = next((len(column) for column in columns if column is not None), 0)
    rows = zip(*([None] * count if column is None else column for column in columns))
    return [_object(index, *row, size_wh=size_wh) for index, row in enumerate(rows)]


def _object(
    index: int,
    box: list[float] | None,
    caption: str | None,
    segmentation: object,
    score: float | None,
    role: str | None,
    *,
    size_wh: tuple[int, int],
) -> FrameObject:
    try:
        rle = None if segmentation is None else to_rle(segmentation, size_wh[::-1])
        bbox = _box(box, size_wh) if box is not None else _mask_box(rle)
    except Skip as skip:
        raise Skip(skip.reason, f"objects[{index}]: {skip.detail}") from skip
    return FrameObject(bbox, caption, rle, score, role)


def _mask_box(rle: Rle | None) -> tuple[float, float, float, float]:
    if rle is None:
        raise Skip("missing_box", "wanted a bbox or a segmentation")
    return mask_box(rle)


def _box(box: list[float], size_wh: tuple[int, int]) -> tuple[float, float, float, float]:
    """Check a box and cut it at the border, which it may overstep by one pixel."""
    x, y, w, h = box
    if not all(map(math.isfinite, box)) or w <= 0 or h <= 0:
        raise Skip("bad_box", f"wanted finite x, y and positive width, height, got {box}")
    width, height = size_wh
    if min(x, y) < -EDGE_PX or x + w > width + EDGE_PX or y + h > height + EDGE_PX:
        raise Skip("box_outside_image", f"{box} leaves an image of {width}x{height}")
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + w, width), min(y + h, height)
    if right <= left or bottom <= top:
        raise Skip("box_outside_image", f"{box} lies outside an image of {width}x{height}")
    return left, top, right - left, bottom - top


def shard_lines(shard: Shard) -> Iterator[Line]:
    """The records of a shard as they stand in the metadata, in order."""
    return shard.lines.read()
