"""Lifting scenes with known metres: boxes, balls, boards and poles on a floor; exact depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calipers.errors import Skip
from calipers.geometry.frames import level_from_camera
from calipers.questions import ask, measure
from calipers.questions.registry import TYPES
from calipers.stages.lift import lift
from calipers.types import Camera
from known_scenes import (
    CAMERA,
    FLOOR,
    Ball,
    Box,
    Shot,
    about_x,
    about_z,
    angle,
    frame_of,
    shoot,
    wall,
)

PIXEL = 2.0 / 500
"""Footprint of a pixel 2 m away, metres."""
ROOM = [FLOOR, wall(4)]
CRATE = Box((0.1, 2.0, 0.25), (0.4, 0.3, 0.5))
TIN = Box((0.7, 2.2, 0.15), (0.2, 0.2, 0.3))
MEASURES = [name for name, row in TYPES.items() if row.shape == "measure"]


def turned(image):
    """The image turned by a quarter, clockwise."""
    return np.ascontiguousarray(np.rot90(image, -1))


@pytest.fixture(scope="module")
def crate():
    return shoot([CRATE, TIN], ROOM)


@pytest.mark.parametrize("roll", [0, 10, -20])
@pytest.mark.parametrize(("pitch", "camera_height"), [(20, 1.0), (30, 1.4), (40, 1.4)])
def test_a_box_on_the_floor(pitch, camera_height, roll):
    """Width and height to a pixel; depth to what a pixel spans on its top, at its far edge."""
    scene = shoot([CRATE], ROOM, pitch=pitch, height=camera_height, roll=roll).lifted()
    (item,) = scene.objects
    across = item.depth_mean / 500
    along = across / np.sin(np.arctan2(camera_height - 0.5, 2.15))
    width, depth, height = item.size_level
    assert width == pytest.approx(0.4, abs=1.5 * across)
    assert height == pytest.approx(0.5, abs=across)
    assert depth == pytest.approx(0.3, abs=along)
    x, y, z = item.center_level
    assert (x, z) == pytest.approx((0.1, 0.25), abs=across / 2)
    assert y == pytest.approx(2.0, abs=along / 2)
    assert measure(scene, "elevation", 0).value == pytest.approx(0, abs=1e-3)
    assert not item.touches_border


def test_the_box_along_the_camera_axes(crate):
    """30° down, 1 m up: corners (y, z) → image down (1 - z) cos 30° - y sin 30°, away
    y cos 30° + (1 - z) sin 30°. A pixel at the far edge of the top, seen at 13°, spans 19 mm of it:
    9 mm down the image and 16 mm away."""
    item = crate.lifted().objects[0]
    c, s = 3**0.5 / 2, 0.5
    top, bottom = 0.5 * c - 2.15 * s, 1.0 * c - 1.85 * s
    near, far = 1.85 * c + 0.5 * s, 2.15 * c + 0.5 * s
    assert item.center_camera[0] == pytest.approx(0.1, abs=PIXEL / 2)
    assert item.center_camera[1] == pytest.approx((top + bottom) / 2, abs=0.009 / 2 + PIXEL / 2)
    assert item.center_camera[2] == pytest.approx((near + far) / 2, abs=0.016 / 2 + PIXEL / 2)
    assert item.size_camera[0] == pytest.approx(0.4, abs=PIXEL)
    assert item.size_camera[1] == pytest.approx(bottom - top, abs=0.009 + PIXEL)
    assert item.size_camera[2] == pytest.approx(far - near, abs=0.016 + PIXEL)


def test_a_box_on_a_box_stands_as_high_as_the_other_is():
    low, high = Box((0, 1.8, 0.15), (0.4, 0.3, 0.3)), Box((0, 1.8, 0.35), (0.2, 0.2, 0.1))
    scene = shoot([low, high], ROOM, pitch=40).lifted()
    assert measure(scene, "elevation", 1).value == pytest.approx(0.3, abs=2e-3)
    assert measure(scene, "height", 0).value == pytest.approx(0.3, abs=2e-3)
    assert measure(scene, "height", 1).value == pytest.approx(0.1, abs=2e-3)
    assert measure(scene, "gap", 0, 1).value < PIXEL


def test_a_shelf_high_above_the_floor():
    """Its top is seen at 9°: a pixel spans 27 mm of it."""
    scene = shoot([Box((0, 2, 0.6), (0.4, 0.3, 0.1))], ROOM).lifted()
    width, depth, height = scene.objects[0].size_level
    assert measure(scene, "elevation", 0).value == pytest.approx(0.55, abs=PIXEL)
    assert (width, height) == pytest.approx((0.4, 0.1), abs=PIXEL)
    assert depth == pytest.approx(0.3, abs=0.027)


@pytest.mark.parametrize("degrees", [20, 45, 70])
def test_a_crate_turned_on_the_floor(degrees):
    """A square of 0.4 m turned by a is 0.4 (cos a + sin a) wide and deep; its back is hidden."""
    box = Box((0, 2, 0.25), (0.4, 0.4, 0.5), about_z(degrees))
    (item,) = shoot([box], ROOM).lifted().objects
    a = np.radians(degrees)
    goal = 0.4 * (np.cos(a) + np.sin(a))
    assert item.size_level == pytest.approx([goal, goal, 0.5], rel=0.04)
    assert item.center_level == pytest.approx([0, 2, 0.25], abs=0.01)


@pytest.mark.parametrize("pitch", [10, 20, 30, 45])
@pytest.mark.parametrize("radius", [0.1, 0.2])
def test_the_hidden_side_of_a_ball_is_completed(pitch, radius):
    """Depth within 10 %, centre within 5 % of the diameter."""
    ball = Ball((0.1, 1.5, radius), radius)
    (item,) = shoot([ball], ROOM, pitch=pitch).lifted().objects
    assert item.size_level == pytest.approx([2 * radius] * 3, rel=0.1)
    assert np.linalg.norm(item.center_level - ball.center) < 0.05 * 2 * radius
    assert item.center_level[2] - item.size_level[2] / 2 == pytest.approx(0, abs=2e-3)


def test_a_thin_board_leaning_is_not_eroded():
    """60 x 60 cm, 5 mm thick, leaning by 30°; its front is seen, and what it stands on."""
    board = Box((0, 2.0, 0.2623), (0.6, 0.005, 0.6), about_x(-30))
    shot = shoot([board], ROOM)
    (item,) = shot.lifted().objects
    assert item.pixels >= 0.99 * shot.masks[0].sum()
    c, s = 3**0.5 / 2, 0.5
    assert item.size_level == pytest.approx([0.6, 0.6 * s, 0.6 * c + 0.005 * s], abs=1.25 * PIXEL)


@pytest.mark.parametrize("width", [0.012, 0.02, 0.05])
def test_a_thin_pole_keeps_its_height(width):
    """1 m tall and 3, 5 or 12 px wide; before a wall 2 m behind it."""
    pole = Box((0.2, 2, 0.5), (width, width, 1.0))
    (item,) = shoot([pole], ROOM, pitch=20).lifted().objects
    assert item.size_level[2] == pytest.approx(1.0, abs=2 * PIXEL)
    assert item.size_level[0] == pytest.approx(width, abs=1.25 * PIXEL)
    assert item.size_level[1] < width + 2 * PIXEL
    assert item.center_level == pytest.approx([0.2, 2, 0.5], abs=PIXEL)


def test_depths_of_a_face_across_the_view():
    """A box before a wall, seen straight: all readings are 1.65 m."""
    shot = shoot([Box((0, 1.8, 0), (0.4, 0.3, 0.5))], [wall(4)], pitch=0, height=0)
    (item,) = shot.lifted().objects
    depths = (item.depth_center, item.depth_mean, item.depth_p5, item.depth_p95)
    assert depths == pytest.approx([1.65] * 4, abs=1e-5)
    assert item.pixels == pytest.approx(shot.masks[0].sum(), rel=0.02)
    assert item.center_camera == pytest.approx([0, 0, 1.65], abs=1e-4)


def test_depths_of_a_slanted_face():
    """A board, edges level, turned by 45° about the upright: x = 1.5 - y, seen straight. Columns
    k px right of the middle have depth z = 1.5 / (1 + k / 500)."""
    board = Box((0, 1.5, 0), (0.4, 0.001, 0.4), about_z(-45))
    shot = shoot([board], [wall(4)], pitch=0, height=0)
    (item,) = shot.lifted().objects
    columns = np.flatnonzero(shot.masks[0][240]) - 319.5
    z = 1.5 / (1 + columns / 500)
    assert item.depth_center == pytest.approx(1.5 / (1 + np.median(columns) / 500), abs=0.01)
    assert item.depth_mean == pytest.approx(np.mean(z), abs=0.01)
    assert item.depth_p5 == pytest.approx(np.percentile(z, 5), abs=0.01)
    assert item.depth_p95 == pytest.approx(np.percentile(z, 95), abs=0.01)


def test_depth_stats_by_hand():
    """Left half 1 m, right half 3 m, a quarter of all lost."""
    depth = np.full((480, 640), 1.0)
    depth[:, 320:] = 3.0
    depth[:240, :320] = np.nan
    stats = lift(frame_of(depth, [], CAMERA), []).depth_stats
    assert stats["valid"] == pytest.approx(0.75)
    order = [stats[k] for k in ("min", "p5", "median", "p95", "max")]
    assert order == pytest.approx([1, 1, 3, 3, 3])
    assert stats["noise"] < 1e-6


def test_gravity_and_surface_are_found_and_said(crate):
    scene = crate.lifted()
    assert angle(scene.gravity, crate.gravity) < 0.01
    assert scene.support_plane == pytest.approx([*-crate.gravity, 1.0], abs=1e-3)
    assert scene.gravity_source == "depth_plane"
    assert scene.gravity_confidence > 0.9
    assert scene.frame == "level"


def test_given_gravity_is_taken_as_it_is(crate):
    """2° wrong on purpose: boxes are turned with it."""
    wrong = about_x(2) @ crate.gravity
    frame = replace(crate.frame, gravity=wrong.astype(np.float32))
    scene = lift(frame, crate.masks)
    assert scene.gravity == pytest.approx(wrong, abs=1e-6)
    assert (scene.gravity_source, scene.gravity_confidence) == ("given", 1.0)
    assert scene.support_plane[:3] == pytest.approx(-wrong, abs=1e-6)
    assert angle(scene.gravity, crate.gravity) == pytest.approx(2, abs=1e-3)


def test_only_a_frontal_wall_has_no_level_frame_and_no_question_that_needs_one():
    boxes = [Box((x, 1.9, 0), (0.3, 0.2, h)) for x, h in ((-0.5, 0.3), (0.4, 0.5))]
    scene = shoot(boxes, [wall(2.0)], pitch=0, height=0).lifted()
    assert scene.gravity is None
    assert scene.support_plane is None
    assert scene.gravity_source is None
    assert [o.size_level for o in scene.objects] == [None, None]
    asked = {q.type for q in ask(scene, 200, 0)}
    assert {"left_predicate", "distance", "wide_choice"} <= asked
    assert not any(TYPES[name].needs_level for name in asked)
    with pytest.raises(Skip, match="no_level_frame"):
        measure(scene, "height", 0)
    assert measure(scene, "width", 0).value == pytest.approx(0.3, abs=1.25 * PIXEL)
    assert measure(scene, "left_difference", 0, 1).value == pytest.approx(0.9, abs=PIXEL)


@pytest.mark.parametrize(("middle", "near_m"), [(0.3, 0.003), (0.0, PIXEL)])
def test_two_boxes_five_centimetres_apart(middle, near_m):
    """To 3 mm where a facing side is seen, to a pixel where neither is."""
    boxes = [Box((middle + s * 0.225, 2, 0.2), (0.4, 0.3, 0.4)) for s in (-1, 1)]
    fact = measure(shoot(boxes, ROOM).lifted(), "gap", 0, 1)
    assert fact.value == pytest.approx(0.05, abs=near_m)
    assert np.linalg.norm(np.diff(fact.segment, axis=0)) == pytest.approx(fact.value)


def test_clouds_are_small_and_lie_on_the_surface(crate):
    for item, box in zip(crate.lifted().objects, (CRATE, TIN)):
        assert 400 < len(item.cloud) <= 512
        assert item.cloud.dtype == np.int16
        transform = crate.level_from_camera
        level = item.points() @ transform[:3, :3].T + transform[:3, 3]
        beyond = np.abs(level - box.center) - np.array(box.size) / 2
        assert beyond.max() < 1.5 * PIXEL
        # The visible sides: most points are within half a step of them.
        assert np.median(np.abs(beyond.max(1))) < item.cloud_scale


def test_twice_as_far_is_twice_as_large(crate):
    one, two = crate.lifted(), crate.with_depth(2 * crate.depth_m).lifted()
    for name in MEASURES:
        for pair in ((0, 1), (1, 0)):
            chosen = pair[: TYPES[name].arity]
            single, double = (measure(s, name, *chosen).value for s in (one, two))
            assert double == pytest.approx(2 * single, rel=2e-3, abs=1e-4), name


def test_a_mirrored_picture_has_left_and_right_swapped(crate):
    flip = replace(CAMERA, cx=CAMERA.width - 1 - CAMERA.cx)
    masks = [mask[:, ::-1] for mask in crate.masks]
    mirrored = lift(frame_of(crate.depth_m[:, ::-1], masks, flip), masks)
    for one, other in zip(crate.lifted().objects, mirrored.objects):
        assert other.center_level == pytest.approx(one.center_level * [-1, 1, 1], abs=2e-3)
        assert other.size_level == pytest.approx(one.size_level, abs=4e-3)
        assert other.center_camera == pytest.approx(one.center_camera * [-1, 1, 1], abs=1e-3)


def test_a_picture_turned_by_a_quarter_shows_the_same_when_gravity_is_given(crate):
    """Pixel (u, v) goes to (479 - v, u): what was right is down, what was down is left."""
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    camera = Camera(CAMERA.fy, CAMERA.fx, 479 - CAMERA.cy, CAMERA.cx, 480, 640)
    masks = [turned(mask) for mask in crate.masks]
    frame = frame_of(turned(crate.depth_m), masks, camera)
    frame.gravity = (turn @ crate.gravity).astype(np.float32)
    scene = lift(frame, masks)
    for one, other in zip(crate.lifted().objects, scene.objects):
        assert other.size_level == pytest.approx(one.size_level, abs=2 * PIXEL)
        assert other.center_level == pytest.approx(one.center_level, abs=PIXEL)
        assert other.center_camera == pytest.approx(turn @ one.center_camera, abs=1e-4)


def test_boxes_stand_in_the_frame_that_the_scene_says(crate):
    """The level box of a point cloud contains the cloud, moved by gravity and support plane."""
    scene = crate.lifted()
    transform = level_from_camera(scene.gravity, scene.support_plane)
    for item in scene.objects:
        level = item.points() @ transform[:3, :3].T + transform[:3, 3]
        low, high = (item.center_level + sign * item.size_level / 2 for sign in (-1, 1))
        assert (level > low - PIXEL).all()
        assert (level < high + PIXEL).all()


def test_same_input_same_output_and_the_input_stays(crate):
    depth, masks = crate.depth_m.copy(), [mask.copy() for mask in crate.masks]
    one, two = lift(crate.frame, crate.masks), lift(crate.frame, crate.masks)
    np.testing.assert_array_equal(crate.depth_m, depth)
    np.testing.assert_array_equal(crate.masks, masks)
    for a, b in zip(one.objects, two.objects):
        np.testing.assert_array_equal(a.cloud, b.cloud)
        np.testing.assert_array_equal(a.size_level, b.size_level)
        np.testing.assert_array_equal(a.center_level, b.center_level)
    assert one.depth_stats == two.depth_stats


def test_an_object_alone_has_the_same_box_as_among_others(crate):
    alone = Shot(
        frame_of(crate.depth_m, crate.masks[:1], CAMERA),
        crate.masks[:1],
        crate.ids,
        crate.level_from_camera,
    ).lifted()
    one, other = alone.objects[0], crate.lifted().objects[0]
    np.testing.assert_array_equal(one.size_level, other.size_level)
    np.testing.assert_array_equal(one.center_level, other.center_level)
