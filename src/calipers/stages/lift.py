"""Depth and masks → a metric scene: clean clouds, boxes, gravity and the support surface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calipers.errors import Skip
from calipers.geometry import box, cloud
from calipers.geometry.camera import rays
from calipers.geometry.frames import level_from_camera
from calipers.geometry.plane import Plane, find_planes, local_planes
from calipers.stages.gravity import Level, find_level, level_from_gravity
from calipers.types import (
    Bools,
    Camera,
    DepthStats,
    Doubles,
    Floats,
    Frame,
    FrameObject,
    Scene,
    SceneObject,
)

LEAST_PIXELS = 12
"""An object with fewer cleaned pixels is not lifted."""
GUESSED_POINTS = 800
"""Points of an object that are mirrored to its far side and dropped to its feet."""
MOST_CONTACTS = 24
"""Objects of a frame whose closest points to each other are kept in their clouds."""
CROP_PIXELS = 24_000
"""Larger crops are read at every second (third, …) pixel."""
_PAD = 8
_TOUCHING_M = 0.02


@dataclass(frozen=True, slots=True)
class View:
    """What all objects of a frame share.

    Attributes:
        ray_x, ray_y: x/z of each column (W,), y/z of each row (H,).
        noise: standard deviation of one reading of 1/depth.
        exact: noise is negligible and edges are sharp.
        planes: the large planes of the depth map.
        level_from_camera: (4, 4), None without a level frame.
        covered: (H, W) by how many masks a pixel is covered, at most 2.
    """

    depth_m: Floats
    camera: Camera
    ray_x: Floats
    ray_y: Floats
    noise: float
    exact: bool
    planes: list[Plane]
    level: Level | None
    level_from_camera: Doubles | None
    covered: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Base:
    """A level surface seen around the lower end of an object.

    Attributes:
        height: against gravity, from the camera, metres.
        ahead: how far ahead of the camera it is seen just under the object, metres.
    """

    height: float
    ahead: float

    def carries(self, low: Doubles, high: Doubles) -> bool:
        """Whether an object with these box ends (right, ahead, up) stands on the surface.

        The line of sight under a standing object meets the surface before the object's middle;
        under a hanging one it goes on behind it.
        """
        gap = low[2] - self.height
        if gap < _TOUCHING_M:
            return True
        return bool(gap < 0.8 * (high[2] - low[2]) and self.ahead < (low[1] + high[1]) / 2)


@dataclass(frozen=True, slots=True)
class Patch:
    """The crop around one object: (h, w) coordinates in metres, 0 where there is no reading.

    Attributes:
        window: rows and columns of the frame, with the step at which they are read.
        camera: its pixels are those of the crop.
    """

    window: tuple[slice, slice]
    camera: Camera
    outline: cloud.Outline
    x: Floats
    y: Floats
    z: Floats

    def along(self, axis: Doubles) -> Floats:
        """Coordinate of each pixel along a unit axis of the camera frame, (h, w)."""
        a, b, c = axis.astype(np.float32)
        return np.asarray(a * self.x + b * self.y + c * self.z)


def lift(frame: Frame, masks: Sequence[Bools | None]) -> Scene:
    """Lift a frame with depth, camera and objects into a `Scene` without references.

    Args:
        frame: `depth_m`, `camera` and `objects` must be there.
        masks: one (H, W) mask an object, None where there is none.

    Raises:
        Skip: ``not_ready`` when depth, camera or objects are missing, ``no_depth`` when no reading
            is valid.
    """
    if frame.depth_m is None or frame.camera is None or frame.objects is None:
        raise Skip("not_ready", "lifting needs depth, intrinsics and objects")
    view = look(frame, masks)
    pairs = [_lift_object(view, o, m) for o, m in zip(frame.objects, masks, strict=True)]
    objects = [made for made, _ in pairs]
    _store_clouds([(made, dense) for made, dense in pairs if dense is not None])
    level = view.level
    return Scene(
        id=frame.id,
        image=frame.image,
        depth_image=frame.depth_image,
        width=frame.width,
        height=frame.height,
        camera=frame.camera,
        intrinsics_source=frame.intrinsics_source or "given",
        objects=objects,
        depth_stats=_stats(frame.depth_m, view.noise),
        gravity=_single(None if level is None else level.gravity),
        gravity_source=_gravity_source(frame, level),
        gravity_confidence=None if level is None else level.confidence,
        support_plane=_single(None if level is None else level.support_plane),
        caption=frame.caption,
        extra=frame.extra,
    )


def _single(vector: Doubles | None) -> Floats | None:
    return None if vector is None else vector.astype(np.float32)


def _gravity_source(frame: Frame, level: Level | None) -> str | None:
    if level is None:
        return None
    return "depth_plane" if frame.gravity is None else frame.gravity_source or "given"


def look(frame: Frame, masks: Sequence[Bools | None]) -> View:
    """Find what all objects of a frame share: noise, planes, gravity, support surface."""
    depth, camera = frame.depth_m, frame.camera
    if depth is None or camera is None:
        raise Skip("not_ready", "lifting needs depth and intrinsics")
    blocks = local_planes(depth, camera)
    planes = find_planes(blocks)
    level: Level | None = None
    if frame.gravity is not None:
        sure = 1.0 if frame.gravity_confidence is None else frame.gravity_confidence
        level = level_from_gravity(frame.gravity.astype(np.float64), blocks, planes, sure)
    elif frame.gravity_source is None:  # otherwise others were asked, and left it in doubt
        level = find_level(blocks, planes)
    transform = None if level is None else level_from_camera(level.gravity, level.support_plane)
    covered = np.zeros(depth.shape, np.uint8, order="F")  # as decoded masks are
    for mask in masks:
        if mask is not None:
            np.minimum(covered + mask, 2, out=covered)
    ray_x, ray_y = rays(camera)
    exact = cloud.is_exact(depth, blocks.noise)
    return View(depth, camera, ray_x, ray_y, blocks.noise, exact, planes, level, transform, covered)


def _lift_object(
    view: View, given: FrameObject, mask: Bools | None
) -> tuple[SceneObject, Floats | None]:
    """Lift one object and return its points; one that cannot be lifted carries its reason."""
    made = SceneObject(
        caption=given.caption or "",
        bbox=given.bbox_xywh,
        role=given.role,
        segmentation=given.rle,
        score=given.score,
    )
    if mask is None or not mask.any():
        made.reference_reason = "not lifted: no_mask"
        return made, None
    made.touches_border = _touches_border(mask)
    patch = _patch(view, mask)
    inverse = np.divide(1, patch.z, out=np.zeros_like(patch.z), where=patch.z > 0)
    others = np.ascontiguousarray(view.covered[patch.window]) > patch.outline.mask
    base = _base(view, patch)
    surface = _surfaces(view, patch, base, inverse)
    cleaned = cloud.clean(
        inverse, patch.outline, others, surface, view.noise, patch.camera.fx, view.exact
    )
    kept = cleaned.pixels
    if np.count_nonzero(kept) < LEAST_PIXELS:
        made.reference_reason = "not lifted: no_depth"
        return made, None
    z = np.divide(1, cleaned.inverse_depth, out=np.zeros_like(patch.z), where=kept)
    patch = _with_depth(patch, view, z)
    return made, _fill(made, view, patch, cleaned, base)


def _fill(
    made: SceneObject, view: View, patch: Patch, cleaned: cloud.Clean, base: Base | None
) -> Floats:
    """Set everything that is measured on the cleaned pixels, and return the points,
    those that the object hides among them."""
    kept = np.flatnonzero(cleaned.pixels)
    points = np.stack([a.ravel()[kept] for a in (patch.x, patch.y, patch.z)], axis=1)
    rim = cleaned.rim.ravel()[kept]
    outline, inside = points[rim], points[~rim]
    low, high = box.extents(outline, inside, np.eye(3), patch.camera, _trim(view))
    made.center_camera, made.size_camera = _center_size(low, high)
    if view.level_from_camera is not None:
        low, high = _level_box(view, patch, (outline, inside), cleaned, base)
        made.center_level, made.size_level = _center_size(low, high)
    made.pixels = len(points) * patch.window[0].step ** 2
    made.hidden_share = float(np.float32(cleaned.hidden_share))
    made.depth_mean = float(points[:, 2].mean())
    made.depth_p5, made.depth_p95 = cloud.quantiles(points[:, 2], (0.05, 0.95))
    made.depth_center = _depth_at_center(kept, points[:, 2], patch.z.shape[1])
    if view.level_from_camera is None or made.center_level is None:
        return points
    transform = view.level_from_camera
    center = (made.center_level - transform[:3, 3]) @ transform[:3, :3]
    some = cloud.thin(points, GUESSED_POINTS)
    parts = [points, _hidden(2 * center.astype(np.float32) - some, patch)]
    assert made.size_level is not None
    bottom = made.center_level[2] - made.size_level[2] / 2 - transform[2, 3]
    if base is not None and abs(bottom - base.height) < 1e-4:
        parts.append(_feet(some, transform, made))
    return np.concatenate(parts)


def _feet(points: Floats, transform: Doubles, made: SceneObject) -> Floats:
    """The lowest fifth of an object's points, dropped on the surface that it stands on."""
    assert made.center_level is not None
    assert made.size_level is not None
    up = transform[2, :3].astype(np.float32)
    height = points @ up + np.float32(transform[2, 3])
    bottom = made.center_level[2] - made.size_level[2] / 2
    low = height < bottom + 0.2 * made.size_level[2]
    return np.asarray(points[low] - (height[low] - bottom)[:, None] * up)


