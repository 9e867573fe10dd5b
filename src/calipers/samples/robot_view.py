"""What a camera sees of a robot's world: depth, who is where, and colours, by casting rays.

No OpenGL is used. Colours are plain: each geom's own colour, two lamps, the shadow of the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calipers.samples.casting import ModelCaster, pixel_rays
from calipers.samples.robot_world import BACKGROUND, TABLE_M, World
from calipers.samples.scenery import View, look
from calipers.samples.shading import AMBIENT, GRAIN, LAMP_SHARES
from calipers.types import Camera, Doubles

SIZE_WH = (320, 240)
LAMPS = np.array([[0.7, -1.2, 2.6], [1.2, 1.4, 2.2]])
VISIBLE = 1
"""robosuite's group of geoms for pictures; group 0 is what collides."""
TABLE_RGB = (0.80, 0.74, 0.66)
_LIFT_M = 0.004

Picture = NDArray[np.uint8]


@dataclass(slots=True)
class Shot:
    """A world as one camera sees it; (H, W) maps.

    Attributes:
        depth_m: exact z-depth, metres; NaN where a ray leaves the world.
        geoms: the geom at each pixel, -1 for none.
        owners: who it belongs to, see `robot_world`.
    """

    view: View
    depth_m: Doubles
    geoms: NDArray[np.int32]
    owners: NDArray[np.intp]


def draw_view(rng: np.random.Generator, size_wh: tuple[int, int] = SIZE_WH) -> View:
    """A camera before the table that looks at its middle, from 0.7 to 0.95 m."""
    width, height = size_wh
    focal = rng.uniform(0.95, 1.25) * width
    camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
    side, down = rng.uniform(-1.0, 1.0), rng.uniform(0.35, 0.75)
    away = rng.uniform(0.7, 0.95)
    aim = np.array([rng.uniform(-0.03, 0.03), rng.uniform(-0.03, 0.03), TABLE_M + 0.07])
    flat = np.array([np.cos(side), np.sin(side), 0.0])
    at = aim + away * (np.cos(down) * flat + np.sin(down) * np.array([0.0, 0.0, 1.0]))
    yaw = float(np.arctan2(-flat[0], -flat[1]))
    return look(camera, at, yaw, float(down), float(rng.normal(0, 0.01)))


