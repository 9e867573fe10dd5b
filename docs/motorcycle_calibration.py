"""Which c in Z = f·b / (disparity + c) makes the motorcycle's garage square and its wheel round?

``python docs/motorcycle_calibration.py``; what it found stands in ``docs/log.md``.

A plane is linear in disparity for any c, d = p·(x, y, 1) with (x, y, 1) the ray of a pixel, and its
normal is p + (0, 0, c): so angles between planes say what c is, without knowing any length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage import data

from calipers.io.masks import decode_mask
from calipers.samples.motorcycle import BASELINE_M, CENTER_PX, DOFFS_PX, FOCAL_PX, motorcycle_frame

Array = NDArray[np.float64]

# Rectangles (left, top, right, bottom) on one flat thing each, found by looking at the picture.
WALLS = {
    "door": (177, 0, 300, 109),
    "wall on the left": (0, 0, 171, 93),
    "cardboard box above": (532, 33, 585, 95),
    "cardboard box below": (615, 193, 685, 272),
}
FLOOR = (0, 350, 700, 498)
AXIS = np.array([0.0, 0.0, 1.0])
TRIED = (0.0, 5.0, 11.0, 20.0, DOFFS_PX, 37.0, 45.0)


def main() -> None:
    disparity = data.stereo_motorcycle()[2].astype(float)
    height, width = disparity.shape
    v, u = np.mgrid[:height, :width]
    rays = np.stack(((u - CENTER_PX[0]) / FOCAL_PX, (v - CENTER_PX[1]) / FOCAL_PX, v * 0 + 1), -1)
    objects = motorcycle_frame().objects or []
    masks = {item.caption: decode_mask(item.rle) > 0 for item in objects if item.rle is not None}
    covered = ndimage.binary_dilation(np.any(list(masks.values()), axis=0), iterations=4)
    floor = fit(rays, disparity, within(covered.shape, FLOOR) & ~covered, 0.12)
    for name, rectangle in WALLS.items():
        wall = fit(rays, disparity, within(covered.shape, rectangle), 0.12)
        square = np.roots([1, floor[2] + wall[2], floor @ wall]).max()
        angles = ", ".join(f"{angle(floor, wall, c):.0f}° at {c:g}" for c in TRIED)
        print(f"{name}: square to the floor at c = {square:.1f} px; {angles}")
    mask = masks["rear wheel of the motorcycle"]
    plane, rim = fit(rays, disparity, mask, 0.8), outline(mask)
    for c in TRIED:
        long, short = axes(rays[rim[:, 1], rim[:, 0]], plane + c * AXIS)
        print(f"rear wheel at c = {c:g}: {long:.3f} m by {short:.3f} m, ratio {long / short:.3f}")


def within(shape: tuple[int, ...], rectangle: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """The pixels of a rectangle."""
    left, top, right, bottom = rectangle
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def fit(rays: Array, disparity: Array, mask: NDArray[np.bool_], tolerance_px: float) -> Array:
    """The plane p with d = p·ray that most of the pixels lie on (RANSAC, then least squares)."""
    known = mask & np.isfinite(disparity)
    x, d, rng = rays[known], disparity[known], np.random.default_rng(0)
    best = np.zeros(len(d), bool)
    for _ in range(400):
        three = rng.choice(len(d), 3, replace=False)
        p = np.linalg.lstsq(x[three], d[three], rcond=None)[0]
        on = np.abs(x @ p - d) < tolerance_px
        best = on if on.sum() > best.sum() else best
    return np.asarray(np.linalg.lstsq(x[best], d[best], rcond=None)[0])


def angle(first: Array, second: Array, c: float) -> float:
    """Degrees between two planes' normals."""
    a, b = first + c * AXIS, second + c * AXIS
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


def outline(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(N, 2) pixels (x, y) of the convex hull."""
    pixels = np.argwhere(mask)[:, ::-1]
    return np.asarray(pixels[ConvexHull(pixels).vertices])


def axes(rays: Array, plane: Array) -> tuple[float, float]:
    """Metres of the long and short axis of the ellipse through rays that meet a plane."""
    points = rays * (FOCAL_PX * BASELINE_M / (rays @ plane))[:, None]
    across = np.cross(plane, [0.0, 1.0, 0.0])
    across /= np.linalg.norm(across)
    up = np.cross(plane, across) / np.linalg.norm(plane)
    a, b = np.stack((across, up)) @ (points - points.mean(0)).T
    terms = np.stack((a * a, a * b, b * b, a, b), 1)
    w = np.linalg.lstsq(terms, np.ones(len(a)), rcond=None)[0]
    form = np.array([[w[0], w[1] / 2], [w[1] / 2, w[2]]])
    middle = -np.linalg.solve(2 * form, w[3:])
    half = np.sqrt((1 + middle @ form @ middle) / np.linalg.eigvalsh(form))
    return 2 * float(half.max()), 2 * float(half.min())


if __name__ == "__main__":
    main()
