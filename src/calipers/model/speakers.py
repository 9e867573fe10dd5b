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
from typing import Any, Protocol, Self

from calipers.chat import ChatClient, Message, Reply, picture
from calipers.depth_codec import RANGE_M, encode
from calipers.errors import UsageError
from calipers.tools.protocol import Backend, ChatBackend
from calipers.types import Frame

Asked = tuple[Frame, str]
FRAME = "calipers_frame"
"""The type of a message's part that is a frame."""


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
    """

    name: str
    threads: int
    taught: bool

    def tuned(self, tuning: Tuning, extra: Mapping[str, Any]) -> Self:
        """The same model, writing otherwise; `extra` are more fields of an endpoint's request."""
        ...

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """Yield the text of the next turn as it comes, and return the whole."""
        ...

    def going_on(self, messages: Sequence[Message]) -> Backend:
        """What continues the answer to a conversation from any point of it."""
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


def load(
    model: str,
    *,
    base_url: str | None = None,
    device: str | None = None,
    see: str | None = None,
    codec: str = "log8",
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
        **client: more options of a `calipers.chat.ChatClient`.

    Raises:
        UsageError: there is no such model, or an option that cannot be meant.
        MissingExtraError, MissingWeightsError: what a model on this machine needs is not there.
    """
    if see not in (None, "rgb", "rgbd"):
        raise UsageError(f"see: wanted rgb or rgbd, got {see!r}")
    if codec not in RANGE_M:
        raise UsageError(f"codec: wanted {', '.join(RANGE_M)}, got {codec!r}")
    if base_url is not None:
        return Endpoint(ChatClient(model=model, base_url=base_url, **client), see or "rgb", codec)
    from calipers.experts.torch_runtime import require

    require("torch", "a model on this machine")
    require("transformers", "a model on this machine")
    if not Path(model).exists() and Path(model).is_absolute():
        raise UsageError(f"no such model: {model}")
    from calipers.model.speaking import load_local

    return load_local(model, device, see, codec)


class Endpoint:
    """A model at an OpenAI-compatible endpoint.

    Args:
        client: how it is reached.
        see: "rgb", or "rgbd" to send packed depth as a second picture.
        codec: how depth is packed.
        threads: requests under way at once.
    """

    taught = False

    def __init__(
        self, client: ChatClient, see: str = "rgb", codec: str = "log8", threads: int = 8
    ) -> None:
        self.client, self.see, self.codec, self.threads = client, see, codec, threads
        self.name = client.model

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

    def going_on(self, messages: Sequence[Message]) -> Backend:
        """Send the answer so far back to be gone on with."""
        return ChatBackend(self.client, self.wire(messages))

    def texts(self, asked: Sequence[Asked], temperature: float) -> list[str] | None:
        """None: each question is a request of its own."""
        return None

    def wire(self, messages: Sequence[Message]) -> list[Message]:
        """Messages as the protocol has them: frames become pictures."""
        return [self._message(message) for message in messages]

    def _message(self, message: Message) -> Message:
        content = message.get("content")
        if not isinstance(content, list):
            return message
        parts: list[Any] = []
        for part in content:
            parts += self._pictures(part) if part["type"] == FRAME else [part]
        return {**message, "content": parts}

    def _pictures(self, part: Mapping[str, Any]) -> list[dict[str, Any]]:
        frame: Frame = part[FRAME]
        url = part["url"]
        rgb = {"type": "image_url", "image_url": {"url": url}} if url else picture_of(frame.rgb)
        if self.see == "rgb" or frame.depth_m is None:
            return [rgb]
        depth = picture_of(encode(frame.depth_m, self.codec, "clip"))
        said = [{"type": "text", "text": marker} for marker in ("RGB: ", "Depth: ")]
        return [said[0], rgb, said[1], depth]


def picture_of(pixels: Any) -> dict[str, Any]:
    """The part of a message that shows (H, W, 3) uint8 pixels, exactly.

    Raises:
        UsageError: there are none.
    """
    from PIL import Image

    if pixels is None:
        raise UsageError("the frame has no pixels to show")
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG", compress_level=1)
    return picture(out.getvalue(), "image/png")
