"""Lay out a simulated room or table-top: what stands where, and where the camera looks from.

World frame: z up, floor at z = 0, metres. Things stand or lie on surfaces and never overlap: a
thing is placed only where the world-aligned boxes of its parts meet those of no other thing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from calipers.samples.solids import Paint, Part, Pattern, block, bounds, rotation
from calipers.samples.things import COLOURS, WOOD, Kind, Rng, Where, kinds
from calipers.types import Camera, Doubles

SceneKind = Literal["room", "table"]
Found = tuple[list[Part], int | None] | None  # parts in the world, and what carries them
Place = Callable[[Kind, list[Part]], Found]
APART_M = 0.004  # least sideways room between two things
UP = np.array([0.0, 0.0, 1.0])


@dataclass(slots=True)
class Placed:
    """One thing in the world: what it is called, its parts, and the index of what carries it."""

    caption: str
    parts: list[Part]
    rests_on: int | None = None


@dataclass(slots=True)
class View:
    """A camera in the world.

    Attributes:
        world_from_camera: (3, 3) rotation; its columns are the camera's right, down and forward.
        level_axes: (3, 3) rows right, forward, up: the level frame's axes in the world.
    """

    camera: Camera
    at: Doubles
    world_from_camera: Doubles
    level_axes: Doubles


@dataclass(slots=True)
class Layout:
    """A scene; `shell` (floor, walls) and `desk` (the table of a table-top) are background."""

    kind: SceneKind
    view: View
    shell: list[Part]
    desk: list[Part]
    room_wdh: tuple[float, float, float]
    lamps: Doubles
    things: list[Placed] = field(default_factory=list)


def look(camera: Camera, at: Doubles, yaw: float, pitch_down: float, roll: float) -> View:
    """The view from ``at``, turned by ``yaw`` to the right of +y; angles in radians."""
    ahead = np.array([np.sin(yaw), np.cos(yaw), 0.0])
    right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    forward = np.cos(pitch_down) * ahead - np.sin(pitch_down) * UP
    down = np.cross(forward, right)
    turned_right = np.cos(roll) * right + np.sin(roll) * down
    turned_down = np.cos(roll) * down - np.sin(roll) * right
    axes = np.stack([turned_right, turned_down, forward], axis=1)
    return View(camera, at, axes, np.stack([right, ahead, UP]))


def draw_camera(rng: Rng, size_wh: tuple[int, int]) -> Camera:
    """A centred camera of 450 to 700 px focal length at 640 px width."""
    width, height = size_wh
    focal = rng.uniform(450, 700) * width / 640
    return Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)


def draw_layout(
    rng: Rng, kind: SceneKind, size_wh: tuple[int, int], repeated_captions: bool
) -> Layout:
    """A furnished scene of the wanted kind."""
    layout = _draw_room(rng, size_wh) if kind == "room" else _draw_desk(rng, size_wh)
    _Furnisher(rng, layout, repeated_captions).furnish()
    return layout


def _draw_room(rng: Rng, size_wh: tuple[int, int]) -> Layout:
    wide, deep = rng.uniform(3, 6, 2)
    at = np.array([rng.uniform(-0.3, 0.3) * wide, rng.uniform(0.15, 0.6), rng.uniform(0.9, 1.7)])
    yaw = rng.uniform(-0.5, 0.5) - 0.6 * at[0] / wide
    pitch, roll = np.deg2rad(rng.uniform(-5, 35)), np.deg2rad(rng.uniform(-5, 5))
    view = look(draw_camera(rng, size_wh), at, yaw, pitch, roll)
    room = (float(wide), float(deep), float(rng.uniform(2.4, 2.8)))
    return Layout("room", view, _shell(rng, room), [], room, _lamps(rng, room))


def _draw_desk(rng: Rng, size_wh: tuple[int, int]) -> Layout:
    room = (5.0, float(rng.uniform(4, 6)), 2.5)
    wide, deep, high = rng.uniform(1.1, 1.8), rng.uniform(0.7, 1.0), rng.uniform(0.70, 0.80)
    middle = np.array([0, rng.uniform(0.45, 0.6) * room[1], high])
    paint = _desk_paint(rng)
    desk = [block((wide, deep, 0.04), middle - 0.02 * UP, paint)]
    for sx, sy in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        x, y = sx * (wide / 2 - 0.05), middle[1] + sy * (deep / 2 - 0.05)
        desk.append(block((0.05, 0.05, high - 0.04), (x, y, (high - 0.04) / 2), paint))
    target = middle + np.array([rng.uniform(-0.15, 0.15), rng.uniform(-0.1, 0.1), 0])
    yaw, away = rng.uniform(-0.7, 0.7), rng.uniform(0.5, 1.5)
    pitch, roll = np.deg2rad(rng.uniform(20, 60)), np.deg2rad(rng.uniform(-5, 5))
    at = target - away * _ahead(yaw, pitch)
    view = look(draw_camera(rng, size_wh), at, yaw, pitch, roll)
    return Layout("table", view, _shell(rng, room), desk, room, _lamps(rng, room))


def _ahead(yaw: float, pitch_down: float) -> Doubles:
    flat = np.cos(pitch_down)
    return np.array([np.sin(yaw) * flat, np.cos(yaw) * flat, -np.sin(pitch_down)])


def _desk_paint(rng: Rng) -> Paint:
    if rng.random() < 0.7:
        return Paint(WOOD["wooden"] if rng.random() < 0.6 else WOOD["dark wooden"], "wood", 0.09)
    return Paint(COLOURS["white"])


def _shell(rng: Rng, room: tuple[float, float, float]) -> list[Part]:
    """Floor first, then ceiling and four walls, each a thick box outside the room."""
    wide, deep, high = room
    pattern: Pattern = "tiles" if rng.random() < 0.4 else "wood"
    wood = np.array(WOOD["wooden"]) * rng.uniform(0.9, 1.3)
    tile = np.array([0.62, 0.61, 0.58]) * rng.uniform(0.8, 1.2)
    tone = np.clip(tile if pattern == "tiles" else wood, 0, 1)
    floor = Paint((tone[0], tone[1], tone[2]), pattern, rng.uniform(0.15, 0.45))
    shade = np.clip(np.array([0.86, 0.84, 0.78]) + rng.uniform(-0.1, 0.1, 3), 0, 1)
    wall = Paint((shade[0], shade[1], shade[2]))
    t = 0.2
    return [
        block((wide + 2 * t, deep + 2 * t, t), (0, deep / 2, -t / 2), floor),
        block((wide + 2 * t, deep + 2 * t, t), (0, deep / 2, high + t / 2), Paint((0.9, 0.9, 0.9))),
        block((wide, t, high), (0, deep + t / 2, high / 2), wall),
        block((wide, t, high), (0, -t / 2, high / 2), wall),
        block((t, deep, high), (-wide / 2 - t / 2, deep / 2, high / 2), wall),
        block((t, deep, high), (wide / 2 + t / 2, deep / 2, high / 2), wall),
    ]


def _lamps(rng: Rng, room: tuple[float, float, float]) -> Doubles:
    """(2, 3) lamps under the ceiling; the first one throws shadows."""
    wide, deep, high = room
    low, top = (-wide / 3, 0.2 * deep, 0.85 * high), (wide / 3, 0.8 * deep, 0.95 * high)
    return rng.uniform(low, top, (2, 3))


class _Furnisher:
    """Places things one after the other where there is room for them."""

    def __init__(self, rng: Rng, layout: Layout, repeated_captions: bool) -> None:
        self.rng = rng
        self.layout = layout
        self.repeats = repeated_captions
        self.used: set[str] = set()
        self.clear_m = 0.8 if layout.kind == "room" else 0.35  # free space around the camera
        self.low = np.empty((0, 3))
        self.high = np.empty((0, 3))
        self._occupy(layout.desk)

    def furnish(self) -> None:
        """Floor things, wall things, then small things on whatever carries them."""
        rng, room = self.rng, self.layout.kind == "room"
        counts: dict[Where, Any] = {
            "floor": rng.integers(4, 9) if room else rng.integers(0, 3),
            "wall": rng.integers(0, 3) if room else 0,
            "top": rng.integers(4, 9) if room else rng.integers(7, 14),
        }
        places = {"floor": self._on_floor, "wall": self._on_wall, "top": self._on_top}
        for where, count in counts.items():
            added = 0
            for _ in range(int(count)):
                if added < count:
                    added += self._add(kinds(where), places[where])

    def _add(self, rows: Sequence[Kind], place: Place) -> int:
        """One thing, or two to four of a caption where captions are repeated; how many fitted."""
        kind = rows[int(self.rng.integers(len(rows)))]
        material = str(self.rng.choice(list(kind.materials)))
        caption = f"{material} {kind.noun}"
        if caption in self.used:
            return 0
        copies = int(self.rng.integers(2, 5)) if self.repeats and self.rng.random() < 0.5 else 1
        added = sum(self._try_place(kind, material, caption, place) for _ in range(copies))
        if added:
            self.used.add(caption)
        return added

    def _try_place(self, kind: Kind, material: str, caption: str, place: Place) -> bool:
        parts = kind.make(self.rng, self._paint(kind, material))
        for _ in range(12):
            found = place(kind, parts)
            if found is not None and self._is_free(found[0]):
                self.layout.things.append(Placed(caption, *found))
                self._occupy(found[0])
                return True
        return False

    def _paint(self, kind: Kind, material: str) -> Paint:
        tone = np.clip(np.array(kind.materials[material]) * self.rng.uniform(0.88, 1.1), 0, 1)
        pattern: Pattern = "wood" if material in WOOD else "plain"
        return Paint((float(tone[0]), float(tone[1]), float(tone[2])), pattern, 0.07)

    def _on_floor(self, kind: Kind, parts: list[Part]) -> Found:
        if kind.lies:
            return self._against_wall(parts)
        view, (wide, deep, _) = self.layout.view, self.layout.room_wdh
        bearing = self.rng.uniform(-0.9, 0.9) * view.camera.cx / view.camera.fx
        nearest = max(1.5, _nearest_floor(view) + 0.2)
        away = self.rng.uniform(nearest, max(3.0, deep, nearest))
        at = view.at * [1, 1, 0] + away * (view.level_axes[1] + bearing * view.level_axes[0])
        parts = _stand(parts, self._yaw(), at)
        low, high = bounds(parts, np.eye(3))
        inside = (np.abs([low[0], high[0]]) < wide / 2 - 0.01).all()
        return (parts, None) if inside and low[1] > 0.01 and high[1] < deep - 0.01 else None

    def _yaw(self) -> float:
        """Any direction, but more often near the room's own."""
        free = self.rng.uniform(-np.pi, np.pi)
        square = self.rng.integers(4) * np.pi / 2 + self.rng.normal(0, 0.15)
        return float(free if self.rng.random() < 0.6 else square)

    def _against_wall(self, parts: list[Part]) -> Found:
        """Lean on the far wall or a side wall: foot on the floor, top edge at the wall."""
        turned = [
            p.moved(rotation((1, 0, 0), -self.rng.uniform(0.1, 0.4)), np.zeros(3)) for p in parts
        ]
        return self._at_wall(turned, lambda low: -float(low[2]))

    def _on_wall(self, kind: Kind, parts: list[Part]) -> Found:
        return self._at_wall(parts, lambda low: float(self.rng.uniform(1.1, 1.6)))

    def _at_wall(self, parts: list[Part], lift: Callable[[Doubles], float]) -> Found:
        wide, deep, _ = self.layout.room_wdh
        side = int(self.rng.integers(-1, 2))  # left, far, right wall
        turn = rotation((0, 0, 1), -side * np.pi / 2)
        parts = [part.moved(turn, np.zeros(3)) for part in parts]
        low, high = bounds(parts, np.eye(3))
        along = self.rng.uniform(-0.45 * wide, 0.45 * wide)
        at = np.array([along, deep - high[1], lift(low)])
        if side:
            edge = wide / 2 - high[0] if side > 0 else -wide / 2 - low[0]
            at[:2] = edge, self.rng.uniform(0.35, 0.95) * deep
        return [part.moved(np.eye(3), at) for part in parts], None

    def _on_top(self, kind: Kind, parts: list[Part]) -> Found:
        """On a level face that is large enough, of the desk or of any thing that stands."""
        carrier, face = self._choose_face()
        if face is None:
            return None
        if self.rng.random() < kind.lies:
            parts = [part.moved(rotation((1, 0, 0), np.pi / 2), np.zeros(3)) for part in parts]
        spread = self.rng.uniform(-1, 1, 2) * np.array(face.size[:2])
        at = face.at + face.turn @ np.array([*spread, face.size[2]])
        if carrier is None and self.rng.random() < 0.9:
            at = self._seen_on(face, at)
        parts = _stand(parts, self._yaw(), at)
        return (parts, carrier) if _fits(parts, face) else None

    def _seen_on(self, face: Part, otherwise: Doubles) -> Doubles:
        """Where the ray of a random pixel meets the plane of ``face``'s top."""
        view = self.layout.view
        camera = view.camera
        u, v = self.rng.uniform(0.08, 0.92, 2) * [camera.width, camera.height]
        ray = view.world_from_camera @ [(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1]
        top = face.at[2] + face.size[2]
        return otherwise if ray[2] > -0.05 else view.at + ray * (top - view.at[2]) / ray[2]

    def _choose_face(self) -> tuple[int | None, Part | None]:
        faces: list[tuple[int | None, Part]] = [(None, part) for part in self.layout.desk[:1]]
        for index, thing in enumerate(self.layout.things):
            faces += [(index, part) for part in thing.parts if _is_level_face(part)]
        if not faces:
            return None, None
        areas = np.array([part.size[0] * part.size[1] for _, part in faces])
        return faces[int(self.rng.choice(len(faces), p=np.sqrt(areas) / np.sqrt(areas).sum()))]

    def _is_free(self, parts: list[Part]) -> bool:
        low, high = _boxes(parts)
        apart = np.array([APART_M, APART_M, -1e-6])
        meets = (low[:, None] - apart < self.high) & (high[:, None] + apart > self.low)
        eye = self.layout.view.at
        nearest = np.linalg.norm(eye - np.clip(eye, low, high), axis=1).min()
        return not bool(meets.all(axis=2).any()) and bool(nearest > self.clear_m)

    def _occupy(self, parts: list[Part]) -> None:
        if parts:
            low, high = _boxes(parts)
            self.low, self.high = np.vstack([self.low, low]), np.vstack([self.high, high])


def _nearest_floor(view: View) -> float:
    """Sideways metres to where the ray of the lowest middle pixel meets the floor, at most 3."""
    camera = view.camera
    ray = view.world_from_camera @ [0, (camera.height - 1 - camera.cy) / camera.fy, 1]
    return float(min(3.0, np.hypot(ray[0], ray[1]) * view.at[2] / max(-ray[2], 1e-3)))


def _boxes(parts: list[Part]) -> tuple[Doubles, Doubles]:
    """(N, 3) lowest and highest corners of the parts' world-aligned boxes."""
    at = np.stack([part.at for part in parts])
    reach = np.stack([part.reach(np.eye(3)) for part in parts])
    return at - reach, at + reach


def _stand(parts: list[Part], yaw: float, at: Doubles) -> list[Part]:
    """Turn about the vertical and set down so that the lowest point has the height of ``at``."""
    turn = rotation((0, 0, 1), yaw)
    low, _ = bounds(parts, np.eye(3))
    return [part.moved(turn, at - [0, 0, low[2]]) for part in parts]


def _is_level_face(part: Part) -> bool:
    thick = part.shape == "box" and min(part.size) > 0.001
    return thick and part.turn[2, 2] > 1 - 1e-9 and min(part.size[:2]) > 0.03


def _fits(parts: list[Part], face: Part) -> bool:
    low, high = bounds(parts, face.turn.T)
    middle = face.turn.T @ face.at
    reach = np.array(face.size[:2])
    return bool((low[:2] > middle[:2] - reach).all() and (high[:2] < middle[:2] + reach).all())
