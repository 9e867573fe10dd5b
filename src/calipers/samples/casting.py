"""Cast the rays of a camera through a scene of primitives, with MuJoCo's exact intersections.

MuJoCo (extra ``sim``) is imported inside the functions; nothing is simulated and no OpenGL is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calipers.errors import MissingExtraError
from calipers.samples.solids import Part
from calipers.types import Camera, Doubles

SHOWN, HIDDEN = 0, 1  # MuJoCo's geom groups as used here


def _mujoco() -> Any:
    try:
        import mujoco
    except ImportError as error:
        raise MissingExtraError("the sample 'rooms'", "sim") from error
    return mujoco


def write_mjcf(parts: Sequence[Part]) -> str:
    """The parts as one MJCF model: geom *i* of the world body is part *i*."""
    lines = []
    for part in parts:
        numbers = " ".join(f"{value:.17g}" for value in part.size)
        at = " ".join(f"{value:.17g}" for value in part.at)
        axes = " ".join(f"{value:.17g}" for value in part.turn.T[:2].ravel())
        lines.append(f'<geom type="{part.shape}" size="{numbers}" pos="{at}" xyaxes="{axes}"/>')
    return f"<mujoco><worldbody>{''.join(lines)}</worldbody></mujoco>"


def pixel_rays(camera: Camera) -> Doubles:
    """(H*W, 3) directions with z = 1 in the camera frame, so that a ray's length is its z-depth."""
    u = (np.arange(camera.width) - camera.cx) / camera.fx
    v = (np.arange(camera.height) - camera.cy) / camera.fy
    rays = np.ones((camera.height, camera.width, 3))
    rays[..., 0], rays[..., 1] = u, v[:, None]
    return rays.reshape(-1, 3)


class ModelCaster:
    """A compiled MuJoCo model, at the positions of its data, that answers rays.

    `groups` are the geom groups that rays see.
    """

    def __init__(self, model: Any, data: Any, groups: Sequence[int] = (SHOWN,)) -> None:
        self._mj = _mujoco()
        self._model, self._data = model, data
        self._shown = np.isin(np.arange(6), list(groups)).astype(np.uint8)
        self.rounds = model.geom_rbound.copy()
        self._aabb = model.geom_aabb.copy()
        ends = zip(model.body_bvhadr[1:], model.body_bvhnum[1:])
        nodes = [np.arange(first, first + count) for first, count in ends if count]
        self._nodes = np.concatenate(nodes) if nodes else np.empty(0, dtype=np.intp)
        self._trees = model.bvh_aabb[self._nodes]

    def cast(self, origin: Doubles, rays: Doubles) -> tuple[NDArray[np.int32], Doubles]:
        """The geom each ray meets first (-1: none) and the distance in lengths of that ray.

        Args:
            origin: (3,) world frame, metres.
            rays: (N, 3) directions, world frame, of any length.
        """
        self._widen_culling(origin)
        ids = np.empty(len(rays), dtype=np.int32)
        lengths = np.empty(len(rays))
        flat = np.ascontiguousarray(rays).ravel()
        self._mj.mj_multiRay(
            self._model, self._data, origin, flat, self._shown, 1, -1, ids, lengths, len(rays), 1e10
        )
        self._model.geom_aabb[:] = self._aabb
        self._model.bvh_aabb[self._nodes] = self._trees
        lengths[ids < 0] = np.nan
        return ids, lengths

    def _widen_culling(self, origin: Doubles) -> None:
        """Keep mj_multiRay from losing pixels at the long edges of near boxes.

        MuJoCo 3.3 skips a geom outside the azimuths and elevations of its box's eight corners, but
        the elevation of an edge of half length r bulges past that of its ends: at height h and
        sideways distance d the bulge is h - h d / sqrt(d**2 + r**2) < h r**2 / (2 d**2). Boxes
        widened by that bound, or around the origin itself for near geoms, make skipping safe.
        A body's own tree of boxes holds only what collides, so a mesh that is only seen is lost
        outside of it: those boxes are opened wide (not the world's, which has planes). Both are put
        back after the cast, for physics uses them too.
        """
        self._model.bvh_aabb[self._nodes, 3:] = 1e3
        offset, radius = self._data.geom_xpos - origin, self.rounds
        away = np.hypot(offset[:, 0], offset[:, 1])
        nearest = np.maximum(np.maximum(away - radius, 0.6 * radius), 1e-9)
        bulge = (np.abs(offset[:, 2]) + radius) * radius**2 / (2 * nearest**2)
        slack = np.where(away < 1.6 * radius, 1e3, bulge + 0.02 * radius)
        self._model.geom_aabb[:, 3:] = self._aabb[:, 3:] + slack[:, None]


class Caster(ModelCaster):
    """A compiled scene that answers rays. Parts are named by their position."""

    def __init__(self, parts: Sequence[Part]) -> None:
        mj = _mujoco()
        model = mj.MjModel.from_xml_string(write_mjcf(parts))
        data = mj.MjData(model)
        mj.mj_kinematics(model, data)
        super().__init__(model, data)
        self.parts = list(parts)
        self.show_all()

    def show_all(self) -> None:
        """Make every part visible to rays."""
        self._model.geom_group[:] = SHOWN

    def show_only(self, parts: Sequence[int]) -> None:
        """Make all but ``parts`` invisible to rays."""
        self._model.geom_group[:] = HIDDEN
        self._model.geom_group[list(parts)] = SHOWN
