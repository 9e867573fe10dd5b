"""Depth Pro: sharp metric depth, from a known focal length or one it estimates itself.

Bochkovskii et al. 2024, "Depth Pro: Sharp Monocular Metric Depth in Less Than a Second"
(arXiv 2410.02073). The network answers a canonical inverse depth c, that of a camera whose focal
length is the picture's width; metres are f / (c·W) with the true horizontal focal length f in
pixels (the paper's section 3.1). What transformers' processor does needs torchvision and knows no
given focal length, so both ends are done here, with the numbers of the processor's own file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from calipers.errors import DataError
from calipers.experts.base import DepthMap, Image
from calipers.experts.depth_pictures import centred_camera, metres, resize, to_tensor
from calipers.experts.hub_expert import HubExpert
from calipers.experts.torch_runtime import load_pretrained, require
from calipers.types import Camera

_FARTHEST_M = 1e4
"""What the model puts beyond this has no depth (the sky)."""


class DepthPro(HubExpert):
    """A `DepthEstimator`; estimates a focal length where the camera is not known.

    Attributes:
        processor: what the checkpoint's processor file says (a dictionary).
    """

    model_class: ClassVar[str] = "DepthProForDepthEstimation"

    def estimate(self, images: Sequence[Image], cameras: Sequence[Camera | None]) -> list[DepthMap]:
        """Estimate depth, and a focal length where the camera is not known.

        Raises:
            DataError: a camera is not known and the checkpoint estimates none, or a field of view
                that is none (outside 0 to 180 degrees).
        """
        torch = require("torch", "Depth Pro")
        with self._inference():
            batch = torch.stack([self._pixels(image) for image in images]).to(self.device)
            out = self.model(pixel_values=batch)
        fov: Sequence[float | None] = [None] * len(images)
        if out.field_of_view is not None:
            fov = out.field_of_view.float().flatten().tolist()
        return [
            _depth_map(inverse.float(), angle, image, camera)
            for inverse, angle, image, camera in zip(out.predicted_depth, fov, images, cameras)
        ]

    @classmethod
    def _processor(cls, source: str, revision: str | None) -> Any:
        base = require("transformers.image_processing_base", cls.__name__)
        read = base.ImageProcessingMixin.get_image_processor_dict
        return load_pretrained(read, source, revision)[0]

    def _pixels(self, image: Image) -> Any:
        """Normalise, then stretch to the network's size, as the model's processor does."""
        torch = require("torch", "Depth Pro")
        mean, std, size = (self.processor[name] for name in ("image_mean", "image_std", "size"))
        pixels = to_tensor(image) - torch.tensor(mean)[:, None, None]
        pixels /= torch.tensor(std)[:, None, None]
        return resize(pixels, (size["height"], size["width"]), "bilinear")


def _depth_map(inverse: Any, fov: float | None, image: Image, given: Camera | None) -> DepthMap:
    height, width = image.shape[:2]
    camera = given or _estimated_camera(fov, (width, height))
    depth_m = metres(1 / resize(inverse * (width / camera.fx), (height, width), "bilinear"))
    depth_m[depth_m > _FARTHEST_M] = math.nan
    return DepthMap(depth_m, None if given else camera)


def _estimated_camera(fov: float | None, size_wh: tuple[int, int]) -> Camera:
    """Turn the horizontal field of view, degrees, into a camera."""
    if fov is None:
        raise DataError("this Depth Pro checkpoint estimates no focal length: give intrinsics")
    if not 0 < fov < 180:
        raise DataError(f"field of view: wanted 0 to 180 degrees, Depth Pro found {fov:.1f}")
    return centred_camera(size_wh[0] / (2 * math.tan(math.radians(fov) / 2)), size_wh)
