"""Depth and masks → a metric scene: clean clouds, boxes, gravity and the support surface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from calipers.errors import Skip
from calipers.geometry import box, cloud
from calipers.geometry.around import Base, find_base, surfaces
from calipers.geometry.clean import Clean, Sides, clean, excesses, is_exact, tell_sides
from calipers.geometry.crop import Bytes, Crop, Window, bounds, count_masks, cut
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
HOLLOW_ROLES = ("gripper", "hand")
"""Roles of what grasps: it stands on nothing, and its far side is not guessed from its near."""
MOST_CONTACTS = 24
"""Objects of a frame whose closest points to each other are kept in their clouds."""
MOST_EXTRA = 128
"""Points of an object that are kept for others' sake."""
CARRIER_M = 0.04
"""What carries an object reaches so much lower than it, metres."""
CROP_PIXELS = 24_000
"""Larger crops are read at every second (third, …) pixel."""
FOOT_ROWS, BELOW_ROWS = 3, (2, 6)
"""The lowest rows of an object, and those below it in which something may hide how it goes on."""
NEARER, HIGHER_M = 1.03, 0.02
"""What hides is so many times nearer, and so much higher than the object's lower end."""
_PAD = 8
_TOUCHING_M, _BELOW_M = 0.02, 0.004
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
    covered: Bytes


