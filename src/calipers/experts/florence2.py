"""Florence-2: objects without a vocabulary, captions of regions, and tags; one model for all three.

A task is a question in English, and the answer is a text in which ``<loc_0>`` to ``<loc_999>``
stand for places: thousandths of the width or the height, counted from the left or the top, so that
a place means the middle of its thousandth. Boxes are four places, x1 y1 x2 y2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import PIL.Image

from calipers.errors import UsageError
from calipers.experts.base import Image, Proposal
from calipers.experts.hub_expert import HubExpert, size_wh
from calipers.experts.squares import proposals
from calipers.types import Floats

_REGIONS, _NAMED, _BOXES = "<DENSE_REGION_CAPTION>", "<OD>", "<REGION_PROPOSAL>"
_GROUND, _CAPTION = "<CAPTION_TO_PHRASE_GROUNDING>", "<DETAILED_CAPTION>"
_DESCRIBE, _NAME = "<REGION_TO_DESCRIPTION>", "<REGION_TO_CATEGORY>"

_BINS = 1000
_LONG, _SHORT = 1024, 64
"""Most tokens of an answer with places (as the model's card), and of one without."""

Question = tuple[int, str, str]
"""Which picture, the task, and what it is about ("" for the whole picture)."""

_loaded: WeakValueDictionary[tuple[str, str | None, str], Any] = WeakValueDictionary()
"""Models in use, so that the three classes share one."""


class Florence2(HubExpert):
    """A Florence-2 checkpoint of the ``florence-community``, and how it is asked.

    Args:
        beams: of the search for an answer; 3 as the model's card.
        prompts_at_once: questions that are answered together.
    """

    model_class = "Florence2ForConditionalGeneration"

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        beams: int = 3,
        prompts_at_once: int = 16,
        **rest: Any,
    ) -> None:
        super().__init__(model, processor, **rest)
        self.beams, self.prompts_at_once = beams, prompts_at_once

    @classmethod
    def _model(cls, source: str, revision: str | None, device: str) -> Any:
        key = (source, revision, device)
        model = _loaded.get(key)
        if model is None:
            model = _loaded[key] = super()._model(source, revision, device)
        return model

    def _encode(self, images: Sequence[Image]) -> Any:
        """Encode pictures: (B, tokens, channels)."""
        pictures = [PIL.Image.fromarray(image) for image in images]
        pixels = self.processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
        with self._inference():
            return self.model.get_image_features(pixels.to(self.device)).pooler_output

    def _ask(self, pictures: Any, questions: Sequence[Question], most: int) -> list[str]:
        """Answer questions about encoded pictures, in at most so many tokens each."""
        answers: list[str] = []
        for start in range(0, len(questions), self.prompts_at_once):
            some = questions[start : start + self.prompts_at_once]
            texts = [self._english(task, about) for _, task, about in some]
            answers += self._answer(pictures[[i for i, _, _ in some]], texts, most)
        return answers

    def _english(self, task: str, about: str) -> str:
        """The question that a task stands for; its words come with the processor."""
        if about:
            return str(self.processor.task_prompts_with_input[task]).format(input=about)
        return str(self.processor.task_prompts_without_inputs[task])

    def _answer(self, pictures: Any, texts: list[str], most: int) -> list[str]:
        tokens = self._tokens(texts)
        ids, seen = tokens["input_ids"], tokens["attention_mask"]
        with self._inference():
            embedded = self.model.get_input_embeddings()(ids)
            of_picture = (ids == self.processor.image_token_id)[..., None]
            embedded = embedded.masked_scatter(of_picture, pictures.to(embedded.dtype))
            read = self.model.get_encoder()(inputs_embeds=embedded, attention_mask=seen)
            output = self.model.generate(
                encoder_outputs=read,
                attention_mask=seen,
                max_new_tokens=most,
                num_beams=self.beams,
                do_sample=False,
            )
        found = self.processor.tokenizer.batch_decode(output, skip_special_tokens=False)
        return [re.sub(r"</?s>|<pad>", "", text).strip() for text in found]

    def _tokens(self, texts: list[str]) -> Any:
        tokenizer = self.processor.tokenizer
        picture = self.processor.image_token * self.processor.num_image_tokens
        start, end = tokenizer.bos_token, tokenizer.eos_token
        return tokenizer(
            [f"{picture}{start}{text}{end}" for text in texts],
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
        ).to(self.device)


