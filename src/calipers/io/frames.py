"""Read a folder of frames: images with a ``metadata.jsonl``, or bare images.

One line of the metadata is one frame. A bad record is refused alone, as a `Skipped` with a reason
of `calipers.io.records.REASONS`; only a folder that cannot be read at all raises.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from calipers.errors import DataError, Skip, UsageError
from calipers.io.depth import read_depth, to_metres
from calipers.io.exif import UPRIGHT, Turn, camera_from_focal
from calipers.io.images import Picture, inside, read_picture
from calipers.io.masks import EDGE_PX, mask_box, rle_size, to_rle
from calipers.io.records import ObjectLists, Record, parse_record
from calipers.types import Camera, Floats, Frame, FrameObject, Rle

METADATA = "metadata.jsonl"
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
STAGE = "read"


@dataclass(frozen=True, slots=True)
class Skipped:
    """One record that was left out: a line of ``skipped.jsonl``."""

    id: str
    stage: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Shard:
    """A run of records that one worker reads; small, and all that it needs.

    Attributes:
        folder: the folder of frames, resolved.
        index: the shard's place in the run, from 0.
        first_record: the place of its first record in the folder, from 0.
        count: how many records it has.
        offset: where its first line starts in ``metadata.jsonl``, bytes.
        duplicates: places (in the folder) of its records whose id an earlier record has.
        names: the image files of a folder without metadata; None where there is one.
    """

    folder: str
    index: int
    first_record: int
    count: int
    offset: int = 0
    duplicates: frozenset[int] = frozenset()
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class FrameFolder:
    """A folder of frames that has been looked through once.

    Attributes:
        folder: its resolved path.
        offsets: (N,) int64, where each record's line starts; empty without metadata.
        duplicates: places of the records whose id an earlier record has.
        names: the image files of a folder without metadata; None where there is one.
    """

    folder: Path
    offsets: NDArray[np.int64]
    duplicates: frozenset[int]
    names: tuple[str, ...] | None

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Look through a folder; of the metadata only line starts and repeated ids are kept.

        Raises:
            UsageError: not a folder, no images, or a ``metadata.jsonl`` that cannot be read.
        """
        root = Path(folder)
        if not root.is_dir():
            raise UsageError(f"{'not a folder' if root.exists() else 'no such folder'}: {root}")
        root = Path(os.path.realpath(root))
        if (root / METADATA).exists():
            offsets, duplicates = _scan(root / METADATA)
            return cls(root, offsets, duplicates, None)
        return cls(root, np.zeros(0, dtype=np.int64), frozenset(), _list_images(root))

    def __len__(self) -> int:
        return len(self.offsets) if self.names is None else len(self.names)

    def shards(self, size: int, limit: int | None = None) -> Iterator[Shard]:
        """Cut the folder into runs of `size` records, at most `limit` records in all."""
        total = len(self) if limit is None else min(limit, len(self))
        for index, first in enumerate(range(0, total, size)):
            count = min(size, total - first)
            place = range(first, first + count)
            yield Shard(
                str(self.folder),
                index,
                first,
                count,
                offset=int(self.offsets[first]) if self.names is None else 0,
                duplicates=frozenset(n for n in self.duplicates if n in place),
                names=self.names and self.names[first : first + count],
            )

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
        return read_frame(Path(shard.folder), line, pixels=pixels)
    except Skip as skip:
        return Skipped(name, STAGE, skip.reason, skip.detail)


