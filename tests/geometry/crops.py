"""Crops made from a depth map and a mask, for tests."""

from __future__ import annotations

import numpy as np

from calipers.geometry.crop import Crop, count_masks, cut
from calipers.types import Camera


def crop_of(depth, mask, others=(), focal=100.0) -> Crop:
    """The whole picture as a crop; the camera looks through its middle."""
    height, width = mask.shape
    camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    masks = [np.asfortranarray(m, dtype=bool) for m in (mask, *others)]
    depth = np.ascontiguousarray(np.broadcast_to(depth, mask.shape), dtype=np.float32)
    covered = count_masks(masks, mask.shape)
    return cut(depth, camera, masks[0], covered, (0, height - 1, 0, width - 1), 1)


def rectangle(shape, top, bottom, left, right):
    """A mask that is set in these rows and columns, the last ones not included."""
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask
