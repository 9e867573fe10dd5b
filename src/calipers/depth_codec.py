"""The one place that packs metric depth into pictures of three bytes a pixel, and takes it out.

Depth is metres along the optical axis, NaN where there is no reading. Every codec keeps the code 0
(black) for "no reading", so black padding of a packed picture is no reading too.

| codec | what the bytes hold | from | to |
|---|---|---|---|
| ``packed24`` | millimetres, one big-endian uint24 | 1 mm | 8191.999 m |
| ``spatialbot`` | millimetres, 17 bits, SpatialBot's paper (arXiv 2406.13642) | 1 mm | 131.071 m |
| ``spatialbot16`` | millimetres, 16 bits, SpatialBot's public code | 1 mm | 65.535 m |
| ``linear8``, ``log8``, ``inverse8`` | 255 steps even in d, log d, 1/d; gray | 0.1 m | 20 m |

What a codec can hold it gives back exactly. Resize and pad in metres, then pack: the mean of two
codes is the code of something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calipers.errors import DataError

Depth = NDArray[np.float32]
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Codec:
    """A row of the table: a depth becomes a whole number, and that three bytes.

    Attributes:
        near_m, far_m: depth of the first and the last number.
        shifts: for red, green, blue: shift the number right, then left, and keep 8 bits.
        even_in: for 8 bits, what the 255 steps are even in, and the way back; else millimetres.
    """

    near_m: float
    far_m: float
    shifts: tuple[tuple[int, int], ...]
    even_in: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Where the 255 steps begin and end, in what they are even in."""
        forth, _ = self.even_in or (np.positive, np.positive)
        first, last = sorted((float(forth(self.near_m)), float(forth(self.far_m))))
        return first, last

    @property
    def line(self) -> tuple[float, float]:
        """Scale and offset from metres (or what the steps are even in) to the number."""
        if self.even_in is None:
            return 1000.0, 0.0
        first, last = self.ends
        return 254 / (last - first), 1 - first * 254 / (last - first)

    @property
    def most(self) -> int:
        """The largest number; the smallest is 1."""
        return 255 if self.even_in else round(self.far_m * 1000)

    @property
    def steps(self) -> Depth:
        """The 256 depths of the numbers, NaN first."""
        _, back = self.even_in or (np.positive, np.positive)
        steps: NDArray[np.float64] = back(np.linspace(*self.ends, 255))
        return np.concatenate([[np.nan], steps]).astype(np.float32)


_GRAY = ((0, 0),) * 3
_CODECS: Mapping[str, _Codec] = {
    # From 8192 m on, float32 metres are about a millimetre apart: too coarse to be exact.
    "packed24": _Codec(0.001, 8191.999, ((16, 0), (8, 0), (0, 0))),
    # R = (d // 1024) * 2, G = (d // 32) * 8 mod 256, B = (d % 32) * 8
    "spatialbot": _Codec(0.001, 131.071, ((10, 1), (5, 3), (0, 3))),
    # R = (d // 1024) * 4, the rest alike
    "spatialbot16": _Codec(0.001, 65.535, ((10, 2), (5, 3), (0, 3))),
    "linear8": _Codec(0.1, 20.0, _GRAY, (np.positive, np.positive)),
    "log8": _Codec(0.1, 20.0, _GRAY, (np.log, np.exp)),
    "inverse8": _Codec(0.1, 20.0, _GRAY, (np.reciprocal, np.reciprocal)),
}

RANGE_M: Mapping[str, tuple[float, float]] = MappingProxyType(
    {name: (codec.near_m, codec.far_m) for name, codec in _CODECS.items()}
)
"""Codec → nearest and farthest depth it can hold, metres."""

UNITS_M: Mapping[str, float] = MappingProxyType(
    {"m": 1.0, "mm": 0.001, "tum": 1 / 5000, "kitti": 1 / 256}
)
"""Unit of a depth file → metres: 16-bit PNG in millimetres, TUM RGB-D's, KITTI's."""

_BLOCK = 1 << 15  # pixels at a time, so that what is worked on stays in a core's cache


