"""Models on this machine that converse: calipers-nano, and any image-text-to-text model.

Each is a `calipers.model.speakers.Speaker`: a conversation becomes the tokens that it would have
been in training, and `GenerateBackend` writes on from there, a token at a time.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from zlib import crc32

import numpy as np
import torch

from calipers.chat import ChatError, Message, Reply, ToolCall
from calipers.errors import UsageError
from calipers.experts.torch_runtime import choose_device, require
from calipers.io.exports.mentions import harmless
from calipers.model.answering import SETTINGS, Answerer, ChatAnswerer, NanoAnswerer, load
from calipers.model.bases import BASES, Base
from calipers.model.hugging import Chat, from_disk, load_processor, opening
from calipers.model.nano import Nano
from calipers.model.pictures import both
from calipers.model.speakers import FRAME, Asked, Tuning, frames_in
from calipers.tools.generating import GenerateBackend
from calipers.types import Frame

OPENS, CLOSES = "<tool_call>", "</tool_call>"
"""Around a tool call, in the form of Hermes that Qwen's templates ask for."""
_CALL = re.compile(rf"{OPENS}\s*(\{{.*?\}})\s*(?:{CLOSES}|$)", re.DOTALL)


class _Generator:
    """A model's ``generate`` with how it is to write; for `GenerateBackend`."""

    def __init__(self, generate: Callable[..., Any], config: Any, tuning: Tuning) -> None:
        self._generate, self.generation_config, self.tuning = generate, config, tuning

    @torch.inference_mode()
    def generate(self, **options: Any) -> Any:
        """Generate greedily, or by chance from the seed."""
        if self.tuning.temperature > 0:
            torch.manual_seed(self.tuning.seed)
            warm = {"temperature": self.tuning.temperature, "top_p": self.tuning.top_p, "top_k": 0}
            options |= {"do_sample": True, **warm}
        return self._generate(**options)


class _Local:
    """What all models on this machine share."""

    threads = 1

    def __init__(self, name: str, answerer: Answerer, taught: bool) -> None:
        self.name, self.answerer, self.taught = name, answerer, taught
        self.tuning = Tuning()

    def tuned(self, tuning: Tuning, extra: Mapping[str, Any]) -> Self:
        """The same model, writing otherwise."""
        other = copy.copy(self)
        other.tuning = tuning
        return other

    def texts(self, asked: Sequence[Asked], temperature: float) -> list[str] | None:
        """One answer to each question; what is drawn by chance follows from the questions."""
        torch.manual_seed(crc32("\n".join(question for _, question in asked).encode()))
        given = [(frame, harmless(question)) for frame, question in asked]
        return self.answerer.texts(given, temperature, self.tuning.max_tokens)

    def going_on(self, messages: Sequence[Message]) -> GenerateBackend:
        """What continues the answer to a conversation."""
        return self.writer(messages, ())

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """Yield the text of the next turn as it comes, and return the whole.

        Raises:
            UsageError: a conversation that the model cannot read.
            ChatError: it is too long.
        """
        backend = self.writer(messages, tools)
        read = int(backend.inputs["input_ids"].shape[1])
        pieces = backend("")
        text, cut = yield from (_before_calls(pieces) if tools else _all(pieces))
        calls = read_calls(text) if tools else ()
        said = text.partition(OPENS)[0] if calls else text
        ended = "tool_calls" if calls else "length" if cut else "stop"
        return Reply(said.strip(), calls, None, ended, read, backend.spent)

    def writer(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]
    ) -> GenerateBackend:
        """What writes the next turn of a conversation."""
        raise UsageError("this model does not converse")

    def _backend(
        self, generate: Callable[..., Any], language: Any, tokenizer: Any, inputs: Mapping[str, Any]
    ) -> GenerateBackend:
        config, length = language.config, int(inputs["input_ids"].shape[1])
        text = getattr(config, "get_text_config", lambda: config)()
        most = getattr(text, "max_position_embeddings", None)
        if most is not None and length + self.tuning.max_tokens > most:
            wanted = f"{length} tokens and {self.tuning.max_tokens} to write"
            raise ChatError(f"the model takes {most} tokens, got {wanted}", 400)
        model = _Generator(generate, language.generation_config, self.tuning)
        return GenerateBackend(model, tokenizer, inputs, self.tuning.max_tokens)


