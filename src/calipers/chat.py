"""Ask a chat model at an OpenAI-compatible endpoint: messages in; text, tool calls, tokens out.

Speaks ``POST /chat/completions`` as vLLM, Ollama, llama.cpp and hosted services do
(https://platform.openai.com/docs/api-reference/chat). What may pass (429, 500 to 504, time-outs,
broken connections and answers) is tried again after a wait that doubles, with jitter, or that the
server asks for; anything else is one line with the address and the status, never the key.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from types import MappingProxyType
from typing import Any, Self, TypeVar

import httpx2
import tenacity

from calipers.chat_wire import END, Gathered, StreamError, error_in, events, reply_of, retry_after_s
from calipers.chat_wire import Chat as Chat
from calipers.chat_wire import Message as Message
from calipers.chat_wire import Reply as Reply
from calipers.chat_wire import ToolCall as ToolCall
from calipers.chat_wire import picture as picture
from calipers.chat_wire import user as user
from calipers.errors import CalipersError, RunError, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request is tried again."""

_EVERY_REQUEST = frozenset({401, 402, 403, 404, 405, 407})
_LONGEST_WAIT_S = 120.0
_LARGEST_ANSWER = 8_000_000
_END: ContextVar[float] = ContextVar("end", default=math.inf)


@contextmanager
def until(end: float | None) -> Iterator[None]:
    """Give up on every request in the block, with its further tries, at a time.

    Args:
        end: of `time.monotonic`; None: no other than each client's own.
    """
    token = _END.set(min(_END.get(), math.inf if end is None else end))
    try:
        yield
    finally:
        _END.reset(token)


class ChatError(CalipersError):
    """One request got no answer that can be used.

    Attributes:
        status: the HTTP status; None when it was not what failed.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status

    def __reduce__(self) -> tuple[type[ChatError], tuple[str, int | None]]:
        return type(self), (str(self), self.status)


class EndpointError(ChatError, RunError):
    """The next request would fail as well: no server there, wrong key, address or model."""


class UnusableError(ChatError):
    """The model answered, and not with what was asked for; the text says what is wrong with it."""


class _PassingError(Exception):
    """A failure that may be gone at the next try.

    Attributes:
        lasting: what it is when it is not gone after the last try.
    """

    def __init__(
        self,
        text: str,
        status: int | None = None,
        wait_s: float | None = None,
        lasting: type[ChatError] = ChatError,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.wait_s = wait_s
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used so far.

    Attributes:
        answers: answers received and counted.
        unstated: those of them whose tokens the server did not state; they count as none.
        retries: requests that had to be sent again.
        tokens_in, tokens_out: as the server states them.
        cost: in the currency of the prices; None without prices.

    >>> print(Usage(2, 0, 1, 1000, 20, 0.0031))
    2 answers, 1 sent again, 1,000 tokens in, 20 out, cost 0.0031
    """

    answers: int = 0
    unstated: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None

    def __str__(self) -> str:
        text = (
            f"{self.answers:,} answers, {self.retries:,} sent again, "
            f"{self.tokens_in:,} tokens in, {self.tokens_out:,} out"
        )
        text += f" (not stated for {self.unstated:,})" if self.unstated else ""
        return text if self.cost is None else f"{text}, cost {self.cost:.4g}"