def encode(
    depth_m: NDArray[np.floating[Any]], codec: str, out_of_range: Literal["error", "clip"] = "error"
) -> Picture:
    """Pack depth into a picture, each reading as the nearest one that the codec can hold.

    Args:
        depth_m: (H, W) metres, NaN where there is no reading.
        codec: one of `RANGE_M`.
        out_of_range: what to do with depth beyond `RANGE_M`: refuse it, or take the nearest or
            farthest value. Zero and negative depth is always refused: it is no depth.

    Returns:
        (H, W, 3) uint8 RGB; black where there is no reading.

    Raises:
        DataError: no (H, W) array of floats, depth out of range, or no such codec or option.

    >>> encode(np.float32([[1.5, np.nan]]), "spatialbot").tolist()
    [[[2, 112, 224], [0, 0, 0]]]
    """
    row = _row(codec)
    depth = _depth(depth_m)
    if out_of_range == "clip":
        if np.fmin.reduce(depth, axis=None, initial=np.inf) <= 0:
            raise DataError("depth: wanted positive metres, NaN for no reading; got 0 or less")
        depth = np.clip(depth, np.float32(row.near_m), np.float32(row.far_m))
    elif out_of_range != "error":
        raise DataError(f"out_of_range: wanted 'error' or 'clip', got {out_of_range!r}")
    out = np.empty((*depth.shape, 3), np.uint8)
    if not _pack(row, depth.reshape(-1), out.reshape(-1, 3)):
        least, most = (f.reduce(depth, axis=None) for f in (np.fmin, np.fmax))
        raise DataError(
            f"depth: {codec} holds {row.near_m} to {row.far_m} m, got {least:g} to {most:g} m; "
            "NaN is no reading, and out_of_range='clip' takes the nearest value"
        )
    return out


def decode(image: Picture, codec: str) -> Depth:
    """Take depth out of a packed picture.

    Args:
        image: (H, W, 3) uint8 RGB, as `encode` made it.
        codec: the one it was packed with.

    Returns:
        (H, W) float32 metres, NaN where there is no reading.

    Raises:
        DataError: no (H, W, 3) array of bytes, no such codec, or pixels that no depth is packed to,
            as resizing or lossy compression leaves them.

    >>> decode(np.uint8([[[2, 112, 224], [0, 0, 0]]]), "spatialbot").tolist()
    [[1.5, nan]]
    """
    row = _row(codec)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"image: wanted uint8 (H, W, 3), got {image.dtype} {image.shape}")
    unpack = _unpack_steps if row.even_in else _unpack_millimetres
    depth, broken = unpack(row, image)
    if broken.any():
        raise DataError(
            f"image: {np.count_nonzero(broken)} of {broken.size} pixels hold nothing that {codec} "
            "packs; was it resized, padded in gray or compressed with loss after packing?"
        )
    return depth


def resize(
    depth_m: NDArray[np.floating[Any]],
    size_wh: tuple[int, int],
    method: Literal["nearest", "edge"] = "nearest",
    jump: float = 0.02,
) -> Depth:
    """Resize depth without inventing depth between two surfaces.

    "nearest" takes the reading at the nearest pixel centre. "edge" starts from it and blends in
    those of the four pixels around that differ by less than `jump`; it blends 1/d, in which planes
    are linear, so planes stay planes. Where the nearest pixel has no reading there is none.

    Args:
        depth_m: (H, W) metres, NaN where there is no reading.
        size_wh: the new width and height.
        method: "nearest" or "edge".
        jump: share of the depth from which two neighbours are two surfaces.

    Returns:
        (height, width) float32 metres.

    Raises:
        DataError: no (H, W) array of floats with pixels, no such size or method.

    >>> resize(np.float32([[1, 2, np.nan]]), (6, 1), "edge").tolist()
    [[1.0, 1.0, 2.0, 2.0, nan, nan]]
    """
    depth = _depth(depth_m)
    if min(*size_wh, *depth.shape) < 1:
        raise DataError(f"resize: wanted sizes of 1 or more, got {depth.shape[::-1]} to {size_wh}")
    if method not in ("nearest", "edge"):
        raise DataError(f"method: wanted 'nearest' or 'edge', got {method!r}")
    (x0, x1, share_x), (y0, y1, share_y) = map(_taps, depth.shape[::-1], size_wh)
    nearest: Depth = depth[np.ix_(np.where(share_y < 0.5, y0, y1), np.where(share_x < 0.5, x0, x1))]
    if method == "nearest":
        return nearest
    total, inverse = np.zeros_like(nearest), np.zeros_like(nearest)
    for rows, weight_y in ((y0, 1 - share_y), (y1, share_y)):
        for columns, weight_x in ((x0, 1 - share_x), (x1, share_x)):
            tap = depth[np.ix_(rows, columns)]
            same = np.abs(tap - nearest) <= jump * np.fmin(tap, nearest)
            weight = np.where(same, np.outer(weight_y, weight_x), 0).astype(np.float32)
            total += weight
            inverse += weight * np.where(same, 1 / tap - 1 / nearest, 0)
    with np.errstate(invalid="ignore"):  # 0 / 0 where there is no reading
        blended: Depth = nearest / (1 + nearest * inverse / total)
    return blended


