"""What the adapters of depth models share: pictures as tensors, groups of equal size, metres.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

from calipers.experts.base import Image
from calipers.experts.torch_runtime import require
from calipers.types import Camera, Floats

Result = TypeVar("Result")


def in_groups(
    keys: Sequence[Hashable], run: Callable[[list[int]], Sequence[Result]]
) -> list[Result]:
    """Call `run` once for all positions of one key; the results come in the order of `keys`.

    >>> in_groups(["a", "b", "a"], lambda index: [(i, len(index)) for i in index])
    [(0, 2), (1, 1), (2, 2)]
    """
    groups: dict[Hashable, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    found = {i: one for index in groups.values() for i, one in zip(index, run(index), strict=True)}
    return [found[i] for i in range(len(keys))]


def to_tensor(image: Image) -> Any:
    """Turn a (H, W, 3) uint8 picture into a (3, H, W) float32 tensor with values 0 to 1."""
    torch = require("torch", "an expert for depth")
    return torch.from_numpy(np.array(image.transpose(2, 0, 1))).float() / 255


def resize(planes: Any, size_hw: tuple[int, int], mode: str = "bicubic") -> Any:
    """Resize a (H, W) or (C, H, W) tensor without antialiasing; borders lie on borders."""
    functional = require("torch.nn.functional", "an expert for depth")
    batch = planes[None, None] if planes.ndim == 2 else planes[None]
    out = functional.interpolate(batch, size=size_hw, mode=mode, align_corners=False)[0]
    return out[0] if planes.ndim == 2 else out


def metres(depth: Any) -> Floats:
    """Turn a (H, W) depth tensor into float32 metres, NaN where not finite or not positive."""
    depth_m: Floats = np.array(depth.detach().float().cpu().numpy(), dtype=np.float32)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = np.nan
    return depth_m


def centred_camera(focal_px: float, size_wh: tuple[int, int]) -> Camera:
    """Build the camera with square pixels that looks through the middle of the picture.

    >>> centred_camera(500.0, (640, 480)).cx
    319.5
    """
    width, height = size_wh
    return Camera(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height)