def in_parallel(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> list[Result]:
    """Apply `function` to every item, `threads` at a time; results in order.

    When one raises, the others are still finished and the first error is raised; after an
    `EndpointError` nothing more is begun.
    """
    with ThreadPoolExecutor(max_workers=threads) as pool:
        futures = [pool.submit(function, item) for item in items]
        for done in as_completed(futures):
            if not done.cancelled() and isinstance(done.exception(), EndpointError):
                for future in futures:
                    future.cancel()
    return [future.result() for future in sorted(futures, key=Future.cancelled)]


@dataclass(kw_only=True)
class ChatClient:
    """A model at an endpoint. One client may be used by many threads.

    Args:
        model: the model's name at the endpoint.
        base_url: up to and with ``/v1``; None takes the environment's ``OPENAI_BASE_URL``.
        api_key_env: environment variable with the key. The default may be unset (local servers).
        timeout_s: for one try, from sending to the last byte of the answer.
        attempts: tries of one request, the first included.
        first_wait_s: the longest wait before the second try; doubles from try to try.
        price_in, price_out: per million tokens; the cost is counted when either is given.
        max_tokens, seed: of one answer. The temperature is 0.
        extra: more fields of the request; None takes a field out, as some hosted models want it
            (``{"max_tokens": None, "max_completion_tokens": 500, "temperature": None}``).

    Raises:
        UsageError: an option that cannot be meant, or no address.
    """

    model: str
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 120.0
    attempts: int = 5
    first_wait_s: float = 0.5
    price_in: float | None = None
    price_out: float | None = None
    max_tokens: int = 512
    seed: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check()
        self._url = _address(self.base_url or os.environ.get("OPENAI_BASE_URL"))
        self._key = _key(self.api_key_env)
        self._used, self._lock = Usage(), threading.Lock()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx2.Limits(max_connections=None)
        self._http = httpx2.Client(headers=headers, limits=limits)

    def _check(self) -> None:
        if not self.model:
            raise UsageError("an endpoint needs the model's name as the endpoint knows it")
        for name in ("timeout_s", "attempts", "max_tokens"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}: wanted more than 0, got {getattr(self, name)}")
        for name in ("first_wait_s", "price_in", "price_out"):
            if (getattr(self, name) or 0) < 0:
                raise UsageError(f"{name}: wanted 0 or more, got {getattr(self, name)}")

    @property
    def address(self) -> str:
        """Where requests are posted to."""
        return self._url

    @property
    def usage(self) -> Usage:
        """What all answers so far used together."""
        with self._lock:
            used = self._used
        if self.price_in is None and self.price_out is None:
            return used
        price = used.tokens_in * (self.price_in or 0) + used.tokens_out * (self.price_out or 0)
        return replace(used, cost=price / 1e6)

    def complete(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Reply:
        """Send a conversation and wait for the answer.

        Args:
            messages: the conversation so far.
            tools: functions that the model may call, as JSON schemas of the protocol.

        Raises:
            ChatError: no answer, or none that follows the protocol.
            EndpointError: and the next request would fail as well.
        """
        return self._again(self._try, self._body(messages, tools))

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """Send a conversation and yield the answer's text as it comes; the whole is returned.

        What may pass is tried again until the answer has begun. Closing the generator hangs up, so
        the server stops. A server that does not stream gives one piece.

        Args:
            messages: the conversation so far.
            tools: as of `complete`.

        Raises:
            ChatError: no answer, none that follows the protocol, or one that broke off.
            EndpointError: and the next request would fail as well.
        """
        asked = {"stream": True, "stream_options": {"include_usage": True}}
        response, chunks = self._again(self._begin, self._body(messages, tools, asked))
        try:
            if "event-stream" not in response.headers.get("content-type", ""):
                reply = self._whole(b"".join(chunks), response.headers)
                yield reply.text
            else:
                reply = yield from self._gathered(chunks)
        except _PassingError as error:
            text = self._without_key(f"{self._url}: {error}")
            raise error.lasting(text, error.status) from error
        except GeneratorExit:
            self._count(answers=1, unstated=1)
            raise
        finally:
            response.close()
        self._count_answer(reply)
        return reply

    def _again(
        self, attempt: Callable[[Mapping[str, Any]], Result], body: dict[str, Any]
    ) -> Result:
        """Try until it succeeds, or fails for good."""
        retrying = tenacity.Retrying(
            stop=self._stops,
            retry=tenacity.retry_if_exception_type(_PassingError),
            wait=self._wait_s,
            before_sleep=lambda _: self._count(retries=1),
            reraise=True,
        )
        try:
            found: Result = retrying(attempt, body)
        except _PassingError as error:
            made = retrying.statistics["attempt_number"]
            tries = "1 try" if made == 1 else f"{made} tries"
            text = self._without_key(f"{self._url}: {error} ({tries})")
            raise error.lasting(text, error.status) from error.__cause__
        return found

    def ask(self, messages: Sequence[Message], check: Callable[[Reply], Result]) -> Result:
        """Send a conversation and take from the answer what `check` makes of it.

        An answer that cannot be used is shown to the model with what is wrong with it, once.

        Args:
            messages: the conversation so far.
            check: raises `UnusableError` with the reason, as the end of "It cannot be used: ".

        Raises:
            UnusableError: the second answer cannot be used either.
            ChatError: no answer.
        """
        reply = self.complete(messages)
        try:
            return check(reply)
        except UnusableError as error:
            said = {"role": "assistant", "content": reply.text[:500] or "(nothing)"}
            wish = user(f"Your answer cannot be used: {error}. Please answer again.")
        second = self.complete([*messages, said, wish])
        try:
            return check(second)
        except UnusableError as error:
            raise UnusableError(f"{self.model} said {second.text[:80]!r}: {error}") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _body(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        more: Mapping[str, Any] = MappingProxyType({"stream": False}),
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(messages),
            "temperature": 0,
            "seed": self.seed,
            "max_tokens": self.max_tokens,
            **more,
        }
        if tools:
            body["tools"] = list(tools)
        return {k: v for k, v in {**body, **self.extra}.items() if v is not None}

    def _try(self, body: Mapping[str, Any]) -> Reply:
        response, chunks = self._begin(body)
        try:
            reply = self._whole(b"".join(chunks), response.headers)
        finally:
            response.close()
        self._count_answer(reply)
        return reply

    def _begin(self, body: Mapping[str, Any]) -> tuple[httpx2.Response, Iterator[bytes]]:
        """Send a request: a good answer that has begun to come, to be closed after use."""
        start = time.monotonic()
        seconds = min(self.timeout_s, max(_END.get() - start, 0.001))
        timeout = httpx2.Timeout(seconds, connect=min(seconds, 10.0))
        with self._passing(seconds):
            request = self._http.build_request("POST", self._url, json=body, timeout=timeout)
            response = self._http.send(request, stream=True)
        with ExitStack() as stack:
            stack.callback(response.close)
            chunks = self._chunks(response, start, seconds)
            self._check_status(response, chunks)
            first = next(chunks, b"")
            stack.pop_all()  # stays open
        return response, chain([first], chunks)

    def _check_status(self, response: httpx2.Response, chunks: Iterator[bytes]) -> None:
        if response.status_code != 200:
            raise self._failure(response.status_code, response.headers, b"".join(chunks))

    def _chunks(self, response: httpx2.Response, start: float, seconds: float) -> Iterator[bytes]:
        """The bytes of an answer as they come, up to a time and a size."""
        size = 0
        with self._passing(seconds):
            for chunk in response.iter_bytes():
                size += len(chunk)
                if time.monotonic() > start + seconds:
                    raise _PassingError(f"no whole answer in {seconds:.3g} s")
                if size > _LARGEST_ANSWER:
                    raise ChatError(f"{self._url}: an answer of more than 8 MB")
                yield chunk

    @contextmanager
    def _passing(self, seconds: float) -> Iterator[None]:
        """Turn what the connection raises into what may be tried again."""
        try:
            yield
        except httpx2.TimeoutException as error:
            raise _PassingError(f"no answer in {seconds:.3g} s") from error
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            lasting = EndpointError if isinstance(error, httpx2.ConnectError) else ChatError
            raise _PassingError(str(error) or type(error).__name__, lasting=lasting) from error

    def _gathered(self, chunks: Iterator[bytes]) -> Generator[str, None, Reply]:
        """The text of a streamed answer as it comes, and the whole."""
        answer, ended = Gathered(), False
        for event in events(chunks):
            if event == END:
                ended = True
                break
            try:
                text = answer.take(event)
            except StreamError as error:
                raise _PassingError(str(error), 200) from error
            if text:
                yield text
        if not ended and answer.finish_reason is None:
            raise _PassingError("the answer broke off", 200)
        return answer.reply

    def _whole(self, content: bytes, headers: httpx2.Headers) -> Reply:
        return _parse(content, headers.get("content-type", ""), self._url)

    def _count_answer(self, reply: Reply) -> None:
        self._count(
            answers=1,
            unstated=int(reply.tokens_in is None and reply.tokens_out is None),
            tokens_in=reply.tokens_in or 0,
            tokens_out=reply.tokens_out or 0,
        )

    def _failure(self, status: int, headers: httpx2.Headers, content: bytes) -> Exception:
        said = self._without_key(error_in(content))
        text = f"status {status}" + (f": {said}" if said else "")
        if status not in PASSING:
            every = status in _EVERY_REQUEST or 300 <= status < 400
            return (EndpointError if every else ChatError)(f"{self._url}: {text}", status)
        wait_s = retry_after_s(headers.get("retry-after"))
        if wait_s is not None and wait_s > _LONGEST_WAIT_S:
            return ChatError(f"{self._url}: {text} (asks to wait {wait_s:.0f} s)", status)
        return _PassingError(text, status, wait_s)

    def _stops(self, state: tenacity.RetryCallState) -> bool:
        """Whether there is no further try, or no time for it."""
        late = time.monotonic() + state.upcoming_sleep >= _END.get()
        return late or state.attempt_number >= self.attempts

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        doubling = tenacity.wait_random_exponential(multiplier=self.first_wait_s, max=30)
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait_s if isinstance(error, _PassingError) else None
        jitter = float(doubling(state))
        return jitter if asked is None else asked + min(jitter, 1.0)

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _count(self, **more: int) -> None:
        with self._lock:
            sums = {name: getattr(self._used, name) + value for name, value in more.items()}
            self._used = replace(self._used, **sums)


CLIENT_OPTIONS = frozenset(item.name for item in fields(ChatClient)) - {"model"}
"""Names of the options that a `ChatClient` takes beside the model."""


def _address(base_url: str | None) -> str:
    """The address to post to; it may hold no user name or key, since it is shown."""
    if not base_url:
        raise UsageError(
            "no endpoint: give base_url or set OPENAI_BASE_URL, for example "
            "http://localhost:8000/v1 (vLLM), http://localhost:11434/v1 (Ollama)"
        )
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise UsageError(f"base_url: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(f"base_url: wanted http://… or https://…, got {base_url!r}")
    if url.userinfo or url.query:
        raise UsageError("base_url: wanted no user name, password or '?'; the key has api_key_env")
    return f"{base_url.rstrip('/')}/chat/completions"


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key and variable != "OPENAI_API_KEY":
        raise UsageError(f"api_key_env: the environment variable {variable} is not set")
    if not key.isascii() or not key.isprintable():
        raise UsageError(f"the key in {variable} has signs that no HTTP header may hold")
    return key


def _parse(content: bytes, media: str, url: str) -> Reply:
    try:
        body = json.loads(content)
    except ValueError as error:
        if media and "json" not in media:
            raise EndpointError(
                f"{url}: answered {media.split(';')[0]}, wanted JSON: is base_url right?"
            ) from error
        raise _PassingError("the answer is broken JSON", 200) from error
    try:
        return reply_of(body)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise _PassingError(f"no chat answer but {error_in(content)}", 200) from error