def pad(
    depth_m: NDArray[np.floating[Any]],
    size_wh: tuple[int, int],
    at: Literal["centre", "top_left"] = "centre",
) -> Depth:
    """Put depth into a larger frame of "no reading".

    Args:
        depth_m: (H, W) metres.
        size_wh: width and height of the frame.
        at: where in the frame; "centre" leaves the odd pixel right and below.

    Raises:
        DataError: no (H, W) array of floats, or a frame that is too small.

    >>> pad(np.float32([[1, 2]]), (2, 2), "top_left").tolist()
    [[1.0, 2.0], [nan, nan]]
    """
    depth = _depth(depth_m)
    height, width = depth.shape
    spare_x, spare_y = size_wh[0] - width, size_wh[1] - height
    if spare_x < 0 or spare_y < 0:
        raise DataError(f"pad: wanted a frame of at least {(width, height)}, got {size_wh}")
    if at not in ("centre", "top_left"):
        raise DataError(f"at: wanted 'centre' or 'top_left', got {at!r}")
    x, y = (spare_x // 2, spare_y // 2) if at == "centre" else (0, 0)
    out = np.full(size_wh[::-1], np.nan, np.float32)
    out[y : y + height, x : x + width] = depth
    return out


def from_units(raw: NDArray[Any], unit: str | float) -> Depth:
    """Turn what a depth file holds into metres; 0, negative and non-finite is no reading.

    Args:
        raw: (H, W) integers of 16 bits and more, or floats.
        unit: one of `UNITS_M`, or metres per unit.

    Raises:
        DataError: bytes (a picture, no depth), several bands, or no such unit.

    >>> from_units(np.uint16([[0, 5000]]), "tum").tolist()
    [[nan, 1.0]]
    """
    if raw.ndim != 2 or raw.dtype.kind not in "iuf" or raw.dtype.itemsize < 2:
        raise DataError(
            f"depth: wanted (H, W) integers of 16 bits or floats, got {raw.dtype} {raw.shape}"
        )
    scale = UNITS_M.get(unit) if isinstance(unit, str) else unit
    if scale is None or not 0 < scale < np.inf:
        raise DataError(f"unit: wanted {', '.join(UNITS_M)} or metres per unit, got {unit!r}")
    return _readings(raw.astype(np.float64) * scale)


def from_disparity(
    disparity_px: NDArray[Any], focal_px: float, baseline_m: float, offset_px: float = 0.0
) -> Depth:
    """Turn a disparity map into metres: focal · baseline / (disparity + offset).

    Args:
        disparity_px: (H, W) pixels; 0, negative and non-finite is no reading.
        focal_px: of the rectified pictures.
        baseline_m: between the two cameras.
        offset_px: difference of the two principal points (Middlebury's ``doffs``).

    Raises:
        DataError: several bands, or a focal length or baseline that is not positive.

    >>> from_disparity(np.float32([[0, 50]]), focal_px=500, baseline_m=0.1).tolist()
    [[nan, 1.0]]
    """
    _positive(focal_px=focal_px, baseline_m=baseline_m)
    disparity = _plane(disparity_px)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = focal_px * baseline_m / (disparity + offset_px)
    return _readings(np.where((disparity > 0) & np.isfinite(disparity), depth, np.nan))


def from_relative(
    relative: NDArray[Any], near_m: float, far_m: float, low: float = 0.0, high: float = 1.0
) -> Depth:
    """Turn relative inverse depth (large is near) into metres by two anchors.

    d = 1 / (A · r + B) with A = 1/near − 1/far and B = 1/far, where r runs from 0 at `low` to 1 at
    `high`. Beyond the anchors the line goes on; where it reaches infinity there is no reading.

    Args:
        relative: (H, W), any scale; NaN is no reading.
        near_m, far_m: depth where `relative` is `high` and `low`.
        low, high: the values of `relative` at the anchors.

    Raises:
        DataError: several bands, or anchors that are not positive, alike or the wrong way round.

    >>> from_relative(np.float32([[0, 0.5, 1]]), near_m=1, far_m=3).tolist()
    [[3.0, 1.5, 1.0]]
    """
    _positive(near_m=near_m, far_m=far_m)
    if not (near_m < far_m and low < high and np.isfinite([low, high]).all()):
        raise DataError(f"anchors: wanted {near_m} < {far_m} and {low} < {high}")
    share = (_plane(relative) - low) / (high - low)
    with np.errstate(divide="ignore"):
        return _readings(1 / (share * (1 / near_m - 1 / far_m) + 1 / far_m))


def steps_m(codec: str) -> Depth:
    """The (256,) depths that an 8-bit codec can hold, metres, by their code; code 0 is NaN.

    Codes 1 to 255 go from near to far; of ``inverse8`` from far to near, as relative inverse depth
    is usually drawn.

    Raises:
        DataError: no such 8-bit codec.

    >>> steps_m("log8")[[0, 1, 128, 255]].round(3).tolist()
    [nan, 0.10000000149011612, 1.4140000343322754, 20.0]
    """
    row = _row(codec)
    if row.even_in is None:
        raise DataError(f"codec: wanted one of 8 bits, got {codec!r}")
    return row.steps


def _pack(row: _Codec, depth: Depth, out: Picture) -> bool:
    """Pack (N,) metres into (N, 3); False when some are out of range."""
    exact_all = np.empty(min(_BLOCK, len(depth)), np.float32)
    number_all, bits_all = np.empty((2, len(exact_all)), np.int32)
    for start in range(0, len(depth), _BLOCK):
        part, place = depth[start : start + _BLOCK], out[start : start + _BLOCK]
        exact, number, bits = exact_all[: len(part)], number_all[: len(part)], bits_all[: len(part)]
        if not _number(row, part, exact):
            return False
        np.copyto(number, exact, casting="unsafe")
        for channel, (right, left) in enumerate(row.shifts):
            shifted = np.right_shift(number, right, out=bits) if right else number
            shifted = np.left_shift(shifted, left, out=bits) if left else shifted
            np.copyto(place[:, channel], shifted, casting="unsafe")
    return True


def _number(row: _Codec, depth: Depth, out: Depth) -> bool:
    """Write each depth's whole number, 0 where there is no reading; False when out of range."""
    scale, offset = row.line
    if row.even_in is None:
        slack = 0.499  # of a millimetre
        np.multiply(depth, np.float32(scale), out=out)
    else:
        if np.fmin.reduce(depth) <= 0:
            return False
        slack = 0.001
        np.multiply(row.even_in[0](depth, out=out), np.float32(scale), out=out)
        np.add(out, np.float32(offset), out=out)
    if np.fmin.reduce(out) < 1 - slack or np.fmax.reduce(out) > row.most + slack:
        return False
    np.fmax(np.rint(out, out=out), np.float32(0), out=out)  # NaN to 0
    return True


def _unpack_millimetres(row: _Codec, image: Picture) -> tuple[Depth, NDArray[np.bool_]]:
    """Metres, and where the bytes are none that `encode` writes."""
    millimetres = np.zeros(image.shape[:2], np.int32)
    unused = np.zeros(image.shape[:2], np.uint8)
    for channel, (right, left) in enumerate(row.shifts):
        byte = image[..., channel]
        millimetres |= (byte >> np.uint8(left)).astype(np.int32) << right
        unused |= byte & np.uint8((1 << left) - 1)
    depth = millimetres.astype(np.float32)
    depth[millimetres == 0] = np.nan
    np.divide(depth, np.float32(1000), out=depth)
    return depth, (unused > 0) | (millimetres > row.most)


def _unpack_steps(row: _Codec, image: Picture) -> tuple[Depth, NDArray[np.bool_]]:
    """Metres, and where the picture is not gray."""
    red, green, blue = (image[..., channel] for channel in range(3))
    return row.steps[red], (red != green) | (red != blue)


def _row(codec: str) -> _Codec:
    if codec not in _CODECS:
        raise DataError(f"codec: wanted {', '.join(_CODECS)}, got {codec!r}")
    return _CODECS[codec]


def _depth(depth_m: NDArray[np.floating[Any]]) -> Depth:
    """The array as contiguous float32."""
    if depth_m.ndim != 2 or depth_m.dtype.kind != "f":
        raise DataError(f"depth: wanted floats (H, W), got {depth_m.dtype} {depth_m.shape}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(depth_m, np.float32)


def _plane(raw: NDArray[Any]) -> NDArray[np.float64]:
    if raw.ndim != 2 or raw.dtype.kind not in "iuf":
        raise DataError(f"wanted numbers (H, W), got {raw.dtype} {raw.shape}")
    return raw.astype(np.float64)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise DataError(f"{name}: wanted a positive number, got {value}")


def _readings(metres: NDArray[np.float64]) -> Depth:
    """Float32, with NaN for all that is no positive finite number."""
    with np.errstate(over="ignore"):
        depth = metres.astype(np.float32)
    depth[~((depth > 0) & (depth < np.inf))] = np.nan
    return depth


def _taps(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """For each new pixel the two old ones around it, and how far it is towards the second."""
    place = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    first = np.minimum(place.astype(np.intp), max(old - 2, 0))
    return first, np.minimum(first + 1, old - 1), place - first
