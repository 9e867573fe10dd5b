"""Masks as COCO run-length strings: encode, decode, check, and the other COCO forms turned into it.

Run lengths count down the columns (COCO's order), first background, then object. Everything that
comes from outside is checked in full before it reaches the C code of pycocotools, which trusts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from calipers.errors import Skip
from calipers.types import Bools, Rle

EDGE_PX = 1.0
"""How far a box or a polygon may reach over the image's border before it is refused, pixels."""


def encode_mask(mask: NDArray[Any]) -> Rle:
    """Pack a (H, W) mask, non-zero inside, into a compressed run-length string.

    >>> encode_mask(np.array([[0, 1], [0, 1]]))
    {'size': [2, 2], 'counts': '22'}
    """
    packed = coco.encode(np.asfortranarray(mask, dtype=np.bool_).view(np.uint8))
    return _from_coco(packed)


def decode_mask(rle: Rle) -> Bools:
    """Unpack to a (H, W) bool array in Fortran order; `rle` must be sound (see `check_rle`).

    >>> decode_mask({"size": [2, 2], "counts": "22"}).tolist()
    [[False, True], [False, True]]
    """
    height, width = rle["size"]
    runs = _runs(rle["counts"])
    value = np.zeros(len(runs), dtype=np.bool_)
    value[1::2] = True
    return np.repeat(value, runs).reshape(width, height).T


def mask_area(rle: Rle) -> int:
    """Count the pixels inside.

    >>> mask_area({"size": [2, 2], "counts": "22"})
    2
    """
    return int(coco.area(rle))


def mask_box(rle: Rle) -> tuple[float, float, float, float]:
    """Find the tight x, y, width, height of a mask, pixels.

    >>> mask_box({"size": [2, 2], "counts": "22"})
    (1.0, 0.0, 1.0, 2.0)
    """
    x, y, width, height = (float(v) for v in coco.toBbox(rle))
    return x, y, width, height


def polygons_to_rle(polygons: Sequence[Sequence[float]], size_hw: tuple[int, int]) -> Rle:
    """Fill polygons, each [x1, y1, x2, y2, ...] in pixels, and join them into one mask.

    Raises:
        Skip: ``bad_polygon`` (fewer than three points, an odd count, not finite numbers),
            ``mask_outside_image`` (a point more than one pixel outside) or ``empty_mask``.

    >>> mask_area(polygons_to_rle([[0, 0, 4, 0, 4, 2, 0, 2]], (10, 10)))
    8
    """
    height, width = size_hw
    limit = np.array([width, height], dtype=np.float64)
    rings = [_ring(polygon, limit) for polygon in polygons]
    if not rings:
        raise Skip("empty_mask", "a segmentation without polygons")
    rle = _from_coco(coco.merge(coco.frPyObjects(rings, height, width)))
    return _not_empty(rle, mask_area(rle))


def counts_to_rle(counts: Sequence[int], size_hw: tuple[int, int]) -> Rle:
    """Compress a list of run lengths, background first.

    Raises:
        Skip: ``bad_rle`` (not whole numbers, negative, or not adding up to the image) or
            ``empty_mask``.

    >>> counts_to_rle([2, 2], (2, 2))
    {'size': [2, 2], 'counts': '22'}
    """
    height, width = size_hw
    if not all(type(run) is int and 0 <= run <= height * width for run in counts):
        raise Skip("bad_rle", "run lengths must be whole numbers from 0 to the image's pixels")
    _check_runs(np.array(counts, dtype=np.int64), size_hw)
    return _from_coco(coco.frPyObjects({"size": [height, width], "counts": counts}, height, width))


def check_rle(counts: str, size_hw: tuple[int, int]) -> Rle:
    """Take a compressed run-length string after checking every run of it.

    Raises:
        Skip: ``bad_rle`` or ``empty_mask``.

    >>> check_rle("22", (2, 2))["counts"]
    '22'
    """
    _check_runs(_runs(counts), size_hw)
    return {"size": list(size_hw), "counts": counts}


