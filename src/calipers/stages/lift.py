"""Depth and masks → a metric scene: clean clouds, boxes, gravity and the support surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calipers.errors import Skip
from calipers.geometry import around, box, cloud, crop
from calipers.geometry.clean import Clean, clean, is_exact
from calipers.geometry.frames import level_from_camera
from calipers.geometry.plane import depth_stats, find_planes, local_planes
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
_CAMERA_AXES = np.eye(3)


@dataclass(frozen=True, slots=True)
class View:
    """What all objects of a frame share.

    Attributes:
        noise: standard deviation of one reading of 1/depth.
        exact: noise is negligible and edges are sharp.
        planes: (N, 4) normals and offsets of the large planes of the depth map.
        level_from_camera: (4, 4), None without a level frame.
        covered: (H, W) by how many masks a pixel is covered, at most 2.
    """

    depth_m: Floats
    camera: Camera
    noise: float
    exact: bool
    planes: Floats
    level: Level | None
    level_from_camera: Doubles | None
    covered: crop.Bytes


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
    columns = [None if m is None else np.asfortranarray(m, dtype=np.bool_) for m in masks]
    view = look(frame, columns)
    pairs = [_lift_object(view, o, m) for o, m in zip(frame.objects, columns, strict=True)]
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
        depth_stats=_stats(view.depth_m, view.noise),
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
    """Find what all objects of a frame share; masks (H, W) in Fortran order."""
    if frame.depth_m is None or frame.camera is None:
        raise Skip("not_ready", "lifting needs depth and intrinsics")
    depth, camera = np.ascontiguousarray(frame.depth_m), frame.camera
    blocks = local_planes(depth, camera)
    planes = find_planes(blocks)
    level: Level | None = None
    if frame.gravity is not None:
        sure = 1.0 if frame.gravity_confidence is None else frame.gravity_confidence
        level = level_from_gravity(frame.gravity.astype(np.float64), blocks, planes, sure)
    elif frame.gravity_source is None:  # otherwise others were asked, and left it in doubt
        level = find_level(blocks, planes)
    transform = None if level is None else level_from_camera(level.gravity, level.support_plane)
    covered = crop.count_masks([m for m in masks if m is not None], depth.shape)
    normals = np.array([[*p.normal, p.offset] for p in planes], np.float32).reshape(-1, 4)
    exact = is_exact(depth, blocks.noise)
    return View(depth, camera, blocks.noise, exact, normals, level, transform, covered)


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
    ends = None if mask is None else crop.bounds(mask)
    if mask is None or ends is None:
        made.reference_reason = "not lifted: no_mask"
        return made, None
    made.touches_border = _touches_border(ends, mask.shape)
    patch = _patch(view, mask, ends)
    base = _base(view, patch)
    on_surface = around.surfaces(patch, _nearby_planes(view, base), view.noise, view.exact)
    cleaned = clean(patch, on_surface, view.noise, view.exact)
    if cleaned.count < LEAST_PIXELS:
        made.reference_reason = "not lifted: no_depth"
        return made, None
    return made, _fill(made, view, cloud.Cloud.of(patch, cleaned), cleaned, base)


def _fill(
    made: SceneObject, view: View, seen: cloud.Cloud, cleaned: Clean, base: Base | None
) -> Floats:
    """Set everything that is measured on the cleaned pixels, and return the points,
    those that the object hides among them."""
    camera, depth = seen.crop.camera, seen.readings
    low, high = box.extents(seen.points, seen.rim, _CAMERA_AXES, camera, _trim(view))
    made.center_camera, made.size_camera = _center_size(low, high)
    made.pixels = cleaned.count * seen.crop.step**2
    made.hidden_share = float(np.float32(cleaned.hidden_share))
    made.depth_mean, made.depth_center = depth.mean, depth.center
    made.depth_p5, made.depth_p95 = depth.p5, depth.p95
    if view.level_from_camera is None:
        return seen.points
    low, high = _level_box(view, seen, cleaned, depth.median / camera.fx, base)
    made.center_level, made.size_level = _center_size(low, high)
    return _with_unseen(made, view.level_from_camera, seen, base)


def _with_unseen(
    made: SceneObject, transform: Doubles, seen: cloud.Cloud, base: Base | None
) -> Floats:
    """The points of an object, those of its far side (the near one mirrored) and of its feet."""
    assert made.center_level is not None
    assert made.size_level is not None
    center = (made.center_level - transform[:3, 3]) @ transform[:3, :3]
    some = cloud.thin(seen.points, GUESSED_POINTS)
    parts = [seen.points, seen.hidden(2 * center.astype(np.float32) - some)]
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
    view: View, seen: cloud.Cloud, cleaned: Clean, footprint_m: float, base: Base | None
) -> tuple[Doubles, Doubles]:
    transform = view.level_from_camera
    assert transform is not None
    axes = np.ascontiguousarray(transform[:3, :3])
    low, high = box.extents(seen.points, seen.rim, axes, seen.crop.camera, _trim(view))
    if cleaned.hidden_share < 0.15:
        far = box.far_side(seen.along(axes[1]), cleaned.pixels, footprint_m)
        high[1] = max(high[1], min(far, low[1] + 1.3 * (high[0] - low[0])))
    if base is not None and base.carries(low, high):
        low[2] = base.height
    return low + transform[:3, 3], high + transform[:3, 3]


def _trim(view: View) -> float:
    return 0.0 if view.exact else box.TRIM


def _center_size(low: Doubles, high: Doubles) -> tuple[Floats, Floats]:
    return ((low + high) / 2).astype(np.float32), (high - low).astype(np.float32)


def _touches_border(ends: tuple[int, int, int, int], shape: tuple[int, ...]) -> bool:
    top, bottom, left, right = ends
    return top == 0 or left == 0 or bottom == shape[0] - 1 or right == shape[1] - 1


def _patch(view: View, mask: Bools, ends: tuple[int, int, int, int]) -> crop.Crop:
    top, bottom, left, right = ends
    area = (bottom - top + 2 * _PAD) * (right - left + 2 * _PAD)
    step = max(1, round((area / CROP_PIXELS) ** 0.5))
    pad = _PAD * step
    window = (
        *(max(0, top - pad), min(mask.shape[0] - 1, bottom + pad)),
        *(max(0, left - pad), min(mask.shape[1] - 1, right + pad)),
    )
    return crop.cut(view.depth_m, view.camera, mask, view.covered, window, step)


def _nearby_planes(view: View, base: Base | None) -> Floats:
    """The large planes and what the object stands on, (N, 4)."""
    if base is None or view.level is None:
        return view.planes
    level = np.append(-view.level.gravity, -base.height).astype(np.float32)
    return np.concatenate((view.planes, level[None]))


def _base(view: View, patch: crop.Crop) -> Base | None:
    if view.level is None or view.level_from_camera is None:
        return None
    _, ahead, up = view.level_from_camera[:3, :3]
    found = around.find_base(patch, up, ahead, view.noise)
    return None if found is None else Base(*found)


def _stats(depth: Floats, noise: float) -> DepthStats:
    found = depth_stats(depth)
    if found is None:
        raise Skip("no_depth", "the depth map has no valid reading")
    share, low, p5, median, p95, high = found
    return DepthStats(valid=share, min=low, p5=p5, median=median, p95=p95, max=high, noise=noise)
