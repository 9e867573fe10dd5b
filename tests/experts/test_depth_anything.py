"""Depth Anything V2: metres as the network says them, at the picture's size."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calipers.errors import UsageError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_depth_models  # noqa: E402
from calipers.experts.depth_anything import DepthAnything  # noqa: E402

SIZES = ((48, 100), (60, 40), (48, 100))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_depth_models.depth_anything(tmp_path_factory.mktemp("depth_anything"))


@pytest.fixture
def expert(folder: Path) -> DepthAnything:
    return DepthAnything.load(str(folder), device="cpu")


def noise() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


def test_metres_stay_metres_and_rows_stay_rows(
    expert: DepthAnything, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []

    def forward(pixel_values: Any) -> Any:
        shapes.append(tuple(pixel_values.shape))
        height, width = pixel_values.shape[2:]
        rows = torch.linspace(1, 3, height)[:, None].expand(height, width)
        return SimpleNamespace(predicted_depth=rows[None])

    monkeypatch.setattr(expert.model, "forward", forward)
    (found,) = expert.estimate([np.zeros((48, 100, 3), np.uint8)], [None])
    assert shapes == [(1, 3, 56, 112)]  # the nearest multiples of 14 to 56 and 116.7
    assert found.depth_m.shape == (48, 100)
    assert found.depth_m[:, 0] == pytest.approx(found.depth_m[:, -1])
    assert found.depth_m[0, 0] == pytest.approx(1.0, abs=0.02)
    assert found.depth_m[-1, 0] == pytest.approx(3.0, abs=0.02)
    assert (found.camera, found.normals) == (None, None)


def test_what_is_no_distance_is_not_a_number(
    expert: DepthAnything, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = torch.tensor([[[0.0, 5.0], [-1.0, 2.0]]])
    monkeypatch.setattr(
        expert.model, "forward", lambda pixel_values: SimpleNamespace(predicted_depth=answer)
    )
    (found,) = expert.estimate([np.zeros((2, 2, 3), np.uint8)], [None])
    np.testing.assert_array_equal(found.depth_m, [[np.nan, 5.0], [np.nan, 2.0]])


def test_it_is_what_transformers_own_steps_give(expert: DepthAnything) -> None:
    image = noise()[0]
    (found,) = expert.estimate([image], [None])
    inputs = expert.processor(images=image, return_tensors="pt")
    with torch.inference_mode():
        out = expert.model(**inputs)
    wanted = expert.processor.post_process_depth_estimation(out, target_sizes=[(48, 100)])
    np.testing.assert_allclose(found.depth_m, wanted[0]["predicted_depth"].numpy(), rtol=1e-5)
    assert 0 < found.depth_m.min() < found.depth_m.max() < 21


def test_a_picture_does_not_depend_on_its_neighbours(expert: DepthAnything) -> None:
    images = noise()
    for image, found in zip(images, expert.estimate(images, [None] * 3)):
        (alone,) = expert.estimate([image], [None])
        assert found.depth_m.shape == image.shape[:2]
        np.testing.assert_allclose(found.depth_m, alone.depth_m, rtol=1e-4)


def test_relative_depth_is_refused(tmp_path: Path) -> None:
    folder = tiny_depth_models.depth_anything(tmp_path, kind="relative")
    with pytest.raises(UsageError, match="gives relative depth: wanted a 'Metric' checkpoint"):
        DepthAnything.load(str(folder), device="cpu")
