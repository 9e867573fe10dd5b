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


class Caster:
    """A compiled scene that answers rays. Parts are named by their position."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._mj = _mujoco()
        self._model = self._mj.MjModel.from_xml_string(write_mjcf(parts))
        self._data = self._mj.MjData(self._model)
        self._mj.mj_kinematics(self._model, self._data)
        self.parts = list(parts)
        self.rounds = np.array([self._model.geom_rbound[i] for i in range(len(parts))])
        self._aabb = self._model.geom_aabb.copy()
        self.show_all()

    def show_all(self) -> None:
        """Make every part visible to rays."""
        self._model.geom_group[:] = SHOWN

    def show_only(self, parts: Sequence[int]) -> None:
        """Make all but ``parts`` invisible to rays."""
        self._model.geom_group[:] = HIDDEN
        self._model.geom_group[list(parts)] = SHOWN

    def cast(self, origin: Doubles, rays: Doubles) -> tuple[NDArray[np.int32], Doubles]:
        """The part each ray meets first (-1: none) and the distance in lengths of that ray.

        Args:
            origin: (3,) world frame, metres.
            rays: (N, 3) directions, world frame, of any length.
        """
        self._widen_culling(origin)
        ids = np.empty(len(rays), dtype=np.int32)
        lengths = np.empty(len(rays))
        shown = np.array([1, 0, 0, 0, 0, 0], dtype=np.uint8)
        flat = np.ascontiguousarray(rays).ravel()
        self._mj.mj_multiRay(
            self._model, self._data, origin, flat, shown, 1, -1, ids, lengths, len(rays), 1e10
        )
        lengths[ids < 0] = np.nan
        return ids, lengths

    def _widen_culling(self, origin: Doubles) -> None:
        """Keep mj_multiRay from losing pixels at the long edges of near boxes.

        MuJoCo 3.3 skips a geom outside the azimuths and elevations of its box's eight corners, but
        the elevation of an edge of half length r bulges past that of its ends: at height h and
        sideways distance d the bulge is h - h d / sqrt(d**2 + r**2) < h r**2 / (2 d**2). Boxes
        widened by that bound, or around the origin itself for near geoms, make skipping safe.
        """
        offset, radius = self._data.geom_xpos - origin, self.rounds
        away = np.hypot(offset[:, 0], offset[:, 1])
        nearest = np.maximum(away - radius, 0.6 * radius)
        bulge = (np.abs(offset[:, 2]) + radius) * radius**2 / (2 * nearest**2)
        slack = np.where(away < 1.6 * radius, 1e3, bulge + 0.02 * radius)
        self._model.geom_aabb[:, 3:] = self._aabb[:, 3:] + slack[:, None]
