"""The words of the chat protocol: messages, and answers, whole or as a stream of events.

The form is that of https://platform.openai.com/docs/api-reference/chat; a stream is made of
server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

END = b"[DONE]"
"""The event after the last one."""


Message = Mapping[str, Any]
"""One message as the protocol writes it: ``role``, ``content``, perhaps ``tool_calls``."""


def picture(data: bytes, media: str = "image/jpeg") -> dict[str, Any]:
    """The part of a message that holds an encoded picture, as a data URL.

    >>> picture(b"abc", "image/png")
    {'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,YWJj'}}
    """
    url = f"data:{media};base64,{b64encode(data).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": url}}


def user(*parts: str | Mapping[str, Any]) -> Message:
    """A message of the user: texts and pictures, in order.

    >>> user("How far?")
    {'role': 'user', 'content': [{'type': 'text', 'text': 'How far?'}]}
    """
    content = [{"type": "text", "text": p} if isinstance(p, str) else dict(p) for p in parts]
    return {"role": "user", "content": content}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called; `arguments` is JSON as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        text: what the model says; "" when it only calls tools.
        tool_calls: calls to be made, in order.
        refusal: the service's own mark that the model declined; else None.
        finish_reason: "stop", "length", "tool_calls", "content_filter", …
        tokens_in, tokens_out: None where the server does not state them.
    """

    text: str
    tool_calls: tuple[ToolCall, ...]
    refusal: str | None
    finish_reason: str | None
    tokens_in: int | None
    tokens_out: int | None


class Chat(Protocol):
    """A model that answers a conversation; `calipers.chat.ChatClient` is one."""

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """Yield the text of the answer as it comes, and return the whole."""
        ...


class StreamError(ValueError):
    """An event that holds an error, or that is none of the protocol's."""


def reply_of(body: Any) -> Reply:
    """A whole answer.

    Raises:
        KeyError, IndexError, TypeError, AttributeError: it is no answer of the protocol.
    """
    choice = body["choices"][0]
    message, usage = choice["message"], body.get("usage") or {}
    calls = [(call["id"], call["function"]) for call in message.get("tool_calls") or ()]
    return Reply(
        text=_text(message.get("content")),
        tool_calls=tuple(ToolCall(i, f["name"], f["arguments"]) for i, f in calls),
        refusal=message.get("refusal") or None,
        finish_reason=choice.get("finish_reason"),
        tokens_in=_tokens(usage.get("prompt_tokens")),
        tokens_out=_tokens(usage.get("completion_tokens")),
    )


def error_in(content: bytes) -> str:
    """What an error's body says, in one line of at most 200 characters.

    >>> error_in(b'{"error": {"message": "no such model"}}')
    'no such model'
    """
    text = content[:4000].decode("utf-8", "replace")
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if isinstance(body, dict):
        error = body.get("error", body.get("detail", body.get("message", text)))
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"


def retry_after_s(value: str | None) -> float | None:
    """Seconds from a Retry-After header (RFC 9110, 10.2.3): a number, or a date.

    >>> retry_after_s("7")
    7.0
    """
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def events(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The data of each event of a stream, however its bytes were cut.

    >>> list(events([b": hi\\n\\ndata: {", b"}\\r\\n\\r\\ndata:[DONE]\\n", b"\\n"]))
    [b'{}', b'[DONE]']
    """
    data: list[bytes] = []
    for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data.clear()
    if data:
        yield b"\n".join(data)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = bytearray()
    for chunk in chunks:
        rest += chunk
        *whole, last = rest.split(b"\n") if b"\n" in chunk else [rest]
        yield from (bytes(line).removesuffix(b"\r") for line in whole)
        rest = bytearray(last) if whole else rest
    yield bytes(rest)


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Gathered:
    """A streamed answer, as far as it has come.

    >>> answer = Gathered()
    >>> answer.take(b'{"choices": [{"delta": {"content": "1.3 m"}}]}')
    '1.3 m'
    >>> answer.take(b'{"choices": [{"delta": {}, "finish_reason": "stop"}]}')
    ''
    >>> answer.reply.text, answer.reply.finish_reason
    ('1.3 m', 'stop')
    """

    texts: list[str] = field(default_factory=list)
    calls: dict[Any, _Call] = field(default_factory=dict)
    refusal: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)

    def take(self, event: bytes) -> str:
        """Add an event; what it says.

        Raises:
            StreamError: it holds an error, or is none of the protocol's.
        """
        try:
            body = json.loads(event)
            if body.get("error"):
                raise StreamError(error_in(event))
            self.usage = body.get("usage") or self.usage
            choices = body.get("choices") or ()
            return self._choice(choices[0]) if choices else ""
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, StreamError):
                raise
            raise StreamError(f"no event of a chat answer but {error_in(event)}") from error

    def _choice(self, choice: dict[str, Any]) -> str:
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        delta = choice.get("delta") or {}
        self.refusal += delta.get("refusal") or ""
        for part in delta.get("tool_calls") or ():
            self._call(part)
        text = _text(delta.get("content"))
        self.texts.append(text)
        return text

    def _call(self, part: dict[str, Any]) -> None:
        """Add to a call: by its number; where a server does not number them, its id or the last."""
        key = part.get("index", part.get("id") or next(reversed(self.calls), None))
        call = self.calls.setdefault(key, _Call())
        function = part.get("function") or {}
        call.id = part.get("id") or call.id
        name = function.get("name") or ""
        call.name += "" if name == call.name else name  # llama-cpp-python says it in every event
        call.arguments += function.get("arguments") or ""

    @property
    def reply(self) -> Reply:
        """The answer."""
        calls = enumerate(self.calls.values())
        return Reply(
            text="".join(self.texts),
            tool_calls=tuple(
                ToolCall(c.id or f"call-{place}", c.name, c.arguments) for place, c in calls
            ),
            refusal=self.refusal or None,
            finish_reason=self.finish_reason,
            tokens_in=_tokens(self.usage.get("prompt_tokens")),
            tokens_out=_tokens(self.usage.get("completion_tokens")),
        )


def _text(content: Any) -> str:
    """The text of a content that is a text, a list of parts, or null."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part["type"] == "text")


def _tokens(count: Any) -> int | None:
    return count if isinstance(count, int) and count >= 0 else None