@dataclass(slots=True)
class Item:
    """One object on its way into the scene.

    Attributes:
        mask: (H, W) in Fortran order; None when there is none.
        crop, sides: the pixels around it, and how they are told apart.
        points: (N, 3) its points, those that it hides among them; None until it is lifted.
        base: what it stands on.
    """

    made: SceneObject
    mask: Bools | None
    crop: Crop | None = None
    sides: Sides | None = None
    points: Floats | None = None
    base: Base | None = None

    @property
    def bottom(self) -> float:
        """Lower end of its box in the level frame, metres; NaN without one."""
        made = self.made
        if made.center_level is None or made.size_level is None:
            return float("nan")
        return float(made.center_level[2] - made.size_level[2] / 2)


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
    items = [_begin(view, o, m) for o, m in zip(frame.objects, columns, strict=True)]
    told = [(i, i.crop, i.sides) for i in items if i.crop is not None and i.sides is not None]
    fat = excesses([sides for _, _, sides in told])
    for (item, around_it, sides), excess in zip(told, fat, strict=True):
        _lift_item(view, item, around_it, sides, excess)
    _store_clouds([item for item in items if item.points is not None])
    level = view.level
    return Scene(
        id=frame.id,
        image=frame.image,
        depth_image=frame.depth_image,
        width=frame.width,
        height=frame.height,
        camera=frame.camera,
        intrinsics_source=frame.intrinsics_source or "given",
        objects=[item.made for item in items],
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
    covered = count_masks([m for m in masks if m is not None], depth.shape)
    normals = np.array([[*p.normal, p.offset] for p in planes], np.float32).reshape(-1, 4)
    exact = is_exact(depth, blocks.noise)
    return View(depth, camera, blocks.noise, exact, normals, level, transform, covered)


def _begin(view: View, given: FrameObject, mask: Bools | None) -> Item:
    """Look at one object's surroundings; one that cannot be lifted carries its reason."""
    made = SceneObject(
        caption=given.caption or "",
        bbox=given.bbox_xywh,
        role=given.role,
        segmentation=given.rle,
        score=given.score,
    )
    ends = None if mask is None else bounds(mask)
    if mask is None or ends is None:
        made.reference_reason = "not lifted: no_mask"
        return Item(made, None)
    made.touches_border = _touches_border(ends, mask.shape)
    around_it = _crop(view, mask, ends)
    return Item(made, mask, around_it, tell_sides(around_it, view.noise))


def _lift_item(view: View, item: Item, around_it: Crop, sides: Sides, excess: int) -> None:
    """Lift one object whose mask is `excess` pixels too fat."""
    base = None if item.made.role in HOLLOW_ROLES else _base(view, around_it)
    on_surface = surfaces(around_it, _nearby_planes(view, base), view.noise, view.exact)
    cleaned = clean(around_it, sides, excess, on_surface, view.noise, view.exact)
    if cleaned.count < LEAST_PIXELS:
        item.made.reference_reason = "not lifted: no_depth"
        return
    _fill(item, view, cloud.Cloud.of(around_it, cleaned), cleaned, base)


def _fill(item: Item, view: View, seen: cloud.Cloud, cleaned: Clean, base: Base | None) -> None:
    """Set everything that is measured on the cleaned pixels."""
    made, camera, depth = item.made, seen.crop.camera, seen.readings
    low, high = box.extents(seen.points, seen.rim, _CAMERA_AXES, camera, _trim(view))
    made.center_camera, made.size_camera = _center_size(low, high)
    made.pixels = cleaned.count * seen.crop.step**2
    made.hidden_share = float(np.float32(cleaned.hidden_share))
    made.depth_mean, made.depth_center = depth.mean, depth.center
    made.depth_p5, made.depth_p95 = depth.p5, depth.p95
    item.points = seen.points
    if view.level_from_camera is not None:
        low, high = _level_box(view, seen, cleaned, depth.median / camera.fx, base)
        made.center_level, made.size_level = _center_size(low, high)
        hidden = _foot_hidden(seen, cleaned, view.level_from_camera, item.bottom)
        made.hidden_share = max(made.hidden_share, float(np.float32(hidden)))
        if (
            base is not None
            and abs(item.bottom - view.level_from_camera[2, 3] - base.height) < 1e-4
        ):
            item.base = base
        if made.role not in HOLLOW_ROLES:
            item.points = _with_unseen(item, view.level_from_camera, seen)


def _foot_hidden(seen: cloud.Cloud, cleaned: Clean, transform: Doubles, bottom: float) -> float:
    """Share of an object's lowest row below which something nearer is seen: it goes on behind it.

    What it stands on is nearer too, just below it, but not higher than its lower end.
    """
    crop = seen.crop
    rows = np.flatnonzero(cleaned.pixels.any(axis=1))
    last, width = int(rows[-1]), crop.shape[1]
    foot = cleaned.pixels[max(0, last - FOOT_ROWS + 1) : last + 1].any(axis=0)
    columns = np.flatnonzero(foot)
    below = slice(last + BELOW_ROWS[0], last + BELOW_ROWS[1])
    z = crop.depths[0][below, columns]
    if not z.size:
        return 0.0
    ray = np.stack((*np.broadcast_arrays(crop.rays[columns], crop.rays[width:][below, None]),))
    height = (transform[2, 0] * ray[0] + transform[2, 1] * ray[1] + transform[2, 2]) * z
    own = seen.z[max(0, last - FOOT_ROWS + 1) : last + 1, columns].max(axis=0)
    nearer = (z > 0) & (z < own / NEARER)
    higher = height + transform[2, 3] > bottom + HIGHER_M
    return float((nearer & higher).any(axis=0).mean())


def _with_unseen(item: Item, transform: Doubles, seen: cloud.Cloud) -> Floats:
    """The points of an object, those of its far side (the near one mirrored) and of its feet."""
    made = item.made
    assert made.center_level is not None
    center = (made.center_level - transform[:3, 3]) @ transform[:3, :3]
    some = cloud.thin(seen.points, GUESSED_POINTS)
    parts = [seen.points, seen.hidden(2 * center.astype(np.float32) - some)]
    if item.base is not None:
        parts.append(_feet(some, transform, item))
    return np.concatenate(parts)


def _feet(points: Floats, transform: Doubles, item: Item) -> Floats:
    """The lowest fifth of an object's points, dropped on the surface that it stands on."""
    assert item.made.size_level is not None
    up = transform[2, :3].astype(np.float32)
    height = points @ up + np.float32(transform[2, 3])
    low = height < item.bottom + 0.2 * item.made.size_level[2]
    return np.asarray(points[low] - (height[low] - np.float32(item.bottom))[:, None] * up)


def _store_clouds(lifted: list[Item]) -> None:
    """Store at most 512 points an object, among them those closest to each other object."""
    clouds = [item.points for item in lifted if item.points is not None]
    contacts: list[list[Floats]] = [[] for _ in lifted]
    for (a, b), (on_a, on_b) in cloud.closest_pairs(clouds[:MOST_CONTACTS]):
        contacts[a].append(on_a)
        contacts[b].append(on_b)
    for a, b in _standing(lifted):
        foot = clouds[a][-1]
        contacts[a].append(foot)
        contacts[b].append(foot)
    for item, points, extra in zip(lifted, clouds, contacts, strict=True):
        extra = extra[-MOST_EXTRA:]
        few = cloud.thin(points, cloud.MOST_POINTS - len(extra))
        if extra:
            few = np.concatenate((few, np.stack(extra)))
        made = item.made
        made.cloud, made.cloud_origin, made.cloud_scale = cloud.quantise(few)


def _standing(lifted: list[Item]) -> Iterator[tuple[int, int]]:
    """Find which objects stand on which others: the surface around their feet is in its mask.

    What carries must reach well below: around a book on a table the table is within its mask too.
    """
    for a, item in enumerate(lifted):
        if item.base is None:
            continue
        for b, other in enumerate(lifted):
            if other is item or other.mask is None or not item.bottom - other.bottom > CARRIER_M:
                continue
            on_it = other.mask[item.base.rows, item.base.columns]
            if on_it.mean() > 0.5:
                yield a, b


def _level_box(
    view: View, seen: cloud.Cloud, cleaned: Clean, footprint_m: float, base: Base | None
) -> tuple[Doubles, Doubles]:
    transform = view.level_from_camera
    assert transform is not None
    axes = np.ascontiguousarray(transform[:3, :3])
    flat = None if view.exact else 2
    low, high = box.extents(seen.points, seen.rim, axes, seen.crop.camera, _trim(view), flat)
    if cleaned.hidden_share < 0.15:
        _add_far_side(view, seen, cleaned, footprint_m, (low, high), base)
    if base is not None and _carries(base, low, high, view.exact):
        low[2] = base.height
    return low + transform[:3, 3], high + transform[:3, 3]


def _add_far_side(
    view: View,
    seen: cloud.Cloud,
    cleaned: Clean,
    footprint_m: float,
    ends: tuple[Doubles, Doubles],
    base: Base | None,
) -> None:
    """Move the ends of a box (right, ahead, up) out to where the object goes on behind itself."""
    assert view.level_from_camera is not None
    axes = np.ascontiguousarray(view.level_from_camera[:3, :3])
    low, high = ends
    farthest = seen.shadow(axes, low[2] if base is None else base.height)
    if view.exact:
        circle = box.turned(seen.points, axes, low, high, footprint_m, farthest)
        if circle is not None:
            low[:2], high[:2] = circle
            return
    far = box.far_side(seen.along(axes[1]), cleaned.pixels, footprint_m)
    high[1] = max(high[1], min(far, farthest, low[1] + 1.3 * (high[0] - low[0])))


def _carries(base: Base, low: Doubles, high: Doubles, exact: bool) -> bool:
    """Whether an object with these box ends (right, ahead, up) stands on the surface.

    No part of it is seen below the surface, but for noise.

    The line of sight under a standing object meets the surface before the object's middle; under a
    hanging one it goes on behind it.
    """
    gap = low[2] - base.height
    below = _BELOW_M if exact else _TOUCHING_M
    if -below < gap < _TOUCHING_M:
        return True
    return bool(0 < gap < 0.8 * (high[2] - low[2]) and base.ahead < (low[1] + high[1]) / 2)


def _trim(view: View) -> float:
    return 0.0 if view.exact else box.TRIM


def _center_size(low: Doubles, high: Doubles) -> tuple[Floats, Floats]:
    return ((low + high) / 2).astype(np.float32), (high - low).astype(np.float32)


def _touches_border(ends: tuple[int, int, int, int], shape: tuple[int, ...]) -> bool:
    top, bottom, left, right = ends
    return top == 0 or left == 0 or bottom == shape[0] - 1 or right == shape[1] - 1


def _crop(view: View, mask: Bools, ends: Window) -> Crop:
    top, bottom, left, right = ends
    area = (bottom - top + 2 * _PAD) * (right - left + 2 * _PAD)
    step = max(1, round((area / CROP_PIXELS) ** 0.5))
    pad = _PAD * step
    window = (
        *(max(0, top - pad), min(mask.shape[0] - 1, bottom + pad)),
        *(max(0, left - pad), min(mask.shape[1] - 1, right + pad)),
    )
    return cut(view.depth_m, view.camera, mask, view.covered, window, step)


def _nearby_planes(view: View, base: Base | None) -> Floats:
    """The large planes and what the object stands on, (N, 4)."""
    if base is None or view.level is None:
        return view.planes
    level = np.append(-view.level.gravity, -base.height).astype(np.float32)
    return np.concatenate((view.planes, level[None]))


def _base(view: View, around_it: Crop) -> Base | None:
    if view.level is None or view.level_from_camera is None:
        return None
    _, ahead, up = view.level_from_camera[:3, :3]
    return find_base(around_it, up, ahead, view.noise)


def _stats(depth: Floats, noise: float) -> DepthStats:
    found = depth_stats(depth)
    if found is None:
        raise Skip("no_depth", "the depth map has no valid reading")
    share, low, p5, median, p95, high = found
    return DepthStats(valid=share, min=low, p5=p5, median=median, p95=p95, max=high, noise=noise)
