"""A robosuite arm at a table with things on it: its physics, its poses and what touches what.

robosuite (extra ``robots``) is imported inside the functions. It simulates without a renderer, so
no OpenGL is needed; `calipers.samples.robot_view` casts the pictures. World frame: z up, metres,
the table's top at z = `TABLE_M`, centred on x = y = 0, the arm's base before it at negative x.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from calipers.errors import MissingExtraError, UsageError
from calipers.samples.solids import Rgb
from calipers.types import Doubles

RobotName = Literal["Panda", "UR5e"]
Form = Literal["cup", "block", "bin", "photo"]

ROBOTS: tuple[RobotName, ...] = ("Panda", "UR5e")
TABLE_M = 0.8
STEP_M, STEP_RAD = 0.05, 0.5
"""What an action of 1 moves and turns the gripper: robosuite's default for its arms."""
STEPS_PER_SECOND = 20
GRIPPER, ARM, BACKGROUND = -1, -2, -3
"""Owners of geoms that belong to no thing."""
WALL_M = 0.006
SPACING_M = 0.0012
"""Mean spacing of the surface points that gaps are found between."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something on the table.

    Attributes:
        size: full extent in its own frame, metres; of a cup (diameter, diameter, height).
        at: where the middle of its underside is, x and y, metres.
        yaw: its turn about the vertical, radians.
        lean: how far it leans back about its own x axis, radians (photos).
    """

    form: Form
    caption: str
    size: tuple[float, float, float]
    at: tuple[float, float]
    rgb: Rgb
    yaw: float = 0.0
    lean: float = 0.0


@dataclass(slots=True)
class Shell:
    """Points all over the visible surface of one owner's geoms, each in its geom's own frame."""

    geoms: list[int] = field(default_factory=list)
    points: list[Doubles] = field(default_factory=list)


def _robosuite() -> Any:
    """robosuite, without its advice on how to set it up."""
    logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
    try:
        with _silent_setup():
            import robosuite
    except ImportError as error:
        raise MissingExtraError("the sample 'robot'", "robots") from error
    return robosuite


@contextmanager
def _silent_setup() -> Iterator[None]:
    """Keep robosuite's warnings about packages that are not needed here off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@cache
def _table_class() -> Any:
    """robosuite's environment of an arm, a table and any things, with nothing drawn by chance."""
    _robosuite()
    from robosuite.environments.manipulation.manipulation_env import ManipulationEnv
    from robosuite.models.arenas import TableArena
    from robosuite.models.tasks import ManipulationTask

    class CalipersTable(ManipulationEnv):  # type: ignore[misc]
        """An arm before a table."""

        def __init__(self, objects: Sequence[Any], robot: str) -> None:
            self.table_objects = list(objects)
            super().__init__(
                robots=robot,
                initialization_noise=None,
                use_camera_obs=False,
                has_renderer=False,
                has_offscreen_renderer=False,
                control_freq=STEPS_PER_SECOND,
                horizon=100_000,
                ignore_done=True,
                hard_reset=False,
            )

        def _load_model(self) -> None:
            super()._load_model()
            model = self.robots[0].robot_model
            model.set_base_xpos(model.base_xpos_offset["table"](0.8))
            arena = TableArena(table_full_size=(0.8, 0.8, 0.05), table_offset=(0, 0, TABLE_M))
            arena.set_origin([0, 0, 0])
            self.model = ManipulationTask(
                mujoco_arena=arena, mujoco_robots=[model], mujoco_objects=self.table_objects
            )

        def reward(self, action: Any = None) -> float:
            """Nothing is learned here."""
            return 0.0

        def _check_success(self) -> bool:
            return False

    return CalipersTable


def _model_of(thing: Thing, name: str) -> Any:
    from robosuite.models.objects import BoxObject, CylinderObject
    from robosuite.models.objects.composite import Bin

    half = [extent / 2 for extent in thing.size]
    rgba = [*thing.rgb, 1.0]
    if thing.form == "cup":
        return CylinderObject(name, size=[half[0], half[2]], rgba=rgba, friction=(1.2, 5e-3, 1e-4))
    if thing.form == "block":
        return BoxObject(name, size=half, rgba=rgba, friction=(1.2, 5e-3, 1e-4))
    if thing.form == "photo":
        return BoxObject(name, size=half, rgba=rgba, joints=None)
    return Bin(
        name, thing.size, WALL_M, transparent_walls=False, use_texture=False, rgba=rgba,
        density=4000.0,
    )  # fmt: skip


