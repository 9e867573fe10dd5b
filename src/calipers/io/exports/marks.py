"""Numbered marks on a picture, so that a text can say "the chair [2]".

A number stands in the middle of what is seen of its object, as in Set-of-Mark prompting
(arXiv:2310.11441): at the pixel of the mask that is nearest to the mask's mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from calipers.io.masks import decode_mask

COLOURS = ("#e6194b", "#0b7a2f", "#3355dd", "#b3530a", "#7a1fa2", "#00707a", "#a3006b", "#4d4d00")
"""Dark enough for white numbers, told apart in turn."""


def mark_place(item: Mapping[str, Any]) -> tuple[float, float]:
    """Where the mark of an object stands: x, y in pixels.

    >>> mark_place({"bbox": [10, 20, 4, 6], "segmentation": None})
    (12.0, 23.0)
    """
    segmentation = item["segmentation"]
    if segmentation is None:
        x, y, w, h = item["bbox"]
        return x + w / 2, y + h / 2
    ys, xs = np.nonzero(decode_mask(segmentation))
    nearest = int(np.argmin((xs - xs.mean()) ** 2 + (ys - ys.mean()) ** 2))
    return float(xs[nearest]), float(ys[nearest])


def draw_marks(image: Image.Image, objects: Iterable[Mapping[str, Any]]) -> Image.Image:
    """A copy of an RGB picture with the number of each object that has a name, from 1."""
    marked = image.copy()
    draw = ImageDraw.Draw(marked)
    radius = max(7.0, min(image.size) / 40)
    font = ImageFont.load_default(size=1.3 * radius)
    for number, item in enumerate(objects, start=1):
        if item["name"]:
            x, y = mark_place(item)
            x = min(max(x, radius), image.width - 1 - radius)
            y = min(max(y, radius), image.height - 1 - radius)
            disc = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(disc, fill=COLOURS[(number - 1) % len(COLOURS)], outline="white")
            draw.text((x, y), str(number), fill="white", font=font, anchor="mm")
    return marked