def _hidden(points: Floats, patch: Patch) -> Floats:
    """Those of (N, 3) points that the object itself hides from the camera."""
    camera = patch.camera
    points = points[points[:, 2] > 0]
    u = np.rint(points[:, 0] / points[:, 2] * camera.fx + camera.cx).astype(np.intp)
    v = np.rint(points[:, 1] / points[:, 2] * camera.fy + camera.cy).astype(np.intp)
    height, width = patch.z.shape
    inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
    points, seen = points[inside], patch.z[v[inside], u[inside]]
    return np.asarray(points[(seen > 0) & (points[:, 2] > seen)])


def _store_clouds(lifted: list[tuple[SceneObject, Floats]]) -> None:
    """Store at most 512 points an object, among them those closest to each other object."""
    contacts: list[list[Floats]] = [[] for _ in lifted]
    clouds = [points for _, points in lifted[:MOST_CONTACTS]]
    for (a, b), (on_a, on_b) in cloud.closest_pairs(clouds):
        contacts[a].append(on_a)
        contacts[b].append(on_b)
    for (made, points), extra in zip(lifted, contacts, strict=True):
        few = cloud.thin(points, cloud.MOST_POINTS - len(extra))
        if extra:
            few = np.concatenate((few, np.stack(extra)))
        made.cloud, made.cloud_origin, made.cloud_scale = cloud.quantise(few)


