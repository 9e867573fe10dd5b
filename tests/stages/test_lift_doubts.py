"""Lifting masks that fill the picture, and pictures that are tiny."""

from __future__ import annotations

import numpy as np
import pytest

from calipers.geometry.box import extents
from calipers.questions import measure
from calipers.samples.faults import Faults, apply_faults, grow
from calipers.stages.lift import lift
from calipers.types import Camera
from known_scenes import CAMERA, FLOOR, Box, frame_of, shoot, wall

ROOM = [FLOOR, wall(4)]
CRATE = Box((0.1, 2.0, 0.25), (0.4, 0.3, 0.5))


@pytest.fixture(scope="module")
def crate():
    return shoot([CRATE], ROOM)


def test_a_mask_over_the_whole_picture(crate):
    mask = np.ones((480, 640), bool)
    (item,) = lift(frame_of(crate.depth_m, [mask], CAMERA), [mask]).objects
    assert item.touches_border
    assert item.depth_p95 > item.depth_mean > item.depth_p5 > 1


@pytest.mark.parametrize("size_wh", [(1, 1), (8, 8), (20, 3), (17, 33)])
@pytest.mark.parametrize("value", [True, False])
def test_tiny_pictures(size_wh, value):
    """Less than a block of the plane search; nothing is found, nothing breaks."""
    width, height = size_wh
    camera = Camera(50, 50, (width - 1) / 2, (height - 1) / 2, width, height)
    mask = np.full((height, width), value)
    scene = lift(frame_of(np.full((height, width), 2.0), [mask], camera), [mask])
    (item,) = scene.objects
    assert scene.gravity is None
    if item.lifted:
        assert item.depth_mean == pytest.approx(2.0)
        assert item.touches_border
        goal = [2.0 * width / 50, 2.0 * height / 50, 0.0]
        assert item.size_camera == pytest.approx(goal, abs=1e-5)
    else:
        assert item.reference_reason == f"not lifted: {'no_depth' if value else 'no_mask'}"
    assert scene.depth_stats["median"] == 2.0


def test_an_outline_without_an_inside_moves_out_on_every_side():
    """A pole one pixel wide, 2 m away at f = 500: 4 mm wide, and 4 mm taller than its centres."""
    column = np.stack((np.zeros(51), np.linspace(-0.1, 0.1, 51), np.full(51, 2.0)), 1)
    camera = Camera(500, 500, 0, 0, 640, 480)
    low, high = extents(column.astype(np.float32), np.ones(51, bool), np.eye(3), camera)
    assert low == pytest.approx([-0.002, -0.102, 2.0])
    assert high == pytest.approx([0.002, 0.102, 2.0])


@pytest.mark.parametrize("pitch", [15, 30])
@pytest.mark.parametrize("gap", [0.1, 0.15, 0.2])
def test_a_box_that_hangs_above_the_floor_is_not_drawn_down_to_it(pitch, gap):
    """The floor seen under it lies far behind it."""
    scene = shoot([Box((0, 2, gap + 0.15), (0.3, 0.1, 0.3))], ROOM, pitch=pitch).lifted()
    assert measure(scene, "height", 0).value == pytest.approx(0.3, rel=0.05)
    assert measure(scene, "elevation", 0).value == pytest.approx(gap, abs=0.01)


def test_mixed_pixels_in_depth_without_noise(crate):
    """As a resized depth map has them, or one that a network smoothed."""
    faults = Faults(axial_noise=0, quantum_m=0, hole_share=0)
    depth = apply_faults(crate.frame, faults, np.random.default_rng(0)).depth_m
    masks = [grow(mask, 2) for mask in crate.masks]
    item = lift(frame_of(depth, masks, CAMERA), masks).objects[0]
    assert item.size_level == pytest.approx([0.4, 0.3, 0.5], rel=0.1)


def test_what_stands_on_another_touches_it_although_the_contact_is_hidden():
    """A tin deep on a chest: the nearest pixels of the chest are those around the tin."""
    chest, tin = Box((0, 2.0, 0.25), (0.8, 0.6, 0.5)), Box((0, 2.0, 0.6), (0.2, 0.2, 0.2))
    scene = shoot([chest, tin], [FLOOR, wall(4)], pitch=30).lifted()
    named = [(0, "the chest"), (1, "the tin")]
    for k, name in named:
        scene.objects[k].reference = name
    assert measure(scene, "gap", 0, 1).value == 0.0


def test_what_stands_beside_another_does_not_touch_it():
    """A tin and a board of the same bottom, whose fat masks overlap the floor around each other."""
    tin, board = Box((0, 2.0, 0.1), (0.2, 0.2, 0.2)), Box((0.32, 2.0, 0.02), (0.4, 0.6, 0.04))
    shot = shoot([tin, board], [FLOOR, wall(4)], pitch=30)
    scene = lift(shot.frame, [grow(mask, 2) for mask in shot.masks])
    assert measure(scene, "gap", 0, 1).value == pytest.approx(0.02, abs=0.006)
