"""SAM and SAM-HQ as a segmenter: one image encoding, one mask a box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calipers.experts.base import Image
from calipers.experts.hub_expert import HubExpert, size_wh
from calipers.experts.squares import masks_of
from calipers.experts.torch_runtime import require
from calipers.types import Bools, Floats


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture as the mask decoder takes it.

    Attributes:
        features: arguments of the model that stand for the picture.
        side: of the square that the network sees, pixels.
        inner_wh: the part of the square, at its top left, that is picture.
    """

    features: dict[str, Any]
    side: int
    inner_wh: tuple[int, int]


class Sam(HubExpert):
    """A `Segmenter` made of a SAM or SAM-HQ checkpoint.

    Args:
        boxes_at_once: boxes that go through the mask decoder together.
    """

    model_class = "AutoModelForMaskGeneration"

    def __init__(self, model: Any, processor: Any, *, boxes_at_once: int = 64, **rest: Any) -> None:
        super().__init__(model, processor, **rest)
        self.boxes_at_once = boxes_at_once

    def segment(self, images: Sequence[Image], boxes_xyxy: Sequence[Floats]) -> list[Bools]:
        """Find one mask a box: (N, H, W) for the (N, 4) boxes of each picture.

        A box goes in whole; the mask may leave it. Of the masks that the model has for a box it
        gives the one for unambiguous prompts (``multimask_output=False``).
        """
        masks = [np.zeros((0, *image.shape[:2]), bool) for image in images]
        wanted = [i for i, boxes in enumerate(boxes_xyxy) if len(boxes)]
        if wanted:
            with self._inference():
                for i, one in zip(wanted, self._encode([images[i] for i in wanted]), strict=True):
                    masks[i] = self._decode(one, boxes_xyxy[i], size_wh(images[i]))
        return masks

    def _encode(self, images: list[Image]) -> list[Encoded]:
        """Encode pictures, padded to squares at the right and bottom."""
        inputs = self._inputs(images=images)
        output = self.model.vision_encoder(inputs["pixel_values"])
        found = []
        for i, (height, width) in enumerate(inputs["reshaped_input_sizes"].tolist()):
            features = {"image_embeddings": output.last_hidden_state[i : i + 1]}
            if hasattr(output, "intermediate_embeddings"):  # SAM-HQ
                levels = [level[i : i + 1] for level in output.intermediate_embeddings]
                features["intermediate_embeddings"] = levels
            found.append(Encoded(features, inputs["pixel_values"].shape[-1], (width, height)))
        return found

    def _decode(self, one: Encoded, boxes_xyxy: Floats, size: tuple[int, int]) -> Bools:
        scale = np.array([*one.inner_wh, *one.inner_wh], np.float32) / (*size, *size)
        prompts = require("torch", "SAM").from_numpy(np.asarray(boxes_xyxy * scale, np.float32))
        found = []
        for some in prompts.to(self.device).split(self.boxes_at_once):
            output = self.model(**one.features, input_boxes=some[None], multimask_output=False)
            found.append(masks_of(output.pred_masks[0, :, 0], size, one.side, one.inner_wh))
        return np.concatenate(found)
