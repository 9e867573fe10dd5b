"""Boxes to numbers and back: hand values, and no more lost than a step of the notation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calipers.errors import DataError
from calipers.io.exports.notations import (
    NOTATIONS,
    QWEN_MAX_PIXELS,
    Notation,
    corners,
    resized_notation,
    smart_resize,
)

BOX, SIZE = (64.0, 48.0, 320.0, 480.0), (640, 480)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pixels", "[64, 48, 320, 480]"),
        ("thousand", "[100, 100, 500, 1000]"),
        ("qwen3-vl", '{"bbox_2d": [100, 100, 500, 1000]}'),
        ("resized", "[64, 48, 322, 476]"),
        ("share", "[0.100, 0.100, 0.500, 1.000]"),
        ("paligemma", "<loc0102><loc0102><loc1023><loc0512>"),
        ("florence-2", "<loc_100><loc_100><loc_500><loc_999>"),
    ],
)
def test_a_box_by_hand(name: str, text: str) -> None:
    assert NOTATIONS[name].write(BOX, SIZE) == text


sides = st.integers(1, 5000)
shares = st.floats(0, 1)


@pytest.mark.parametrize("name", NOTATIONS)
@given(width=sides, height=sides, four=st.tuples(shares, shares, shares, shares))
def test_a_round_trip_loses_at_most_half_a_step(
    name: str, width: int, height: int, four: tuple[float, ...]
) -> None:
    if name == "resized" and max(width, height) > 200 * min(width, height):
        return
    x1, y1, x2, y2 = four
    box = (min(x1, x2) * width, min(y1, y2) * height, max(x1, x2) * width, max(y1, y2) * height)
    notation = NOTATIONS[name]
    back = notation.read(notation.write(box, (width, height)), (width, height))
    steps = notation.steps((width, height))
    for k in range(4):
        step = (width, height)[k % 2] / steps[k % 2]
        at_far_edge = notation.last == 1023 and box[k] / step > 1023  # <loc1024> is no token
        assert abs(back[k] - box[k]) <= step * (1 if at_far_edge else 0.5) * (1 + 1e-9)


def test_paligemma_puts_y_first() -> None:
    assert NOTATIONS["paligemma"].numbers((0, 240, 320, 480), SIZE) == [512, 0, 1023, 512]


def test_a_text_without_a_box_is_refused() -> None:
    with pytest.raises(DataError, match="no box in"):
        NOTATIONS["florence-2"].read("<loc_1><loc_2>", SIZE)


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((640, 480), (644, 476)),
        ((28, 28), (56, 56)),
        ((1, 1), (56, 56)),
        ((10, 1000), (28, 560)),
        ((4032, 3024), (4032, 3024)),
        ((8000, 6000), (4116, 3080)),
    ],
)
def test_sizes_after_resizing(size: tuple[int, int], resized: tuple[int, int]) -> None:
    assert smart_resize(size) == resized


def test_other_limits_of_pixels() -> None:
    assert smart_resize((640, 480), max_pixels=100_000) == (364, 252)
    few: Notation = resized_notation(3136, 100_000)
    assert few.write(BOX, SIZE) == "[36, 25, 182, 252]"


def test_slivers_are_refused() -> None:
    with pytest.raises(DataError, match="201x1"):
        smart_resize((201, 1))


def test_resizing_agrees_with_transformers() -> None:
    qwen = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    rng = np.random.default_rng(0)
    for width, height in np.exp(rng.uniform(0, np.log(9000), (2000, 2))).astype(int).tolist():
        if max(width, height) <= 200 * min(width, height):
            for limit in (QWEN_MAX_PIXELS, 1_003_520):
                wanted = qwen.smart_resize(height, width, max_pixels=limit)[::-1]
                assert smart_resize((width, height), max_pixels=limit) == wanted


def test_corners_are_cut_at_the_border() -> None:
    assert corners((-0.5, 470, 10, 20), SIZE) == (0, 470, 9.5, 480)


def test_florence_counts_as_transformers_does() -> None:
    torch = pytest.importorskip("torch")
    florence = pytest.importorskip("transformers.models.florence2.processing_florence2")
    bins = SimpleNamespace(quantize_bins=(1000, 1000))
    quantize = florence.Florence2PostProcessor.quantize
    rng = np.random.default_rng(0)
    for width, height in rng.integers(1, 5000, (200, 2)).tolist():
        box = torch.tensor(rng.uniform(0, 1, 4) * [width, height, width, height])
        wanted = quantize(bins, box[None], (width, height))[0].tolist()
        found = NOTATIONS["florence-2"].numbers(tuple(box.tolist()), (width, height))
        assert found == wanted
