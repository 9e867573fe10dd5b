"""Grounding DINO, MM-Grounding-DINO and LLMDet: boxes for phrases.

All phrases go into one text, "a chair. a chair leg.", and the network scores every box against
every token of it. What a box is called is decided here from the tokens of each phrase; the label
strings of transformers' own post-processing mix phrases and cut words (its pull request 26087).
A phrase's score is the mean over its tokens, as MMDetection evaluates these models
(``convert_grounding_to_cls_scores``): "chair leg" needs the leg too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from calipers.experts.base import Image, Proposal
from calipers.experts.hub_expert import HubExpert, size_wh
from calipers.experts.squares import corners, proposals
from calipers.experts.torch_runtime import require
from calipers.types import Floats


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text of several phrases.

    Attributes:
        text: "chair. red cup. ".
        phrases: as they were given.
        spans: for each phrase the places of its tokens in the tokenised text.
    """

    text: str
    phrases: tuple[str, ...]
    spans: tuple[tuple[int, ...], ...]


class GroundingDino(HubExpert):
    """An `ObjectProposer` that finds nothing without phrases.

    Args:
        threshold: least score of a box, in [0, 1]; 0.25 is what transformers takes.
        phrases_at_once: most phrases in one text; 80 as LLMDet evaluates (its README). A text never
            has more tokens than the model takes (256).
    """

    model_class = "AutoModelForZeroShotObjectDetection"

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        threshold: float = 0.25,
        phrases_at_once: int = 80,
        **rest: Any,
    ) -> None:
        super().__init__(model, processor, **rest)
        self.threshold, self.phrases_at_once = threshold, phrases_at_once

    def propose(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Proposal]]:
        """Find boxes in each picture, for its phrases.

        Only pictures of the same size and the same phrases share a pass: with padding, of pixels
        or of text, the network chooses other boxes.
        """
        pixels = [self._pixels(image) for image in images]
        groups: dict[tuple[Any, ...], list[int]] = {}
        for i, names in enumerate(phrases):
            groups.setdefault((*pixels[i].shape, *names), []).append(i)
        found: list[list[Proposal]] = [[] for _ in images]
        for members in groups.values():
            batch = require("torch", "Grounding DINO").cat([pixels[i] for i in members])
            sizes = [size_wh(images[i]) for i in members]
            for i, some in zip(members, self._find(batch, phrases[members[0]], sizes), strict=True):
                found[i] = some
        return found

    def _pixels(self, image: Image) -> Any:
        picture = PIL.Image.fromarray(image)
        return self.processor.image_processor(picture, return_tensors="pt")["pixel_values"]

    def _find(
        self, pixels: Any, phrases: Sequence[str], sizes_wh: list[tuple[int, int]]
    ) -> list[list[Proposal]]:
        """Find the phrases in pictures of one shape, text by text."""
        parts: list[tuple[Prompt, Floats, Floats]] = []
        limit = self.model.config.max_text_len
        for prompt in prompts(self.processor.tokenizer, phrases, limit, self.phrases_at_once):
            boxes, chances = self._forward(pixels, prompt.text, limit)
            parts.append((prompt, boxes, chances))
        return [self._proposals(parts, i, size) for i, size in enumerate(sizes_wh)]

    def _forward(self, pixels: Any, text: str, limit: int) -> tuple[Floats, Floats]:
        """Boxes (B, Q, 4) as fractions cx cy w h, and chances of each token (B, Q, limit)."""
        tokens = self.processor.tokenizer(
            [text] * len(pixels), truncation=True, max_length=limit, return_tensors="pt"
        )
        with self._inference():
            output = self.model(pixel_values=pixels.to(self.device), **tokens.to(self.device))
        boxes = output.pred_boxes.float().cpu().numpy()
        return boxes, output.logits.float().sigmoid().cpu().numpy()

    def _proposals(
        self, parts: list[tuple[Prompt, Floats, Floats]], i: int, size: tuple[int, int]
    ) -> list[Proposal]:
        boxes: list[Floats] = [np.zeros((0, 4), np.float32)]
        names: list[str] = []
        scores: list[float] = []
        for prompt, part, chances in parts:
            score = phrase_scores(chances[i], prompt.spans)
            best = score.max(axis=1)
            kept = np.flatnonzero(best > self.threshold)
            boxes.append(corners(part[i][kept]) * np.array([*size, *size], np.float32))
            names += [prompt.phrases[j] for j in score[kept].argmax(axis=1)]
            scores += best[kept].tolist()
        return proposals(np.concatenate(boxes), size, names, scores)


def phrase_scores(chances: Floats, spans: Sequence[Sequence[int]]) -> Floats:
    """Score (Q, tokens) chances by phrase: the mean over the phrase's tokens, (Q, phrases).

    >>> phrase_scores(np.array([[0.0, 0.5, 0.5, 0.25]], np.float32), [[1], [2, 3]]).tolist()
    [[0.5, 0.375]]
    """
    scores = [chances[:, list(span)].mean(axis=1) for span in spans]
    return np.stack(scores, axis=1).astype(np.float32)


def prompts(tokenizer: Any, phrases: Sequence[str], limit: int, most: int) -> Iterator[Prompt]:
    """Put phrases into texts of at most `limit` tokens and `most` phrases."""
    some: list[tuple[str, str]] = []
    room = limit - 2  # [CLS] and [SEP]
    for phrase in phrases:
        plain = _plain(phrase)
        tokens = tokenizer(plain, add_special_tokens=False)["input_ids"]
        if not tokens:
            continue
        cost = len(tokens) + 1
        if some and (cost > room or len(some) == most):
            yield _prompt(tokenizer, some, limit)
            some, room = [], limit - 2
        some.append((phrase, plain))
        room -= cost
    if some:
        yield _prompt(tokenizer, some, limit)


def _plain(phrase: str) -> str:
    """Lower case, without the signs that end a phrase.

    >>> _plain("  No. 5 Chair. ")
    'no 5 chair'
    """
    return " ".join(re.sub(r"[.?]+", " ", phrase.lower()).split())


def _prompt(tokenizer: Any, some: list[tuple[str, str]], limit: int) -> Prompt:
    text = "".join(f"{plain}. " for _, plain in some)
    offsets: NDArray[Any] = np.array(
        tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True)[
            "offset_mapping"
        ]
    )
    spans, start = [], 0
    for _, plain in some:
        end = start + len(plain)
        inside = (offsets[:, 0] >= start) & (offsets[:, 1] <= end) & (offsets[:, 1] > offsets[:, 0])
        spans.append(tuple(np.flatnonzero(inside).tolist()))
        start = end + len(". ")
    return Prompt(text, tuple(phrase for phrase, _ in some), tuple(spans))