class World:
    """An arm and its things, stepped by actions.

    Attributes:
        things: as given; thing k is owner k.
        owner: (geoms,) who each geom belongs to: a thing's position, `GRIPPER`, `ARM` or
            `BACKGROUND`.
        model, data: MuJoCo's.
    """

    def __init__(self, robot: RobotName, things: Sequence[Thing]) -> None:
        """Build the world and let its things come to rest.

        Raises:
            UsageError: no such robot.
            MissingExtraError: robosuite is not installed.
        """
        if robot not in ROBOTS:
            raise UsageError(f"robot: wanted one of {', '.join(ROBOTS)}, got {robot!r}")
        made = _table_class()
        self.robot, self.things = robot, list(things)
        models = [_model_of(thing, f"thing{k}") for k, thing in enumerate(things)]
        with _silent_setup():
            self._env = made(models, robot)
        self._models = models
        self.model, self.data = self._env.sim.model._model, self._env.sim.data._data
        self.owner = self._owners()
        self._pads = self._pad_geoms()
        self._shells: dict[int, Shell] = {}
        for model, thing in zip(models, things, strict=True):
            self._put(model, thing)
        self.forward()

    def _owners(self) -> NDArray[np.intp]:
        names = [self.model.body(k).name for k in self.model.geom_bodyid]
        return np.array([_owner(name) for name in names])

    def _pad_geoms(self) -> tuple[list[int], list[int]]:
        gripper = next(iter(self._env.robots[0].gripper.values()))
        groups = gripper.important_geoms
        left, right = (
            [self.model.geom(name).id for name in groups[f"{side}_fingerpad"]]
            for side in ("left", "right")
        )
        return left, right

    def _put(self, model: Any, thing: Thing) -> None:
        """Set a thing on the table."""
        from robosuite.utils.transform_utils import axisangle2quat, convert_quat

        turn = axisangle2quat(np.array([0.0, 0.0, thing.yaw]))
        height = TABLE_M + _rest_height(thing)
        if model.joints:
            pose = np.concatenate(([*thing.at, height], convert_quat(turn, "wxyz")))
            self._env.sim.data.set_joint_qpos(model.joints[0], pose)
            return
        body = self.model.body(model.root_body)
        body.pos[:] = [*thing.at, height]
        lean = np.array([np.cos(thing.lean / 2), np.sin(thing.lean / 2), 0.0, 0.0])
        body.quat[:] = _times(convert_quat(turn, "wxyz"), lean)

    def forward(self) -> None:
        """Bring everything that follows from the positions up to date."""
        self._env.sim.forward()

    def step(self, action: Doubles) -> None:
        """Do one action of a twentieth of a second: (7,) in [-1, 1], see `calipers.actions`."""
        self._env.step(np.asarray(action, dtype=float))

    def snapshot(self) -> Doubles:
        """All positions of joints now, for `restore`."""
        return np.asarray(self.data.qpos.copy())

    def restore(self, positions: Doubles) -> None:
        """Put everything back where a snapshot was taken, at rest; contacts are found anew."""
        self.data.qpos[:], self.data.qvel[:] = positions, 0.0
        self.forward()

    def held(self) -> int | None:
        """The thing between the pads that touches the gripper and nothing else, or None."""
        touched = self.contacts()
        for thing in range(len(self.things)):
            others = {b if a == thing else a for a, b in touched if thing in (a, b)}
            if others == {GRIPPER} and self._between_pads(thing):
                return thing
        return None

    def _between_pads(self, thing: int) -> bool:
        """Whether the middle of a thing lies between the pads, seen along the opening."""
        axis = self.opening_axis()
        along = (self.place(thing)[0] - self.grip_point()) @ axis / (axis @ axis)
        return bool(abs(along) < 0.5)

    def grip_point(self) -> Doubles:
        """(3,) the point between the finger pads."""
        pads = [self.data.geom_xpos[list(side)].mean(axis=0) for side in self._pads]
        return np.asarray((pads[0] + pads[1]) / 2)

    def opening_axis(self) -> Doubles:
        """(3,) from one finger pad to the other; its length is their distance."""
        first, second = (self.data.geom_xpos[list(side)].mean(axis=0) for side in self._pads)
        return np.asarray(second - first)

    def gripper_pose(self) -> Doubles:
        """(4, 4) the gripper's own frame in the world; its origin is the grip point."""
        site = self._env.robots[0].eef_site_id
        out = np.eye(4)
        turn = self.data.site_xmat[site["right"] if isinstance(site, dict) else site]
        out[:3, :3], out[:3, 3] = turn.reshape(3, 3), self.grip_point()
        return out

    def place(self, thing: int) -> tuple[Doubles, Doubles]:
        """(3,) where a thing's middle is and (3, 3) how it is turned."""
        body = self.model.body(self._models[thing].root_body).id
        turn = self.data.xmat[body].reshape(3, 3)
        return self.data.xpos[body].copy(), turn.copy()

    def contacts(self) -> set[tuple[int, int]]:
        """Pairs of owners (smaller first) between which a contact acts in the physics now."""
        found: set[tuple[int, int]] = set()
        for k in range(self.data.ncon):
            contact = self.data.contact[k]
            a, b = sorted(int(self.owner[geom]) for geom in contact.geom)
            if contact.efc_address >= 0 and a != b:
                found.add((a, b))
        return found

    def gaps(self, owners: Sequence[int], most: float = 0.2) -> Doubles:
        """(N, N) metres between the visible surfaces of owners; 0 where the physics has a contact.

        Found between points `SPACING_M` apart, so up to about half of that too much; infinite
        beyond `most`.
        """
        touched = self.contacts()
        clouds = [self.surface(owner) for owner in owners]
        trees = [cKDTree(cloud) for cloud in clouds]
        out = np.zeros((len(owners), len(owners)))
        for i, j in combinations(range(len(owners)), 2):
            pair = (min(owners[i], owners[j]), max(owners[i], owners[j]))
            large, small = (i, j) if len(clouds[i]) > len(clouds[j]) else (j, i)
            if pair not in touched:
                out[i, j] = out[j, i] = _nearest(trees[large], clouds[small], most)
        return out

    def surface(self, owner: int) -> Doubles:
        """(N, 3) points all over what can be seen of an owner, world frame."""
        shell = self._shells.setdefault(owner, self._shell(owner))
        moved = [
            points @ self.data.geom_xmat[g].reshape(3, 3).T + self.data.geom_xpos[g]
            for g, points in zip(shell.geoms, shell.points, strict=True)
        ]
        return np.concatenate(moved)

    def visible_geoms(self, owner: int) -> list[int]:
        """The geoms that show an owner, robosuite's group 1."""
        return [
            int(g) for g in np.flatnonzero((self.owner == owner) & (self.model.geom_group == 1))
        ]

    def _shell(self, owner: int) -> Shell:
        rng, shell = np.random.default_rng(0), Shell()
        for geom in self.visible_geoms(owner):
            shell.geoms.append(geom)
            shell.points.append(surface_points(self.model, geom, SPACING_M, rng))
        return shell


