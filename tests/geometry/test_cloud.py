"""Storing, thinning and measuring clouds and masks, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from crops import crop_of, rectangle
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from calipers.geometry.clean import Clean
from calipers.geometry.cloud import MOST_POINTS, Cloud, closest_pairs, quantiles, quantise, thin


def restored(steps, origin, scale):
    return origin + steps * np.float32(scale)


def test_quantise_by_hand():
    """2 m long: steps of 1 mm from the lowest corner."""
    points = np.array([[1, 0, 3], [3, 0.25, 3.0004], [2, 0.5, 3.0006]], np.float32)
    steps, origin, scale = quantise(points)
    assert scale == pytest.approx(0.001)
    assert origin.tolist() == [1, 0, 3]
    assert steps.dtype == np.int16
    assert steps.tolist() == [[0, 0, 0], [2000, 250, 0], [1000, 500, 1]]


def test_small_clouds_have_steps_of_a_tenth_of_a_millimetre():
    steps, _, scale = quantise(np.array([[0, 0, 1], [0.05, 0, 1]], np.float32))
    assert scale == pytest.approx(1e-4)
    assert steps.tolist() == [[0, 0, 0], [500, 0, 0]]


def test_one_point_can_be_stored():
    point = np.array([[0.1, -0.2, 1.5]], np.float32)
    np.testing.assert_array_equal(restored(*quantise(point)), point)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 600), st.floats(1e-3, 50))
def test_stored_points_come_back_to_half_a_step(seed, count, size):
    points = np.random.default_rng(seed).uniform(-size, size, (count, 3)).astype(np.float32)
    steps, origin, scale = quantise(points)
    assert steps.min() >= 0
    assert steps.max() <= 2000
    error = np.abs(restored(steps, origin, scale) - points).max()
    assert error <= 0.5 * scale + 4e-7 * size


def test_few_points_stay_as_they_are():
    points = np.random.default_rng(0).normal(size=(512, 3)).astype(np.float32)
    np.testing.assert_array_equal(thin(points), points)


def test_thinning_keeps_the_ends_and_the_order():
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (1900, 3)).astype(np.float32)
    few = thin(points, 200)
    assert 150 < len(few) <= 200
    np.testing.assert_array_equal(few.min(0), points.min(0))
    np.testing.assert_array_equal(few.max(0), points.max(0))
    place = {tuple(p): k for k, p in enumerate(points.tolist())}
    where = [place[tuple(p)] for p in few.tolist()]
    assert where == sorted(where)


@pytest.mark.parametrize("count", [513, 5000, 100_000])
def test_thinning_spreads_over_the_whole_and_is_small(count):
    """Points along a line: no gap is much longer than even spacing."""
    points = np.zeros((count, 3), np.float32)
    points[:, 0] = np.linspace(0, 1, count)
    few = thin(points)
    assert 300 < len(few) <= MOST_POINTS == 512
    assert np.diff(few[:, 0]).max() < 1 / 200
    assert few[[0, -1], 0].tolist() == [0, 1]


def test_quantiles_by_hand():
    values = np.arange(100, -1, -1, dtype=np.float32)
    assert quantiles(values, (0.0, 0.05, 0.5, 1.0)) == (0, 5, 50, 100)
    assert quantiles(np.array([3.0], np.float32), (0.05, 0.95)) == (3, 3)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(1, 50))
def test_quantiles_are_those_of_the_sorted_values(seed, count, different):
    """Many of the values are alike."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, different, count).astype(np.float32)
    shares = (0.0, 0.0, *np.sort(rng.random(4)).tolist(), 1.0, 1.0)
    ordered = np.sort(values)
    wanted = [ordered[round(q * (count - 1))] for q in shares]
    assert quantiles(values, shares) == tuple(wanted)


def test_quantiles_of_many_values():
    values = np.random.default_rng(0).uniform(0, 1, 50_000).astype(np.float32)
    found = quantiles(values, (0.05, 0.5, 0.95))
    assert found == pytest.approx((0.05, 0.5, 0.95), abs=0.02)


def ball(center, count, seed=0):
    """Points on a ball of 10 cm."""
    points = np.random.default_rng(seed).normal(size=(count, 3))
    points *= 0.1 / np.linalg.norm(points, axis=1)[:, None]
    return (points + center).astype(np.float32)


