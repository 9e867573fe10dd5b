"""Depth Anything 3: metres = focal length of the resized picture * answer / 300."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calipers.errors import DataError, MissingWeightsError, UsageError
from calipers.types import Camera

torch = pytest.importorskip("torch")
pytest.importorskip("depth_anything_3.cfg")

import tiny_depth_models  # noqa: E402
from calipers.experts.depth_anything3 import DepthAnything3, _pixels, _to_patches  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_depth_models.depth_anything3(tmp_path_factory.mktemp("depth_anything3"))


@pytest.fixture(scope="module")
def expert(folder: Path) -> DepthAnything3:
    return DepthAnything3.load(str(folder), device="cpu", longest_px=112)


def camera(fx: float, fy: float, size_wh: tuple[int, int]) -> Camera:
    width, height = size_wh
    return Camera(fx, fy, (width - 1) / 2, (height - 1) / 2, width, height)


def answers(monkeypatch: pytest.MonkeyPatch, expert: DepthAnything3, answer: float) -> None:
    """Let the network answer `answer` everywhere, and sky in the right half of the picture."""

    def head(features: Any, height: int, width: int, patch_start_idx: int) -> dict[str, Any]:
        depth = torch.full((1, 1, height, width), answer)
        sky = torch.zeros(1, 1, height, width)
        sky[..., width // 2 :] = 0.9
        return {"depth": depth, "sky": sky}

    monkeypatch.setattr(expert.model.head, "forward", head)


@pytest.mark.parametrize(
    ("size_wh", "fx", "fy", "depth_m"),
    [
        ((112, 56), 60.0, 60.0, 2.0),  # seen as it is: 60 * 10 / 300
        ((112, 56), 120.0, 120.0, 4.0),
        ((224, 112), 120.0, 120.0, 2.0),  # seen at half its size: f = 60
        ((56, 112), 60.0, 60.0, 2.0),
        ((224, 112), 100.0, 140.0, 2.0),  # the mean of both
    ],
)
def test_the_focal_length_is_that_of_the_resized_picture(
    expert: DepthAnything3,
    monkeypatch: pytest.MonkeyPatch,
    size_wh: tuple[int, int],
    fx: float,
    fy: float,
    depth_m: float,
) -> None:
    answers(monkeypatch, expert, 10.0)
    width, height = size_wh
    picture = np.zeros((height, width, 3), np.uint8)
    (found,) = expert.estimate([picture], [camera(fx, fy, size_wh)])
    assert found.depth_m.shape == (height, width)
    assert found.depth_m[:, : width // 2 - 1] == pytest.approx(depth_m)
    assert found.camera is None


def test_the_sky_has_no_depth(expert: DepthAnything3, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, expert, 10.0)
    picture = np.zeros((56, 112, 3), np.uint8)
    (found,) = expert.estimate([picture], [camera(60, 60, (112, 56))])
    assert np.isnan(found.depth_m).mean() == 0.5
    assert np.isnan(found.depth_m[:, 56:]).all()


def test_without_a_camera_there_are_no_metres(expert: DepthAnything3) -> None:
    with pytest.raises(DataError, match="wants a focal length: give intrinsics"):
        expert.estimate([np.zeros((56, 112, 3), np.uint8)], [None])


@pytest.mark.parametrize(
    ("side", "wanted"), [(504, 504), (377, 378), (371, 378), (370, 364), (14, 14), (3, 14)]
)
def test_sides_become_multiples_of_the_patch(side: int, wanted: int) -> None:
    assert _to_patches(side) == wanted


def test_pixels_are_normalised_with_height_before_width() -> None:
    pixels = _pixels(np.full((480, 640, 3), 255, np.uint8), 504)
    assert pixels.shape == (3, 378, 504)
    assert pixels[:, 0, 0].tolist() == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-3)


def test_a_picture_does_not_depend_on_its_neighbours(expert: DepthAnything3) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((60, 80), (48, 100), (60, 80))]
    cameras = [camera(70, 70, (i.shape[1], i.shape[0])) for i in images]
    for image, given, found in zip(images, cameras, expert.estimate(images, cameras)):
        (alone,) = expert.estimate([image], [given])
        np.testing.assert_allclose(found.depth_m, alone.depth_m, rtol=1e-4)
        assert found.depth_m.shape == image.shape[:2]


def test_another_checkpoint_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_name": "da3-small"}))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(UsageError, match="wanted the checkpoint da3metric-large, got da3-small"):
        DepthAnything3.load(str(tmp_path), device="cpu")


def test_weights_that_lack_a_part_are_refused(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors.pop("model.head.projects.0.bias")
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(MissingWeightsError, match=r"it has no head\.projects\.0\.bias"):
        DepthAnything3.load(str(tmp_path), device="cpu")