def to_rle(segmentation: object, size_hw: tuple[int, int]) -> Rle:
    """Turn any COCO segmentation (polygons, list runs, compressed runs) into a checked `Rle`.

    Args:
        segmentation: as it stands in the record.
        size_hw: height and width of the image it belongs to.

    Raises:
        Skip: ``bad_segmentation`` (none of the three forms), ``mask_size_mismatch``, and those of
            `polygons_to_rle`, `counts_to_rle` and `check_rle`.
    """
    if isinstance(segmentation, list):
        return polygons_to_rle(segmentation, size_hw)
    if not isinstance(segmentation, dict):
        raise Skip("bad_segmentation", f"wanted polygons or RLE, got {type(segmentation).__name__}")
    size = rle_size(segmentation)
    if size != size_hw:
        raise Skip(
            "mask_size_mismatch",
            f"mask is {size[1]}x{size[0]}, image is {size_hw[1]}x{size_hw[0]}",
        )
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        return check_rle(counts, size_hw)
    if isinstance(counts, list):
        return counts_to_rle(counts, size_hw)
    raise Skip("bad_rle", f"counts: wanted a string or a list, got {type(counts).__name__}")


def rle_size(segmentation: dict[str, Any]) -> tuple[int, int]:
    """Read the height and width that a run-length record states."""
    size = segmentation.get("size")
    if isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size):
        return size[0], size[1]
    raise Skip("bad_rle", "size: wanted [height, width]")


def _from_coco(packed: dict[str, Any]) -> Rle:
    height, width = packed["size"]
    return {"size": [int(height), int(width)], "counts": packed["counts"].decode("ascii")}


def _ring(polygon: object, limit_wh: NDArray[np.float64]) -> list[float]:
    if not isinstance(polygon, (list, tuple)) or len(polygon) < 6 or len(polygon) % 2:
        raise Skip("bad_polygon", "wanted [x1, y1, x2, y2, x3, y3, ...] with three points or more")
    if not all(isinstance(n, (int, float)) for n in polygon):
        raise Skip("bad_polygon", "wanted numbers only")
    points = np.array(polygon, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise Skip("bad_polygon", "wanted finite numbers")
    if (points < -EDGE_PX).any() or (points > limit_wh + EDGE_PX).any():
        raise Skip("mask_outside_image", "a polygon reaches more than 1 px over the border")
    ring: list[float] = points.clip(0, limit_wh).ravel().tolist()
    return ring


def _check_runs(runs: NDArray[np.int64], size_hw: tuple[int, int]) -> None:
    if (runs < 0).any():
        raise Skip("bad_rle", "a negative run length")
    total, wanted = sum(runs.tolist()), size_hw[0] * size_hw[1]
    if total != wanted:
        raise Skip("bad_rle", f"runs add up to {total} pixels, the image has {wanted}")
    if not runs[1::2].any():
        raise Skip("empty_mask", "no pixel is inside the mask")


def _not_empty(rle: Rle, area: int) -> Rle:
    if area == 0:
        raise Skip("empty_mask", "no pixel is inside the mask")
    return rle


@lru_cache(maxsize=64)
def _runs(counts: str) -> NDArray[np.int64]:
    """Unpack COCO's string: 5 bits a character, low first; from the fourth run on, differences.

    Remembered, because a mask is first checked and then decoded.
    """
    if not counts or not counts.isascii():
        raise Skip("bad_rle", "counts: not a compressed run-length string")
    code = np.frombuffer(counts.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    last = (code & 0x20) == 0
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1 if last[-1] else np.array([99])
    if code.min() < 0 or code.max() > 63 or lengths.max() > 8:
        raise Skip("bad_rle", "counts: not a compressed run-length string")
    shift = 5 * (np.arange(len(code)) - np.repeat(starts, lengths))
    runs = np.add.reduceat((code & 0x1F) << shift, starts)
    runs -= np.where(code[ends] & 0x10, np.left_shift(1, 5 * lengths), 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    runs.flags.writeable = False
    return runs