def test_closest_points_of_balls():
    """Centres 0.3, 0.5 and 0.4 m apart: gaps 0.1, 0.3 and 0.2 m; a bound from above, near the
    closest of all points."""
    centers = [(0, 0, 2), (0.3, 0, 2), (0.3, 0.4, 2)]
    clouds = [ball(center, 3000, seed) for seed, center in enumerate(centers)]
    found = closest_pairs(clouds)
    assert [pair for pair, _ in found] == [(0, 1), (0, 2), (1, 2)]
    for (a, b), (one, other) in found:
        assert (clouds[a] == one).all(1).any()
        assert (clouds[b] == other).all(1).any()
        least = cKDTree(clouds[a]).query(clouds[b])[0].min()
        distance = np.linalg.norm(one - other)
        assert least - 1e-6 <= distance <= least + 0.003
    gaps = [np.linalg.norm(np.subtract(*ends)) for _, ends in found]
    assert gaps == pytest.approx([0.1, 0.3, 0.2], abs=0.008)


@pytest.mark.parametrize("counts", [(1, 1), (1, 50), (90, 30)])
def test_closest_points_of_small_clouds_are_exact(counts):
    one, other = (ball((k, 0, 2), count, k) for k, count in enumerate(counts))
    ((pair, ends),) = closest_pairs([one, other])
    assert pair == (0, 1)
    least = cKDTree(one).query(other)[0].min()
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(least, abs=1e-5)


def test_fewer_than_two_clouds_have_no_closest_points():
    assert closest_pairs([]) == closest_pairs([ball((0, 0, 2), 5)]) == []


def lifted():
    """Six pixels of an 11x11 picture (f = 100, its middle ahead): three at 2 m over three at 4."""
    pixels = rectangle((11, 11), 5, 7, 5, 8)
    inverse = np.zeros((11, 11), np.float32)
    inverse[5, 5:8], inverse[6, 5:8] = 1 / 2, 1 / 4
    rim = pixels.copy()
    rim[5, 6] = False
    return Cloud.of(crop_of(1.0, pixels), Clean(pixels, rim, inverse, 6, 0.0))


def test_points_by_hand():
    seen = lifted()
    wanted = [[0, 0, 2], [0.02, 0, 2], [0.04, 0, 2], [0, 0.04, 4], [0.04, 0.04, 4], [0.08, 0.04, 4]]
    assert seen.points.tolist() == pytest.approx(np.array(wanted), abs=1e-6)
    assert seen.rim.tolist() == [True, False, True, True, True, True]
    assert seen.z.sum() == 18


def test_readings_by_hand():
    """The middle of all is column 6, halfway between the rows: the first of the two counts."""
    depth = lifted().readings
    assert (depth.mean, depth.p5, depth.p95, depth.center) == (3, 2, 4, 2)
    assert depth.median == 2


def test_coordinates_along_an_axis():
    along = lifted().along(np.array([0.6, 0.0, 0.8]))
    assert along[5, 5:8].tolist() == pytest.approx([1.6, 1.612, 1.624])
    assert along[0, 0] == 0


def test_points_behind_the_object_are_hidden():
    """Behind a pixel, before it, beside it, behind the camera, out of the picture, not a number."""
    points = [[0, 0, 3], [0, 0, 1.9], [-0.2, 0, 5], [0, 0, -3], [9, 9, 3], [np.nan, 0, 3]]
    found = lifted().hidden(np.array(points, np.float32))
    assert found.tolist() == [[0, 0, 3]]


def test_an_object_without_pixels_has_no_cloud():
    none = np.zeros((11, 11), bool)
    with pytest.raises(ValueError, match="without pixels"):
        Cloud.of(crop_of(1.0, none), Clean(none, none, np.zeros((11, 11), np.float32), 0, 0.0))


@pytest.mark.parametrize("shares", [(-0.1,), (1.1,), (np.nan,)])
def test_shares_beyond_all_are_refused(shares):
    with pytest.raises(ValueError, match="shares"):
        quantiles(np.ones(3, np.float32), shares)


def test_empty_clouds_are_refused():
    with pytest.raises(ValueError, match="without points"):
        closest_pairs([ball((0, 0, 2), 5), np.zeros((0, 3), np.float32)])
    with pytest.raises(ValueError, match="without points"):
        quantise(np.zeros((0, 3), np.float32))
    with pytest.raises(ValueError, match="shares"):
        quantiles(np.zeros(0, np.float32), (0.5,))


def test_thinning_to_less_than_the_ends_is_refused():
    with pytest.raises(ValueError, match="more than 26"):
        thin(np.zeros((100, 3), np.float32), 26)