def _nearest(tree: cKDTree, points: Doubles, most: float) -> float:
    """The smallest distance; a few points tell first how far it is worth looking."""
    few = tree.query(points[::40], distance_upper_bound=most)[0].min()
    bound = min(most, float(few)) + 1e-9
    return float(min(few, tree.query(points, distance_upper_bound=bound)[0].min()))


def _owner(body: str) -> int:
    if body.startswith("thing"):
        return int(body.removeprefix("thing").split("_")[0])
    if body.startswith("gripper0"):
        return GRIPPER
    return ARM if body.startswith(("robot0", "fixed_mount")) else BACKGROUND


def _rest_height(thing: Thing) -> float:
    if thing.form == "photo":
        return 0.5 * (
            thing.size[2] * math.cos(thing.lean) + thing.size[1] * abs(math.sin(thing.lean))
        )
    return thing.size[2] / 2


def _times(p: Doubles, q: Doubles) -> Doubles:
    """The product of two quaternions (w, x, y, z)."""
    w, x, y, z = p
    rows = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return np.asarray(rows @ q)


def surface_points(model: Any, geom: int, spacing: float, rng: np.random.Generator) -> Doubles:
    """(N, 3) points over a box, a cylinder or a mesh, `spacing` apart on average, its own frame."""
    from calipers.samples.solids import Part

    size = model.geom_size[geom]
    kind = {6: "box", 5: "cylinder", 2: "sphere", 4: "ellipsoid", 3: "capsule"}
    shape = kind.get(int(model.geom_type[geom]))
    if shape is not None:
        part = Part(shape, tuple(float(s) for s in size), np.zeros(3))  # type: ignore[arg-type]
        return part.surface(max(8, int(part.area() / spacing**2)), rng)
    mesh = int(model.geom_dataid[geom])
    first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    corners = model.mesh_vert[first : first + count].astype(float)
    first, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    return _on_triangles(corners[model.mesh_face[first : first + count]], spacing, rng)


def _on_triangles(corners: Doubles, spacing: float, rng: np.random.Generator) -> Doubles:
    """(N, 3) points spread over (T, 3, 3) triangles."""
    a, b, c = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.linalg.norm(np.cross(b, c), axis=1) / 2
    count = max(8, int(area.sum() / spacing**2))
    rows = rng.choice(len(area), count, p=area / area.sum())
    u, v = rng.random((2, count, 1))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    return np.asarray(a[rows] + u * b[rows] + v * c[rows])
