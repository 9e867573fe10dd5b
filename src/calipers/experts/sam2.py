"""SAM 2.1 as a segmenter: one image encoding, one mask a box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calipers.experts.base import Image
from calipers.experts.hub_expert import HubExpert, size_wh
from calipers.experts.squares import Square, masks_of
from calipers.experts.torch_runtime import load_pretrained, require
from calipers.types import Bools, Floats


class Sam2(HubExpert):
    """A `Segmenter` made of a SAM 2 or 2.1 checkpoint.

    Args:
        boxes_at_once: boxes that go through the mask decoder together.
    """

    model_class = "Sam2Model"
    processor: Square

    def __init__(
        self, model: Any, processor: Square, *, boxes_at_once: int = 64, **rest: Any
    ) -> None:
        super().__init__(model, processor, **rest)
        self.boxes_at_once = boxes_at_once

    @classmethod
    def _parts(cls, source: str, revision: str | None, device: str) -> tuple[Any, Square]:
        hub = require("transformers", "SAM 2, an expert model,")
        model = load_pretrained(getattr(hub, cls.model_class).from_pretrained, source, revision)
        return model.eval().to(device), Square.load(source, revision)

    def segment(self, images: Sequence[Image], boxes_xyxy: Sequence[Floats]) -> list[Bools]:
        """Find one mask a box: (N, H, W) for the (N, 4) boxes of each picture."""
        torch = require("torch", "SAM 2")
        wanted = [i for i, boxes in enumerate(boxes_xyxy) if len(boxes)]
        masks = [np.zeros((0, *image.shape[:2]), bool) for image in images]
        if not wanted:
            return masks
        with self._inference():
            pixels = torch.from_numpy(self.processor.pixels([images[i] for i in wanted]))
            levels = self.model.get_image_embeddings(pixels.to(self.device))
            for place, i in enumerate(wanted):
                one = [level[place : place + 1] for level in levels]
                masks[i] = self._decode(one, boxes_xyxy[i], size_wh(images[i]))
        return masks

    def _decode(self, levels: list[Any], boxes: Floats, size: tuple[int, int]) -> Bools:
        torch = require("torch", "SAM 2")
        squeezed = torch.from_numpy(self.processor.boxes(boxes, size)).to(self.device)
        found = []
        for some in squeezed.split(self.boxes_at_once):
            output = self.model(
                image_embeddings=levels, input_boxes=some[None], multimask_output=False
            )
            found.append(masks_of(output.pred_masks[0, :, 0], size))
        return np.concatenate(found)
