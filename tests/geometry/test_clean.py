"""Which pixels are the object: pictures of one plate before a wall, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from crops import crop_of, rectangle
from hypothesis import given, settings
from hypothesis import strategies as st

from calipers.geometry.clean import clean, excesses, is_exact, tell_sides

SHAPE = (60, 70)
PLATE = rectangle(SHAPE, 15, 45, 20, 50)
DEPTH = np.where(PLATE, 1.0, 2.0)
NOISE = 0.0014


def nothing(shape=SHAPE):
    return np.zeros(shape, bool)


def fat(pixels):
    return rectangle(SHAPE, 15 - pixels, 45 + pixels, 20 - pixels, 50 + pixels)


def noisy(depth, seed=0):
    return depth + NOISE * depth**2 * np.random.default_rng(seed).normal(size=depth.shape)


def cleaned(crop, on_surface, noise, exact):
    """The object of a crop, its mask too fat by what that shows by itself."""
    sides = tell_sides(crop, noise)
    return clean(crop, sides, *excesses([sides]), on_surface, noise, exact)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("pixels", [-2, -1, 0, 1, 2])
def test_masks_too_fat_or_too_thin_give_the_plate(pixels, exact):
    """Its corners may be rounded where neighbours vote: by a pixel each."""
    found = cleaned(crop_of(DEPTH, fat(pixels)), nothing(), 0.0, exact)
    wrong = np.argwhere(found.pixels != PLATE)
    assert len(wrong) <= (0 if exact else 4)
    assert found.count == found.pixels.sum()
    assert found.hidden_share == 0
    assert found.inverse_depth[found.pixels] == pytest.approx(1.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_is_averaged(seed):
    found = cleaned(crop_of(noisy(DEPTH, seed), fat(2)), nothing(), NOISE, False)
    assert np.count_nonzero(found.pixels != PLATE) <= 8
    inner = rectangle(SHAPE, 18, 42, 23, 47)
    assert found.inverse_depth[inner].std() < 0.3 * NOISE
    assert found.inverse_depth[found.pixels] == pytest.approx(1.0, abs=4 * NOISE)


def test_mixed_readings_at_the_edge_are_replaced_by_the_plane():
    """A tilted plate, 0.9 to 1.2 m; the outermost ring reads halfway to the wall."""
    plane = 1 / (0.9 + 0.3 * np.linspace(0, 1, SHAPE[1]))[None].repeat(SHAPE[0], 0)
    inverse = np.where(PLATE, plane, 0.5)
    ring = PLATE & ~rectangle(SHAPE, 16, 44, 21, 49)
    inverse[ring] = 0.6 * plane[ring] + 0.4 * 0.5
    found = cleaned(crop_of(1 / inverse, PLATE), nothing(), 0.0, False)
    assert found.pixels[ring].mean() > 0.9
    kept = found.pixels & ring
    assert found.inverse_depth[kept] == pytest.approx(plane[kept], rel=0.005)


def test_the_rim_is_the_outermost_ring():
    found = cleaned(crop_of(DEPTH, PLATE), nothing(), 0.0, True)
    assert (found.rim == PLATE & ~rectangle(SHAPE, 16, 44, 21, 49)).all()


def test_bleed_on_a_surface_is_left_out_inside_the_band_only():
    """A surface of the plate's own depth: the mask's outer three pixels on it go."""
    depth = np.full(SHAPE, 1.0)
    found = cleaned(crop_of(depth, PLATE), np.ones(SHAPE, bool), 0.0, True)
    assert (found.pixels == rectangle(SHAPE, 18, 42, 23, 47)).all()


def test_pixels_of_others_are_not_taken():
    """A thin mask grows to the plate, but not into another object's mask."""
    other = rectangle(SHAPE, 15, 45, 49, 60)
    found = cleaned(crop_of(DEPTH, fat(-1), [other]), nothing(), 0.0, True)
    assert not found.pixels[:, 49].any()
    assert found.pixels[15:45, 20].all()


def test_hidden_share_counts_the_rim_beside_something_nearer():
    """A post before the plate's right end: one side of four, and the two corner pixels beside."""
    depth = DEPTH.copy()
    depth[:, 45:] = 0.5
    mask = rectangle(SHAPE, 15, 45, 20, 45)
    found = cleaned(crop_of(depth, mask), nothing(), 0.0, True)
    assert found.pixels.sum() == 30 * 25
    assert found.hidden_share == pytest.approx(30 / found.rim.sum(), abs=0.03)


def test_a_patch_of_false_depth_inside_is_left_out():
    """A stereo camera's false match, 6x6 pixels 20 % too far: gone or filled from around it."""
    depth = DEPTH.copy()
    depth[28:34, 32:38] = 1.2
    found = cleaned(crop_of(depth, PLATE), nothing(), NOISE, False)
    assert not found.pixels[30:32, 34:36].any()
    assert (PLATE & ~found.pixels).sum() <= 8 * 8
    assert found.inverse_depth[found.pixels] == pytest.approx(1.0, abs=0.02)


def test_readings_farther_than_the_object_is_large_are_left_out():
    depth = DEPTH.copy()
    depth[30, 35] = 9.0
    found = cleaned(crop_of(depth, PLATE), nothing(), 0.0, True)
    assert not found.pixels[30, 35]
    assert found.count == PLATE.sum() - 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (3, 300), (17, 33)])
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("value", [1.5, np.nan])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_crops_of_any_size(shape, exact, value, share):
    """Nothing breaks; only readings are kept."""
    mask = np.random.default_rng(0).random(shape) < share
    found = cleaned(crop_of(value, mask), nothing(shape), 0.001, exact)
    assert found.count == found.pixels.sum()
    assert found.count == 0 or (value == 1.5 and share > 0)
    assert 0 <= found.hidden_share <= 1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_noise_of_every_kind(seed, height, width, exact):
    """Random masks, depths over 60 powers of ten, holes: what is kept has a reading."""
    rng = np.random.default_rng(seed)
    depth = 10.0 ** rng.uniform(-30, 30, (height, width))
    depth[rng.random(depth.shape) < 0.3] = rng.choice([np.nan, np.inf, 0, -1])
    masks = rng.random((2, height, width)) < rng.random()
    crop = crop_of(depth, masks[0], [masks[1]])
    found = cleaned(crop, rng.random(depth.shape) < 0.2, 10.0 ** rng.uniform(-9, 3), exact)
    assert (crop.depths[1][found.pixels] > 0).all()
    assert (found.rim <= found.pixels).all()
    assert found.rim.any() == found.pixels.any()


def step_edge(*between):
    """Rows of 1 m and 2 m with these readings between them."""
    row = np.r_[np.ones(10), between, np.full(10, 2.0)]
    return np.tile(row, (40, 1)).astype(np.float32)


@pytest.mark.parametrize("between", [(), (1.0,), (2.0,), (1.5,)])
def test_edges_are_exact_when_most_triples_have_either_sides_depth(between):
    """With one reading halfway it is one triple of three that has not."""
    assert is_exact(step_edge(*between), 0.0)


@pytest.mark.parametrize("between", [(1.25, 1.5, 1.75), (3.0,), (0.5,)])
def test_edges_are_not_exact_when_readings_are_mixed(between):
    """A ramp (three of five triples are between), and readings beyond both sides."""
    assert not is_exact(step_edge(*between), 0.0)


def test_noise_is_never_exact():
    assert not is_exact(step_edge(), 0.001)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1)])
def test_a_picture_too_small_for_edges_is_exact(shape):
    assert is_exact(np.full(shape, np.nan, np.float32), 0.0)
