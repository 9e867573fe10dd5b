"""Ask a trained model about a frame: one question or many, one sample or several averaged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from calipers.errors import UsageError
from calipers.evals.agreeing import agreed
from calipers.experts.torch_runtime import choose_device
from calipers.model.hugging import Chat, load_chat
from calipers.model.nano import Nano
from calipers.model.pictures import both
from calipers.model.tokens import Writer
from calipers.types import Frame

Asked = tuple[Frame, str]
SETTINGS = "calipers.json"
"""A trained model's file of what its base does not say: ``codec`` and ``see``."""
MOST_TOKENS = 64
"""Of an answer, where nothing else is said."""


class Answerer(Protocol):
    """A model that answers questions about frames."""

    def texts(
        self, asked: Sequence[Asked], temperature: float, max_tokens: int = MOST_TOKENS
    ) -> list[str]:
        """One answer a question, each about its own frame; greedy at temperature 0."""
        ...


def answer(
    model: Answerer, frame: Frame, question: str, samples: int = 1, temperature: float = 0.7
) -> str:
    """Ask one question.

    Args:
        model: see `load`.
        frame: with `rgb`, and `depth_m` where the model looks at depth.
        question: as people ask.
        samples: more than one are averaged by `agreed`.
        temperature: of the samples, when there are several.
    """
    return next(answers(model, [(frame, question)], samples, temperature))


def answers(
    model: Answerer,
    asked: Iterable[Asked],
    samples: int = 1,
    temperature: float = 0.7,
    together: int = 32,
) -> Iterator[str]:
    """Ask many questions; answers come in order, as soon as their batch is done.

    Args:
        model, samples, temperature: as of `answer`.
        asked: frames and questions.
        together: most questions a batch.

    Raises:
        UsageError: a number that cannot be meant.
    """
    if samples < 1 or together < 1:
        raise UsageError(f"samples and together: wanted at least 1, got {samples}, {together}")
    stream, size = iter(asked), max(1, together // samples)
    while some := list(islice(stream, size)):
        repeated = [one for one in some for _ in range(samples)]
        texts = model.texts(repeated, temperature if samples > 1 else 0.0)
        for first in range(0, len(texts), samples):
            yield agreed(texts[first : first + samples])


class NanoAnswerer:
    """A calipers-nano that answers.

    Args:
        model: in evaluation mode.
        see: what of a frame it may see, one of `calipers.model.pictures.SEEN`.
    """

    def __init__(self, model: Nano, see: str = "rgbd") -> None:
        self.model, self.see = model, see
        self.writer = Writer(model.tokenizer, model.config.patches)

    def texts(
        self, asked: Sequence[Asked], temperature: float, max_tokens: int = MOST_TOKENS
    ) -> list[str]:
        """One answer a question; greedy at temperature 0."""
        config = self.model.config
        pictures = np.stack(
            [both(f.rgb, f.depth_m, config.picture_wh, config.codec, self.see) for f, _ in asked]
        )
        prompts = [self.writer.prompt(question) for _, question in asked]
        options = _sampling(temperature, max_tokens)
        return self.model.generate(prompts, torch.from_numpy(pictures), **options)


class ChatAnswerer:
    """A base of Hugging Face that answers.

    Args:
        model: an image-text-to-text model.
        chat: how it reads.
    """

    def __init__(self, model: Any, chat: Chat) -> None:
        self.model, self.chat = model, chat

    @torch.inference_mode()
    def texts(
        self, asked: Sequence[Asked], temperature: float, max_tokens: int = MOST_TOKENS
    ) -> list[str]:
        """One answer a question; greedy at temperature 0."""
        pictures = [self.chat.pictures(frame) for frame, _ in asked]
        prompts = [self.chat.prompt(q, len(p)) for p, (_, q) in zip(pictures, asked)]
        given = self.chat.inputs(prompts, pictures).to(self.model.device)
        found = self.model.generate(**given, **_sampling(temperature, max_tokens))
        said = found[:, given["input_ids"].shape[1] :]
        tokenizer = self.chat.processor.tokenizer
        return [text.strip() for text in tokenizer.batch_decode(said, skip_special_tokens=True)]


def _sampling(temperature: float, max_tokens: int) -> dict[str, Any]:
    """Options of ``generate``: by chance from all tokens, whatever the model's own habits are."""
    warm = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0}
    return {"do_sample": False, "max_new_tokens": max_tokens} | (warm if temperature > 0 else {})


def load(source: str | Path, device: str | None = None) -> Answerer:
    """Load a model that `calipers train` wrote, or a base of the table.

    Args:
        source: its folder, or a hub id that is on disk.
        device: cuda, mps or cpu; None takes the first that is there.

    Raises:
        UsageError: the folder holds no model, or the base is not known.
        MissingWeightsError: a hub id that is not on disk.
    """
    settings = {"codec": "log8", "see": "rgbd"}
    written = Path(source) / SETTINGS
    if written.exists():
        settings |= json.loads(written.read_text("utf-8"))
    config = Path(source) / "config.json"
    if config.exists() and json.loads(config.read_text("utf-8")).get("model_type") == Nano.TYPE:
        model = Nano.from_pretrained(source).to(choose_device(device))
        return NanoAnswerer(model, settings["see"])
    return ChatAnswerer(*load_chat(str(source), settings["codec"], settings["see"], device))
