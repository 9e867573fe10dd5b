"""Depth Anything 3, the metric checkpoint: depth for a camera of 300 pixels focal length.

Lin et al. 2025, "Depth Anything 3: Recovering the Visual Space from Any Views" (arXiv 2511.10647);
package ``depth-anything-3``. What the network answers is no metres: metres = f · answer / 300, with
f the mean of both focal lengths in pixels *of the resized picture* (``apply_metric_scaling`` of the
package). The longest side becomes 504 pixels, then each side the nearest multiple of 14.

Only the network is taken from the package, not its loader, which imports its exporters. The network
would also fill the sky with the largest depths of the whole batch; here the sky has no depth.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from calipers.errors import DataError, UsageError
from calipers.experts.base import DepthMap, Image
from calipers.experts.depth_pictures import in_groups, metres, resize, to_tensor
from calipers.experts.torch_runtime import (
    choose_device,
    choose_dtype,
    commit_of,
    hub_file,
    inference,
    load_pretrained,
    require,
)
from calipers.types import Camera

_NAME = "da3metric-large"
_SIZES = {"net": ("name", "out_layers"), "head": ("dim_in", "features", "out_channels")}
"""What a checkpoint's own file may say about its network."""
_CANONICAL_FOCAL_PX = 300.0
_PATCH_PX = 14
_SKY = 0.3
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class DepthAnything3:
    """A `DepthEstimator` that needs the camera."""

    def __init__(
        self, model: Any, device: str, dtype: Any, revision: str | None, longest_px: int
    ) -> None:
        self.model = model
        self.revision = revision
        self._device = device
        self._dtype = dtype
        self._longest_px = longest_px

    @classmethod
    def load(
        cls,
        source: str,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        longest_px: int = 504,
    ) -> Self:
        """Load from a folder or a hub id, for example "depth-anything/DA3METRIC-LARGE".

        Args:
            source: holds ``config.json`` and ``model.safetensors``.
            revision: commit, tag or branch of a hub id.
            device: as torch names it; None for the best there is.
            dtype: None for half precision on CUDA.
            longest_px: longest side of the pictures that the network sees.
        """
        device = choose_device(device)
        config = json.loads(hub_file(source, "config.json", revision).read_bytes())
        weights = hub_file(source, "model.safetensors", revision)
        model = load_pretrained(lambda file, **_: _network(config, file), str(weights))
        found = commit_of(None, weights)
        return cls(model.to(device).eval(), device, choose_dtype(device, dtype), found, longest_px)

    def estimate(self, images: Sequence[Image], cameras: Sequence[Camera | None]) -> list[DepthMap]:
        """Estimate depth.

        Raises:
            DataError: a camera is not known.
        """
        torch = require("torch", "Depth Anything 3")
        known = [camera for camera in cameras if camera is not None]
        if len(known) < len(cameras):
            raise DataError("Depth Anything 3 wants a focal length: give intrinsics")
        pixels = [_pixels(image, self._longest_px) for image in images]

        def run(index: list[int]) -> list[DepthMap]:
            answers, skies = self._forward(torch.stack([pixels[i] for i in index]))
            return [
                _depth_map(answer, sky, known[i]) for answer, sky, i in zip(answers, skies, index)
            ]

        return in_groups([p.shape for p in pixels], run)

    def _forward(self, batch: Any) -> tuple[Any, Any]:
        """Run (B, 3, h, w) pictures; give (B, h, w) answers and shares of sky."""
        torch = require("torch", "Depth Anything 3")
        with inference(self._device, self._dtype):
            features, _ = self.model.backbone(batch[:, None].to(self._device))
        with inference(self._device, torch.float32):
            features = [tuple(part.float() for part in level) for level in features]
            out = self.model.head(features, *batch.shape[2:], patch_start_idx=0)
        shape = (len(batch), *batch.shape[2:])
        return out["depth"].reshape(shape), out["sky"].reshape(shape)


def _network(config: Mapping[str, Any], weights: str) -> Any:
    """Build the network in the sizes of `config` and fill it with the weights."""
    os.environ.setdefault("DA3_LOG_LEVEL", "WARN")  # it prints every layer it chooses
    cfg = require("depth_anything_3.cfg", "Depth Anything 3")
    registry = require("depth_anything_3.registry", "Depth Anything 3")
    safetensors = require("safetensors.torch", "Depth Anything 3")
    name = config.get("model_name", _NAME)
    if name != _NAME:
        raise UsageError(f"Depth Anything 3: wanted the checkpoint {_NAME}, got {name}")
    plan = cfg.load_config(registry.MODEL_REGISTRY[_NAME])
    own = config.get("config") or {}
    for part, names in _SIZES.items():
        for field in names:
            plan[part][field] = own.get(part, {}).get(field, plan[part][field])
    network = cfg.create_object(plan)
    tensors = safetensors.load_file(weights)
    missing, _ = network.load_state_dict(
        {key.removeprefix("model."): tensor for key, tensor in tensors.items()}, strict=False
    )
    if missing:
        raise ValueError(f"it has no {missing[0]} and {len(missing) - 1} others")
    return network


def _pixels(image: Image, longest_px: int) -> Any:
    """Shrink or grow as the package does (area averages down, cubic up), then normalise."""
    torch = require("torch", "Depth Anything 3")
    scale = longest_px / max(image.shape[:2])
    resized = _resized(image, tuple(max(1, round(side * scale)) for side in image.shape[:2]))
    resized = _resized(resized, tuple(_to_patches(side) for side in resized.shape[:2]))
    mean, std = (torch.tensor(values)[:, None, None] for values in (_MEAN, _STD))
    return (to_tensor(resized) - mean) / std


def _to_patches(side: int) -> int:
    """The multiple of 14 nearest to `side`, the upper one of two equally near, at least 14."""
    return max(_PATCH_PX, (side + _PATCH_PX // 2) // _PATCH_PX * _PATCH_PX)


def _resized(image: Image, size_hw: tuple[int, ...]) -> Image:
    if image.shape[:2] == size_hw:
        return image
    cv2 = require("cv2", "Depth Anything 3")
    grows = any(new > old for new, old in zip(size_hw, image.shape))
    mode = cv2.INTER_CUBIC if grows else cv2.INTER_AREA
    found: Image = cv2.resize(image, size_hw[::-1], interpolation=mode)
    return found


def _depth_map(answer: Any, sky: Any, camera: Camera) -> DepthMap:
    height, width = answer.shape
    focal_px = (camera.fx * width / camera.width + camera.fy * height / camera.height) / 2
    size_hw = (camera.height, camera.width)
    depth_m = metres(resize(answer * (focal_px / _CANONICAL_FOCAL_PX), size_hw, "bilinear"))
    depth_m[resize(sky, size_hw, "bilinear").cpu().numpy() >= _SKY] = np.nan
    return DepthMap(depth_m)
