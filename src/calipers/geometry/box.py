"""Boxes around clean clouds, along given axes."""

from __future__ import annotations

import numpy as np

from calipers.types import Bools, Camera, Doubles, Floats


def extents(
    outline: Floats, inside: Floats, axes: Doubles, camera: Camera, trim: float = 0.0
) -> tuple[Doubles, Doubles]:
    """Return the low and high ends of an object's points along each row of (3, 3) `axes`.

    A pixel is seen by its centre but covers its whole footprint (Z/f across the line of sight), so
    an end that only the outline reaches moves out by half a footprint. Where the inside reaches as
    far (a face across the axis) it is the end itself.

    Args:
        outline: (N, 3) points of the outermost pixels, camera frame, metres.
        inside: (M, 3) all other points; M may be 0.
        trim: share of the outline (of the inside: four times it) beyond each end; 0 for exact
            depth, more where noise makes outlines ragged and surfaces thick.
    """
    turn = axes.T.astype(np.float32)
    per_metre = np.abs(axes[:, 0]) / camera.fx + np.abs(axes[:, 1]) / camera.fy
    rim = outline @ turn
    faces = inside[:: 1 + len(inside) // 2000] @ turn if len(inside) else np.full((1, 3), np.nan)
    ends: list[Doubles] = []
    rim_order, face_order = np.sort(rim, axis=0), np.sort(faces, axis=0)
    k, j = int(trim * len(rim)), int(4 * trim * len(faces))
    for best, end, face in (
        (rim.argmin(0), rim_order[k], face_order[j]),
        (rim.argmax(0), rim_order[-1 - k], face_order[-1 - j]),
    ):
        sign = -1.0 if not ends else 1.0
        footprint = outline[best, 2] * per_metre
        beyond = sign * (face - end)
        ends.append(
            end + sign * np.where(beyond > -0.35 * footprint, np.maximum(beyond, 0), footprint / 2)
        )
    return ends[0], ends[1]


_SAMPLES = np.array([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])


def far_side(forward: Floats, kept: Bools, footprint_m: float) -> float:
    """Estimate how far back a body goes, from the rows of pixels across it.

    Each row is a section of the visible surface between two outline points. On a body symmetric
    about its centre the outline points of a section are opposite each other, so the hidden end is
    at left + right - nearest; the third quartile over the rows is taken. Round sections turn away
    before they are seen to end: an ellipse recedes by b·(1 - √(1 - ρ²)) at the share ρ of its half
    width. A section is round when its semi-axis b comes out alike at 0.8 and at 0.5. Where two
    fifths of the sections are, and b is like the half width, the body is taken to be as deep as it
    is wide (a ball, a can, a vase).

    Args:
        forward: (h, w) coordinate along the level viewing direction, metres.
        kept: (h, w) the object's pixels.
        footprint_m: what one pixel covers across the line of sight, metres.

    Returns:
        The farthest end, same coordinate; -inf when no row tells.
    """
    width = kept.shape[1]
    rows = np.flatnonzero(kept.sum(1) >= 6)
    left = kept[rows].argmax(1)
    right = width - 1 - kept[rows, ::-1].argmax(1)
    columns = np.rint(left[:, None] + (right - left)[:, None] * _SAMPLES).astype(np.intp)
    good = kept[rows[:, None], columns].all(1)
    if good.sum() < 3:
        return -np.inf
    rows, columns, left, right = rows[good], columns[good], left[good], right[good]
    y = forward[rows[:, None], columns]
    half = (right - left + 1) / 2
    rho = (columns - ((left + right) / 2)[:, None]) / half[:, None]
    fall = 1 - np.sqrt(1 - rho**2)
    s8 = (y[:, 1] + y[:, 5]) / 2 - y[:, 3]
    s5 = (y[:, 2] + y[:, 4]) / 2 - y[:, 3]
    b8 = 2 * s8 / (fall[:, 1] + fall[:, 5])
    b5 = 2 * s5 / (fall[:, 2] + fall[:, 4])
    b = (3 * b8 + b5) / 4
    is_round = (s8 > 0) & (b5 > 0.6 * b8) & (b5 < 1.5 * b8) & (np.abs(y[:, 1] - y[:, 5]) < 4 * s8)
    sides = y[:, 0] + y[:, -1] - y.min(1)
    if is_round.mean() > 0.4:
        wide = is_round & (half > 0.7 * half[is_round].max())
        front = float(y[is_round].min())
        across = float(np.percentile(half[is_round], 95)) * footprint_m
        if 0.5 * across < np.median(b[wide]) < 1.6 * across:
            return front + 2 * across
    return float(np.percentile(sides, 75))
