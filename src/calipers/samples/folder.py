"""Write frames as a folder that `calipers build` and Hugging Face's ImageFolder both read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calipers.errors import DataError, UsageError
from calipers.types import Doubles, Floats, Frame, FrameObject

DepthFormat = Literal["png", "npy"]
ImageFormat = Literal["png", "jpeg"]

METRES_PER_UNIT = 0.001
FARTHEST_M = 65.535
_IMAGE_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": (".png", {"compress_level": 1}),
    "jpeg": (".jpg", {"quality": 95, "subsampling": 0}),
}


def write_frames(
    folder: Path,
    frames: Iterable[Frame],
    readme: str,
    depth: DepthFormat = "png",
    image_format: ImageFormat = "png",
) -> None:
    """Write each frame's picture, depth and record; frames may be a generator.

    The folder holds ``images/``, ``depth/``, ``metadata.jsonl`` (one record a line, fields in
    ``docs`` under "a folder of frames") and ``README.md``. ``metadata.jsonl`` gets its name last,
    so a folder that has one is whole.

    Args:
        folder: made here; must not exist or be empty.
        frames: each with `rgb`; `Frame.id` names its files.
        readme: text of ``README.md``: what this is, its source and its licence.
        depth: "png" for 16-bit millimetres up to 65.535 m, "npy" for float32 metres, exact.
        image_format: "png" (exact) or "jpeg" (smaller, quality 95).

    Raises:
        UsageError: `folder` is a file or is not empty, or a format is not one of the above.
        DataError: a frame has no pixels, two share a file name, or depth does not fit the PNG.
    """
    if depth not in ("png", "npy") or image_format not in _IMAGE_FORMATS:
        raise UsageError(
            f"wanted depth png or npy and images png or jpeg, got {depth}, {image_format}"
        )
    _make_empty(folder)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    unfinished = folder / "metadata.jsonl.part"
    stems: set[str] = set()
    with unfinished.open("w", encoding="utf-8") as lines:
        for frame in frames:
            stem = _file_stem(frame.id, stems)
            image = _write_image(folder, stem, frame, image_format)
            depth_image = _write_depth(folder, stem, frame.depth_m, depth)
            record = frame_record(frame, image, depth_image)
            lines.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    unfinished.replace(folder / "metadata.jsonl")


def frame_record(frame: Frame, image: str, depth_image: str | None) -> dict[str, Any]:
    """One line of ``metadata.jsonl``; what the frame was not given is left out.

    Args:
        frame: the frame; its `extra` fields are passed through, and never hide a known field.
        image: path of the picture in the folder.
        depth_image: path of the depth in the folder (".png": millimetres, ".npy": metres) or None.

    >>> frame_record(Frame("a", "", 4, 3, extra={"site": "lab"}), "images/a.png", None)
    {'site': 'lab', 'file_name': 'images/a.png', 'id': 'a'}
    """
    record: dict[str, Any] = {**frame.extra, "file_name": image, "id": frame.id}
    if depth_image is not None:
        record["depth_file_name"] = depth_image
        record["depth_scale"] = METRES_PER_UNIT if depth_image.endswith(".png") else 1.0
    if frame.camera is not None:
        record["intrinsics"] = frame.camera.matrix.tolist()
    if frame.gravity is not None:
        record["gravity"] = frame.gravity.tolist()
    if frame.objects is not None:
        record["objects"] = _object_lists(frame.objects)
    if frame.caption is not None:
        record["caption"] = frame.caption
    return record


def depth_to_millimetres(depth_m: Floats) -> NDArray[np.uint16]:
    """Metres (H, W), non-finite = no reading, to whole millimetres with 0 = no reading.

    Raises DataError for depth below 0 or beyond 65.535 m, which sixteen bits cannot hold.

    >>> depth_to_millimetres(np.array([[1.2344, np.nan]], np.float32)).tolist()
    [[1234, 0]]
    """
    known = np.isfinite(depth_m)
    depth_mm: Doubles = np.rint(np.where(known, depth_m, 0).astype(np.float64) * 1000)
    if depth_mm.size and (depth_mm.min() < 0 or depth_mm.max() > 65535):
        raise DataError(
            f"depth: wanted 0 to {FARTHEST_M} m for a 16-bit PNG, "
            f"got {depth_mm.min() / 1000} to {depth_mm.max() / 1000} m; write it with depth='npy'"
        )
    return depth_mm.astype(np.uint16)


def _make_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: wanted a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)


def _file_stem(frame_id: str, taken: set[str]) -> str:
    stem = re.sub(r"[^\w.-]|^[.]", "_", frame_id)
    if not stem or stem in taken:
        raise DataError(f"frame id {frame_id!r}: its file name {stem!r} is empty or taken")
    taken.add(stem)
    return stem


def _write_image(folder: Path, stem: str, frame: Frame, image_format: ImageFormat) -> str:
    if frame.rgb is None:
        raise DataError(f"frame {frame.id!r} has no pixels to write")
    suffix, options = _IMAGE_FORMATS[image_format]
    path = f"images/{stem}{suffix}"
    (folder / "images").mkdir(exist_ok=True)
    Image.fromarray(frame.rgb).save(folder / path, **options)
    return path


def _write_depth(folder: Path, stem: str, depth_m: Floats | None, depth: DepthFormat) -> str | None:
    if depth_m is None:
        return None
    path = f"depth/{stem}.{depth}"
    (folder / "depth").mkdir(exist_ok=True)
    if depth == "npy":
        np.save(folder / path, np.where(np.isfinite(depth_m), depth_m, 0).astype(np.float32))
    else:
        Image.fromarray(depth_to_millimetres(depth_m)).save(folder / path, compress_level=1)
    return path


def _object_lists(objects: list[FrameObject]) -> dict[str, list[Any]]:
    lists: dict[str, list[Any]] = {
        "bbox": [list(o.bbox_xywh) for o in objects],
        "caption": [o.caption for o in objects],
        "segmentation": [o.rle for o in objects],
        "score": [o.score for o in objects],
        "role": [o.role for o in objects],
    }
    always = ("bbox", "caption")
    return {
        name: values
        for name, values in lists.items()
        if name in always or any(v is not None for v in values)
    }
