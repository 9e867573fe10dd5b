"""The sizes that pictures get: such that the processors of the bases leave them as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("transformers")

from transformers.models.gemma4.image_processing_pil_gemma4 import (
    Gemma4ImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil,
    smart_resize,
)

from calipers.model.bases import BASES, Base, Size, base

FITTED = [row for row in BASES.values() if row.square is None]
FOUND = [(300, 220), (800, 800), (640, 480), (1280, 720), (4000, 3000)]
"""Sizes of cameras, and two that came out smaller or larger than is allowed."""


def sizes(number: int) -> list[Size]:
    """Sizes from 1 to 4000: as many sides of every length as of every order of length."""
    rng = np.random.default_rng(0)
    even = rng.integers(1, 4001, (number // 2, 2))
    small = np.exp(rng.uniform(0, math.log(4001), (number - number // 2, 2))).astype(int)
    return [(int(w), int(h)) for w, h in (*even, *small)]


@pytest.mark.parametrize("row", FITTED, ids=lambda row: row.model_type)
def test_every_size_is_within_bounds_and_near(row: Base) -> None:
    least, most = row.pixels
    for size in [*FOUND, *sizes(20_000)]:
        width, height = found = row.fit(size)
        assert width % row.step == height % row.step == 0, (size, found)
        assert least <= width * height <= most, (size, found)
        assert max(found) <= 200 * min(found), (size, found)
        assert row.fit(found) == found, (size, found)
        patches = min(found) // row.step
        off = abs(math.log((width / height) / (size[0] / size[1])))
        assert patches == 1 or off <= math.log(patches / (patches - 1)), (size, found)


@pytest.mark.parametrize("name", ["qwen3_vl", "qwen3_5"])
def test_qwens_processor_would_make_the_same_sizes(name: str) -> None:
    """Its own rule with our bounds, but for pictures longer than it takes or nearly so."""
    row = base(name)
    for width, height in [*FOUND, *sizes(20_000)]:
        if max(width, height) < 50 * min(width, height):
            wanted = smart_resize(height, width, row.step, *row.pixels)
            assert row.fit((width, height)) == wanted[::-1], (width, height)


def test_qwens_processor_leaves_fitted_pictures_as_they_are() -> None:
    images = Qwen2VLImageProcessorPil(
        patch_size=16, merge_size=2, size={"shortest_edge": 65536, "longest_edge": 1 << 24}
    )
    for size in [*FOUND, *sizes(30), (4000, 1), (1, 1)]:
        width, height = base("qwen3_vl").fit(size)
        black = np.random.default_rng(0).random((height, width)) < 0.5
        picture = np.repeat(np.uint8(255) * black[..., None], 3, axis=2)
        found = images(images=[picture], return_tensors="np")
        assert (found["image_grid_thw"][0] * 16).tolist() == [16, height, width], size
        assert len(np.unique(np.round(found["pixel_values"], 3))) <= 2 * 3, size


def test_gemma4_gets_no_more_tokens_than_it_takes() -> None:
    images = Gemma4ImageProcessorPil()
    row = base("gemma4")
    for size in [*FOUND, *sizes(30), (4000, 1), (1, 1)]:
        width, height = row.fit(size)
        picture = np.zeros((height, width, 3), np.uint8)
        found = images(images=[picture], return_tensors="np", **row.options)
        assert found["pixel_values"].shape[1] == 280 * 9, size
        assert found["num_soft_tokens_per_image"][0] == width * height // 48**2 <= 280, size
