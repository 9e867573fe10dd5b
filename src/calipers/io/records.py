"""The form of one line of ``metadata.jsonl``, and the reasons for which a record is refused."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

from annotated_types import Len
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from calipers.errors import Skip

REASONS = {
    "bad_json": "the JSON that goes with the picture is not a readable object",
    "missing_file_name": "the record has no file_name",
    "bad_file_name": "file_name or depth_file_name is not a usable path",
    "bad_id": "id is neither a non-empty string nor a whole number",
    "duplicate_id": "an earlier record has the same id",
    "path_outside_folder": "an absolute path, one with '..', or a link that leads out",
    "missing_file": "there is no such image file",
    "missing_depth_file": "there is no such depth file",
    "unreadable_file": "the file is there and may not be opened",
    "not_an_image": "no PNG, JPEG, WebP, BMP, TIFF or GIF",
    "truncated_image": "the image file is cut short or broken",
    "unsupported_image_mode": "pixels without an RGB form (floats, Lab)",
    "decompression_bomb": "more than 100 million pixels in the image or depth map",
    "unreadable_depth": "the depth file is cut short, broken, pickled or of no known format",
    "wrong_depth_format": "depth of 8 bits, of several bands, or an array that is not 2-d",
    "depth_size_mismatch": "the depth map is not of the image's size",
    "bad_depth_scale": "depth_scale is not a positive finite number",
    "bad_intrinsics": "not a finite, invertible 3x3 pinhole matrix without skew",
    "bad_gravity": "not three finite numbers of length 1 (within 1 %)",
    "bad_caption": "caption is not a text",
    "bad_objects": "objects is not a mapping of lists",
    "unequal_lists": "the lists of objects differ in length",
    "missing_box": "objects without bbox whose segmentation is not given either",
    "bad_box": "not four finite numbers with a positive width and height",
    "box_outside_image": "a box reaches more than 1 pixel over the border",
    "bad_object_caption": "a caption of an object is not a text",
    "bad_score": "a score is not a finite number",
    "bad_role": "a role is not a text",
    "bad_segmentation": "neither polygons nor run lengths",
    "bad_polygon": "fewer than 3 points, an odd count of numbers, or numbers that are not finite",
    "bad_rle": "run lengths that are no COCO RLE or do not add up to the image",
    "mask_size_mismatch": "the size stated by a mask is not the image's",
    "mask_outside_image": "a polygon reaches more than 1 pixel over the border",
    "empty_mask": "no pixel inside the mask",
    "exif_rotation": "EXIF turns the image and nothing tells whether the geometry is turned too",
}
"""Every reason for which a record is refused at the door, and what it means."""

POISONS = {
    "crashed": "the process that worked on the record died",
    "timed_out": "nothing was heard for too long of the process that worked on the record",
    "out_of_memory": "the process that worked on the record took more memory than a worker may",
}
"""Why a record that ends its worker is left out; see `calipers.engine`."""


def _path(name: str) -> str:
    if "\0" in name or not PurePosixPath(name).name:
        raise ValueError("wanted the path of a file")
    if not name.isascii() and name != name.encode(errors="replace").decode():
        raise ValueError("wanted a name that is valid UTF-8")
    return str(PurePosixPath(name))


FileName = Annotated[str, AfterValidator(_path)]
Row = Annotated[list[float], Len(3, 3)]
BoxRow = Annotated[list[float], Len(4, 4)]
Positive = Annotated[FiniteFloat, Field(gt=0)]


class ObjectLists(BaseModel):
    """The ``objects`` of a record: lists of equal length, one entry an object."""

    model_config = ConfigDict(extra="allow", strict=True)

    bbox: list[BoxRow | None] | None = None
    caption: list[str | None] | None = None
    segmentation: list[Any] | None = None
    score: list[FiniteFloat | None] | None = None
    role: list[str | None] | None = None


class Record(BaseModel):
    """One line of ``metadata.jsonl``; null means absent, unknown fields are kept."""

    model_config = ConfigDict(extra="allow", strict=True)

    file_name: FileName
    id: Annotated[str, Field(min_length=1)] | int | None = None
    depth_file_name: FileName | None = None
    depth_scale: Positive | None = None
    intrinsics: Annotated[list[Row], Len(3, 3)] | None = None
    gravity: Row | None = None
    objects: ObjectLists | None = None
    caption: str | None = None


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


_REASON_OF = {
    "file_name": "bad_file_name",
    "depth_file_name": "bad_file_name",
    "id": "bad_id",
    "depth_scale": "bad_depth_scale",
    "intrinsics": "bad_intrinsics",
    "gravity": "bad_gravity",
    "caption": "bad_caption",
    "objects": "bad_objects",
}
_REASON_OF_LIST = {
    "bbox": "bad_box",
    "caption": "bad_object_caption",
    "segmentation": "bad_segmentation",
    "score": "bad_score",
    "role": "bad_role",
}


def parse_record(line: dict[str, Any]) -> Record:
    """Check the form of one record.

    Raises:
        Skip: the first fault found, under its reason in `REASONS`.
    """
    try:
        record = Record.model_validate(line)
    except ValidationError as error:
        raise _skip(error) from error
    if record.objects is not None:
        _check_lengths(record.objects)
    return record


def _skip(error: ValidationError) -> Skip:
    first = error.errors(include_url=False, include_context=False)[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "missing":
        return Skip("missing_file_name", "wanted file_name")
    reason = _REASON_OF[path[0]]
    if path[0] == "objects" and len(path) > 2:
        reason = _REASON_OF_LIST[path[1]]
    return Skip(reason, f"{'.'.join(path)}: {first['msg']}")


def _check_lengths(lists: ObjectLists) -> None:
    lengths = {name: len(values) for name, values in lists if isinstance(values, list)}
    known = {name: length for name, length in lengths.items() if name in _REASON_OF_LIST}
    if len(set(known.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in known.items())
        raise Skip("unequal_lists", f"objects: {found}")
