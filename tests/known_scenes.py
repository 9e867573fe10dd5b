"""Scenes with known metres: boxes, balls and planes cast ray by ray with plain numpy.

Everything is placed in the level frame: x right, y forward, z up, origin on the floor under the
camera. So what `lift` finds should be what was placed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from calipers.stages.lift import lift
from calipers.types import Camera, Frame, FrameObject, Scene

CAMERA = Camera(fx=500.0, fy=500.0, cx=319.5, cy=239.5, width=640, height=480)
SMALL = Camera(fx=250.0, fy=250.0, cx=159.5, cy=119.5, width=320, height=240)
KINECT_NOISE = 1.42e-3
"""Standard deviation of a reading at 1 m, metres; grows with the square of distance."""


def about_x(degrees: float) -> np.ndarray:
    """Rotation that takes y towards z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def about_z(degrees: float) -> np.ndarray:
    """Rotation that takes x towards y."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@dataclass(frozen=True)
class Box:
    """Centre, size along its own axes, and the rotation of these."""

    center: Sequence[float]
    size: Sequence[float]
    turn: np.ndarray = field(default_factory=lambda: np.eye(3))

    def distance(self, at: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """(N,) lengths of `rays` (N, 3) from `at` to the box, inf for a miss."""
        half = np.array(self.size) / 2
        start, step = (at - self.center) @ self.turn, rays @ self.turn
        step = np.where(np.abs(step) < 1e-12, 1e-12, step)
        one, two = (-half - start) / step, (half - start) / step
        near, far = np.minimum(one, two).max(1), np.maximum(one, two).min(1)
        return np.where((near <= far) & (near > 0), near, np.inf)


@dataclass(frozen=True)
class Ball:
    """Centre and radius."""

    center: Sequence[float]
    radius: float

    def distance(self, at: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """(N,) lengths of `rays` (N, 3) from `at` to the ball, inf for a miss."""
        start = at - self.center
        a, b = (rays * rays).sum(1), rays @ start
        root = b * b - a * (start @ start - self.radius**2)
        near = (-b - np.sqrt(np.maximum(root, 0))) / a
        return np.where((root > 0) & (near > 0), near, np.inf)


@dataclass(frozen=True)
class Flat:
    """The plane of the points p with normal · p = at, without end."""

    normal: Sequence[float]
    at: float

    def distance(self, at: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """(N,) lengths of `rays` (N, 3) from `at` to the plane, inf where they lead away."""
        normal = np.array(self.normal, float)
        along = rays @ normal
        along = np.where(np.abs(along) < 1e-9, 1e-9, along)
        far = (self.at - at @ normal) / along
        return np.where((far > 0) & (far < 100), far, np.inf)


FLOOR = Flat((0, 0, 1), 0.0)


def wall(y: float) -> Flat:
    """An upright wall across the view, so far away."""
    return Flat((0, 1, 0), y)


Solid = Box | Ball | Flat


@dataclass
class Shot:
    """What a camera saw, and where it stood.

    Attributes:
        ids: (H, W) which of the things is seen, -1 for the background.
        level_from_camera: (4, 4) the truth.
    """

    frame: Frame
    masks: list[np.ndarray]
    ids: np.ndarray
    level_from_camera: np.ndarray

    @property
    def depth_m(self) -> np.ndarray:
        """(H, W) of the frame."""
        assert self.frame.depth_m is not None
        return self.frame.depth_m

    @property
    def gravity(self) -> np.ndarray:
        """Down, camera frame."""
        return -self.level_from_camera[2, :3]

    def with_depth(self, depth_m: np.ndarray) -> Shot:
        """The same view with other readings."""
        return replace(self, frame=replace(self.frame, depth_m=depth_m.astype(np.float32)))

    def lifted(self) -> Scene:
        """The scene, each object with a reference of its own."""
        scene = lift(self.frame, self.masks)
        for k, item in enumerate(scene.objects):
            item.reference = f"the thing {k}"
        return scene


def shoot(
    things: Sequence[Solid],
    background: Sequence[Solid] = (FLOOR,),
    *,
    height: float = 1.0,
    pitch: float = 30.0,
    roll: float = 0.0,
    camera: Camera = CAMERA,
) -> Shot:
    """Look at things from so far above the floor, so many degrees down, turned clockwise.

    Depth is exact, NaN where nothing is; a mask for every thing, as far as it is seen.
    """
    # Columns: the camera's right, down and forward.
    upright = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    world_from_camera = about_x(-pitch) @ upright @ about_z(roll)
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = np.stack(((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)), 2)
    rays = rays.reshape(-1, 3) @ world_from_camera.T
    at = np.array([0, 0, height])
    nothing = np.full(len(rays), np.inf)
    far = np.array([*(solid.distance(at, rays) for solid in (*things, *background)), nothing])
    nearest = far.argmin(0)
    depth = np.take_along_axis(far, nearest[None], 0)[0].reshape(u.shape)
    ids = np.where(nearest < len(things), nearest, -1).reshape(u.shape)
    ids[np.isinf(depth)] = -1
    level = np.eye(4)
    level[:3, :3], level[2, 3] = world_from_camera, height
    masks = [ids == k for k in range(len(things))]
    return Shot(
        frame_of(np.where(np.isinf(depth), np.nan, depth), masks, camera), masks, ids, level
    )


def frame_of(depth_m: np.ndarray, masks: Sequence[np.ndarray | None], camera: Camera) -> Frame:
    """A frame with so many objects; boxes stand around the masks."""
    return Frame(
        id="known",
        image="known.png",
        width=camera.width,
        height=camera.height,
        depth_m=depth_m.astype(np.float32),
        camera=camera,
        objects=[FrameObject(_box_around(mask), f"thing {k}") for k, mask in enumerate(masks)],
    )


def _box_around(mask: np.ndarray | None) -> tuple[float, float, float, float]:
    if mask is None or not mask.any():
        return (0.0, 0.0, 1.0, 1.0)
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(k))[[0, -1]] for k in (1, 0))
    return (float(left), float(top), float(right - left + 1), float(bottom - top + 1))


def noisy(shot: Shot, at_1_m: float = KINECT_NOISE, seed: int = 0) -> Shot:
    """The same view with noise that grows with the square of distance."""
    normal = np.random.default_rng(seed).normal(size=shot.depth_m.shape)
    return shot.with_depth(shot.depth_m + at_1_m * shot.depth_m**2 * normal)


def angle(one: Sequence[float] | np.ndarray, two: Sequence[float] | np.ndarray) -> float:
    """Degrees between two directions; exact for small ones too."""
    a, b = np.array(one, float), np.array(two, float)
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))
