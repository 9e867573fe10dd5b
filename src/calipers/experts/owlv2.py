"""OWLv2: boxes for phrases, or boxes of whatever looks like an object.

The network sees a square, filled with grey at the right or bottom of the picture, and makes one
box a cell of a grid. Boxes are fractions of the longer side and may reach into the grey. (Newer
transformers fill with black; grey is what its authors and older releases of it do.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calipers.experts.base import Image, Proposal
from calipers.experts.hub_expert import HubExpert, size_wh
from calipers.experts.squares import Square, corners, proposals
from calipers.experts.torch_runtime import load_pretrained, require
from calipers.types import Floats

_GREY = 0.5


class Owlv2(HubExpert):
    """An `ObjectProposer` with phrases and without.

    Args:
        threshold: least score of a box that fits a phrase; 0.1 is what transformers takes.
        objects: most boxes of a picture without phrases, by objectness. Objectness ranks the
            boxes of a picture; no threshold for it is published.
        template: what a phrase is put into, "{}" standing for it; CLIP was trained on captions.
    """

    model_class = "Owlv2ForObjectDetection"
    processor: tuple[Square, Any]

    def __init__(
        self,
        model: Any,
        processor: tuple[Square, Any],
        *,
        threshold: float = 0.1,
        objects: int = 40,
        template: str = "a photo of a {}",
        **rest: Any,
    ) -> None:
        super().__init__(model, processor, **rest)
        self.threshold, self.objects, self.template = threshold, objects, template

    @classmethod
    def _processor(cls, source: str, revision: str | None) -> tuple[Square, Any]:
        hub = require("transformers", "OWLv2, an expert model,")
        tokenizer = load_pretrained(hub.AutoTokenizer.from_pretrained, source, revision)
        return Square.load(source, revision), tokenizer

    def propose(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Proposal]]:
        """Find boxes in each picture, for its phrases; the likeliest objects where it has none."""
        if not images:
            return []
        with self._inference():
            pixels = require("torch", "OWLv2").from_numpy(self.processor[0].pixels(images, _GREY))
            grids = self.model.image_embedder(pixels.to(self.device))[0]
            cells = grids.flatten(1, 2)
            boxes = self.model.box_predictor(cells, grids).float().cpu().numpy()
            found = []
            for i, image in enumerate(images):
                width, height = size_wh(image)
                square = corners(boxes[i]) * max(width, height)
                kept, names, scores = self._named(cells[i : i + 1], phrases[i])
                found.append(proposals(square[kept], (width, height), names, scores))
        return found

    def _named(
        self, cells: Any, phrases: Sequence[str]
    ) -> tuple[list[int], Sequence[str | None], list[float]]:
        """Which boxes to keep, what each is, and how sure that is."""
        if not phrases:
            chances = self.model.objectness_predictor(cells)[0].float().sigmoid().cpu().numpy()
            kept = np.argsort(-chances, kind="stable")[: self.objects].tolist()
            return kept, [None] * len(kept), chances[kept].tolist()
        queries = self._embed(phrases)
        logits = self.model.class_predictor(cells, queries[None])[0][0]
        fit: Floats = logits.float().sigmoid().cpu().numpy()
        best = fit.max(axis=1)
        kept = np.flatnonzero(best > self.threshold).tolist()
        names = [phrases[j] for j in fit[kept].argmax(axis=1)]
        return kept, names, best[kept].tolist()

    def _embed(self, phrases: Sequence[str]) -> Any:
        """One vector a phrase; a phrase is cut after 16 tokens."""
        text = [self.template.format(phrase) for phrase in phrases]
        length = self.model.config.text_config.max_position_embeddings
        tokens = self.processor[1](
            text, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )
        return self.model.owlv2.get_text_features(**tokens.to(self.device)).pooler_output
