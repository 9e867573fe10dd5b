"""What the depth models of transformers that know no camera share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calipers.experts.base import DepthMap, Image
from calipers.experts.depth_pictures import in_groups, metres, resize
from calipers.experts.hub_expert import HubExpert
from calipers.experts.torch_runtime import load_pretrained, require
from calipers.types import Camera


class TransformersDepth(HubExpert):
    """A `DepthEstimator` whose network answers metres by itself and takes no focal length."""

    def estimate(self, images: Sequence[Image], cameras: Sequence[Camera | None]) -> list[DepthMap]:
        """Estimate depth; the cameras are not used."""
        torch = require("torch", type(self).__name__)
        pixels = [self._inputs(images=[image])["pixel_values"][0] for image in images]

        def run(index: list[int]) -> list[Any]:
            with self._inference():
                batch = torch.stack([pixels[i] for i in index])
                return list(self.model(pixel_values=batch).predicted_depth.float())

        keys = [(p.shape, 0 if self._batched else i) for i, p in enumerate(pixels)]
        return [
            DepthMap(metres(self._at_size(depth, (image.shape[0], image.shape[1]))))
            for depth, image in zip(in_groups(keys, run), images)
        ]

    @classmethod
    def _processor(cls, source: str, revision: str | None) -> Any:
        """Load the processor of PIL: the same with torchvision and without."""
        load = require("transformers", cls.__name__).AutoImageProcessor.from_pretrained
        return load_pretrained(load, source, revision, backend="pil")

    @property
    def _batched(self) -> bool:
        """Whether pictures of one pass have no influence on one another."""
        return True

    def _at_size(self, depth: Any, size_hw: tuple[int, int]) -> Any:
        """Bring what the network answers to the picture's size."""
        return resize(depth, size_hw)