def record_id(line: dict[str, Any], place: int) -> str:
    """Name a record: its ``id``, else the file's name, else its place (``record-1`` is the first).

    From the file's name: letters, digits and ``_.-`` stay, "/" becomes "~" and every other byte
    %XX, so that two files never share an id and each id is a file name. Of names that would be
    longer than 200 characters the first 160 and a hash stay.

    >>> record_id({"file_name": "left hand/0001.png"}, 0)
    'left%20hand~0001.png'
    """
    given = line.get("id")
    if (isinstance(given, str) and given) or type(given) is int:
        return str(given)
    name = line.get("file_name")
    if not isinstance(name, str) or not name:
        return f"record-{place + 1}"
    safe = quote(str(PurePosixPath(name)), safe="/", errors="surrogateescape")
    safe = safe.replace("~", "%7E").replace("/", "~")
    if len(safe) <= 200:
        return safe
    return f"{safe[:160]}~{hashlib.blake2b(safe.encode(), digest_size=16).hexdigest()}"


def read_frame(root: Path, line: dict[str, Any], *, pixels: bool = False) -> Frame:
    """Read one record of a folder.

    A picture that EXIF turns is turned upright. Depth, masks, boxes, intrinsics and gravity that
    come with it may belong to the stored picture or to the upright one: where the size of the
    depth or of a run-length mask fits only one of the two, that one is taken and everything is
    turned together; where nothing tells, the record is refused (``exif_rotation``).

    Args:
        root: the folder, resolved.
        line: the record as parsed from JSON.
        pixels: whether `Frame.rgb` is wanted.

    Raises:
        Skip: with a reason of `REASONS`.
    """
    record = parse_record(line)
    picture = read_picture(
        inside(root, record.file_name, "missing_file"), record.file_name, pixels=pixels
    )
    raw = None
    if record.depth_file_name is not None:
        path = inside(root, record.depth_file_name, "missing_depth_file")
        raw = read_depth(path, record.depth_file_name)
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


def shard_lines(shard: Shard) -> Iterator[dict[str, Any]]:
    """The records of a shard as they stand in the metadata, in order."""
    if shard.names is not None:
        yield from ({"file_name": name} for name in shard.names)
        return
    path = Path(shard.folder) / METADATA
    with path.open("rb") as file:
        file.seek(shard.offset)
        lines = (line for line in file if line.strip())
        for place, line in enumerate(islice(lines, shard.count), start=shard.first_record):
            yield _parse(line, f"{path}, record {place + 1}")


def _scan(path: Path) -> tuple[NDArray[np.int64], frozenset[int]]:
    """Read the metadata once; keep 8 bytes for each line's start and 8 for each id."""
    offsets, hashes = array("q"), array("Q")
    try:
        with path.open("rb") as file:
            end = 0
            for number, line in enumerate(file, start=1):
                start, end = end, end + len(line)
                if line.strip():
                    record = _parse(line, f"{path}, line {number}")
                    name = record_id(record, len(offsets)).encode(errors="surrogatepass")
                    digest = hashlib.blake2b(name, digest_size=8).digest()
                    hashes.append(int.from_bytes(digest, "little"))
                    offsets.append(start)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if not offsets:
        raise UsageError(f"{path} has no records")
    return np.array(offsets, dtype=np.int64), _repeated(np.array(hashes, dtype=np.uint64))


def _repeated(hashes: NDArray[np.uint64]) -> frozenset[int]:
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    again = order[1:][ranked[1:] == ranked[:-1]]
    return frozenset(int(place) for place in again)


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = from_json(line.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise UsageError(f"{where}: not JSON ({error})") from error
    if not isinstance(record, dict):
        raise UsageError(f"{where}: wanted a JSON object, got {type(record).__name__}")
    return record


def _list_images(root: Path) -> tuple[str, ...]:
    """List images, hidden ones and linked folders left out, with numbers in their order."""
    names = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if METADATA in files:
            raise UsageError(f"{folder} has its own {METADATA}: give that folder")
        below = Path(folder).relative_to(root)
        names += [(below / name).as_posix() for name in files if _is_image(name)]
    if not names:
        raise UsageError(f"no images and no {METADATA} in {root}")
    return tuple(sorted(names, key=_natural))


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sort key under which img2 comes before img10."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if part.isdigit() else part for part in parts], name
