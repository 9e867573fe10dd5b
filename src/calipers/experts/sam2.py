"""SAM 2.1 as a segmenter: one image encoding, one mask a box; without torchvision."""

from __future__ import annotations

from calipers.experts.base import Image
from calipers.experts.sam import Encoded, Sam
from calipers.experts.squares import Square
from calipers.experts.torch_runtime import require


class Sam2(Sam):
    """A `Segmenter` made of a SAM 2 or 2.1 checkpoint; pictures are squeezed, not padded."""

    model_class = "Sam2Model"
    processor: Square

    @classmethod
    def _processor(cls, source: str, revision: str | None) -> Square:
        return Square.load(source, revision)

    def _encode(self, images: list[Image]) -> list[Encoded]:
        pixels = require("torch", "SAM 2").from_numpy(self.processor.pixels(images))
        levels = self.model.get_image_embeddings(pixels.to(self.device))
        side = self.processor.side
        return [
            Encoded(
                {"image_embeddings": [level[i : i + 1] for level in levels]}, side, (side, side)
            )
            for i in range(len(images))
        ]