class Florence2Objects(Florence2):
    """An `ObjectProposer`; needs no phrases, and gives no scores.

    Args:
        task: what is asked for without phrases: "<DENSE_REGION_CAPTION>" (boxes with short
            descriptions), "<OD>" (with class names) or "<REGION_PROPOSAL>" (boxes alone).
        phrases_at_once: most phrases in one question.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        task: str = _REGIONS,
        phrases_at_once: int = 30,
        **rest: Any,
    ) -> None:
        super().__init__(model, processor, **rest)
        if task not in (_REGIONS, _NAMED, _BOXES):
            raise UsageError(f"task: wanted {_REGIONS}, {_NAMED} or {_BOXES}, got {task!r}")
        self.task, self.phrases_at_once = task, phrases_at_once

    def propose(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Proposal]]:
        """Find the regions of each picture, or its phrases where it has any.

        The model looks for every phrase that it is given, and may put a box where nothing is.
        """
        if not images:
            return []
        questions = [one for i, some in enumerate(phrases) for one in self._questions(i, some)]
        answers = self._ask(self._encode(images), questions, _LONG)
        found: list[list[tuple[str, Floats]]] = [[] for _ in images]
        for (i, _, _), answer in zip(questions, answers, strict=True):
            found[i] += located(answer, size_wh(images[i]))
        return [_unscored(some, size_wh(image)) for some, image in zip(found, images, strict=True)]

    def _questions(self, i: int, phrases: Sequence[str]) -> list[Question]:
        starts = range(0, len(phrases), self.phrases_at_once)
        parts = (phrases[k : k + self.phrases_at_once] for k in starts)
        return [(i, _GROUND, ". ".join(part)) for part in parts] or [(i, self.task, "")]


class Florence2Captioner(Florence2):
    """A `Captioner`: describes regions, or names them where only one or two words are wanted.

    The model cannot be asked for a length; what is too long is cut down to its main noun phrase.
    """

    def describe(
        self,
        images: Sequence[Image],
        boxes_xyxy: Sequence[Floats],
        words: Sequence[Sequence[int]],
    ) -> list[list[str]]:
        """Describe each box of each picture, in at most so many words."""
        captions: list[list[str]] = [[] for _ in images]
        wanted = [i for i, boxes in enumerate(boxes_xyxy) if len(boxes)]
        if not wanted:
            return captions
        questions, lengths = [], []
        for place, i in enumerate(wanted):
            for box, most in zip(boxes_xyxy[i], words[i], strict=True):
                task = _NAME if most <= 2 else _DESCRIBE
                questions.append((place, task, places(box, size_wh(images[i]))))
                lengths.append(most)
        answers = self._ask(self._encode([images[i] for i in wanted]), questions, _SHORT)
        for (place, _, _), answer, most in zip(questions, answers, lengths, strict=True):
            captions[wanted[place]].append(shorten(_LOC.sub(" ", answer), most))
        return captions


class Florence2Tagger(Florence2):
    """A `Tagger`: class names of objects, phrases of regions, and what a caption speaks of.

    Args:
        sources: any of "objects", "regions" and "caption".
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        sources: Sequence[str] = ("objects", "caption"),
        **rest: Any,
    ) -> None:
        super().__init__(model, processor, **rest)
        if not sources or set(sources) - {"objects", "regions", "caption"}:
            raise UsageError(f"sources: wanted some of objects, regions, caption, got {sources}")
        self.sources = tuple(sources)

    def tag(self, images: Sequence[Image]) -> list[list[str]]:
        """Name the things in each picture: lower-case phrases without articles, all different."""
        if not images:
            return []
        pictures = self._encode(images)
        everyone = range(len(images))
        asked = {"objects": _NAMED, "regions": _REGIONS}
        questions = [(i, asked[one], "") for one in self.sources if one in asked for i in everyone]
        if "caption" in self.sources:
            said = self._ask(pictures, [(i, _CAPTION, "") for i in everyone], _LONG)
            captions = [" ".join(_LOC.sub(" ", text).split()) for text in said]
            questions += [(i, _GROUND, text) for i, text in enumerate(captions) if text]
        answers = self._ask(pictures, questions, _LONG)
        tags: list[dict[str, None]] = [{} for _ in images]
        for (i, _, _), answer in zip(questions, answers, strict=True):
            phrases = (_bare(phrase) for phrase, _ in located(answer, size_wh(images[i])))
            tags[i].update({phrase: None for phrase in phrases if phrase})
        return [list(some) for some in tags]


