"""RGB and depth as two pictures of one turn, for any image-text-to-text model of Hugging Face.

A conversation becomes pieces of text: what the model reads, and what it has to say. The first
piece goes through the model's own processor with the pictures, the others through its tokenizer
alone, so the tokens before an answer in training are those before it in use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from calipers.errors import (
    DataError,
    MissingExtraError,
    MissingWeightsError,
    RunError,
    UsageError,
)
from calipers.experts.torch_runtime import choose_device, load_pretrained, require
from calipers.io.exports.mentions import harmless
from calipers.model.adapters import CONFIG, base_of
from calipers.model.bases import Base, base
from calipers.model.grounding import IGNORED
from calipers.model.pictures import both
from calipers.model.tokens import answer_tokens
from calipers.types import Frame

MARKERS = ("RGB: ", "Depth: ")
"""What stands before each picture."""

Turns = Sequence[tuple[str, str]]
_PLACE = re.compile(r"< (loc\d{4}>)")


class Piece(NamedTuple):
    """Text, and whether the model has to say it."""

    text: str
    learnt: bool


@dataclass(slots=True)
class Chat:
    """How one base reads frames and questions.

    Attributes:
        processor: the base's own.
        base: its row of the table.
        codec: how depth is packed, a name of `calipers.depth_codec`.
        see: one of `calipers.model.pictures.SEEN`; "rgb" leaves the depth picture out.
    """

    processor: Any
    base: Base
    codec: str = "log8"
    see: str = "rgbd"

    def pictures(self, frame: Frame) -> list[Image.Image]:
        """The pictures of a frame: colours, and packed depth unless only RGB is seen.

        Depth is resized in metres to the size that the processor leaves alone, then packed.
        """
        size = self.base.fit((frame.width, frame.height), self._square())
        pair = both(frame.rgb, frame.depth_m, size, self.codec, self.see)
        shown = pair[:1] if self.see == "rgb" else pair
        return [Image.fromarray(np.ascontiguousarray(one.transpose(1, 2, 0))) for one in shown]

    def black(self) -> Image.Image:
        """The smallest picture that the processor leaves alone, with nothing in it."""
        return Image.new("RGB", self.base.fit((1, 1), self._square()))

    def pieces(self, turns: Turns, pictures: int = 2) -> list[Piece]:
        """The text of a conversation about some pictures; every answer and its end is learnt.

        Raises:
            UsageError: the chat template rewrites earlier turns, so that answers cannot be found.
        """
        if not self.talks:
            return self._bare(turns, pictures)
        messages: list[dict[str, Any]] = []
        pieces, before = [], ""
        for question, answer in turns:
            parts = [] if messages else opening(pictures)
            parts.append({"type": "text", "text": harmless(question)})
            messages.append({"role": "user", "content": parts})
            asked = self._rendered(messages, True)
            content = [{"type": "text", "text": harmless(answer)}]
            messages.append({"role": "assistant", "content": content})
            whole = self._rendered(messages, False)
            if not asked.startswith(before) or not whole.startswith(asked):
                raise UsageError("the chat template of this model rewrites earlier turns")
            said = whole[len(asked) :].rstrip()
            pieces += [Piece(asked[len(before) :], False), Piece(said, True)]
            before = asked + said
        return pieces

    def prompt(self, question: str, pictures: int = 2) -> str:
        """The text before an answer."""
        return self.pieces([(question, "")], pictures)[0].text

    def inputs(self, prompts: Sequence[str], pictures: Sequence[Sequence[Image.Image]]) -> Any:
        """What the processor makes of prompts with their pictures; padded on the left."""
        self.processor.tokenizer.padding_side = "left"
        given = list(map(list, pictures)) if any(pictures) else None
        return self.processor(
            text=list(prompts), images=given, padding=True, return_tensors="pt",
            add_special_tokens=not self.talks, **self.base.options,
        )  # fmt: skip

    def tokens(self, text: str) -> list[int]:
        """The tokens of text that stands after the first piece."""
        found: list[int] = self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def _bare(self, turns: Turns, pictures: int) -> list[Piece]:
        """PaliGemma's way: ``<image>… answer en question``, a new line, the answer."""
        if len(turns) != 1:
            raise UsageError("this model has no chat template: wanted one question a sample")
        question, answer = turns[0]
        images = "<image>" * pictures + ("RGB, depth. " if pictures > 1 else "")
        end = self.processor.tokenizer.eos_token
        asked = f"{images}answer en {plain(question)}"
        return [Piece(asked, False), Piece(plain(answer) + end, True)]

    @property
    def talks(self) -> bool:
        """Whether the base has a chat template, and so takes several turns."""
        return getattr(self.processor, "chat_template", None) is not None

    def _rendered(self, messages: list[dict[str, Any]], asking: bool) -> str:
        text: str = self.processor.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=asking
        )
        return text

    def _square(self) -> int | None:
        """The side of the squares that the processor makes, where the base wants squares."""
        if self.base.square is None:
            return None
        images = self.processor.image_processor
        named = (("max_image_size", "longest_edge"), ("size", "height"))  # the first is SmolVLM's
        sides = (_field(getattr(images, name, None), side) for name, side in named)
        return next((int(side) for side in sides if side), None)


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def plain(text: str) -> str:
    """A text without what a model takes for its own tokens, places in the picture excepted.

    >>> plain("<image> at <loc0001><loc0002>")
    '< image> at <loc0001><loc0002>'
    """
    return _PLACE.sub(r"<\1", harmless(text))


