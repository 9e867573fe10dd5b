"""GeoCalib: gravity and focal length from the lines and shapes in one picture.

Veicht et al. 2024, "GeoCalib: Learning Single-image Calibration with Geometric Optimization"
(arXiv 2409.06704). Its package is not on PyPI: ``pip install git+https://github.com/cvg/GeoCalib``.
Its conventions, as its code has them: gravity is the direction *up* in OpenCV's camera frame,
uncertainties are standard deviations in radians, intrinsics belong to the picture as given with its
top-left corner at (0, 0), and a focal length that is known is the vertical one, in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Self

import numpy as np

from calipers.errors import MissingWeightsError, UsageError
from calipers.experts.base import DepthMap, Gravity, Image
from calipers.experts.depth_pictures import to_tensor
from calipers.experts.torch_runtime import choose_device, commit_of, hub_file, require
from calipers.types import Camera

_RELEASED = ("pinhole", "distorted")
_HALVING_DEGREES = 5.0
"""The confidence halves with every so many degrees of the expected error."""


class GeoCalib:
    """A `GravityEstimator` that also estimates the camera where it is not known."""

    def __init__(self, model: Any, device: str, revision: str | None) -> None:
        self.model = model
        self.revision = revision
        self._device = device

    @classmethod
    def load(
        cls,
        source: str = "pinhole",
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
    ) -> Self:
        """Load the released weights "pinhole" (also for ""), or a file or folder of them.

        Args:
            source: a folder holds ``geocalib.tar``; released weights are fetched by the package
                from the project's releases, and kept.
            revision: not used; there is one release.
            device: as torch names it; None for the best there is.
            dtype: not used; it computes in float32.

        Raises:
            UsageError: the package is not installed.
            MissingWeightsError: its weights are not there and not to be fetched.
        """
        device = choose_device(device)
        package = _package()
        source = source or "pinhole"
        if source in _RELEASED:
            return cls(_released(package, source).to(device).eval(), device, f"v1.0-{source}")
        path = hub_file(source, "geocalib.tar", revision)
        model = package.GeoCalib(weights=str(path))
        return cls(model.to(device).eval(), device, commit_of(None, path))

    def down(
        self,
        images: Sequence[Image],
        cameras: Sequence[Camera | None],
        depths: Sequence[DepthMap | None],
    ) -> list[Gravity | None]:
        """Estimate gravity, and the camera where it is not known; the depth is not used.

        The package takes one picture at a time, and turns gradients off itself.
        """
        return [self._one(image, camera) for image, camera in zip(images, cameras)]

    def _one(self, image: Image, camera: Camera | None) -> Gravity | None:
        torch = require("torch", "GeoCalib")
        priors = {} if camera is None else {"focal": torch.tensor(camera.fy, device=self._device)}
        found = self.model.calibrate(to_tensor(image).to(self._device), priors=priors)
        up = found["gravity"].vec3d[0].double().cpu().numpy()
        error = math.hypot(*(float(found[f"{name}_uncertainty"][0]) for name in ("roll", "pitch")))
        if not (np.isfinite(up).all() and math.isfinite(error)):
            return None
        return Gravity(
            (-up / np.linalg.norm(up)).astype(np.float32),
            0.5 ** (math.degrees(error) / _HALVING_DEGREES),
            None if camera is not None else _camera(found["camera"].K[0], image),
        )


def _package() -> Any:
    try:
        return import_module("geocalib")
    except ImportError as error:
        raise UsageError(
            "GeoCalib is not installed: pip install git+https://github.com/cvg/GeoCalib"
        ) from error


def _released(package: Any, name: str) -> Any:
    """Let the package fetch its weights, or find them where it keeps them."""
    try:
        return package.GeoCalib(weights=name)
    except OSError as error:
        raise MissingWeightsError(
            f"no weights of GeoCalib ({name}) here and not to be fetched ({error}): put "
            f"geocalib-{name}.tar of its release v1.0 in a folder, as geocalib.tar, and name it"
        ) from error


def _camera(intrinsics: Any, image: Image) -> Camera:
    height, width = image.shape[:2]
    k = intrinsics.double().cpu().tolist()
    return Camera(k[0][0], k[1][1], k[0][2] - 0.5, k[1][2] - 0.5, width, height)