def _level_box(
    view: View,
    patch: Patch,
    points: tuple[Floats, Floats],
    cleaned: cloud.Clean,
    base: Base | None,
) -> tuple[Doubles, Doubles]:
    transform = view.level_from_camera
    assert transform is not None
    axes = transform[:3, :3]
    low, high = box.extents(*points, axes, patch.camera, _trim(view))
    if cleaned.hidden_share < 0.15:
        footprint = cloud.quantiles(patch.z[cleaned.pixels], (0.5,))[0] / patch.camera.fx
        far = box.far_side(patch.along(axes[1]), cleaned.pixels, footprint)
        high[1] = max(high[1], min(far, low[1] + 1.3 * (high[0] - low[0])))
    if base is not None and base.carries(low, high):
        low[2] = base.height
    return low + transform[:3, 3], high + transform[:3, 3]


def _trim(view: View) -> float:
    return 0.0 if view.exact else cloud.TRIM


def _center_size(low: Doubles, high: Doubles) -> tuple[Floats, Floats]:
    return ((low + high) / 2).astype(np.float32), (high - low).astype(np.float32)


def _touches_border(mask: Bools) -> bool:
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def _depth_at_center(kept: NDArray[np.intp], z: Floats, width: int) -> float:
    """Depth at the cleaned pixel (flat positions `kept`) nearest to the middle of them all."""
    rows, columns = np.divmod(kept, width)
    distance = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
    return float(z[int(distance.argmin())])


def _patch(view: View, mask: Bools) -> Patch:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    area = (int(np.ptp(rows)) + 2 * _PAD) * (int(np.ptp(columns)) + 2 * _PAD)
    step = max(1, round((area / CROP_PIXELS) ** 0.5))
    pad = _PAD * step
    window = (
        slice(max(0, int(rows[0]) - pad), min(height, int(rows[-1]) + pad + 1), step),
        slice(max(0, int(columns[0]) - pad), min(width, int(columns[-1]) + pad + 1), step),
    )
    z = view.depth_m[window].copy()
    z[~(z > 0)] = 0
    v, u = window
    k = view.camera
    camera = Camera(
        fx=k.fx / step,
        fy=k.fy / step,
        cx=(k.cx - u.start) / step,
        cy=(k.cy - v.start) / step,
        width=z.shape[1],
        height=z.shape[0],
    )
    outline = cloud.Outline.of(np.ascontiguousarray(mask[window], dtype=bool))
    return Patch(window, camera, outline, view.ray_x[u] * z, view.ray_y[v, None] * z, z)


def _with_depth(patch: Patch, view: View, z: Floats) -> Patch:
    v, u = patch.window
    return replace(patch, x=view.ray_x[u] * z, y=view.ray_y[v, None] * z, z=z)


