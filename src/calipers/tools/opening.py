"""Open a session: from a folder of frames or a run under an allowed root, or from an upload.

Nothing is ever fetched from the network: a path that is an address is refused like any other that
is not a file under the root.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json

from calipers.depth_codec import RANGE_M, decode
from calipers.errors import DataError, Skip, UsageError
from calipers.io.frames import FrameFolder, Skipped, read_frame, read_record, shard_lines
from calipers.io.images import open_file, open_image, read_picture
from calipers.io.records import record_id
from calipers.io.scenes import read_scenes, scene_parts
from calipers.tools.results import ToolError
from calipers.tools.session import Session
from calipers.tools.store import Limits
from calipers.types import Frame

NO_LIMITS_GIVEN = Limits()
"""Those of a service that was given none."""
_NPY = b"\x93NUMPY"
_METADATA = "metadata.jsonl"
_NO_PATHS = ("file_name", "depth_file_name")


def confined(root: Path, path: str) -> Path:
    """Resolve a path under a root.

    Raises:
        ToolError: ``path_refused`` (an absolute path, an address, one with "..", a link that leads
            out) or ``not_found``.
    """
    if not path.isprintable() or "\\" in path or ":" in path or path.startswith(("/", "~")):
        raise ToolError("path_refused", "wanted a relative path under the allowed root")
    if ".." in path.split("/"):
        raise ToolError("path_refused", "wanted a relative path under the allowed root, no '..'")
    base = Path(os.path.realpath(root))
    real = Path(os.path.realpath(base / path))
    if not real.is_relative_to(base):
        raise ToolError("path_refused", "the path leads out of the allowed root")
    if not os.path.exists(real):  # noqa: PTH110 - Path.exists raises on names that are too long
        raise ToolError("not_found", "there is nothing at that path")
    return real


def open_path(
    root: Path, path: str, record: str | None = None, limits: Limits = NO_LIMITS_GIVEN
) -> Session:
    """Open one record of a folder of frames, of a run folder or of a file of scenes.

    Args:
        root: nothing outside of it is read.
        path: relative to the root.
        record: its id; None takes the first.
        limits: as of an upload.

    Raises:
        ToolError: ``path_refused``, ``not_found``, ``bad_record`` or ``too_large``.
    """
    place = confined(root, path)
    try:
        if place.is_file() or (place / "scenes").is_dir():
            return _open_scene(root, place, record)
        return _open_frame(root, place, record, limits)
    except (UsageError, DataError) as error:
        text = str(error).replace(str(Path(os.path.realpath(root))), "")
        raise ToolError("bad_record", text) from error


def _open_scene(root: Path, place: Path, record: str | None) -> Session:
    for part in scene_parts(place):
        _inside(root, part)
        for scene in read_scenes(part):
            if record in (None, scene.id):
                return Session.of_scene(scene)
    raise ToolError("not_found", "there is no scene of that id")


def _open_frame(root: Path, place: Path, record: str | None, limits: Limits) -> Session:
    if (place / _METADATA).exists():
        _inside(root, place / _METADATA)
    folder = FrameFolder.open(place)
    for shard in folder.shards(1000):
        for number, line in enumerate(shard_lines(shard), start=shard.first_record):
            if record in (None, record_id(line, number)):
                _check_files(place, line, limits)
                found = read_record(shard, number, line)
                if isinstance(found, Skipped):
                    raise ToolError("bad_record", f"{found.reason}: {found.detail}")
                return _session(found, limits)
    raise ToolError("not_found", "there is no record of that id")


def _inside(root: Path, file: Path) -> None:
    if not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(root)):
        raise ToolError("path_refused", "the path leads out of the allowed root")


def _check_files(folder: Path, line: dict[str, Any], limits: Limits) -> None:
    for name in _NO_PATHS:
        file = line.get(name)
        if isinstance(file, str) and ".." not in file and not file.startswith("/"):
            _check_pixels(folder / file, limits)


def _session(frame: Frame, limits: Limits) -> Session:
    """Check a frame against the limits, before its masks are unpacked."""
    if frame.depth_m is None:
        raise ToolError("bad_record", "the record has no depth")
    count, pixels = len(frame.objects or ()), frame.width * frame.height
    if pixels > limits.pixels:
        raise ToolError("too_large", f"wanted at most {limits.pixels} pixels, got {pixels}")
    if count > limits.objects or count * pixels > limits.mask_pixels:
        raise ToolError("too_large", f"too many objects for a picture of {pixels} pixels: {count}")
    return Session.of_frame(frame)


def _check_pixels(path: Path, limits: Limits) -> None:
    """Refuse a picture or array by what its header states, before it is unpacked."""
    if not path.is_file():
        return  # said better where it is read
    with open_file(path, path.name) as file:
        magic = file.read(len(_NPY))
        file.seek(0)
        try:
            size = _npy_pixels(file) if magic == _NPY else int(np.prod(open_image(file, "").size))
        except Skip as skip:
            if skip.reason == "decompression_bomb":
                raise ToolError("too_large", skip.detail) from skip
            return
        except (ValueError, EOFError):
            return
    if size > limits.pixels:
        raise ToolError("too_large", f"wanted at most {limits.pixels} pixels, got {size}")


def _npy_pixels(file: Any) -> int:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, _ = read(file)
    return int(np.prod([int(side) for side in shape], dtype=object))


@contextmanager
def upload_folder() -> Iterator[Path]:
    """A folder for the parts of an upload, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="calipers-upload-") as folder:
        yield Path(os.path.realpath(folder))


