"""ZoeDepth: padding cut off again, and one head a picture."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_depth_models  # noqa: E402
from calipers.experts.zoedepth import ZoeDepth  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_depth_models.zoedepth(tmp_path_factory.mktemp("zoedepth"))


@pytest.fixture
def expert(folder: Path) -> ZoeDepth:
    return ZoeDepth.load(str(folder), device="cpu")


def noise(count: int, size_hw: tuple[int, int] = (60, 80)) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size_hw, 3), np.uint8) for _ in range(count)]


def test_the_padding_is_cut_off(expert: ZoeDepth, monkeypatch: pytest.MonkeyPatch) -> None:
    # 60 x 80 pixels are padded by int(3 * 30 ** .5) = 16 rows and int(3 * 40 ** .5) = 18 columns.
    columns = torch.arange(80 + 36.0).expand(60 + 32, 80 + 36)
    monkeypatch.setattr(
        expert.model, "forward", lambda pixel_values: SimpleNamespace(predicted_depth=columns[None])
    )
    (found,) = expert.estimate([np.zeros((60, 80, 3), np.uint8)], [None])
    assert found.depth_m.shape == (60, 80)
    assert found.depth_m[0].tolist() == list(range(18, 98))
    assert found.camera is None


def test_without_padding_nothing_is_cut(expert: ZoeDepth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expert.processor, "do_pad", False)
    rows = 1 + torch.arange(60.0)[:, None].expand(60, 80)
    monkeypatch.setattr(
        expert.model, "forward", lambda pixel_values: SimpleNamespace(predicted_depth=rows[None])
    )
    (found,) = expert.estimate([np.zeros((60, 80, 3), np.uint8)], [None])
    assert found.depth_m[:, 0].tolist() == list(range(1, 61))


def test_two_heads_take_one_picture_at_a_time(
    expert: ZoeDepth, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert batches(expert, monkeypatch) == [1, 1, 1]


def test_one_head_takes_them_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expert = ZoeDepth.load(str(tiny_depth_models.zoedepth(tmp_path, heads=1)), device="cpu")
    assert batches(expert, monkeypatch) == [3]


def batches(expert: ZoeDepth, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    forward = expert.model.forward

    def counted(pixel_values: Any) -> Any:
        seen.append(len(pixel_values))
        return forward(pixel_values=pixel_values)

    monkeypatch.setattr(expert.model, "forward", counted)
    found = expert.estimate(noise(3), [None] * 3)
    assert [depth.depth_m.shape for depth in found] == [(60, 80)] * 3
    return seen


def test_a_picture_does_not_depend_on_its_neighbours(expert: ZoeDepth) -> None:
    images = [*noise(2), *noise(1, (48, 100))]
    for image, found in zip(images, expert.estimate(images, [None] * 3)):
        (alone,) = expert.estimate([image], [None])
        assert found.depth_m.shape == image.shape[:2]
        np.testing.assert_allclose(found.depth_m, alone.depth_m, rtol=1e-5)
