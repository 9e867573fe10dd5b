"""Open pictures: RGB pixels, upright, whatever mode and orientation they are stored in."""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from calipers.errors import Skip
from calipers.io.exif import EXIF_IFD, FOCAL_35MM, ORIENTATION, ORIENTATIONS, UPRIGHT, Turn

MAX_PIXELS = 100_000_000
"""Pictures and depth maps of more pixels are refused as decompression bombs."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""Only these decoders run; PIL's others start programs (PostScript) or are rare."""

PIL_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    AttributeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What PIL raises on broken files, beside OSError."""

WIDE_MODES = ("I;16", "I;16B", "I;16L", "I")
PNG_EXIF_KEYS = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
_JPEG_MARK = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
NARROW_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


@dataclass(frozen=True, slots=True)
class Picture:
    """An opened picture, upright.

    Attributes:
        size_wh: its upright size, pixels.
        turn: how the stored picture was turned to stand upright.
        focal_35mm: EXIF's 35 mm equivalent focal length, millimetres, or None.
        rgb: (H, W, 3) uint8, or None when pixels were not asked for.
    """

    size_wh: tuple[int, int]
    turn: Turn
    focal_35mm: float | None
    rgb: NDArray[np.uint8] | None


def inside(root: Path, name: str, missing: str) -> Path:
    """Resolve a file of the folder `root`, refusing whatever leaves it.

    Args:
        root: the folder, resolved.
        name: the path as written in the record.
        missing: the reason to give when there is no such file.

    Raises:
        Skip: ``path_outside_folder`` (absolute, with "..", or a link that leads out) or `missing`.
    """
    if name.startswith("/") or ".." in name.split("/"):
        raise Skip("path_outside_folder", f"{name}: wanted a path inside the folder")
    real = Path(os.path.realpath(root / name))
    if not real.is_relative_to(root):
        raise Skip("path_outside_folder", f"{name} leads out of the folder")
    if not os.path.isfile(real):  # noqa: PTH113 - Path.is_file raises on names that are too long
        raise Skip(missing, f"no such file: {name}")
    return real


def open_file(path: Path, name: str) -> IO[bytes]:
    """Open a file of the folder; ``unreadable_file`` when the system refuses."""
    try:
        return path.open("rb")
    except OSError as error:
        raise Skip("unreadable_file", f"{name}: {error.strerror}") from error


def open_image(file: IO[bytes], name: str) -> ImageFile:
    """Read the header of a picture, without decoding.

    Raises:
        Skip: ``not_an_image`` or ``decompression_bomb``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise Skip("decompression_bomb", f"{name}: {error}") from error
    except PIL_ERRORS as error:
        raise Skip("not_an_image", f"{name}: not a {', '.join(FORMATS)} file") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        detail = f"{name}: {width}x{height} is over the limit of {MAX_PIXELS} pixels"
        raise Skip("decompression_bomb", detail)
    return image


def read_picture(path: Path, name: str, *, pixels: bool) -> Picture:
    """Open a picture and prove it whole; the same as `decode_picture` of its file."""
    with open_file(path, name) as file:
        return decode_picture(file, name, pixels=pixels)


def decode_picture(file: IO[bytes], name: str, *, pixels: bool) -> Picture:
    """Decode an open picture and prove it whole.

    With `pixels` it is decoded. Without, a PNG is proved by the checksum of every chunk up to its
    end mark and a JPEG by its marks from the first to the last, which is twenty times faster; every
    other format is decoded.

    Raises:
        Skip: ``not_an_image``, ``truncated_image``, ``decompression_bomb`` or
            ``unsupported_image_mode``.
    """
    image = open_image(file, name)
    if image.mode not in NARROW_MODES + WIDE_MODES:
        raise Skip("unsupported_image_mode", f"{name}: {image.mode} pixels have no RGB form")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(image, pixels)
    except PIL_ERRORS as error:
        raise Skip("truncated_image", f"{name}: {error}") from error


def _decode(image: ImageFile, pixels: bool) -> Picture:
    if not pixels and image.format == "PNG" and not _may_hold_exif(image):
        image.verify()
        return Picture(image.size, UPRIGHT, None, None)
    turn, focal = _exif(image)
    size_wh = image.size
    if not pixels and image.format == "JPEG":
        if not has_jpeg_end(_bytes(image)):
            raise OSError("the JPEG has no end mark")
        return Picture(turn.size(size_wh), turn, focal, None)
    image.load()
    rgb = to_rgb(image) if pixels else None
    if image.format == "TIFF":  # PIL has turned the pixels of a TIFF already
        return Picture(image.size, turn, focal, rgb)
    if rgb is not None:
        rgb = turn.array(rgb)
    return Picture(turn.size(size_wh), turn, focal, rgb)


def _may_hold_exif(image: ImageFile) -> bool:
    """Search the bytes of a PNG: its EXIF may stand behind the pixels, where PIL has not been."""
    held = _bytes(image)
    return any(key in held for key in PNG_EXIF_KEYS)


def _bytes(image: ImageFile) -> bytes:
    """All bytes of an opened picture's file, which stays where it was."""
    file = image.fp
    if file is None:
        raise OSError("the file was closed")
    position = file.tell()
    file.seek(0)
    held = file.read()
    file.seek(position)
    return held


def has_jpeg_end(data: bytes) -> bool:
    """Whether the marks of a JPEG lead through its pixels to its end mark.

    A mark is FF and a code; all but a few are followed by their length. Among coded pixels FF is
    followed by 00 or by a restart mark only (ITU-T T.81, B.1.1).

    >>> has_jpeg_end(bytes.fromhex("ffd8 ffda0002 12ff0034 ffd9"))
    True
    >>> has_jpeg_end(bytes.fromhex("ffd8 ffe10004ffd9 ffda0002 12ff0034"))
    False
    """
    at, scanned = 2, False
    while mark := _JPEG_MARK.search(data, at):
        if mark[0] == b"\xff\xd9":
            return scanned
        scanned, at = scanned or mark[0] == b"\xff\xda", mark.end()
        if mark[0] not in (b"\xff\x01", b"\xff\xd8"):
            at += int.from_bytes(data[at : at + 2], "big")
    return False


def _exif(image: Image.Image) -> tuple[Turn, float | None]:
    """Read orientation and 35 mm equivalent focal length; nonsense counts as absent."""
    exif = image.getexif()
    turn = ORIENTATIONS.get(exif.get(ORIENTATION, 1), UPRIGHT)
    focal = exif.get_ifd(EXIF_IFD).get(FOCAL_35MM)
    if isinstance(focal, (int, float)) and 1 <= focal <= 10_000:
        return turn, float(focal)
    return turn, None


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert a loaded picture of any supported mode to (H, W, 3) uint8.

    Transparency is dropped; of 16-bit grey the upper 8 bits stay.
    """
    if image.mode in WIDE_MODES:
        grey = (np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
