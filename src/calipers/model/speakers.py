"""Models that are asked about frames: on this machine, or at an OpenAI-compatible endpoint.

All have one face, `Speaker`: a `calipers.chat.Chat` for conversations and tool calls, a way to go
on from a text for ``Depth(x,y)``, and many questions at once. Messages are those of the OpenAI
protocol, in which a picture may also be a frame with its depth (`shown`).
"""

from __future__ import annotations

import copy
import io
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from calipers.chat import ChatClient, Message, Reply, picture
from calipers.depth_codec import RANGE_M, encode
from calipers.errors import UsageError
from calipers.io.exports.mentions import harmless
from calipers.tools.protocol import Backend, ChatBackend
from calipers.types import Frame

if TYPE_CHECKING:
    from calipers.model.hugging import Chat

Asked = tuple[Frame, str]
FRAME = "calipers_frame"
"""The type of a message's part that is a frame."""
_GOING_ON = {"continue_final_message": True, "add_generation_prompt": False}
"""Fields of a request of vLLM and SGLang: the answer goes on in the message that was begun."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a model is to write.

    Attributes:
        temperature: 0 takes the likeliest token each time.
        top_p: of the likeliest tokens, those that have this share together.
        max_tokens: of one turn.
        seed: of what is drawn by chance.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    seed: int = 0


class Speaker(Protocol):
    """A model that can be asked.

    Attributes:
        name: as it is called.
        threads: questions that it can answer at the same time.
        taught: it was trained on how Calipers asks, so that nothing has to be explained to it.
        tool: it was trained to write ``Depth(x,y)``.
    """

    name: str
    threads: int
    taught: bool
    tool: bool

    def tuned(self, tuning: Tuning, extra: Mapping[str, Any]) -> Self:
        """The same model, writing otherwise; `extra` are more fields of an endpoint's request."""
        ...

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """Yield the text of the next turn as it comes, and return the whole."""
        ...

    def going_on(self, messages: Sequence[Message], told: str = "") -> Backend:
        """What continues the answer to a conversation from any point of it; `told` is explained
        to the model before."""
        ...

    def texts(self, asked: Sequence[Asked], temperature: float) -> list[str] | None:
        """One answer to each question, computed together; None where that is no faster."""
        ...


def shown(frame: Frame, url: str | None = None) -> dict[str, Any]:
    """The part of a message that is a frame; `url` is its picture, where it came as a data URL."""
    return {"type": FRAME, FRAME: frame, "url": url}


def about(frame: Frame, question: str) -> list[Message]:
    """A conversation that begins with a question about a frame.

    >>> about(Frame("a", "a.png", 4, 3), "How far?")[0]["content"][1]
    {'type': 'text', 'text': 'How far?'}
    """
    return [{"role": "user", "content": [shown(frame), {"type": "text", "text": question}]}]


def frames_in(messages: Sequence[Message]) -> list[Frame]:
    """The frames of a conversation, in order."""
    lists = (m["content"] for m in messages if isinstance(m.get("content"), list))
    return [part[FRAME] for parts in lists for part in parts if part["type"] == FRAME]


def explained(messages: Sequence[Message], told: str) -> list[Message]:
    """A conversation with an explanation at the end of its system message, or as a new one.

    >>> explained([{"role": "user", "content": "How far?"}], "Be brief.")[0]
    {'role': 'system', 'content': 'Be brief.'}
    """
    if not told or not messages:
        return list(messages)
    first, *rest = messages
    if first["role"] not in ("system", "developer"):
        return [{"role": "system", "content": told}, first, *rest]
    content = first.get("content") or ""
    if isinstance(content, str):
        return [{**first, "content": f"{content}\n\n{told}"}, *rest]
    return [{**first, "content": [*content, {"type": "text", "text": f"\n\n{told}"}]}, *rest]


