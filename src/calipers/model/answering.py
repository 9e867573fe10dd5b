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
from calipers.experts.torch_runtime import choose_device, require
from calipers.model.adapters import CONFIG, base_of
from calipers.model.bases import base
from calipers.model.hugging import Chat, from_disk, load_chat, load_processor
from calipers.model.nano import Nano
from calipers.model.pictures import both
from calipers.model.tokens import Writer
from calipers.types import Frame

Asked = tuple[Frame, str]
SETTINGS = "calipers.json"
"""A trained model's file of what its base does not say: ``codec``, ``see`` and ``tool``."""
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
    settings, config = settings_of(source), Path(source) / "config.json"
    if config.exists() and json.loads(config.read_text("utf-8")).get("model_type") == Nano.TYPE:
        model = Nano.from_pretrained(source).to(choose_device(device))
        return NanoAnswerer(model, settings["see"])
    return ChatAnswerer(*load_chat(str(source), settings["codec"], settings["see"], device))


def settings_of(source: str | Path) -> dict[str, Any]:
    """What a trained model's folder says beside its base: ``codec``, ``see``, and ``tool``, whether
    it was taught to write ``Depth(x,y)``."""
    settings = {"codec": "log8", "see": "rgbd", "tool": False}
    written = Path(source) / SETTINGS
    if written.exists():
        settings |= json.loads(written.read_text("utf-8"))
    return settings


def load_reading(folder: str | Path) -> Chat:
    """How a base that `calipers train` wrote reads, without its weights.

    Args:
        folder: of its last stage.

    Raises:
        UsageError: it holds no such base, or one that takes no conversations.
        MissingWeightsError: the base of its adapters is not on disk.
    """
    if not (Path(folder) / SETTINGS).exists():
        raise UsageError(f"{folder}: wanted a folder that calipers train wrote (no {SETTINGS})")
    kind = type_of(folder)
    if kind == Nano.TYPE:
        raise UsageError(f"{folder}: a calipers-nano runs on this machine alone")
    row, settings = base(kind), settings_of(folder)
    chat = Chat(load_processor(str(folder)), row, settings["codec"], settings["see"])
    if not chat.talks:
        raise UsageError(f"{folder}: {kind} has no chat template, and endpoints take chats")
    return chat


def type_of(source: str | Path) -> str:
    """The type of a model by its config, or that of its adapters' base; the hub's may be on disk.

    Raises:
        MissingWeightsError: it is not on disk.
    """
    written = Path(source) / "config.json"
    if written.exists():
        return str(json.loads(written.read_text("utf-8")).get("model_type"))
    if (Path(source) / CONFIG).exists():
        return type_of(base_of(source))
    hf: Any = require("transformers", "a vision-language model")
    return str(from_disk(hf.AutoConfig.from_pretrained, str(source)).model_type)
