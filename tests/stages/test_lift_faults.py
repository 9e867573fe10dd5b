"""Lifting known scenes seen badly: fat masks, noise, mixed pixels, holes, nothing at all."""

from __future__ import annotations

import numpy as np
import pytest

from calipers.errors import Skip
from calipers.questions import ask, measure
from calipers.samples.faults import Faults, apply_faults, grow
from calipers.stages.lift import lift
from calipers.types import Camera, Frame
from known_scenes import CAMERA, FLOOR, Ball, Box, about_x, angle, frame_of, noisy, shoot, wall

PIXEL = 2.0 / 500
"""Footprint of a pixel 2 m away, metres."""
ROOM = [FLOOR, wall(4)]
CRATE = Box((0.1, 2.0, 0.25), (0.4, 0.3, 0.5))
TIN = Box((0.7, 2.2, 0.15), (0.2, 0.2, 0.3))
SLAB = Box((0, 1.5, 0.05), (0.3, 0.2, 0.1))


@pytest.fixture(scope="module")
def crate():
    return shoot([CRATE, TIN], ROOM)


def grown(shot, pixels):
    """The scene with masks too fat, or too thin, by so many pixels."""
    return lift(shot.frame, [grow(mask, pixels) for mask in shot.masks])


def spoiled(shot, faults, seed=0):
    """The same view with a depth camera's faults."""
    frame = apply_faults(shot.frame, faults, np.random.default_rng(seed))
    return shot.with_depth(frame.depth_m)


@pytest.mark.parametrize("pixels", [-2, -1, 1, 2])
def test_masks_too_fat_or_too_thin_before_a_far_wall_and_on_the_floor(crate, pixels):
    """Two pixels on both sides would be 16 mm of 400."""
    exact, item = crate.lifted().objects[0], grown(crate, pixels).objects[0]
    width, _, height = item.size_level
    assert width == pytest.approx(0.4, rel=0.03)
    assert height == pytest.approx(0.5, rel=0.01)
    assert item.size_level == pytest.approx(exact.size_level, abs=PIXEL)
    assert item.center_level == pytest.approx(exact.center_level, abs=PIXEL / 2)
    assert item.pixels == pytest.approx(crate.masks[0].sum(), rel=0.02)


def test_fat_mask_on_the_floor_all_around_a_low_slab():
    """Seen from 45°, nothing but floor around it: bleed is on the floor."""
    shot = shoot([SLAB], ROOM, pitch=45)
    item = grown(shot, 2).objects[0]
    assert item.size_level == pytest.approx([0.3, 0.2, 0.1], rel=0.03)
    assert item.center_level == pytest.approx(SLAB.center, abs=0.003)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fat_masks_and_noise(crate, seed):
    """Noise of 1.42 mm at 1 m is 6 mm at 2 m."""
    scene = grown(noisy(crate, seed=seed), 2)
    width, depth, height = scene.objects[0].size_level
    assert width == pytest.approx(0.4, rel=0.03)
    assert height == pytest.approx(0.5, rel=0.02)
    assert depth == pytest.approx(0.3, rel=0.1)
    assert angle(scene.gravity, crate.gravity) < 0.3
    assert scene.depth_stats["noise"] == pytest.approx(1.42e-3, rel=0.15)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mixed_pixels_holes_noise_and_fat_masks_together(crate, seed):
    """Half of the readings within 2 px of an edge are between the crate and the wall 2 m behind."""
    scene = grown(spoiled(crate, Faults(), seed), 2)
    width, depth, height = scene.objects[0].size_level
    assert width == pytest.approx(0.4, rel=0.05)
    assert height == pytest.approx(0.5, rel=0.03)
    assert depth == pytest.approx(0.3, rel=0.15)
    assert scene.objects[0].center_level == pytest.approx([0.1, 2.0, 0.25], abs=0.02)


def test_noise_does_not_erode_a_thin_board():
    board = Box((0, 2.0, 0.2623), (0.6, 0.005, 0.6), about_x(-30))
    shot = noisy(shoot([board], ROOM))
    item = grown(shot, 2).objects[0]
    assert item.pixels >= 0.98 * shot.masks[0].sum()
    goal = [0.6, 0.6 * 0.5, 0.6 * 3**0.5 / 2]
    assert item.size_level == pytest.approx(goal, abs=2 * PIXEL)


@pytest.mark.parametrize("pixels", [0, 2])
def test_a_thin_pole_under_noise_and_a_fat_mask(pixels):
    """2 cm wide, 5 px; the fat mask is almost half wall."""
    shot = noisy(shoot([Box((0.2, 2, 0.5), (0.02, 0.02, 1.0))], ROOM, pitch=20))
    item = grown(shot, pixels).objects[0]
    assert item.size_level[2] == pytest.approx(1.0, abs=3 * PIXEL)
    assert item.size_level[0] == pytest.approx(0.02, abs=2.5 * PIXEL)
    assert item.center_level == pytest.approx([0.2, 2, 0.5], abs=0.02)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_ball_under_noise(seed):
    ball = Ball((0.1, 1.5, 0.15), 0.15)
    item = grown(noisy(shoot([ball], ROOM), seed=seed), 2).objects[0]
    assert item.size_level == pytest.approx([0.3] * 3, rel=0.1)
    assert np.linalg.norm(item.center_level - ball.center) < 0.05 * 0.3


