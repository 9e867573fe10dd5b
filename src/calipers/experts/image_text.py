"""SigLIP 2 and CLIP as a filter of scenes: how well does each of nine labels fit the picture.

SigLIP was trained with a sigmoid, so each label has a probability of its own and they do not add
up to 1; CLIP was trained with a softmax, so they do, and a label is only likely beside others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calipers.experts.base import Image
from calipers.experts.hub_expert import HubExpert

SCENES = (
    "an iphone photo of an indoor scene",
    "an iphone photo of an outdoor scene",
)
OTHERS = (
    "a close up shot of a single object",
    "a product displayed in front of a white background",
    "an artwork",
    "a painting",
    "a screenshot of graphics user interface",
    "a piece of text",
    "a sketch",
)
"""The labels of SpatialVLM (arXiv 2401.12168, appendix): kept are pictures of `SCENES`."""


class ImageTextFilter(HubExpert):
    """A `SceneFilter` made of any SigLIP, SigLIP 2 or CLIP checkpoint."""

    model_class = "AutoModel"

    def __init__(
        self, model: Any, processor: Any, *, labels: Sequence[str] = SCENES + OTHERS, **rest: Any
    ) -> None:
        super().__init__(model, processor, **rest)
        self.labels = tuple(labels)
        self._sigmoid = model.config.model_type.startswith("siglip")
        self._text = self._embed_labels()

    def score(self, images: Sequence[Image]) -> list[dict[str, float]]:
        """Score each picture: label → probability; CLIP's add up to 1, SigLIP's need not."""
        if not images:
            return []
        inputs = self._inputs(images=images)
        with self._inference():
            pictures = _unit(self.model.get_image_features(**inputs).pooler_output)
            logits = pictures @ self._text.T * self.model.logit_scale.exp()
            logits = (logits + getattr(self.model, "logit_bias", 0.0)).float()
        chances = logits.sigmoid() if self._sigmoid else logits.softmax(-1)
        return [dict(zip(self.labels, row, strict=True)) for row in chances.tolist()]

    def _embed_labels(self) -> Any:
        """Embed the labels once; SigLIP wants lower case, padded to 64 tokens."""
        length = {"padding": "max_length", "max_length": 64} if self._sigmoid else {"padding": True}
        text = [label.lower() for label in self.labels]
        inputs = self._inputs(text=text, truncation=True, **length)
        with self._inference():
            return _unit(self.model.get_text_features(**inputs).pooler_output)


def _unit(features: Any) -> Any:
    features = features.float()
    return features / features.norm(dim=-1, keepdim=True)
