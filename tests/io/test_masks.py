"""Masks: round trips, hand-made run lengths, and every form that must be refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from calipers.errors import Skip
from calipers.io.masks import (
    check_rle,
    counts_to_rle,
    decode_mask,
    encode_mask,
    mask_area,
    mask_box,
    polygons_to_rle,
    to_rle,
)

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(MASKS)
def test_a_mask_survives_the_string(mask):
    rle = encode_mask(mask)
    assert rle["size"] == list(mask.shape)
    assert np.array_equal(decode_mask(rle), mask)
    assert mask_area(rle) == mask.sum()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # inside pycocotools
@given(MASKS.filter(lambda mask: mask.any()))
def test_our_reading_of_the_string_is_the_one_of_pycocotools(mask):
    rle = encode_mask(mask)
    assert check_rle(rle["counts"], mask.shape) == rle
    assert np.array_equal(decode_mask(rle), coco.decode([rle])[:, :, 0])
    rows, columns = np.nonzero(mask)
    x, y, w, h = mask_box(rle)
    assert (x, y) == (columns.min(), rows.min())
    assert (x + w - 1, y + h - 1) == (columns.max(), rows.max())


@given(st.lists(st.integers(0, 3_000_000), min_size=2, max_size=30).filter(lambda r: any(r[1::2])))
def test_long_runs_survive_the_string(runs):
    rle = counts_to_rle(runs, (1, sum(runs)))
    assert check_rle(rle["counts"], (1, sum(runs))) == rle
    assert mask_area(rle) == sum(runs[1::2])


@given(st.text(max_size=30) | st.binary(max_size=30).map(lambda b: b.decode("latin-1")))
def test_no_string_is_taken_that_does_not_fill_the_image(text):
    try:
        rle = check_rle(text, (3, 4))
    except Skip as skip:
        taken, sound = None, skip.reason in {"bad_rle", "empty_mask"}
    else:
        taken, sound = rle, decode_mask(rle).any()
    assert sound, taken


def test_runs_go_down_the_columns():
    mask = decode_mask(counts_to_rle([1, 2, 3], (2, 3)))
    assert mask.tolist() == [[False, True, False], [True, False, False]]


def test_polygons_are_filled_and_joined():
    rle = polygons_to_rle([[0, 0, 4, 0, 4, 2, 0, 2], [6, 6, 10, 6, 10, 10, 6, 10]], (10, 12))
    expected = np.zeros((10, 12), dtype=bool)
    expected[0:2, 0:4] = True
    expected[6:10, 6:10] = True
    assert np.array_equal(decode_mask(rle), expected)


def test_a_polygon_within_a_pixel_of_the_border_is_cut():
    inside = polygons_to_rle([[0, 0, 10, 0, 10, 10, 0, 10]], (10, 10))
    assert polygons_to_rle([[-1, -1, 11, -1, 11, 11, -1, 11]], (10, 10)) == inside


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([], "empty_mask"),
        ([[0, 0, 4, 0]], "bad_polygon"),
        ([[0, 0, 4, 0, 4, 4, 1]], "bad_polygon"),
        ([0, 0, 4, 0, 4, 4], "bad_polygon"),
        ([[0, 0, 4, 0, 4, "4"]], "bad_polygon"),
        ([[0, 0, 4, 0, 4, float("nan")]], "bad_polygon"),
        ([[0, 0, 4, 0, 4, 1e12]], "mask_outside_image"),
        ([[2, 2, 2, 2, 2, 2]], "empty_mask"),
        ("22", "bad_segmentation"),
        (7, "bad_segmentation"),
        ({"size": [2, 2], "counts": "22"}, "mask_size_mismatch"),
        ({"size": [10, 8, 1], "counts": "22"}, "bad_rle"),
        ({"counts": "22"}, "bad_rle"),
        ({"size": [10, 8]}, "bad_rle"),
        ({"size": [10, 8], "counts": "22"}, "bad_rle"),
        ({"size": [10, 8], "counts": ""}, "bad_rle"),
        ({"size": [10, 8], "counts": "é"}, "bad_rle"),
        ({"size": [10, 8], "counts": "~~"}, "bad_rle"),
        ({"size": [10, 8], "counts": "PPPP"}, "bad_rle"),
        ({"size": [10, 8], "counts": "P" * 40 + "0"}, "bad_rle"),
        ({"size": [10, 8], "counts": []}, "bad_rle"),
        ({"size": [10, 8], "counts": [80]}, "empty_mask"),
        ({"size": [10, 8], "counts": [40, 39]}, "bad_rle"),
        ({"size": [10, 8], "counts": [90, -20, 10]}, "bad_rle"),
        ({"size": [10, 8], "counts": [40.5, 39.5]}, "bad_rle"),
        ({"size": [10, 8], "counts": [[40], [40]]}, "bad_rle"),
        ({"size": [10, 8], "counts": [40, [40]]}, "bad_rle"),
        ({"size": [10, 8], "counts": [2**63, 2**63]}, "bad_rle"),
        ({"size": [10, 8], "counts": [10**30, 40]}, "bad_rle"),
    ],
)
def test_what_is_no_mask_of_the_image_is_refused(segmentation, reason):
    with pytest.raises(Skip) as caught:
        to_rle(segmentation, (10, 8))
    assert caught.value.reason == reason


def test_the_three_forms_of_one_mask_are_one():
    polygon = to_rle([[0, 0, 4, 0, 4, 2, 0, 2]], (4, 6))
    runs = to_rle({"size": [4, 6], "counts": [0, 2, 2, 2, 2, 2, 2, 2, 10]}, (4, 6))
    packed = to_rle({"size": [4, 6], "counts": runs["counts"]}, (4, 6))
    assert polygon == runs == packed
    assert mask_area(packed) == 8