@pytest.mark.parametrize("lost", [np.nan, 0.0, -1.0])
def test_holes_do_not_change_a_box(crate, lost):
    """A third of all readings lost at random, and a round hole of 10 cm in the middle."""
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(crate.masks[0])
    v, u = np.mgrid[:480, :640]
    hole = (v - rows.mean()) ** 2 + (u - columns.mean()) ** 2 < 12**2
    hole |= rng.random(hole.shape) < 1 / 3
    exact = crate.lifted().objects[0]
    scene = crate.with_depth(np.where(hole, lost, crate.depth_m)).lifted()
    item = scene.objects[0]
    assert item.size_level == pytest.approx(exact.size_level, abs=2 * PIXEL)
    assert item.center_level == pytest.approx(exact.center_level, abs=PIXEL)
    assert item.pixels == pytest.approx((crate.masks[0] & ~hole).sum(), rel=0.02)
    assert scene.depth_stats["valid"] == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize("lost", [np.nan, 0.0])
def test_a_mask_without_depth_keeps_its_place_and_says_why(crate, lost):
    shot = crate.with_depth(np.where(crate.masks[0], lost, crate.depth_m))
    first, second = shot.lifted().objects
    assert first.reference_reason == "not lifted: no_depth"
    assert not first.lifted
    assert (first.caption, second.caption) == ("thing 0", "thing 1")
    assert first.size_level is first.cloud is first.depth_mean is None
    assert second.reference_reason is None
    assert second.size_level == pytest.approx(crate.lifted().objects[1].size_level, abs=1e-3)


@pytest.mark.parametrize("mask", [None, np.zeros((480, 640), bool)])
def test_an_object_without_a_mask_keeps_its_place_and_says_why(crate, mask):
    masks = [crate.masks[0], mask, crate.masks[1]]
    first, missing, last = lift(frame_of(crate.depth_m, masks, CAMERA), masks).objects
    assert missing.reference_reason == "not lifted: no_mask"
    assert not missing.lifted
    assert [o.caption for o in (first, missing, last)] == ["thing 0", "thing 1", "thing 2"]
    assert first.center_level == pytest.approx([0.1, 2.0, 0.25], abs=0.01)
    assert last.center_level == pytest.approx([0.7, 2.2, 0.15], abs=0.02)


def test_a_mask_of_one_pixel_is_not_lifted(crate):
    mask = np.zeros((480, 640), bool)
    mask[240, 320] = True
    (item,) = lift(frame_of(crate.depth_m, [mask], CAMERA), [mask]).objects
    assert item.reference_reason == "not lifted: no_depth"
    assert item.pixels == 0


@pytest.mark.parametrize("depth", [np.nan, 0.0, -2.0])
def test_no_reading_at_all_skips_the_frame(crate, depth):
    with pytest.raises(Skip, match="no_depth") as caught:
        crate.with_depth(np.full((480, 640), depth)).lifted()
    assert caught.value.reason == "no_depth"


@pytest.mark.parametrize("part", ["depth_m", "camera", "objects"])
def test_a_frame_without_depth_camera_or_objects_is_not_ready(part):
    parts = {"depth_m": np.ones((4, 4), np.float32), "camera": Camera(4, 4, 2, 2, 4, 4)}
    given = {**parts, "objects": [], part: None}
    with pytest.raises(Skip) as caught:
        lift(Frame("a", "a.png", 4, 4, **given), [])
    assert caught.value.reason == "not_ready"


def test_no_objects_is_a_scene_without_questions(crate):
    scene = lift(frame_of(crate.depth_m, [], CAMERA), [])
    assert scene.objects == []
    assert angle(scene.gravity, crate.gravity) < 0.01
    assert ask(scene, 10, 0) == []


@pytest.mark.parametrize(
    ("box", "touches"),
    [
        (Box((-1.2, 2, 0.25), (0.6, 0.3, 0.5)), True),
        (Box((1.2, 2, 0.25), (0.6, 0.3, 0.5)), True),
        (Box((0, 2, 0.8), (0.2, 0.3, 1.6)), True),
        (Box((0, 0.8, 0.1), (0.2, 0.3, 0.2)), True),
        (Box((0.5, 2, 0.25), (0.6, 0.3, 0.5)), False),
    ],
    ids=["left", "right", "top", "bottom", "none"],
)
def test_what_the_border_cuts_is_flagged(box, touches):
    (item,) = shoot([box], ROOM).lifted().objects
    assert item.touches_border is touches


def test_the_last_row_and_column_before_the_border_do_not_touch_it(crate):
    for rows, columns, touches in (
        (slice(1, 479), slice(1, 639), False),
        (slice(0, 479), slice(1, 639), True),
        (slice(1, 480), slice(1, 639), True),
        (slice(1, 479), slice(0, 639), True),
        (slice(1, 479), slice(1, 640), True),
    ):
        mask = np.zeros((480, 640), bool)
        mask[rows, columns] = True
        (item,) = lift(frame_of(crate.depth_m, [mask], CAMERA), [mask]).objects
        assert item.touches_border is touches


def test_overlapping_masks_are_each_lifted(crate):
    """The same mask twice: two objects in one place, no gap between them."""
    masks = [crate.masks[0], crate.masks[0].copy()]
    scene = lift(frame_of(crate.depth_m, masks, CAMERA), masks)
    one, two = scene.objects
    assert one.size_level == pytest.approx([0.4, 0.3, 0.5], abs=0.02)
    np.testing.assert_array_equal(one.size_level, two.size_level)
    one.reference, two.reference = "the crate", "the case"
    assert measure(scene, "gap", 0, 1).value == 0
    assert measure(scene, "distance", 0, 1).value == 0