_LOC = re.compile(r"<loc_\d+>")
_LOCATED = re.compile(r"([^<]*)((?:<loc_\d+>\s*){4,})")
_ARTICLE = re.compile(r"^(?:(?:an?|the)\s+)+")
_JOINTS = re.compile(
    "above|and|at|behind|beside|by|covered|filled|for|from|hanging|holding|in|inside|is|lying|made|"
    "near|next|of|on|over|sitting|standing|that|to|under|wearing|which|with"
)
"""Words after which a noun phrase has said its noun."""


def places(box_xyxy: Floats, size_wh: tuple[int, int]) -> str:
    """Write a box in pixels as four places.

    >>> places(np.array([0, 10, 320, 480], np.float32), (640, 480))
    '<loc_0><loc_20><loc_500><loc_999>'
    """
    thousandths = np.floor(np.asarray(box_xyxy) * _BINS / (*size_wh, *size_wh))
    return "".join(f"<loc_{int(place)}>" for place in thousandths.clip(0, _BINS - 1))


def located(answer: str, size_wh: tuple[int, int]) -> list[tuple[str, Floats]]:
    """Read phrases with their boxes, in pixels; a phrase may have several, or be empty.

    >>> found = located("a cup<loc_0><loc_499><loc_99><loc_999>", (1000, 500))
    >>> found[0][0], found[0][1].tolist()
    ('a cup', [0.5, 249.75, 99.5, 499.75])
    """
    found = []
    for phrase, text in _LOCATED.findall(answer):
        bins = np.array(re.findall(r"\d+", text), np.float32)
        boxes = bins[: len(bins) // 4 * 4].reshape(-1, 4)
        for box in (boxes + 0.5) / _BINS * np.array([*size_wh, *size_wh], np.float32):
            found.append((phrase.strip(), box.astype(np.float32)))
    return found


def shorten(caption: str, most: int) -> str:
    """Cut a caption down to at most so many words: its main noun phrase, its last words.

    >>> shorten("A tall wooden chair with a red cushion.", 6)
    'tall wooden chair'
    >>> shorten("A tall wooden chair with a red cushion.", 2)
    'wooden chair'
    >>> shorten("a man in a hat", 4)
    'man in a hat'
    """
    words = _bare(caption).split()
    if len(words) <= most:
        return " ".join(words)
    end = next((k for k, word in enumerate(words) if k and _JOINTS.fullmatch(word)), len(words))
    return " ".join(words[:end][-max(most, 1) :]).strip(" ,")


def _bare(phrase: str) -> str:
    """Lower case, without article and full stop.

    >>> _bare(" The red cup. ")
    'red cup'
    """
    return _ARTICLE.sub("", " ".join(phrase.lower().split()).strip(" .,"))


def _unscored(found: list[tuple[str, Floats]], size: tuple[int, int]) -> list[Proposal]:
    if not found:
        return []
    names = [_bare(phrase) or None for phrase, _ in found]
    return proposals(np.stack([box for _, box in found]), size, names, [None] * len(found))
