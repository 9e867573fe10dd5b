"""What comes to the chat endpoint: requests of the OpenAI protocol, and their pictures.

https://platform.openai.com/docs/api-reference/chat/create, and one field of our own::

    "calipers": {"depth": "data:…;base64,…", "record": {"intrinsics": …}, "depth_tool": "text"}

`depth` belongs to the last picture; `record` has the fields of an upload to the measuring tools.
"""

from __future__ import annotations

import binascii
import io
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from calipers.chat import Message
from calipers.errors import Skip
from calipers.io.images import Picture, decode_picture
from calipers.model.speakers import FRAME, Tuning, shown
from calipers.tools import Session, ToolError
from calipers.tools.admitting import stated_size
from calipers.tools.store import Limits
from calipers.tools.table import faults
from calipers.tools.uploading import open_upload, upload_folder
from calipers.types import Frame

MOST_PICTURES = 16
HARMLESS = frozenset(
    {
        *("user", "metadata", "store", "service_tier", "parallel_tool_calls"),
        *("safety_identifier", "prompt_cache_key"),
    }
)
"""Fields that change no answer."""
_NOTHING: tuple[Any, ...] = (None, 0, False, [], {}, {"type": "text"}, "auto")
"""What a field holds that asks for nothing."""
_NEUTRAL: Mapping[str, Any] = {
    "modalities": ["text"],
    "repetition_penalty": 1,
    "length_penalty": 1,
    "best_of": 1,
    "top_k": -1,
}
"""Field → what it holds besides, when it asks for nothing."""
MOST_CHOICES = 16


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Url(_Open):
    """Where a picture is."""

    url: str


class TextPart(_Open):
    """A part of a message that is text."""

    type: Literal["text"]
    text: str


class PicturePart(_Open):
    """A part of a message that is a picture."""

    type: Literal["image_url"]
    image_url: Url


Part = Annotated[TextPart | PicturePart, Field(discriminator="type")]


class Turn(_Open):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], Field(max_length=256)] | None = None


class StreamOptions(_Open):
    """What a stream holds besides."""

    include_usage: bool = False


class Own(BaseModel):
    """The field of our own."""

    model_config = ConfigDict(extra="forbid")

    depth: str | None = None
    record: dict[str, Any] = {}
    depth_tool: Literal["none", "text", "native"] | None = None


