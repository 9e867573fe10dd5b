"""MoGe-2: metres, NaN outside the mask, intrinsics in pixels, field of view in degrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calipers.errors import MissingWeightsError
from calipers.types import Camera

torch = pytest.importorskip("torch")
pytest.importorskip("moge.model.v2")

import tiny_depth_models  # noqa: E402
from calipers.experts.moge import MoGe  # noqa: E402

HEIGHT, WIDTH, FOCAL_PX, SCALE, SHIFT = 48, 64, 56.0, 2.5, 0.3
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_depth_models.moge(tmp_path_factory.mktemp("moge"))


@pytest.fixture
def expert(folder: Path) -> MoGe:
    return MoGe.load(str(folder), device="cpu")


def known_scene() -> np.ndarray:
    """Depth in metres: a slope that goes from 2 m at the left to 4 m at the right."""
    return np.tile(np.linspace(2, 4, WIDTH, dtype=np.float32), (HEIGHT, 1))


def answer_of(depth_m: np.ndarray) -> dict[str, Any]:
    """What the network says of `depth_m`: points up to a scale and a shift of their depth."""
    z = depth_m / SCALE
    x = (np.arange(WIDTH) - (WIDTH - 1) / 2) / FOCAL_PX * z
    y = ((np.arange(HEIGHT) - (HEIGHT - 1) / 2) / FOCAL_PX)[:, None] * z
    normal = np.zeros((1, HEIGHT, WIDTH, 3), np.float32)
    normal[..., 1] = -1
    mask = np.ones((1, HEIGHT, WIDTH), np.float32)
    mask[0, :10] = 0.2
    parts = {"normal": normal, "mask": mask, "metric_scale": np.array([SCALE])}
    parts["points"] = np.stack([x, y, z - SHIFT], -1)[None]
    return {name: torch.tensor(part, dtype=torch.float32) for name, part in parts.items()}


def test_depth_is_in_metres_and_the_camera_in_pixels(
    expert: MoGe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expert.model, "forward", lambda *_, **__: answer_of(known_scene()))
    (found,) = expert.estimate([PICTURE], [None])
    assert found.depth_m.shape == (HEIGHT, WIDTH)
    assert found.depth_m[20:, 0] == pytest.approx(2.0, abs=0.01)
    assert found.depth_m[20:, -1] == pytest.approx(4.0, abs=0.01)
    assert found.camera is not None
    assert (found.camera.fx, found.camera.fy) == pytest.approx((56.0, 56.0), rel=0.01)
    assert (found.camera.cx, found.camera.cy) == pytest.approx((31.5, 23.5))
    assert (found.camera.width, found.camera.height) == (64, 48)


def test_outside_the_mask_there_is_no_depth_and_no_normal(
    expert: MoGe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expert.model, "forward", lambda *_, **__: answer_of(known_scene()))
    (found,) = expert.estimate([PICTURE], [None])
    assert found.normals is not None
    assert np.isnan(found.depth_m[:10]).all()
    assert np.isnan(found.normals[:10]).all()
    assert np.isfinite(found.depth_m[10:]).all()
    assert found.normals[30, 30].tolist() == [0, -1, 0]


def test_a_known_camera_is_given_as_degrees_and_not_given_back(
    expert: MoGe, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def infer(images: Any, **options: Any) -> dict[str, Any]:
        asked.append({"shape": tuple(images.shape), **options})
        return {"depth": torch.ones(len(images), HEIGHT, WIDTH), "intrinsics": None}

    monkeypatch.setattr(expert.model, "infer", infer)
    wide, narrow = (Camera(f, f, 31.5, 23.5, WIDTH, HEIGHT) for f in (32.0, 32.0 * 3**0.5))
    found = expert.estimate([PICTURE, PICTURE], [wide, narrow])
    assert asked[0]["fov_x"].tolist() == pytest.approx([90.0, 60.0])
    assert asked[0]["shape"] == (2, 3, 48, 64)
    assert [depth.camera for depth in found] == [None, None]
    assert [depth.normals for depth in found] == [None, None]


def test_half_precision_is_for_cuda_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expert = MoGe.load(str(folder), device="cpu", dtype="float16")
    halves: list[bool] = []
    infer = expert.model.infer

    def noted(images: Any, **options: Any) -> Any:
        halves.append(options["use_fp16"])
        return infer(images, **options)

    monkeypatch.setattr(expert.model, "infer", noted)
    (found,) = expert.estimate([PICTURE], [None])
    assert halves == [False]
    assert found.depth_m.dtype == np.float32


def test_a_picture_does_not_depend_on_its_neighbours(expert: MoGe) -> None:
    rng = np.random.default_rng(0)
    sizes = ((48, 64), (60, 40), (48, 64), (48, 64))
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    cameras = [None, None, *(Camera(f, f, 31.5, 23.5, 64, 48) for f in (60.0, 90.0))]
    together = expert.estimate(images, cameras)
    for image, given, found in zip(images, cameras, together):
        (alone,) = expert.estimate([image], [given])
        assert found.depth_m.shape == image.shape[:2]
        np.testing.assert_allclose(found.depth_m, alone.depth_m, rtol=1e-3)


def test_the_revision_is_a_digest_of_a_local_file(folder: Path, expert: MoGe) -> None:
    assert expert.revision is not None
    assert expert.revision.startswith("local-")
    assert MoGe.load(str(folder / "model.pt"), device="cpu").revision == expert.revision


def test_a_folder_without_the_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match=r"it has no model\.pt"):
        MoGe.load(str(tmp_path), device="cpu")
