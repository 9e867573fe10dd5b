"""Gravity from normals: rooms seen from cameras whose tilt and roll are known."""

from __future__ import annotations

import numpy as np
import pytest

from calipers.experts.base import DepthMap, Gravity
from calipers.experts.normals import NormalsGravity
from calipers.types import Camera

CAMERA = Camera(fx=150.0, fy=150.0, cx=79.5, cy=59.5, width=160, height=120)
PICTURE = np.zeros((120, 160, 3), np.uint8)


def camera_from_level(pitch_down: float, roll: float) -> np.ndarray:
    """Rotation from x right, y forward, z up to a camera tilted and rolled by so many degrees."""
    c, s = np.cos(np.radians(pitch_down)), np.sin(np.radians(pitch_down))
    tilted = np.array([[1, 0, 0], [0, -s, -c], [0, c, -s]])
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ tilted


def room(rotation: np.ndarray, *planes: tuple[list[float], float]) -> DepthMap:
    """See planes n·x = d (n towards the camera, level frame, d negative) from the origin."""
    columns = (np.arange(160) - CAMERA.cx) / CAMERA.fx
    rows = (np.arange(120) - CAMERA.cy) / CAMERA.fy
    rays = np.stack(np.broadcast_arrays(columns, rows[:, None], 1.0), -1)
    depth, normals = np.full((120, 160), np.inf), np.full((120, 160, 3), np.nan)
    for normal, offset in planes:
        seen = rotation @ np.array(normal, float)
        with np.errstate(divide="ignore"):
            z = offset / (rays @ seen)
        nearer = (z > 0) & (z < depth)
        depth[nearer], normals[nearer] = z[nearer], seen
    depth[~np.isfinite(depth)] = np.nan
    return DepthMap(depth.astype(np.float32), None, normals.astype(np.float32))


FLOOR = ([0.0, 0.0, 1.0], -1.4)
CEILING = ([0.0, 0.0, -1.0], -1.2)
BACK = ([0.0, -1.0, 0.0], -6.0)
LEFT = ([1.0, 0.0, 0.0], -2.0)
RIGHT = ([-1.0, 0.0, 0.0], -2.0)


def ask(depth: DepthMap | None, camera: Camera | None = CAMERA) -> Gravity | None:
    (found,) = NormalsGravity.load("").down([PICTURE], [camera], [depth])
    return found


def degrees_off(found: Gravity | None, rotation: np.ndarray) -> float:
    assert found is not None
    return float(np.degrees(np.arccos(np.clip(found.down @ (rotation @ [0, 0, -1]), -1, 1))))


@pytest.mark.parametrize(
    ("pitch_down", "roll"), [(0, 0), (10, 0), (30, 5), (45, 0), (-5, 0), (20, -20)]
)
def test_a_room_tells_which_way_is_down(pitch_down: float, roll: float) -> None:
    rotation = camera_from_level(pitch_down, roll)
    found = ask(room(rotation, FLOOR, CEILING, BACK, LEFT, RIGHT))
    assert degrees_off(found, rotation) < 0.1
    assert found is not None
    assert found.confidence > 0.35
    assert found.camera is None


def test_level_down_is_the_y_axis() -> None:
    found = ask(room(camera_from_level(0, 0), FLOOR, BACK))
    assert found is not None
    assert found.down.tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    assert found.confidence == pytest.approx(1.0)


def test_noise_of_normals_averages_out() -> None:
    rotation = camera_from_level(25, 3)
    depth = room(rotation, FLOOR, BACK, LEFT)
    assert depth.normals is not None
    noisy = depth.normals + np.random.default_rng(0).normal(0, 0.05, depth.normals.shape)
    noisy /= np.linalg.norm(noisy, axis=-1, keepdims=True)
    found = ask(DepthMap(depth.depth_m, None, noisy.astype(np.float32)))
    assert degrees_off(found, rotation) < 0.5


def test_a_tilted_lid_in_a_room_is_not_the_floor() -> None:
    rotation = camera_from_level(20, 0)
    depth = room(rotation, FLOOR, BACK, LEFT)
    assert depth.normals is not None
    normals = depth.normals.copy()
    normals[60:110, 40:120] = rotation @ [0, -np.sin(0.4), np.cos(0.4)]
    found = ask(DepthMap(depth.depth_m, None, normals))
    assert degrees_off(found, rotation) < 1.0


@pytest.mark.parametrize("planes", [(BACK,), (BACK, LEFT), (CEILING,), (CEILING, BACK, RIGHT)])
def test_without_a_floor_it_cannot_tell(planes: tuple[tuple[list[float], float], ...]) -> None:
    assert ask(room(camera_from_level(0, 0), *planes)) is None


def test_what_much_lies_below_of_is_not_trusted() -> None:
    """A shelf at eye level that covers a part of the picture, with the room going on below it."""
    depth = room(camera_from_level(0, 0), BACK)
    assert depth.normals is not None
    normals = depth.normals.copy()
    normals[20:28] = [0, -1, 0]
    assert ask(DepthMap(depth.depth_m, None, normals)) is None


def test_it_needs_depth_normals_and_a_camera() -> None:
    depth = room(camera_from_level(10, 0), FLOOR, BACK)
    assert ask(None) is None
    assert ask(DepthMap(depth.depth_m)) is None
    assert ask(depth, camera=None) is None
    own = DepthMap(depth.depth_m, CAMERA, depth.normals)
    assert degrees_off(ask(own, camera=None), camera_from_level(10, 0)) < 0.1


def test_the_rest_of_a_batch_has_no_influence() -> None:
    depths = [room(camera_from_level(p, 0), FLOOR, BACK) for p in (10, 30)]
    found = NormalsGravity.load("").down([PICTURE] * 3, [CAMERA] * 3, [depths[0], None, depths[1]])
    assert found[1] is None
    for depth, one in zip(depths, (found[0], found[2])):
        alone = ask(depth)
        assert one is not None
        assert alone is not None
        assert one.down.tolist() == alone.down.tolist()