def before_question(messages: Sequence[Message], told: str) -> list[Message]:
    """A conversation with an explanation before the text of its first question.

    >>> before_question([{"role": "user", "content": "How far?"}], "Be brief.")[0]["content"]
    'Be brief.\\n\\nHow far?'
    """
    users = [k for k, message in enumerate(messages) if message["role"] == "user"]
    if not users:
        return list(messages)
    asked = messages[users[0]]
    content = asked.get("content") or ""
    if isinstance(content, str):
        parts: Any = f"{told}\n\n{content}"
    else:
        texts = [k for k, part in enumerate(content) if part["type"] == "text"]
        place = texts[0] if texts else len(content)
        parts = [*content[:place], {"type": "text", "text": f"{told}\n\n"}, *content[place:]]
    return [*messages[: users[0]], {**asked, "content": parts}, *messages[users[0] + 1 :]]


def load(
    model: str,
    *,
    base_url: str | None = None,
    device: str | None = None,
    see: str | None = None,
    codec: str = "log8",
    trained: str | None = None,
    **client: Any,
) -> Speaker:
    """Make a model ready to be asked.

    Args:
        model: a folder that `calipers train` wrote, a folder or hub id (on disk) of any
            image-text-to-text model of transformers, or a name at an endpoint.
        base_url: the endpoint, up to and with ``/v1``; None: on this machine.
        device: cuda, mps or cpu, on this machine.
        see: "rgb", or "rgbd" to show depth as a second picture; None: as the model was trained,
            and "rgb" to others.
        codec: how depth is packed, for models that do not say it themselves.
        trained: the folder in which `calipers train` wrote the model that the endpoint runs; it is
            asked as it was trained. Its weights are not read.
        **client: more options of a `calipers.chat.ChatClient`.

    Raises:
        UsageError: there is no such model, or an option that cannot be meant.
        MissingExtraError, MissingWeightsError: what a model on this machine needs is not there.
    """
    if see not in (None, "rgb", "rgbd"):
        raise UsageError(f"see: wanted rgb or rgbd, got {see!r}")
    if codec not in RANGE_M:
        raise UsageError(f"codec: wanted {', '.join(RANGE_M)}, got {codec!r}")
    if base_url is not None and trained is not None:
        return _load_trained(trained, see, model=model, base_url=base_url, **client)
    if base_url is not None:
        return Endpoint(ChatClient(model=model, base_url=base_url, **client), see or "rgb", codec)
    if trained is not None:
        raise UsageError("trained: goes with base_url; on this machine the model is the folder")
    from calipers.experts.torch_runtime import require

    require("torch", "a model on this machine")
    require("transformers", "a model on this machine")
    if not Path(model).exists() and Path(model).is_absolute():
        raise UsageError(f"no such model: {model}")
    from calipers.model.speaking import load_local

    return load_local(model, device, see, codec)


def _load_trained(folder: str, see: str | None, **client: Any) -> Endpoint:
    from calipers.experts.torch_runtime import require

    require("torch", "a trained model's settings")
    require("transformers", "a trained model's settings")
    from calipers.model.answering import load_reading, settings_of

    chat = load_reading(folder)
    chat.see = see or chat.see
    more = {"mm_processor_kwargs": dict(chat.base.options)} if chat.base.options else {}
    extra = {**more, **client.pop("extra", {})}
    found = Endpoint(ChatClient(**client, extra=extra), chat.see, chat.codec, trained=chat)
    found.tool = settings_of(folder)["tool"]
    return found


