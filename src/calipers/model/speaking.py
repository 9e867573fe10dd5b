"""Models on this machine that converse: calipers-nano, and any image-text-to-text model.

Each is a `calipers.model.speakers.Speaker`: a conversation becomes the tokens that it would have
been in training, and `GenerateBackend` writes on from there, a token at a time.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from zlib import crc32

import numpy as np
import torch

from calipers.chat import ChatError, Message, Reply
from calipers.errors import UsageError
from calipers.experts.torch_runtime import choose_device, require
from calipers.io.exports.mentions import harmless
from calipers.model.answering import (
    SETTINGS,
    Answerer,
    ChatAnswerer,
    NanoAnswerer,
    load,
    settings_of,
    type_of,
)
from calipers.model.bases import BASES, Base
from calipers.model.calls import OPENS, all_of, before_calls, read_calls
from calipers.model.hugging import Chat, from_disk, load_processor, opening
from calipers.model.nano import Nano
from calipers.model.pictures import both
from calipers.model.speakers import (
    FRAME,
    Asked,
    Tuning,
    before_question,
    explained,
    frames_in,
)
from calipers.tools.generating import GenerateBackend
from calipers.types import Frame


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
    tool = False

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

    def going_on(self, messages: Sequence[Message], told: str = "") -> GenerateBackend:
        """What continues the answer to a conversation."""
        return self.writer(messages, (), told)

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
        text, cut = yield from (before_calls(pieces) if tools else all_of(pieces))
        calls = read_calls(text) if tools else ()
        said = text.partition(OPENS)[0] if calls else text
        ended = "tool_calls" if calls else "length" if cut else "stop"
        return Reply(said.strip(), calls, None, ended, read, backend.spent)

    def writer(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], told: str = ""
    ) -> GenerateBackend:
        """What writes the next turn of a conversation, of which something is explained before."""
        raise UsageError("this model does not converse")

    def _backend(
        self,
        generate: Callable[..., Any],
        language: Any,
        tokenizer: Any,
        inputs: Mapping[str, Any],
        answer_type: int = 0,
    ) -> GenerateBackend:
        config, length = language.config, int(inputs["input_ids"].shape[1])
        text = getattr(config, "get_text_config", lambda: config)()
        most = getattr(text, "max_position_embeddings", None)
        if most is not None and length + self.tuning.max_tokens > most:
            wanted = f"{length} tokens and {self.tuning.max_tokens} to write"
            raise ChatError(f"the model takes {most} tokens, got {wanted}", 400)
        model = _Generator(generate, language.generation_config, self.tuning)
        return GenerateBackend(model, tokenizer, inputs, self.tuning.max_tokens, answer_type)


class NanoSpeaker(_Local):
    """A calipers-nano that is asked about one frame; it knows neither tools nor system messages.

    Its questions were trained so that none sees another, and so it reads the last one alone.

    Args:
        name: as it is called.
        answerer: the model and what it may see.
    """

    def __init__(self, name: str, answerer: NanoAnswerer) -> None:
        super().__init__(name, answerer, taught=True)
        self.model, self.see, self.words = answerer.model, answerer.see, answerer.writer

    def writer(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], told: str = ""
    ) -> GenerateBackend:
        """What answers the last question; without a frame the model sees black."""
        if tools:
            raise UsageError("a calipers-nano calls no tools; it can write Depth(x,y)")
        frames, config = frames_in(messages), self.model.config
        if len(frames) > 1:
            raise UsageError(f"a calipers-nano sees one picture, got {len(frames)}")
        frame = frames[0] if frames else None
        rgb, depth = (None, None) if frame is None else (frame.rgb, frame.depth_m)
        pixels = both(rgb, depth, config.picture_wh, config.codec, self.see)
        question, _ = turns_of(messages)[-1]
        tokens = torch.tensor([self.words.prompt(question)], device=self.model.device)
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
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], told: str = ""
    ) -> GenerateBackend:
        """What writes the next turn.

        Raises:
            UsageError: what the chat template or the processor refuses, in its words.
        """
        pictures = [p for frame in frames_in(messages) for p in self._pictures(frame)]
        text = self._told(messages, tools, told)
        with _refusals():
            inputs = dict(self.chat.inputs([text], [pictures]).to(self.model.device))
        kind, tokenizer = self.chat.base.answer_type, self.chat.processor.tokenizer
        return self._backend(self.model.generate, self.model, tokenizer, inputs, kind)

    def _pictures(self, frame: Frame) -> list[Any]:
        """RGB, and packed depth where it is shown; depth is left out rather than shown black."""
        return self.chat.pictures(frame)[: None if self._shows_depth(frame) else 1]

    def _shows_depth(self, frame: Frame) -> bool:
        return self.chat.see != "rgb" and (self.taught or frame.depth_m is not None)

    def _told(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], told: str
    ) -> str:
        """The text with an explanation: a system message, or where the template refuses that,
        before the first question."""
        try:
            return self._text(explained(messages, told), tools)
        except UsageError:
            if not told:
                raise
            return self._text(before_question(messages, told), tools)

    def _text(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> str:
        chat = self.chat
        if tools and "tools" not in str(getattr(chat.processor, "chat_template", "")):
            raise UsageError("the chat template of this model takes no tools; try Depth(x,y)")
        if not chat.talks:
            ((question, _),) = turns_of(messages)[-1:]
            return chat.prompt(question, sum(len(self._pictures(f)) for f in frames_in(messages)))
        said = [self._message(message) for message in messages]
        options = {"tools": list(tools)} if tools else {}
        with _refusals():
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


@contextmanager
def _refusals() -> Iterator[None]:
    """Say in words of ours what a template or a processor refuses.

    Raises:
        UsageError: with its own words.
    """
    from jinja2 import TemplateError

    try:
        yield
    except (TemplateError, TypeError, ValueError) as error:
        raise UsageError(f"the model cannot read this conversation: {error}") from error


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


def load_local(
    source: str, device: str | None = None, see: str | None = None, codec: str = "log8"
) -> NanoSpeaker | HuggingSpeaker:
    """Load a model of this machine; see `calipers.model.speakers.load`."""
    taught, name = (Path(source) / SETTINGS).exists(), Path(source).name
    if taught or type_of(source) in (Nano.TYPE, *BASES):
        answerer = load(source, device)
        if isinstance(answerer, NanoAnswerer):
            answerer.see = see or answerer.see
            speaker: NanoSpeaker | HuggingSpeaker = NanoSpeaker(name, answerer)
        else:
            assert isinstance(answerer, ChatAnswerer)
            chat = answerer.chat
            chat.see = see or (chat.see if taught else "rgb")
            chat.codec = chat.codec if taught else codec
            speaker = HuggingSpeaker(name, answerer.model, chat, taught)
        speaker.tool = settings_of(source)["tool"]
        return speaker
    hf: Any = require("transformers", "a vision-language model")
    if see == "rgbd":
        raise UsageError(f"{source}: what its processor does to packed depth is not known; see rgb")
    processor = load_processor(source)
    from_hub = hf.AutoModelForImageTextToText.from_pretrained
    model = from_disk(from_hub, source, adapter_kwargs={"local_files_only": True})
    kind = Base(model.config.model_type, (), "not known", "thousand")
    chat = Chat(processor, kind, codec, "rgb")
    return HuggingSpeaker(name, model.eval().to(choose_device(device)), chat, False)