def opening(pictures: int) -> list[dict[str, Any]]:
    """The pictures of a first turn, each behind its marker."""
    parts: list[dict[str, Any]] = []
    for marker in MARKERS[:pictures]:
        parts += [{"type": "text", "text": marker}, {"type": "image"}]
    return [*parts, {"type": "text", "text": "\n"}] if parts else []


def collate(chat: Chat, found: Sequence[tuple[list[Image.Image], Turns]]) -> dict[str, Any]:
    """Conversations as one batch, padded on the right; labels are answers and their ends alone,
    without what the DepthAPI says in them.

    A batch without pictures has one row more, of a black picture that nothing is asked about: each
    of several processes has to go through the vision encoder, or they wait for each other forever.

    Args:
        chat: how the base reads.
        found: pictures and turns of each conversation.

    Raises:
        DataError: an answer has no tokens.
    """
    pieces = [chat.pieces(turns, len(pictures)) for pictures, turns in found]
    shown = [pictures for pictures, _ in found]
    if not any(shown):
        pieces.append(chat.pieces([("", "")], 1)[:1])
        shown.append([chat.black()])
    given = chat.inputs([first[0].text for first in pieces], shown)
    shape, mask = given["input_ids"].shape, given["attention_mask"].bool()
    like = [k for k, v in given.items() if getattr(v, "shape", None) == shape]
    rows = {name: [r[m].tolist() for r, m in zip(given[name], mask)] for name in like}
    labels = [[IGNORED] * len(row) for row in rows["input_ids"]]
    fill = {"attention_mask": 1, "token_type_ids": chat.base.answer_type}
    for k, (_, *rest) in enumerate(pieces):
        for piece in rest:
            tokens, learnt = answer_tokens(chat.processor.tokenizer, piece.text)
            if not tokens:
                raise DataError(f"nothing to learn in {piece.text!r}")
            labels[k] += learnt if piece.learnt else [IGNORED] * len(tokens)
            for name in like:
                rows[name][k] += (
                    tokens if name == "input_ids" else [fill.get(name, 0)] * len(tokens)
                )
    pad = chat.processor.tokenizer.pad_token_id or 0
    batch = {name: _padded(rows[name], pad if name == "input_ids" else 0) for name in like}
    rest_of = {name: value for name, value in given.items() if name not in like}
    return rest_of | batch | {"labels": _padded(labels, IGNORED)}