class Eye:
    """Casts pictures of one world.

    Attributes:
        prints: thing → the (h, w, 3) picture that is printed on it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.prints: dict[int, Picture] = {}
        self._caster = ModelCaster(world.model, world.data, (VISIBLE,))
        self._colours = _colours(world.model, world.owner)

    def shoot(self, view: View, only: int | None = None) -> Shot:
        """See the world, or one thing alone."""
        camera, groups = view.camera, self.world.model.geom_group
        before = groups.copy()
        if only is not None:
            groups[self.world.owner != only] = 5
        rays = pixel_rays(camera) @ view.world_from_camera.T
        ids, depth = self._caster.cast(view.at, rays)
        groups[:] = before
        shape = (camera.height, camera.width)
        owners = np.where(ids < 0, BACKGROUND, self.world.owner[ids])
        return Shot(view, depth.reshape(shape), ids.reshape(shape), owners.reshape(shape))

    def colours(self, shot: Shot, rng: np.random.Generator) -> Picture:
        """(H, W, 3) colours of what was seen; `rng` draws the grain."""
        camera, view = shot.view.camera, shot.view
        rays = pixel_rays(camera).reshape(*shot.depth_m.shape, 3)
        local = rays * np.nan_to_num(shot.depth_m, nan=1e3)[..., None]
        facing = _normals(local, shot.geoms) @ view.world_from_camera.T
        points = view.at + local @ view.world_from_camera.T
        colour = self._colours[shot.geoms].astype(float)
        for thing, picture in self.prints.items():
            _print(colour, shot.owners == thing, points, self._plane(thing), picture)
        light = AMBIENT + self._lamps(points, facing)
        colour = 255 * np.clip(colour * light[..., None], 0, 1) ** (1 / 1.25)
        colour[shot.geoms < 0] = 235
        colour += rng.normal(0, GRAIN, colour.shape)
        return np.clip(colour, 0, 255).astype(np.uint8)

    def _plane(self, thing: int) -> tuple[Doubles, Doubles, tuple[float, float, float]]:
        return (*self.world.place(thing), self.world.things[thing].size)

    def _lamps(self, points: Doubles, facing: Doubles) -> Doubles:
        total = np.zeros(points.shape[:2])
        for number, (lamp, share) in enumerate(zip(LAMPS, LAMP_SHARES, strict=True)):
            way = points - lamp
            length = np.linalg.norm(way, axis=-1)
            lit = share * np.maximum(-(way * facing).sum(axis=-1) / length, 0)
            if number == 0:
                _, reached = self._caster.cast(lamp, way.reshape(-1, 3))
                short = reached.reshape(length.shape) * length < length - _LIFT_M
                lit = np.where(short, 0.25 * lit, lit)
            total += lit
        return total

    def photograph(self, thing: int, photo: int, view: View, rng: np.random.Generator) -> None:
        """Print a picture of one thing, taken alone from `view`, on a photo, without distortion."""
        shot = self.shoot(view, only=thing)
        rows, columns = np.nonzero(shot.owners == thing)
        wide, _, high = self.world.things[photo].size
        middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
        reach = 0.62 * max(np.ptp(rows) + 1, (np.ptp(columns) + 1) * high / wide)
        at_v = np.linspace(middle[0] - reach, middle[0] + reach, 240).round().astype(int)
        half = reach * wide / high
        at_u = np.linspace(middle[1] - half, middle[1] + half, 160).round().astype(int)
        picture = self.colours(shot, rng)
        size = (view.camera.height, view.camera.width)
        inside = np.clip(at_v, 0, size[0] - 1)[:, None], np.clip(at_u, 0, size[1] - 1)
        self.prints[photo] = picture[inside]


def _colours(model: Any, owner: NDArray[np.intp]) -> Doubles:
    """(geoms + 1, 3) the colour of each geom in 0..1; the last is that of no geom."""
    colours = np.ones((model.ngeom + 1, 3))
    colours[:-1] = model.geom_rgba[:, :3]
    dressed = np.flatnonzero(model.geom_matid >= 0)
    colours[dressed] = model.mat_rgba[model.geom_matid[dressed], :3]
    scenery = np.flatnonzero(owner == BACKGROUND)
    colours[scenery] = 0.72
    for geom in scenery:
        if model.geom(geom).name.startswith("table"):
            colours[geom] = TABLE_RGB
    return colours


def _normals(points: Doubles, geoms: NDArray[np.int32]) -> Doubles:
    """(H, W, 3) unit normals towards the camera, from the nearer neighbour along each axis."""
    across, down = (_slope(points, geoms, axis) for axis in (1, 0))
    normal = np.cross(across, down)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = np.divide(normal, length, out=np.zeros_like(normal), where=length > 0)
    away = (normal * points).sum(axis=-1, keepdims=True) > 0
    return np.asarray(np.where(away, -normal, normal))


def _slope(points: Doubles, geoms: NDArray[np.int32], axis: int) -> Doubles:
    """The step to the next pixel of the same geom, or from the one before where that is less."""
    step = np.diff(points, axis=axis)
    same = np.diff(geoms, axis=axis) == 0
    step = np.where(same[..., None], step, np.inf)
    edge = np.full_like(np.take(step, [0], axis=axis), np.inf)
    after = np.concatenate((step, edge), axis=axis)
    before = np.concatenate((edge, step), axis=axis)
    nearer = np.abs(after[..., 2]) <= np.abs(before[..., 2])
    chosen = np.where(nearer[..., None], after, before)
    return np.asarray(np.where(np.isfinite(chosen), chosen, 0.0))


def _print(
    colour: Doubles,
    where: NDArray[np.bool_],
    points: Doubles,
    plane: tuple[Doubles, Doubles, tuple[float, float, float]],
    picture: Picture,
) -> None:
    """Colour the pixels of a photo's two sides by its picture; its x is across, its z is up."""
    at, turn, (wide, _, high) = plane
    local = (points[where] - at) @ turn
    u = np.clip((local[:, 0] / wide + 0.5) * picture.shape[1], 0, picture.shape[1] - 1)
    v = np.clip((0.5 - local[:, 2] / high) * picture.shape[0], 0, picture.shape[0] - 1)
    colour[where] = picture[v.astype(int), u.astype(int)] / 255.0
