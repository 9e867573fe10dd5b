"""GeoCalib: up becomes down, radians become a confidence, a known focal length is used."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calipers.errors import MissingWeightsError, UsageError
from calipers.types import Camera

torch = pytest.importorskip("torch")

from calipers.experts.geocalib import GeoCalib  # noqa: E402

PICTURE = np.full((60, 80, 3), 51, np.uint8)


class KnownAnswer(torch.nn.Module):
    """Has the results of the package's class, with values that a test sets."""

    def __init__(self, weights: str = "pinhole") -> None:
        super().__init__()
        self.weights = weights
        self.up, self.roll, self.pitch = [0.0, -1.0, 0.0], 0.0, 0.0
        self.asked: list[tuple[Any, Any]] = []

    def calibrate(self, img: Any, priors: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((img, priors))
        k = torch.tensor([[[90.0, 0, 40.0], [0, 91.0, 30.0], [0, 0, 1]]])
        return {
            "gravity": SimpleNamespace(vec3d=torch.tensor([self.up])),
            "camera": SimpleNamespace(K=k),
            "roll_uncertainty": torch.tensor([math.radians(self.roll)]),
            "pitch_uncertainty": torch.tensor([math.radians(self.pitch)]),
        }


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("geocalib")
    module.GeoCalib = KnownAnswer
    monkeypatch.setitem(sys.modules, "geocalib", module)
    return module


@pytest.fixture
def expert(package: ModuleType) -> GeoCalib:
    return GeoCalib.load("", device="cpu")


@pytest.mark.parametrize(
    ("up", "down"),
    [
        ([0.0, -1.0, 0.0], [0, 1, 0]),  # a level camera: down is the picture's down
        ([0.0, -0.8, 0.6], [0, 0.8, -0.6]),  # it looks up: down is behind it
        ([0.6, -0.8, 0.0], [-0.6, 0.8, 0]),
    ],
)
def test_up_becomes_down(expert: GeoCalib, up: list[float], down: list[float]) -> None:
    expert.model.up = up
    (found,) = expert.down([PICTURE], [None], [None])
    assert found is not None
    assert found.down.tolist() == pytest.approx(down)
    assert found.down.dtype == np.float32


@pytest.mark.parametrize(
    ("roll", "pitch", "confidence"), [(0, 0, 1.0), (3, 4, 0.5), (6, 8, 0.25), (0, 15, 0.125)]
)
def test_five_degrees_of_doubt_halve_the_confidence(
    expert: GeoCalib, roll: float, pitch: float, confidence: float
) -> None:
    expert.model.roll, expert.model.pitch = roll, pitch
    (found,) = expert.down([PICTURE], [None], [None])
    assert found is not None
    assert found.confidence == pytest.approx(confidence, rel=1e-4)


def test_a_doubt_that_is_no_number_is_no_answer(expert: GeoCalib) -> None:
    expert.model.pitch = float("nan")
    assert expert.down([PICTURE], [None], [None]) == [None]


def test_the_camera_counts_from_the_first_pixels_centre(expert: GeoCalib) -> None:
    (found,) = expert.down([PICTURE], [None], [None])
    assert found is not None
    assert found.camera == Camera(90.0, 91.0, 39.5, 29.5, 80, 60)


def test_a_known_vertical_focal_length_is_given(expert: GeoCalib) -> None:
    known = Camera(100.0, 110.0, 39.5, 29.5, 80, 60)
    unknown, found = expert.down([PICTURE, PICTURE], [None, known], [None, None])
    (_, none), (pixels, priors) = expert.model.asked
    assert none == {}
    assert priors["focal"].item() == 110.0
    assert priors["focal"].ndim == 0
    assert pixels.shape == (3, 60, 80)
    assert pixels[:, 0, 0].tolist() == pytest.approx([0.2] * 3)
    assert unknown is not None
    assert found is not None
    assert found.camera is None


def test_where_the_weights_come_from(package: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "geocalib.tar").write_bytes(b"tensors")
    local = GeoCalib.load(str(tmp_path), device="cpu")
    released = GeoCalib.load("distorted", device="cpu")
    assert local.model.weights == str(tmp_path / "geocalib.tar")
    assert local.revision is not None
    assert local.revision.startswith("local-")
    assert (released.model.weights, released.revision) == ("distorted", "v1.0-distorted")


def test_without_network_it_says_what_to_do(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(weights: str) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(package, "GeoCalib", fetch)
    with pytest.raises(MissingWeightsError, match=r"\(no route to host\): put geocalib-pinhole"):
        GeoCalib.load("", device="cpu")


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geocalib", None)
    with pytest.raises(UsageError, match=r"pip install git\+https://github\.com/cvg/GeoCalib"):
        GeoCalib.load("", device="cpu")


def test_the_real_network_finds_a_direction(tmp_path: Path) -> None:
    real = pytest.importorskip("geocalib.geocalib")
    torch.manual_seed(0)
    torch.save({"model": real.GeoCalib().state_dict()}, tmp_path / "geocalib.tar")
    expert = GeoCalib.load(str(tmp_path), device="cpu")
    (found,) = expert.down([PICTURE], [Camera(70, 70, 39.5, 29.5, 80, 60)], [None])
    assert found is not None
    assert np.linalg.norm(found.down) == pytest.approx(1)
