"""Readings of a depth map: at a pixel, over an area, and how far to trust them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from calipers.geometry.clean import is_exact
from calipers.geometry.plane import local_planes
from calipers.types import Bools, Camera, Doubles, Floats

WINDOW_PX = 2
"""Where depth is noisy, readings are medians over windows that reach so far to each side."""
SAME_SURFACE = 0.02
"""Readings that differ by less than this share of the depth are of one surface."""
ALIKE = 0.3
"""A reading that fewer of those around it are like is a mixed pixel at an edge, and outvoted."""
SEARCH_PX = 64
"""How far the nearest reading is looked for where there is none."""
RANGE_M = (1e-4, 1e4)
"""Depth beyond it is no reading."""
FINEST_M = 0.0005
"""No reading is trusted to less than this: depth files hold millimetres."""
_MEDIAN = 1.2533
"""Standard deviation of a median of many in that of their mean: √(π/2)."""
_TOO_SMALL_PX = 32
LEAST_POINTS = 12


def in_range(depth_m: Floats) -> Floats:
    """The map (H, W) with NaN for all that is no depth, or beyond `RANGE_M`."""
    near, far = RANGE_M
    return np.where((depth_m >= near) & (depth_m <= far), depth_m, np.float32(np.nan))


class Reading(NamedTuple):
    """Depth at a pixel.

    Attributes:
        depth_m: None when there is no reading.
        sigma_m: its standard deviation.
        used: readings it is the median of.
        nearest: column, row and depth of the nearest reading where there is none.
    """

    depth_m: float | None
    sigma_m: float = 0.0
    used: int = 0
    nearest: tuple[int, int, float] | None = None


class Summary(NamedTuple):
    """Depth of an area, metres: SpatialBot's four numbers, and how many readings were used."""

    center: float
    mean: float
    p5: float
    p95: float
    used: int


@dataclass(frozen=True, slots=True)
class DepthMap:
    """A depth map with what is known of its noise.

    Attributes:
        depth_m: (H, W) float32, NaN where there is no reading.
        noise: standard deviation of one reading of 1/depth, so of depth at one metre.
        exact: each reading is believed; else those around it vote.
    """

    depth_m: Floats
    noise: float
    exact: bool

    @classmethod
    def of(cls, depth_m: Floats) -> DepthMap:
        """Estimate the noise; a plane is linear in 1/depth whatever the focal length is."""
        depth = np.ascontiguousarray(depth_m, np.float32)
        height, width = depth.shape
        if min(height, width) < _TOO_SMALL_PX or not (depth > 0).any():
            return cls(depth, 0.0, True)
        camera = Camera(width, width, (width - 1) / 2, (height - 1) / 2, width, height)
        noise = local_planes(depth, camera).noise
        noise = noise if np.isfinite(noise) else 0.0
        return cls(depth, noise, is_exact(depth, noise))

    def sigma_m(self, depth_m: float, count: int = 1) -> float:
        """Standard deviation of the median of so many readings around a depth."""
        spread = _MEDIAN / count**0.5 if count > 1 else 1.0
        return max(FINEST_M, self.noise * depth_m * depth_m * spread)

    def read(self, column: int, row: int) -> Reading:
        """Read one pixel: as it is where depth is exact, else the median of those of its surface.

        A reading that is like too few around it is outvoted by the whole window.
        """
        depth = float(self.depth_m[row, column])
        if not depth > 0:
            return Reading(None, nearest=self._nearest(column, row))
        if self.exact:
            return Reading(depth, self.sigma_m(depth), 1)
        around = self._window(column, row, WINDOW_PX)
        around = around[around > 0]
        tolerance = max(SAME_SURFACE * depth, 4 * self.noise * depth * depth)
        alike = around[np.abs(around - depth) <= tolerance]
        used = alike if len(alike) >= ALIKE * len(around) else around
        median = float(np.median(used))
        return Reading(median, self.sigma_m(median, len(used)), len(used))

    def summary(self, area: Bools) -> Summary | None:
        """Summarise the readings of an area (H, W); None when it has none."""
        area = area & (self.depth_m > 0)
        rows, columns = np.nonzero(area)
        if not len(rows):
            return None
        readings = self.depth_m[rows, columns].astype(np.float64)
        middle = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
        p5, p95 = np.percentile(readings, (5, 95))
        center = readings[middle.argmin()]
        return Summary(float(center), float(readings.mean()), float(p5), float(p95), len(readings))

    def _window(self, column: int, row: int, reach: int) -> Floats:
        rows = slice(max(0, row - reach), row + reach + 1)
        return self.depth_m[rows, max(0, column - reach) : column + reach + 1]

    def _nearest(self, column: int, row: int) -> tuple[int, int, float] | None:
        around = self._window(column, row, SEARCH_PX)
        rows, columns = np.nonzero(around > 0)
        if not len(rows):
            return None
        rows, columns = rows + max(0, row - SEARCH_PX), columns + max(0, column - SEARCH_PX)
        best = ((rows - row) ** 2 + (columns - column) ** 2).argmin()
        y, x = int(rows[best]), int(columns[best])
        return x, y, float(self.depth_m[y, x])


class Flat(NamedTuple):
    """A plane through points: unit normal, and how far it is known.

    Attributes:
        sigma_rad: standard deviation of the normal's direction.
        thickness: scatter off the plane in the shorter scatter along it.
    """

    normal: Doubles
    sigma_rad: float
    thickness: float


def fit_plane(points: Floats) -> Flat | None:
    """Fit a plane to (N, 3) points, those far off it left out; None for fewer than 12.

    Of 64 planes through three points each, that with the least median distance (least median of
    squares, Rousseeuw 1984) tells which points are near; through these the best plane is laid.

    >>> grid = np.stack(np.meshgrid(range(5), range(5), [2]), -1).reshape(-1, 3)
    >>> abs(fit_plane(grid).normal).round(6).tolist()
    [0.0, 0.0, 1.0]
    """
    if len(points) < LEAST_POINTS:
        return None
    every = np.asarray(points, np.float64)
    normal, offset = _robust_plane(every[:: 1 + len(every) // 2000])
    off = np.abs(every @ normal + offset)
    kept = every[off <= max(3 * 1.4826 * float(np.median(off)), 1e-6)]
    _, spread, axes = np.linalg.svd(kept - kept.mean(0), full_matrices=False)
    ratio = float(spread[2]) / max(float(spread[1]), 1e-12)
    return Flat(axes[2], ratio / len(kept) ** 0.5, ratio)


def _robust_plane(points: Doubles) -> tuple[Doubles, float]:
    """Unit normal n and offset d of the plane n·x + d = 0 to which half of the points are near."""
    rng = np.random.default_rng(len(points))
    first, second, third = points[rng.integers(len(points), size=(3, 64))]
    normals = np.cross(second - first, third - first)
    lengths = np.linalg.norm(normals, axis=1)
    normals /= np.maximum(lengths, 1e-300)[:, None]
    offsets = -(normals * first).sum(1)
    median = np.median(np.abs(points @ normals.T + offsets), axis=0)
    best = int(np.where(lengths > 1e-12, median, np.inf).argmin())
    return normals[best], float(offsets[best])