def open_upload(folder: Path, record: bytes, limits: Limits) -> Session:
    """Open what was uploaded.

    Args:
        folder: holds ``depth``, perhaps ``image``, as they came.
        record: JSON with the fields of a line of ``metadata.jsonl`` except the file names, and
            perhaps ``depth_codec``, one of `depth_codec.RANGE_M`, for depth packed in a picture.
        limits: what is taken.

    Raises:
        ToolError: ``bad_record`` or ``too_large``.
    """
    line = _line(record, limits)
    codec = line.pop("depth_codec", None)
    depth = folder / "depth"
    _check_pixels(depth, limits)
    if codec is not None:
        depth = _unpacked(depth, codec)
    elif _starts_with(depth, _NPY):
        depth = depth.rename(folder / "depth.npy")
    if not (folder / "image").exists():
        _stand_in(depth, folder / "image")
    named = {"id": "upload", **line, "file_name": "image", "depth_file_name": depth.name}
    _check_files(folder, named, limits)
    try:
        frame = read_frame(folder, named)
    except Skip as skip:
        raise ToolError("bad_record", f"{skip.reason}: {skip.detail}") from skip
    return _session(frame, limits)


def _line(record: bytes, limits: Limits) -> dict[str, Any]:
    if len(record) > limits.record_bytes:
        raise ToolError("too_large", f"wanted a record of at most {limits.record_bytes} bytes")
    try:
        line = from_json(record or b"{}", allow_inf_nan=False)
    except ValueError as error:
        raise ToolError("bad_record", f"record: not JSON ({error})") from error
    if not isinstance(line, dict):
        raise ToolError("bad_record", f"record: wanted an object, got {type(line).__name__}")
    for name in _NO_PATHS:
        if name in line:
            raise ToolError("bad_record", f"record: {name} is not taken; upload the file itself")
    return line


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _unpacked(path: Path, codec: Any) -> Path:
    if not isinstance(codec, str) or codec not in RANGE_M:
        raise ToolError("bad_record", f"depth_codec: wanted one of {', '.join(RANGE_M)}")
    try:
        rgb = read_picture(path, "depth", pixels=True).rgb
        assert rgb is not None
        depth_m = decode(rgb, codec)
    except (Skip, DataError) as error:
        raise ToolError("bad_record", f"depth: {error}") from error
    made = path.with_name("depth.npy")
    np.save(made, depth_m)
    return made


def _stand_in(depth: Path, image: Path) -> None:
    """A blank picture of the depth map's size, for an upload without one."""
    from PIL import Image

    try:
        if depth.suffix == ".npy":
            shape = np.lib.format.open_memmap(depth, mode="r").shape
            size = (shape[1], shape[0]) if len(shape) == 2 else (1, 1)
        else:
            with open_file(depth, "depth") as file:
                size = open_image(file, "depth").size
    except Skip as skip:
        raise ToolError("bad_record", f"{skip.reason}: {skip.detail}") from skip
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise ToolError("bad_record", f"depth: {error}") from error
    Image.new("1", (max(1, size[0]), max(1, size[1]))).save(image, format="PNG")
