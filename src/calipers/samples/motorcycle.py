"""The Middlebury 2014 "Motorcycle" frame that scikit-image ships, with 19 outlined objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calipers.errors import MissingExtraError, UsageError
from calipers.io.masks import decode_mask, encode_mask, mask_box, polygons_to_rle
from calipers.samples.folder import write_frames
from calipers.types import Bools, Camera, Floats, Frame, FrameObject

# From the docstring of skimage.data.stereo_motorcycle, for the pictures it returns.
FOCAL_PX = 994.978
CENTER_PX = (311.193, 254.877)
DOFFS_PX = 31.086
BASELINE_M = 0.193001

README = """\
# motorcycle: a red motorcycle in a garage, with measured depth

One frame, 741x500, with 19 objects. Written by `calipers sample motorcycle`.

**Source.** The left picture and the disparity of `skimage.data.stereo_motorcycle()` (scikit-image),
a quarter-size copy of "Motorcycle" from the Middlebury 2014 stereo data: D. Scharstein,
H. Hirschmueller, Y. Kitajima, G. Krathwohl, N. Nesic, X. Wang, P. Westling, "High-resolution stereo
datasets with subpixel-accurate ground truth", GCPR 2014, http://vision.middlebury.edu/stereo/data/.

**Licence.** scikit-image is under BSD-3-Clause ("Files: *" in its LICENSE.txt). Neither it nor
skimage's data folder states a separate licence for this picture. Cite the paper above.

**Depth.** `depth/motorcycle.png`: 16-bit millimetres, 0 = no reading.
depth = 0.193001 m * 994.978 px / (disparity + 31.086 px), the calibration in scikit-image's
docstring. 7 % of the pixels have no disparity (infinite in the file); none is zero or negative.

**The metres are the calibration's, and they look too small.** Measured with it, the rear wheel is
0.445 m across and the axles 0.95 m apart; a motorcycle of this kind measures about 0.64 m and
1.4 m (Yamaha XJ650 Maxim, https://xjcd.org/book/export/html/474: rear tyre 130/90-16, which is
0.640 m, and wheelbase 1.445 m; the one in the picture is a Maxim 400, whose data we did not find).
Lengths seem to be about 0.7 of life size: order and ratios hold, absolute sizes do not. The
calibration is kept as published; the writer's option `scale` multiplies every depth. The door and
the boxes on the shelf meet the floor at 85 to 86 degrees, so shape may be off by a few degrees too,
or the floor slopes.

**Outlines** are ours, with holes left out of the masks. They were drawn by hand; the motorcycle's
and the bench's silhouettes follow the edge in the disparity, corrected by eye. Masks are of visible
parts. Parts (wheels, seat, tank, headlight, mirror, turn signals) lie inside the motorcycle's mask.

**Captions** are ours; "taped cardboard box" and "orange turn signal" stand three times each
on purpose. Each fits one thing in the picture or the three it names: there are more boxes, a second
tub and a second mirror that have no outline.
**Gravity** is not known and is not given.
"""


def write_motorcycle(folder: Path, scale: float = 1.0) -> None:
    """Write the one frame.

    Args:
        folder: new or empty.
        scale: every depth is multiplied by it; 1 is the published calibration (see the README).

    Raises:
        MissingExtraError: scikit-image is not installed.
        UsageError: `scale` is not between 0.1 and 10, or `folder` is not empty.
    """
    if not 0.1 <= scale <= 10:
        raise UsageError(f"scale: wanted a number from 0.1 to 10, got {scale}")
    write_frames(folder, [motorcycle_frame(scale)], README)


def motorcycle_frame(scale: float = 1.0) -> Frame:
    """Return the frame with RGB, depth (metres times `scale`, NaN = no reading), camera, masks."""
    rgb, disparity = _load()
    height, width = disparity.shape
    return Frame(
        id="motorcycle",
        image="images/motorcycle.png",
        width=width,
        height=height,
        rgb=rgb,
        depth_m=disparity_to_depth(disparity) * np.float32(scale),
        camera=Camera(FOCAL_PX, FOCAL_PX, *CENTER_PX, width, height),
        objects=[_object(row, (height, width)) for row in outlines()],
        caption="a red motorcycle in a garage",
    )


def disparity_to_depth(disparity_px: Floats) -> Floats:
    """Depth in metres, NaN where the disparity is not finite.

    depth = baseline * focal / (disparity + doffs), where doffs is the difference of the two
    cameras' cx (Scharstein et al., GCPR 2014).

    >>> round(float(disparity_to_depth(np.array([50.0], np.float32))[0]), 3)
    2.368
    """
    known = np.where(np.isfinite(disparity_px), disparity_px, np.nan).astype(np.float64)
    depth: Floats = (BASELINE_M * FOCAL_PX / (known + DOFFS_PX)).astype(np.float32)
    return depth


def outlines() -> list[dict[str, Any]]:
    """Return caption, polygons and holes of each object.

    Polygons are [x1, y1, x2, y2, ...] in pixels; a whole number names a pixel's centre.
    """
    text = files("calipers.samples").joinpath("data/motorcycle.json").read_text(encoding="utf-8")
    objects: list[dict[str, Any]] = json.loads(text)["objects"]
    return objects


def _load() -> tuple[NDArray[np.uint8], Floats]:
    try:
        from skimage import data
    except ImportError as error:
        raise MissingExtraError("the sample motorcycle", "samples") from error
    load: Callable[[], tuple[NDArray[np.uint8], NDArray[np.uint8], Floats]] = data.stereo_motorcycle
    left, _, disparity = load()
    return left, disparity


def _object(row: dict[str, Any], size_hw: tuple[int, int]) -> FrameObject:
    mask = _fill(row["polygons"], size_hw) & ~_fill(row["holes"], size_hw)
    rle = encode_mask(mask)
    return FrameObject(mask_box(rle), row["caption"], rle)


def _fill(polygons: list[list[float]], size_hw: tuple[int, int]) -> Bools:
    if not polygons:
        return np.zeros(size_hw, dtype=np.bool_)
    # COCO counts from the border of the top-left pixel, half a pixel before its centre.
    return decode_mask(polygons_to_rle([[v + 0.5 for v in p] for p in polygons], size_hw))
