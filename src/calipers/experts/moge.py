"""MoGe-2: metric depth, intrinsics, normals and a validity mask from one plain photo.

Wang et al. 2025, "MoGe-2: Accurate Monocular Geometry with Metric Scale and Sharp Details"
(arXiv 2507.02546); package ``dlr-moge``. Its conventions, as its code has them: RGB from 0 to 1,
depth along the optical axis in metres and infinite outside the mask, intrinsics for a picture of
width and height 1 whose top-left *corner* is (0, 0), normals towards the camera in OpenCV's frame
and zero outside the mask, horizontal field of view in degrees.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from calipers.experts.base import DepthMap, Image
from calipers.experts.depth_pictures import in_groups, metres, to_tensor
from calipers.experts.torch_runtime import (
    choose_device,
    choose_dtype,
    commit_of,
    hub_file,
    load_pretrained,
    require,
)
from calipers.types import Camera, Floats


class MoGe:
    """A `DepthEstimator`; with a known camera only its horizontal field of view is used."""

    def __init__(self, model: Any, revision: str | None, half: bool, resolution_level: int) -> None:
        self.model = model
        self.revision = revision
        self._half = half
        self._level = resolution_level

    @classmethod
    def load(
        cls,
        source: str,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        resolution_level: int = 9,
    ) -> Self:
        """Load ``model.pt`` from a file, a folder or a hub id.

        Args:
            source: for example "Ruicheng/moge-2-vitl-normal".
            revision: commit, tag or branch of a hub id.
            device: as torch names it; None for the best there is.
            dtype: "float32" to compute in full precision on CUDA (elsewhere it always is).
            resolution_level: 0 (fast) to 9 (fine), see MoGe's documentation.
        """
        moge = require("moge.model.v2", "MoGe")
        warnings.filterwarnings("ignore", "In CPU autocast", module="moge")
        device = choose_device(device)
        half = device.startswith("cuda") and choose_dtype(device, dtype).itemsize == 2
        path = hub_file(source, "model.pt", revision)
        model = load_pretrained(
            lambda file, **_: moge.MoGeModel.from_pretrained(file), str(path), None
        )
        return cls(model.to(device).eval(), commit_of(None, path), half, resolution_level)

    def estimate(self, images: Sequence[Image], cameras: Sequence[Camera | None]) -> list[DepthMap]:
        """Estimate depth and normals, and intrinsics where the camera is not known."""
        keys = [(image.shape, camera is None) for image, camera in zip(images, cameras)]
        return in_groups(
            keys, lambda index: self._infer([images[i] for i in index], [cameras[i] for i in index])
        )

    def _infer(self, images: list[Image], cameras: list[Camera | None]) -> list[DepthMap]:
        torch = require("torch", "MoGe")
        known = [camera for camera in cameras if camera is not None]
        out = self.model.infer(
            torch.stack([to_tensor(image) for image in images]),
            fov_x=torch.tensor([_fov_x(camera) for camera in known]) if known else None,
            use_fp16=self._half,
            resolution_level=self._level,
        )
        return [
            _depth_map(
                out["depth"][i],
                out["normal"][i] if "normal" in out else None,
                None if known else _camera(out["intrinsics"][i], image.shape),
            )
            for i, image in enumerate(images)
        ]


def _depth_map(depth: Any, normals: Any, camera: Camera | None) -> DepthMap:
    depth_m = metres(depth)
    if normals is None:
        return DepthMap(depth_m, camera)
    found: Floats = np.array(normals.float().cpu().numpy(), dtype=np.float32)
    found[np.isnan(depth_m)] = np.nan
    return DepthMap(depth_m, camera, found)


def _fov_x(camera: Camera) -> float:
    return float(np.degrees(2 * np.arctan(camera.width / (2 * camera.fx))))


def _camera(intrinsics: Any, shape: tuple[int, ...]) -> Camera:
    height, width = shape[:2]
    k = (intrinsics.double().cpu().numpy() * [[width], [height], [1]]).tolist()
    return Camera(k[0][0], k[1][1], k[0][2] - 0.5, k[1][2] - 0.5, width, height)
