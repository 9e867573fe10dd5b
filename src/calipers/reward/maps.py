"""What each place is worth: the reward if the hand, or the target, were there, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calipers.errors import Skip, UsageError
from calipers.geometry.camera import backproject
from calipers.geometry.frames import level_from_camera
from calipers.io.inputs.listings import IMAGE_SUFFIXES
from calipers.io.masks import decode_mask
from calipers.reward.curves import SCALE_M
from calipers.reward.finding import find, gripper
from calipers.reward.goals import Goal
from calipers.reward.measures import Box, bring
from calipers.types import Doubles, Frame, Scene

COLOURS = np.array(
    [[59, 28, 92], [58, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], dtype=np.float64
)
"""From a reward of 0 to one of 1, in equal steps; the order of lightness is that of the reward."""
MOST_M, FAR_M = 0.3, 1.0
"""What is higher above the table than this, or farther from the target, is no place."""


def reward_map(frame: Frame, scene: Scene, goal: Goal) -> Doubles:
    """(H, W) the reward of each place that is seen, NaN where there is none.

    For "touched" and "lifted" the fingertips are thought to be at that point of the surface; for
    all other goals the target is thought to stand there: on the table, in the container, or on top
    of what it is to be put on.

    Args:
        frame: with depth and camera.
        scene: lifted from it.
        goal: what is rewarded.

    Raises:
        Skip: the target or the reference is not found, or there is no level frame.
    """
    if frame.depth_m is None or scene.gravity is None or scene.support_plane is None:
        raise Skip("no_level", f"{scene.id}: a map needs depth, gravity and what carries things")
    level = level_from_camera(scene.gravity, scene.support_plane)
    points = _points(frame) @ level[:3].T
    target = _box(scene, find(scene, goal.target), level)
    if goal.reference is None:
        left = np.linalg.norm(points - target.center, axis=-1)
    else:
        reference = _box(scene, find(scene, goal.reference), level)
        left = bring(goal.relation, Box(_standing(points, target, reference, goal), target.size),
                     reference)  # fmt: skip
    out = np.exp(-left / SCALE_M)
    out[(points[..., 2] < -0.02) | (points[..., 2] > MOST_M)] = np.nan
    out[np.linalg.norm(points - target.center, axis=-1) > FAR_M] = np.nan
    hand = gripper(scene)
    rle = None if hand is None else scene.objects[hand].segmentation
    if rle is not None:
        out[decode_mask(rle)] = np.nan
    return np.asarray(out)


def _points(frame: Frame) -> Doubles:
    """(H, W, 4) what each pixel sees, camera frame, with a 1 behind; NaN without a reading."""
    camera, depth = frame.camera, frame.depth_m
    if camera is None or depth is None:
        raise UsageError(f"{frame.id}: wanted depth and intrinsics")
    seen = backproject(depth, camera).astype(np.float64)
    return np.concatenate((seen, np.ones((*depth.shape, 1))), axis=-1)


def _box(scene: Scene, k: int, level: Doubles) -> Box:
    box = Box.of(scene.objects[k], level)
    if box is None:
        raise Skip("no_level", f"{scene.id}: {scene.objects[k].caption} has no level box")
    return box


def _standing(points: Doubles, target: Box, reference: Box, goal: Goal) -> Doubles:
    """(H, W, 3) the middle of the target, standing where each pixel looks."""
    centers = points.copy()
    centers[..., 2] = target.size[2] / 2
    if goal.relation == "on":
        over = np.abs(points - reference.center)[..., :2] <= reference.size[:2] / 2 + 0.01
        top = reference.center[2] + reference.size[2] / 2
        centers[..., 2] += np.where(over.all(axis=-1), top, 0.0)
    return centers


def writable(path: Path) -> None:
    """Refuse what no picture can be written to.

    Raises:
        UsageError: its name has no ending of a picture, or its folder is not there.

    >>> writable(Path("map.xyz"))
    Traceback (most recent call last):
        ...
    calipers.errors.UsageError: map.xyz: wanted a picture to write, such as map.png
    """
    if path.suffix.lower() not in IMAGE_SUFFIXES or path.is_dir():
        raise UsageError(f"{path}: wanted a picture to write, such as map.png")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}")


def draw_map(rgb: NDArray[np.uint8], rewards: Doubles) -> NDArray[np.uint8]:
    """(H, W, 3) the picture, its places coloured by their reward; the rest grey.

    >>> draw_map(np.zeros((1, 2, 3), np.uint8), np.array([[1.0, np.nan]]))[0].tolist()
    [[190, 173, 28], [0, 0, 0]]
    """
    grey = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2)
    places = np.linspace(0, 1, len(COLOURS))
    value = np.nan_to_num(rewards)
    colour = np.stack([np.interp(value, places, COLOURS[:, k]) for k in range(3)], axis=-1)
    shown = np.isfinite(rewards)[..., None]
    return np.asarray(np.where(shown, 0.25 * grey + 0.75 * colour, grey)).round().astype(np.uint8)