class NanoSpeaker(_Local):
    """A calipers-nano that converses about one frame; it knows neither tools nor system messages.

    Args:
        name: as it is called.
        answerer: the model and what it may see.
    """

    def __init__(self, name: str, answerer: NanoAnswerer) -> None:
        super().__init__(name, answerer, taught=True)
        self.model, self.see, self.words = answerer.model, answerer.see, answerer.writer

    def writer(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]
    ) -> GenerateBackend:
        """What writes the next turn; without a frame the model sees black."""
        if tools:
            raise UsageError("a calipers-nano calls no tools; it can write Depth(x,y)")
        frames, config = frames_in(messages), self.model.config
        if len(frames) > 1:
            raise UsageError(f"a calipers-nano sees one picture, got {len(frames)}")
        frame = frames[0] if frames else None
        rgb, depth = (None, None) if frame is None else (frame.rgb, frame.depth_m)
        pixels = both(rgb, depth, config.picture_wh, config.codec, self.see)
        *before, (question, _) = turns_of(messages)
        earlier = self.words.row(before, apart=False).tokens if before else self.words.prefix
        asked = self.words.prompt(question)[len(self.words.prefix) :]
        tokens = torch.tensor([[*earlier, *asked]], device=self.model.device)
        inputs = {
            "input_ids": tokens,
            "attention_mask": torch.ones_like(tokens),
            "pictures": torch.from_numpy(np.stack([pixels])).to(self.model.device),
        }
        return self._backend(self._generate, self.model.language, self.model.tokenizer, inputs)

    def _generate(self, input_ids: Any, pictures: Any, **options: Any) -> Any:
        ends = {
            "eos_token_id": self.model.tokenizer.eos_token_id,
            "pad_token_id": self.model.tokenizer.pad_token_id,
        }
        embedded = self.model.embed(input_ids, pictures)
        return self.model.language.generate(input_ids, inputs_embeds=embedded, **ends, **options)


