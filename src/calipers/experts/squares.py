"""Between a picture and the shape a network wants: squares, boxes, masks. Arrays only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from calipers.experts.base import Image, Proposal
from calipers.experts.torch_runtime import load_pretrained, require
from calipers.types import Bools, Floats


@dataclass(frozen=True, slots=True)
class Square:
    """How a picture becomes a square of pixels, as ``preprocessor_config.json`` says.

    transformers' own processors of SAM 2 and SAM 3 need torchvision, and that of OWLv2 takes
    seconds for a large photo; this does neither.

    Attributes:
        side: of the square, pixels.
        mean, std: of the three channels, after scaling to [0, 1].
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def load(cls, source: str, revision: str | None = None) -> Self:
        """Read the configuration of a local folder or a hub id.

        Raises:
            MissingWeightsError: it is neither on disk nor to be fetched.
        """
        base = require("transformers.image_processing_base", "SAM 2 or 3, expert models,")
        read = base.ImageProcessingMixin.get_image_processor_dict
        wanted, _ = load_pretrained(read, source, revision)
        return cls(
            int(wanted["size"]["height"]), tuple(wanted["image_mean"]), tuple(wanted["image_std"])
        )

    def pixels(self, images: Sequence[Image], grey: float | None = None) -> Floats:
        """Resize (bilinear, with antialiasing) and normalise: (B, 3, side, side) float32.

        Args:
            images: of any sizes.
            grey: None squeezes a picture into the square; a number in [0, 1] keeps its shape, at
                the top left of a square that is filled with so bright a grey.
        """
        out = np.empty((len(images), self.side, self.side, 3), np.float32)
        out[:] = 0.0 if grey is None else grey
        for place, image in zip(out, images, strict=True):
            height, width = image.shape[:2]
            size = (self.side, self.side)
            if grey is not None:
                scale = self.side / max(width, height)
                size = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = PIL.Image.fromarray(image).resize(size, PIL.Image.Resampling.BILINEAR)
            place[: size[1], : size[0]] = np.asarray(small, np.float32) / np.float32(255)
        out -= np.asarray(self.mean, np.float32)
        out /= np.asarray(self.std, np.float32)
        return np.ascontiguousarray(out.transpose(0, 3, 1, 2))


def corners(cxcywh: NDArray[Any]) -> Floats:
    """Turn (N, 4) boxes from centre and size into corners.

    >>> corners(np.float32([[0.5, 0.5, 0.25, 1.0]])).tolist()
    [[0.375, 0.0, 0.625, 1.0]]
    """
    centre, half = cxcywh[:, :2], cxcywh[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def proposals(
    boxes_xyxy: NDArray[Any],
    size_wh: tuple[int, int],
    phrases: Sequence[str | None],
    scores: Sequence[float | None],
    masks: Sequence[Bools | None] | None = None,
) -> list[Proposal]:
    """Make proposals of (N, 4) boxes in pixels: cut at the picture's border, the likeliest first.

    What lies outside the picture, has no area or is not a number is left out.
    """
    cut = np.clip(boxes_xyxy, 0, [*size_wh, *size_wh]).astype(np.float32)
    there = (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1]) & np.isfinite(cut).all(axis=1)
    order = sorted(np.flatnonzero(there).tolist(), key=lambda i: -(scores[i] or 0.0))
    found = []
    for i in order:
        x1, y1, x2, y2 = cut[i].tolist()
        mask = None if masks is None else masks[i]
        found.append(Proposal((x1, y1, x2, y2), phrases[i], scores[i], mask))
    return found


def masks_of(
    logits: Any, size_wh: tuple[int, int], side: int = 0, inner_wh: tuple[int, int] = (0, 0)
) -> Bools:
    """Enlarge (N, h, w) mask logits to the picture bilinearly, and take what is above 0.

    Args:
        logits: tensor of the network's masks, of the square that it sees.
        size_wh: the picture.
        side: of the square, pixels.
        inner_wh: the part of the square that is picture; the rest is padding.
    """
    out = np.empty((len(logits), size_wh[1], size_wh[0]), bool)
    for place, mask in zip(out, logits.float(), strict=True):  # one by one: 48 MB at 12 megapixels
        if inner_wh != (side, side):
            mask = _resize(mask, (side, side))[: inner_wh[1], : inner_wh[0]]
        place[:] = (_resize(mask, size_wh) > 0).cpu().numpy()
    return out


def _resize(mask: Any, size_wh: tuple[int, int]) -> Any:
    resize = require("torch", "an expert model").nn.functional.interpolate
    size_hw = size_wh[::-1]
    return resize(mask[None, None], size_hw, mode="bilinear", align_corners=False)[0, 0]