class ChatRequest(_Open):
    """A request for one turn of a model; fields that are not named here go on to an endpoint."""

    model: str
    messages: Annotated[list[Turn], Field(min_length=1, max_length=1024)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    max_completion_tokens: Annotated[int, Field(gt=0)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Annotated[int, Field(gt=0, le=MOST_CHOICES)] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    tool_choice: Any = None
    calipers: Own = Own()

    def tuning(self, most_tokens: int, choice: int = 0) -> Tuning:
        """How the model is to write a choice; greedy where nothing is said, or no other allowed."""
        wanted = self.max_completion_tokens or self.max_tokens or most_tokens
        return Tuning(
            temperature=0.0 if self.top_p == 0 else self.temperature or 0.0,
            top_p=self.top_p or 1.0,
            max_tokens=min(wanted, most_tokens),
            seed=(self.seed or 0) + choice,
        )

    def extra(self) -> dict[str, Any]:
        """Fields that an endpoint may know."""
        chosen = {} if self.tool_choice is None else {"tool_choice": self.tool_choice}
        return {**(self.model_extra or {}), **chosen}

    def offered(self) -> list[dict[str, Any]]:
        """The client's tools, where a model on this machine may call them."""
        return [] if self.tool_choice == "none" else self.tools or []

    def check_local(self) -> None:
        """Refuse what a model on this machine would not do as asked.

        Raises:
            ToolError: ``unsupported_parameter``.
        """
        asked = self.extra() | {"n": None if self.n == 1 else self.n}
        if self.tool_choice == "none":
            del asked["tool_choice"]
        for name, value in asked.items():
            nothing = value in _NOTHING or value == _NEUTRAL.get(name)
            if name not in HARMLESS and not nothing:
                raise ToolError("unsupported_parameter", f"{name[:80]}: not known to this model")


@dataclass(frozen=True, slots=True)
class Fetching:
    """From which hosts pictures may be fetched; none by default.

    Attributes:
        hosts: "example.org" or "example.org:8080", as it stands in the URL.
        seconds: for one picture.
    """

    hosts: frozenset[str] = frozenset()
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request whose pictures were let in.

    Attributes:
        messages: with frames for pictures.
        session: measures in the last one; None where no depth came.
    """

    messages: list[Message]
    session: Session | None


def admit(
    request: ChatRequest, limits: Limits, fetching: Fetching = Fetching(), pixels: bool = True
) -> Conversation:
    """Let the pictures of a request in.

    Args:
        request: what was asked.
        limits: of pixels and bytes.
        fetching: from where pictures may be fetched.
        pixels: whether they are decoded, or only proved whole.

    Raises:
        ToolError: what is wrong with which of them.
    """
    messages: list[Message] = []
    frames: list[dict[str, Any]] = []
    for turn in request.messages:
        said = turn.model_dump(exclude_none=True)
        parts = turn.content if isinstance(turn.content, list) else []
        for place, part in enumerate(parts):
            if isinstance(part, PicturePart):
                if len(frames) >= MOST_PICTURES:
                    raise ToolError("too_large", f"wanted at most {MOST_PICTURES} pictures")
                frames.append(_admitted(part.image_url.url, len(frames), limits, fetching, pixels))
                said["content"][place] = frames[-1]
        if "content" not in said:
            said["content"] = None
        messages.append(said)
    return Conversation(messages, _measured(frames, request.calipers, limits))


def _admitted(
    url: str, number: int, limits: Limits, fetching: Fetching, pixels: bool
) -> dict[str, Any]:
    """The part of a message with one picture."""
    name = f"picture {number + 1}"
    if url.startswith("data:"):
        data, kept = decoded(url, name), url
    else:
        data, kept = _fetched(url, name, limits, fetching), None
    found = _picture(data, name, limits, pixels or kept is None)
    width, height = found.size_wh
    return shown(Frame(name, name, width, height, rgb=found.rgb), kept)


def decoded(url: str, name: str) -> bytes:
    """The bytes of a data URL.

    Raises:
        ToolError: ``bad_picture``.

    >>> decoded("data:image/png;base64,YWJj", "it")
    b'abc'
    """
    head, comma, body = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise ToolError("bad_picture", f"{name}: wanted data:…;base64,…")
    try:
        return b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ToolError("bad_picture", f"{name}: not base64 ({error})") from error


def _picture(data: bytes, name: str, limits: Limits, pixels: bool) -> Picture:
    """Look at a picture's header, then prove it whole."""
    try:
        width, height = stated_size(io.BytesIO(data))
        if width * height > limits.pixels:
            wanted = f"wanted at most {limits.pixels} pixels, got {width * height}"
            raise ToolError("too_large", f"{name}: {wanted}")
        return decode_picture(io.BytesIO(data), name, pixels=pixels)
    except Skip as skip:
        code = "too_large" if skip.reason == "decompression_bomb" else "bad_picture"
        raise ToolError(code, skip.detail) from skip
    except (ValueError, EOFError) as error:
        raise ToolError("bad_picture", f"{name}: {error}") from error


def _fetched(url: str, name: str, limits: Limits, fetching: Fetching) -> bytes:
    """Fetch a picture from a host that is allowed; redirects are not followed."""
    import httpx2

    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ToolError("bad_picture", f"{name}: {error}") from error
    host = parsed.netloc.decode("ascii", "replace").rpartition("@")[2]
    if parsed.scheme not in ("http", "https") or host not in fetching.hosts:
        raise ToolError("remote_picture", f"{name}: not fetched; send it as a data: URL")
    data = bytearray()
    try:
        with httpx2.stream("GET", url, timeout=fetching.seconds, trust_env=False) as response:
            if response.status_code != 200:
                raise ToolError("bad_picture", f"{name}: its host said {response.status_code}")
            for block in response.iter_bytes():
                data += block
                if len(data) > limits.upload_bytes:
                    raise ToolError(
                        "too_large", f"{name}: of more than {limits.upload_bytes} bytes"
                    )
    except httpx2.HTTPError as error:
        raise ToolError("bad_picture", f"{name}: not fetched ({type(error).__name__})") from error
    return bytes(data)


def _measured(frames: Sequence[dict[str, Any]], own: Own, limits: Limits) -> Session | None:
    """Put depth to the last picture, and open what measures in it."""
    if own.depth is None:
        return None
    if not frames:
        raise ToolError("bad_request", "depth: wanted a picture that it belongs to")
    frame: Frame = frames[-1][FRAME]
    with upload_folder() as folder:
        (folder / "depth").write_bytes(decoded(own.depth, "depth"))
        session = open_upload(folder, json.dumps(own.record).encode(), limits)
    if session.places.size_wh != (frame.width, frame.height):
        sizes = f"{session.places.size_wh} and {(frame.width, frame.height)}"
        raise ToolError("bad_record", f"depth and picture differ in size: {sizes}")
    found = session.places.frame
    assert found is not None
    frames[-1][FRAME] = replace(found, id=frame.id, image=frame.image, rgb=frame.rgb)
    return session


def parse_request(body: bytes) -> ChatRequest:
    """Read a request.

    Raises:
        ToolError: ``bad_request``, which field and why.
    """
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise ToolError("bad_request", faults(error)) from error
