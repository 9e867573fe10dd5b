"""SAM 3: boxes and masks of everything that a phrase names; without torchvision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calipers.experts.base import Image, Proposal
from calipers.experts.hub_expert import HubExpert, size_wh
from calipers.experts.squares import Square, masks_of, proposals
from calipers.experts.torch_runtime import load_pretrained, require

_TOKENS = 32
"""Length of SAM 3's texts (``Sam3Processor``)."""


class Sam3Objects(HubExpert):
    """An `ObjectProposer` that finds nothing without phrases, and gives masks with the boxes.

    The network takes one phrase a pass; the picture is encoded once for all of them.

    Args:
        threshold: least score, in [0, 1]; 0.3 is what transformers takes.
    """

    model_class = "Sam3Model"
    processor: tuple[Square, Any]

    def __init__(
        self, model: Any, processor: tuple[Square, Any], *, threshold: float = 0.3, **rest: Any
    ) -> None:
        super().__init__(model, processor, **rest)
        self.threshold = threshold

    @classmethod
    def _processor(cls, source: str, revision: str | None) -> tuple[Square, Any]:
        hub = require("transformers", "SAM 3, an expert model,")
        tokenizer = load_pretrained(hub.AutoTokenizer.from_pretrained, source, revision)
        return Square.load(source, revision), tokenizer

    def propose(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Proposal]]:
        """Find boxes and masks in each picture, for its phrases."""
        found: list[list[Proposal]] = [[] for _ in images]
        wanted = [i for i, some in enumerate(phrases) if some]
        if not wanted:
            return found
        with self._inference():
            square = self.processor[0].pixels([images[i] for i in wanted])
            pixels = require("torch", "SAM 3").from_numpy(square).to(self.device)
            vision = self.model.get_vision_features(pixel_values=pixels)
            texts = {
                p: self._embed(p) for p in dict.fromkeys(p for i in wanted for p in phrases[i])
            }
            for place, i in enumerate(wanted):
                one = _one(vision, place)
                for phrase in dict.fromkeys(phrases[i]):
                    found[i] += self._find(one, texts[phrase], phrase, size_wh(images[i]))
        return [sorted(some, key=lambda one: -(one.score or 0.0)) for some in found]

    def _embed(self, phrase: str) -> dict[str, Any]:
        tokens = self.processor[1](
            [phrase],
            padding="max_length",
            truncation=True,
            max_length=_TOKENS,
            return_tensors="pt",
        ).to(self.device)
        return {
            "text_embeds": self.model.get_text_features(**tokens),
            "attention_mask": tokens["attention_mask"],
        }

    def _find(
        self, vision: Any, text: dict[str, Any], phrase: str, size: tuple[int, int]
    ) -> list[Proposal]:
        """One phrase in one picture; a score is that of the box times that of its being there."""
        output = self.model(vision_embeds=vision, **text)
        scores = output.pred_logits[0].float().sigmoid()
        if output.presence_logits is not None:
            scores = scores * output.presence_logits[0].float().sigmoid()
        kept = scores > self.threshold
        boxes = output.pred_boxes[0][kept].float().cpu().numpy()  # fractions, x1 y1 x2 y2
        masks = masks_of(output.pred_masks[0][kept], size)
        sure = scores[kept].tolist()
        pixels = boxes * np.array([*size, *size], np.float32)
        return proposals(pixels, size, [phrase] * len(sure), sure, list(masks))


def _one(vision: Any, place: int) -> Any:
    """The encoding of one picture of a batch."""
    part = slice(place, place + 1)
    return type(vision)(
        last_hidden_state=vision.last_hidden_state[part],
        fpn_hidden_states=tuple(level[part] for level in vision.fpn_hidden_states),
        fpn_position_encoding=tuple(level[part] for level in vision.fpn_position_encoding),
    )