def _padded(rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])


def check_depth(chat: Chat) -> None:
    """Refuse a processor that changes the pixels of packed depth.

    A picture of black and white pixels has two values a channel whatever it is normalised by;
    resized, it would have many more.

    Raises:
        RunError: it does.
    """
    width, height = chat.base.fit((256, 192), chat._square())
    black = np.random.default_rng(0).random((height, width)) < 0.5
    picture = Image.fromarray(np.repeat(np.uint8(255) * black[..., None], 3, axis=2))
    images = chat.processor.image_processor
    found = images(images=[picture], return_tensors="np", **chat.base.options)["pixel_values"]
    if len(np.unique(np.round(np.asarray(found, np.float32), 3))) > 2 * 3:
        raise RunError(
            f"the processor of {chat.base.model_type} resizes pictures of {width}x{height}, "
            "so packed depth would be broken; see calipers.model.bases"
        )


def load_chat(source: str, codec: str, see: str, device: str | None = None) -> tuple[Any, Chat]:
    """Load a base, or what was trained from one, with its processor.

    Args:
        source: a folder, or a hub id that is on disk; a folder of adapters names its base.
        codec, see: as of `Chat`.
        device: where to; None takes the first of cuda, mps, cpu that is there.

    Raises:
        MissingWeightsError: not on disk.
        MissingExtraError: a package is missing.
        UsageError: the model is of a type that the table of bases does not know.
    """
    processor = load_processor(source)
    model = load_model(source, choose_device(device))
    return model, Chat(processor, base(model.config.model_type), codec, see)


def load_model(source: str, device: str) -> Any:
    """Load a base, or what was trained from one, in the precision that it was saved in.

    Args:
        source: a folder, or a hub id that is on disk; a folder of adapters names its base, into
            which they are merged.
        device: where to.

    Raises:
        MissingWeightsError: not on disk.
        MissingExtraError: a package is missing.
    """
    if not (Path(source) / CONFIG).exists():
        hf: Any = require("transformers", "a vision-language model")
        load = hf.AutoModelForImageTextToText.from_pretrained
        return from_disk(load, source, adapter_kwargs={"local_files_only": True}).to(device)
    peft: Any = require("peft", "a model with adapters", "train")
    under = load_model(base_of(source), "cpu")
    precision = under.dtype
    merged = peft.PeftModel.from_pretrained(under, source).merge_and_unload()
    for weight in merged.parameters():  # not the buffers: angles of places stay exact
        weight.data = weight.data.to(precision)
    merged.name_or_path = source
    return merged.to(device)


def from_disk(load: Any, source: str, **options: Any) -> Any:
    """Load as `load_pretrained` does; what it advises for experts is not for bases."""
    try:
        return load_pretrained(load, source, **options)
    except MissingWeightsError as error:
        if "--experts" not in str(error):
            raise
        how = f"fetch them with 'hf download {source}', or give a local folder as the model"
        raise MissingWeightsError(f"no weights of {source} on this disk: {how}") from error


def load_processor(source: str) -> Any:
    """Load what makes tokens and pixels for a model.

    Args:
        source: a folder, or a hub id that is on disk.

    Raises:
        MissingWeightsError: not on disk.
        UsageError: it reads no pictures, or needs a package that is not installed.
    """
    hf: Any = require("transformers", "a vision-language model")
    try:
        found = from_disk(hf.AutoProcessor.from_pretrained, source)
    except MissingExtraError as error:
        if "torchvision" not in str(error).lower():
            raise
        fitting = "the torchvision that fits your torch: pip install torchvision"
        raise UsageError(f"{source}: its processor needs {fitting}") from error
    if not hasattr(found, "image_processor"):
        raise UsageError(f"{source}: its processor reads no pictures ({type(found).__name__})")
    return found