def _surfaces(view: View, patch: Patch, base: Base | None, inverse: Floats) -> Bools:
    """Pixels of a crop on a surface around the object: a large plane or what it stands on.

    A surface counts when the ring around the mask shows it and the inside of the mask does not.
    """
    valid = patch.z > 0
    if not view.exact:
        steady = cloud.smooth(inverse, valid)
        patch = _with_depth(
            patch, view, np.divide(1, steady, out=np.zeros_like(steady), where=valid)
        )
    tolerance = _tolerance(view, patch.z, 2.5)
    ring = (patch.outline.outside <= 6) & ~patch.outline.mask & valid
    inside = (patch.outline.inside > cloud.BAND_PX) & valid
    rings, insides = np.count_nonzero(ring), np.count_nonzero(inside)
    on = np.zeros(patch.z.shape, bool)
    for normal, offset in _nearby_surfaces(view, base):
        here = np.abs(patch.along(normal) + np.float32(offset)) < tolerance
        seen, within = np.count_nonzero(here & ring), np.count_nonzero(here & inside)
        if seen > 0.05 * rings and within <= 0.5 * insides:
            on |= here
    return on & valid


def _nearby_surfaces(view: View, base: Base | None) -> Iterator[tuple[Doubles, float]]:
    for plane in view.planes:
        yield plane.normal, plane.offset
    if base is not None and view.level is not None:
        yield -view.level.gravity, -base.height


def _tolerance(view: View, z: Floats, deviations: float) -> Floats:
    return np.asarray(0.002 + 0.003 * z + np.float32(deviations * view.noise) * z * z)


def _base(view: View, patch: Patch) -> Base | None:
    """Height (against gravity, from the camera) of the level surface around an object's lower end.

    Level surfaces are told from upright ones by the height of pixels two rows apart, which differs
    by two footprints on a wall. None when no such surface is seen below the object's middle.
    """
    if view.level is None:
        return None
    height, valid = patch.along(-view.level.gravity), patch.z > 0
    inner = (patch.outline.inside > cloud.BAND_PX) & valid
    inside = height[inner if inner.any() else patch.outline.mask & valid]
    if len(inside) < LEAST_PIXELS:
        return None
    ring = (patch.outline.outside > 2) & (patch.outline.outside <= 7)
    ring[:2], ring[-2:] = False, False
    rows, columns = np.nonzero(ring & valid)
    ends = valid[rows - 2, columns] & valid[rows + 2, columns]
    rows, columns = rows[ends], columns[ends]
    rise = np.abs(height[rows - 2, columns] - height[rows + 2, columns])
    z = patch.z[rows, columns]
    low, high = cloud.quantiles(inside, (0.02, 0.98))
    at = height[rows, columns]
    level = (
        (rise < 1.6 * z / patch.camera.fy)
        & (at < (low + high) / 2)
        & (at > low - (high - low) - 0.03)
    )
    at = at[level]
    if len(at) < max(20, 0.03 * len(rows)):
        return None
    bin_m = float(np.median(_tolerance(view, z[level], 4.0)))
    found = _highest_mode(at, bin_m, float(low) + 2 * bin_m)
    return None if found is None else Base(found, _seen_under(view, patch))


def _seen_under(view: View, patch: Patch) -> float:
    """How far ahead the surface is that is seen just under an object; -inf when none is."""
    assert view.level_from_camera is not None
    mask = patch.outline.mask
    bottom = int(np.flatnonzero(mask.any(1))[-1])
    columns = mask[max(0, bottom - 3) : bottom + 1].any(0)
    under = np.zeros_like(mask)
    under[bottom + 3 : bottom + 7] = columns
    ahead = patch.along(view.level_from_camera[1, :3])[under & (patch.z > 0)]
    return float(np.median(ahead)) if len(ahead) else -np.inf


def _highest_mode(heights: Floats, bin_m: float, limit: float) -> float | None:
    """The highest level below `limit` at which many of the heights agree within `bin_m`."""
    counts, edges = np.histogram(
        heights, np.arange(heights.min(), heights.max() + 2 * bin_m, bin_m)
    )
    often = (counts >= max(15, 0.15 * counts.sum())) & (edges[:-1] <= limit)
    if not often.any():
        return None
    top = int(np.flatnonzero(often)[-1])
    best = top - int(top > 0 and counts[top - 1] > counts[top])
    close = heights[np.abs(heights - (edges[best] + edges[best + 1]) / 2) < bin_m]
    return float(np.median(close))


def _stats(depth: Floats, noise: float) -> DepthStats:
    sample = depth[::4, ::4]
    valid = sample[sample > 0]
    if not len(valid):
        valid = depth[depth > 0]
    if not len(valid):
        raise Skip("no_depth", "the depth map has no valid reading")
    low, p5, median, p95, high = (float(v) for v in np.percentile(valid, (0, 5, 50, 95, 100)))
    share = float((depth > 0).mean())
    return DepthStats(valid=share, min=low, p5=p5, median=median, p95=p95, max=high, noise=noise)
