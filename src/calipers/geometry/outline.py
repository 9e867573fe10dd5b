"""Convex outlines in a plane: what lies how far beside a thing that is looked down on."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from calipers.types import Doubles


def outline(points: Doubles) -> Doubles | None:
    """The corners (K, 2) of the convex hull of (N, 2) points, counterclockwise.

    None for points on one line, which have no outline.

    >>> outline(np.array([[0.0, 0], [2, 0], [1, 0.5], [2, 1], [0, 1]])).tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]]
    """
    try:
        corners = points[ConvexHull(points).vertices]
    except (QhullError, ValueError):
        return None
    return np.asarray(np.roll(corners, -int(np.lexsort(corners.T)[0]), axis=0))


def beyond(points: Doubles, corners: Doubles) -> Doubles:
    """(...,) how far (..., 2) points are outside of an outline (K, 2); 0 inside.

    >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    >>> beyond(np.array([[0.5, 0.5], [1.25, 0.5], [4, 5]]), square).tolist()
    [0.0, 0.25, 5.0]
    """
    far = np.full(points.shape[:-1], np.inf)
    inside = np.ones(points.shape[:-1], dtype=np.bool_)
    for start, end in zip(corners, np.roll(corners, -1, axis=0)):
        away, way = points - start, end - start
        inside &= way[0] * away[..., 1] >= way[1] * away[..., 0]
        far = np.minimum(far, aside(points, start, end))
    return np.where(inside, 0.0, far)


def aside(points: Doubles, start: Doubles, end: Doubles) -> Doubles:
    """(...,) how far (..., 2) points are from the straight way between two points (2,).

    >>> aside(np.array([[0.5, 0.1], [2.0, 0.0]]), np.zeros(2), np.array([1.0, 0.0])).tolist()
    [0.1, 1.0]
    """
    way = end - start
    share = (points - start) @ way / max(float(way @ way), 1e-12)
    nearest = start + np.clip(share, 0, 1)[..., None] * way
    return np.asarray(np.linalg.norm(points - nearest, axis=-1))