class HuggingSpeaker(_Local):
    """An image-text-to-text model of transformers that converses.

    Args:
        name: as it is called.
        model: in evaluation mode.
        chat: how it reads.
        taught: it was trained by Calipers.
    """

    def __init__(self, name: str, model: Any, chat: Chat, taught: bool) -> None:
        super().__init__(name, ChatAnswerer(model, chat), taught)
        self.model, self.chat = model, chat

    def texts(self, asked: Sequence[Asked], temperature: float) -> list[str] | None:
        """One answer to each question where the model was taught so; else None."""
        return super().texts(asked, temperature) if self.taught else None

    def writer(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]
    ) -> GenerateBackend:
        """What writes the next turn."""
        pictures = [p for frame in frames_in(messages) for p in self._pictures(frame)]
        text = self._text(messages, tools)
        inputs = dict(self.chat.inputs([text], [pictures]).to(self.model.device))
        tokenizer = self.chat.processor.tokenizer
        return self._backend(self.model.generate, self.model, tokenizer, inputs)

    def _pictures(self, frame: Frame) -> list[Any]:
        """RGB, and packed depth where it is shown; depth is left out rather than shown black."""
        return self.chat.pictures(frame)[: None if self._shows_depth(frame) else 1]

    def _shows_depth(self, frame: Frame) -> bool:
        return self.chat.see != "rgb" and (self.taught or frame.depth_m is not None)

    def _text(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> str:
        chat = self.chat
        if tools and "tools" not in str(getattr(chat.processor, "chat_template", "")):
            raise UsageError("the chat template of this model takes no tools; try Depth(x,y)")
        if not chat.talks:
            ((question, _),) = turns_of(messages)[-1:]
            return chat.prompt(question, sum(len(self._pictures(f)) for f in frames_in(messages)))
        said = [self._message(message) for message in messages]
        options = {"tools": list(tools)} if tools else {}
        text: str = chat.processor.apply_chat_template(
            said, tokenize=False, add_generation_prompt=True, **options
        )
        return text

    def _message(self, message: Message) -> dict[str, Any]:
        """A message as templates want it: parts, and arguments of calls as objects."""
        content = message.get("content")
        given = [{"type": "text", "text": content or ""}] if _is_text(content) else content
        found = {**message, "content": [part for g in given or () for part in self._parts(g)]}
        if message.get("tool_calls"):
            found["tool_calls"] = [_parsed(call) for call in message["tool_calls"]]
        return found

    def _parts(self, part: Mapping[str, Any]) -> list[dict[str, Any]]:
        if part["type"] == "text":
            return [{"type": "text", "text": harmless(part["text"])}]
        frame: Frame = part[FRAME]
        if self.taught or self._shows_depth(frame):
            return opening(len(self._pictures(frame)))
        return [{"type": "image"}]


def turns_of(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Questions with their answers; the last one has none. System messages are left out.

    Raises:
        UsageError: the last message is not the user's.

    >>> turns_of([{"role": "user", "content": "How far?"}, {"role": "assistant", "content": "1 m"},
    ...           {"role": "user", "content": "How tall?"}])
    [('How far?', '1 m'), ('How tall?', '')]
    """
    turns: list[tuple[str, str]] = []
    for message in messages:
        text = harmless(_text_of(message.get("content")))
        if message["role"] == "user":
            turns.append((text, ""))
        elif message["role"] == "assistant" and turns:
            turns[-1] = (turns[-1][0], text)
    if not turns or messages[-1]["role"] != "user":
        raise UsageError("wanted a question of the user at the end of the conversation")
    return turns


def _is_text(content: Any) -> bool:
    return content is None or isinstance(content, str)


def _text_of(content: Any) -> str:
    if _is_text(content):
        return content or ""
    return "".join(part["text"] for part in content if part["type"] == "text")


def _parsed(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    try:
        function["arguments"] = json.loads(function["arguments"])
    except (ValueError, TypeError):
        function["arguments"] = {}
    return {**call, "function": function}


def _all(pieces: Generator[str, None, bool]) -> Generator[str, None, tuple[str, bool]]:
    """The pieces, without space before the first; the whole, and whether it was cut."""
    text = ""
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            return text, bool(end.value)
        new = piece if text else piece.lstrip()
        text += new
        if new:
            yield new


def _before_calls(pieces: Generator[str, None, bool]) -> Generator[str, None, tuple[str, bool]]:
    """The pieces before the first tool call; the whole, and whether it was cut."""
    text, shown, source = "", 0, _all(pieces)
    while True:
        try:
            text += next(source)
        except StopIteration as end:
            if OPENS not in text and shown < len(text):
                yield text[shown:]
            found: tuple[str, bool] = end.value
            return found
        ready = text.find(OPENS) if OPENS in text else len(text) - _begun(text)
        if ready > shown:
            yield text[shown:ready]
            shown = ready


def _begun(text: str) -> int:
    """How many signs at the end of a text may be the beginning of a call."""
    return next((n for n in range(len(OPENS) - 1, 0, -1) if text.endswith(OPENS[:n])), 0)


def read_calls(text: str) -> tuple[ToolCall, ...]:
    """The tool calls in a text, of those that are JSON with a name.

    >>> read_calls('<tool_call>{"name": "depth_at", "arguments": {"x": 0.5, "y": 0.4}}</tool_call>')
    (ToolCall(id='call-0', name='depth_at', arguments='{"x": 0.5, "y": 0.4}'),)
    """
    calls = []
    for number, found in enumerate(_CALL.findall(text)):
        try:
            wanted = json.loads(found)
        except ValueError:
            continue
        if isinstance(wanted, dict) and isinstance(wanted.get("name"), str):
            arguments = json.dumps(wanted.get("arguments", {}))
            calls.append(ToolCall(f"call-{number}", wanted["name"], arguments))
    return tuple(calls)


def load_local(
    source: str, device: str | None = None, see: str | None = None, codec: str = "log8"
) -> NanoSpeaker | HuggingSpeaker:
    """Load a model of this machine; see `calipers.model.speakers.load`."""
    taught, name = (Path(source) / SETTINGS).exists(), Path(source).name
    if taught or _type(source) in (Nano.TYPE, *BASES):
        answerer = load(source, device)
        if isinstance(answerer, NanoAnswerer):
            answerer.see = see or answerer.see
            return NanoSpeaker(name, answerer)
        assert isinstance(answerer, ChatAnswerer)
        chat = answerer.chat
        chat.see = see or (chat.see if taught else "rgb")
        chat.codec = chat.codec if taught else codec
        return HuggingSpeaker(name, answerer.model, chat, taught)
    hf: Any = require("transformers", "a vision-language model")
    if see == "rgbd":
        raise UsageError(f"{source}: what its processor does to packed depth is not known; see rgb")
    processor = load_processor(source)
    model = from_disk(hf.AutoModelForImageTextToText.from_pretrained, source)
    kind = Base(model.config.model_type, (), "not known", "thousand")
    chat = Chat(processor, kind, codec, "rgb")
    return HuggingSpeaker(name, model.eval().to(choose_device(device)), chat, False)


def _type(source: str) -> str:
    """The model's type by its config, which may also be the hub's on disk."""
    config = Path(source) / "config.json"
    if config.exists():
        return str(json.loads(config.read_text("utf-8")).get("model_type"))
    hf: Any = require("transformers", "a vision-language model")
    found: Any = from_disk(hf.AutoConfig.from_pretrained, source)
    return str(found.model_type)
