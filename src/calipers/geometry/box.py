"""Boxes around clean clouds, along given axes."""

from __future__ import annotations

import numpy as np

from calipers.types import Bools, Camera, Doubles, Floats


def extents(
    points: Floats, axes: Doubles, camera: Camera, trim: float = 0.0
) -> tuple[Doubles, Doubles]:
    """Return the low and high ends of (N, 3) points along each row of (3, 3) `axes`.

    A pixel is seen by its centre but covers its whole footprint, so each end moves out by half a
    footprint (half of Z/f across the line of sight). `trim` is the share of points left out at
    each end (noise reaches further than the surface).
    """
    along = points @ axes.T.astype(np.float32)
    k = int(trim * len(points))
    if k:
        ordered = np.partition(along, (k, len(points) - 1 - k), axis=0)
        low, high = ordered[k], ordered[len(points) - 1 - k]
    else:
        low, high = along.min(0), along.max(0)
    half = 0.5 * (np.abs(axes[:, 0]) / camera.fx + np.abs(axes[:, 1]) / camera.fy)
    z_low = points[along.argmin(0), 2]
    z_high = points[along.argmax(0), 2]
    return low - half * z_low, high + half * z_high


_ROUND = (2.2, 4.5)
_SAMPLES = np.array([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])


def far_side(forward: Floats, kept: Bools, focal_px: float, depth: float) -> float:
    """Estimate how far back a body goes, from the rows of pixels across it.

    Each row is a section of the visible surface between two outline points. On a body symmetric
    about its centre the outline points of a section are opposite each other, so the hidden end is
    at (left + right - nearest). Round sections (ellipses) turn away before they end: there the
    semi-axis b along the line of sight follows from how far the surface has receded at 0.8 of the
    half width, b = s/(1 - 0.6); a section is round when the surface recedes at 0.8 two to five
    times as much as at 0.5 (an ellipse 3.0, two flat sides 1.6).

    Args:
        forward: (h, w) coordinate along the level viewing direction, metres.
        kept: (h, w) the object's pixels.

    Returns:
        The farthest end over the sections (their 95th percentile), same coordinate.
    """
    width = kept.shape[1]
    count = kept.sum(1)
    rows = np.flatnonzero(count >= 5)
    left = kept[rows].argmax(1)
    right = width - 1 - kept[rows, ::-1].argmax(1)
    columns = np.rint(left[:, None] + (right - left)[:, None] * _SAMPLES).astype(np.intp)
    columns[:, 0], columns[:, -1] = left, right
    y = forward[rows[:, None], columns]
    good = kept[rows[:, None], columns].all(1)
    if not good.any():
        return -np.inf
    y = y[good]
    far = y[:, 0] + y[:, -1] - y.min(1)
    s8 = (y[:, 1] + y[:, 5]) / 2 - y[:, 3]
    s5 = (y[:, 2] + y[:, 4]) / 2 - y[:, 3]
    half = (right - left)[good] * depth / focal_px / 2
    ratio = s8 / np.maximum(s5, 1e-6)
    round_ = (ratio > _ROUND[0]) & (ratio < _ROUND[1]) & (np.abs(y[:, 1] - y[:, 5]) < 0.7 * s8)
    round_ &= s8 > 0.15 * half
    b = np.minimum(s8 / 0.4, 1.5 * half)
    far = np.where(round_, np.maximum(far, y[:, 3] + 2 * b), far)
    return float(np.percentile(far, 95))