class Endpoint:
    """A model at an OpenAI-compatible endpoint.

    Args:
        client: how it is reached.
        see: "rgb", or "rgbd" to send packed depth as a second picture.
        codec: how depth is packed.
        threads: requests under way at once.
        trained: how the model that runs there reads, where `calipers train` made it; it is shown
            and asked what it was in training.
    """

    tool = False

    def __init__(
        self,
        client: ChatClient,
        see: str = "rgb",
        codec: str = "log8",
        threads: int = 8,
        trained: Chat | None = None,
    ) -> None:
        self.client, self.see, self.codec, self.threads = client, see, codec, threads
        self.name, self.trained, self.taught = client.model, trained, trained is not None

    def tuned(self, tuning: Tuning, extra: Mapping[str, Any]) -> Self:
        """The same model, over the same connections."""
        other, client = copy.copy(self), copy.copy(self.client)
        asked = {"temperature": tuning.temperature, "top_p": tuning.top_p}
        client.extra = {**self.client.extra, **asked, **extra}
        client.seed, client.max_tokens = tuning.seed, tuning.max_tokens
        other.client = client
        return other

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """Ask the endpoint; raises what `ChatClient.stream` does."""
        return self.client.stream(self.wire(messages), tools)

    def going_on(self, messages: Sequence[Message], told: str = "") -> Backend:
        """Send the answer so far back to be gone on with; a trained model goes on in it."""
        wire = self.wire(explained(messages, told))
        if self.trained is not None:
            return ChatBackend(_Continuing(self.client), wire, remind="")
        return ChatBackend(self.client, wire)

    def texts(self, asked: Sequence[Asked], temperature: float) -> list[str] | None:
        """None: each question is a request of its own."""
        return None

    def wire(self, messages: Sequence[Message]) -> list[Message]:
        """Messages as the protocol has them: frames become pictures."""
        return [self._message(message) for message in messages]

    def _message(self, message: Message) -> Message:
        content = message.get("content")
        if not isinstance(content, list):
            return {**message, "content": self._plain(content)} if content else message
        parts: list[Any] = []
        for part in content:
            if part["type"] == FRAME:
                parts += self._pictures(part)
            elif part["type"] == "text":
                parts.append({**part, "text": self._plain(part["text"])})
            else:
                parts.append(part)
        return {**message, "content": parts}

    def _plain(self, text: str) -> str:
        """A text as it is, or as a trained model read it."""
        return text if self.trained is None else harmless(text)

    def _pictures(self, part: Mapping[str, Any]) -> list[dict[str, Any]]:
        frame: Frame = part[FRAME]
        if self.trained is not None:
            return _as_trained(self.trained, frame)
        url = part["url"]
        rgb = {"type": "image_url", "image_url": {"url": url}} if url else picture_of(frame.rgb)
        if self.see == "rgb" or frame.depth_m is None:
            return [rgb]
        depth = picture_of(encode(frame.depth_m, self.codec, "clip"))
        said = [{"type": "text", "text": marker} for marker in ("RGB: ", "Depth: ")]
        return [said[0], rgb, said[1], depth]


@dataclass(frozen=True, slots=True)
class _Continuing:
    """A client whose server goes on with an answer that was begun, in the same message."""

    client: ChatClient

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """Ask, or let it go on."""
        client = self.client
        if messages[-1]["role"] == "assistant":
            client = copy.copy(client)
            client.extra = {**client.extra, **_GOING_ON}
        return client.stream(messages, tools)


def _as_trained(chat: Chat, frame: Frame) -> list[dict[str, Any]]:
    """The parts of a message that show a frame as in training: of the size that the processor
    leaves alone, behind their markers.

    Raises:
        UsageError: the frame has no pixels.
    """
    from calipers.model.hugging import opening

    if frame.rgb is None:
        raise UsageError("the frame has no pixels to show")
    pictures = chat.pictures(frame)
    left = iter(pictures)
    parts = opening(len(pictures))
    return [picture_of(next(left)) if part["type"] == "image" else part for part in parts]


def picture_of(pixels: Any) -> dict[str, Any]:
    """The part of a message that shows (H, W, 3) uint8 pixels, or a picture, exactly.

    Raises:
        UsageError: there are none.
    """
    from PIL import Image

    if pixels is None:
        raise UsageError("the frame has no pixels to show")
    out = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, format="PNG", compress_level=1)
    return picture(out.getvalue(), "image/png")
