"""An OpenAI-compatible endpoint in front of a model, which it lets measure.

On Starlette and uvicorn, with the limits and the guard of the measuring tools' service. A turn runs
in a thread and is read to its end whatever the speed of the client; when the client hangs up, it is
stopped.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from calipers.chat import ChatError, Reply
from calipers.errors import UsageError
from calipers.model.speakers import Endpoint, Speaker
from calipers.serve.asking import DepthTool, Said, saying
from calipers.serve.requests import ChatRequest, Conversation, Fetching, admit, parse_request
from calipers.tools import ToolError
from calipers.tools.chatting import Budget, Called
from calipers.tools.service import guarded, run
from calipers.tools.store import Limits

_JSON = "application/json"
Pieces = Generator[str | Called, None, Said | Reply]


@dataclass(frozen=True, slots=True)
class Options:
    """How an endpoint runs.

    Attributes:
        host, port: where; port 0 takes a free one.
        token: what ``Authorization: Bearer`` must hold (the client's ``api_key``); None: nothing.
        depth_tool: how the model may measure, where a request does not say.
        max_tokens: most of one turn.
        budget: of the tool calls of one answer.
        fetching: from where pictures may be fetched.
        limits: of requests; `Limits.waiting` are turns that wait for the model.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    depth_tool: DepthTool = "none"
    max_tokens: int = 1024
    budget: Budget = field(default_factory=lambda: Budget(seconds=300))
    fetching: Fetching = field(default_factory=Fetching)
    limits: Limits = field(default_factory=Limits)


class _Turn:
    """A turn of the model, run in a thread of a pool; its pieces come to the event loop."""

    def __init__(self, pool: ThreadPoolExecutor, make: Callable[[], Pieces]) -> None:
        self.queue: asyncio.Queue[str | Called | None] = asyncio.Queue()
        self.loop, self.stopped = asyncio.get_running_loop(), threading.Event()
        self.future: Future[Said | Reply | None] = pool.submit(self._run, make)
        self.calls: list[Called] = []

    def _run(self, make: Callable[[], Pieces]) -> Said | Reply | None:
        try:
            return None if self.stopped.is_set() else self._pump(make())
        finally:
            self._hand(None)

    def _pump(self, pieces: Pieces) -> Said | Reply | None:
        try:
            while not self.stopped.is_set():
                try:
                    self._hand(next(pieces))
                except StopIteration as end:
                    found: Said | Reply = end.value
                    return found
        finally:
            pieces.close()
        return None

    def _hand(self, piece: str | Called | None) -> None:
        self.loop.call_soon_threadsafe(self.queue.put_nowait, piece)

    async def texts(self) -> AsyncIterator[str]:
        """What the model says; what it says after a call begins in a new paragraph."""
        said = called = False
        try:
            while (piece := await self.queue.get()) is not None:
                if isinstance(piece, Called):
                    self.calls.append(piece)
                    called = said
                elif piece:
                    yield f"\n\n{piece}" if called else piece
                    said, called = True, False
        finally:
            self.stopped.set()

    async def end(self) -> Said | Reply:
        """What it came to.

        Raises:
            ToolError: there is no answer.
        """
        try:
            found = await asyncio.wrap_future(self.future)
        except UsageError as error:
            raise ToolError("bad_request", str(error)) from error
        except ChatError as error:
            raise _explained(error) from error
        if found is None:
            raise ToolError("no_answer", "the turn was stopped")
        return found


def _explained(error: ChatError) -> ToolError:
    """Why there is no answer, without the address of an endpoint behind this one."""
    text = str(error).partition("/chat/completions: ")[2] or str(error)
    if error.status in (400, 413, 422):
        code = "context_length_exceeded" if "tokens" in text else "bad_request"
        return ToolError(code, text)
    if error.status == 429:
        return ToolError("busy", text)
    return ToolError("no_answer", f"the model gave no answer: {text}")


class _Service:
    """The endpoints, and what they share."""

    def __init__(self, speaker: Speaker, options: Options) -> None:
        self.speaker, self.options = speaker, options
        self.local = not isinstance(speaker, Endpoint)
        self.pool = ThreadPoolExecutor(max_workers=speaker.threads)
        self.decoding = CapacityLimiter(2)
        self.receiving, self.since = 0, int(time.time())
        self.pending: set[Any] = set()

    def routes(self) -> list[Route]:
        """Where the endpoints are."""
        return [
            Route("/health", self.health, methods=["GET"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{name:path}", self.model, methods=["GET"]),
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        """Tell that the service runs."""
        return _json({"status": "ok", "model": self.speaker.name, "turns": len(self.pending)})

    async def models(self, request: Request) -> Response:
        """The one model."""
        return _json({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        """A model by name."""
        self._check(request.path_params["name"])
        return _json(self._model())

    def _model(self) -> dict[str, Any]:
        name = self.speaker.name
        return {"id": name, "object": "model", "created": self.since, "owned_by": "calipers"}

    def _check(self, name: str) -> None:
        if name != self.speaker.name:
            text = f"no model {name[:80]!r}; there is {self.speaker.name}"
            raise ToolError("model_not_found", text)

    async def complete(self, request: Request) -> Response:
        """Let the model say its next turn."""
        if self.receiving >= self.options.limits.waiting:
            raise _busy()
        self._check_room(1)
        self.receiving += 1
        try:
            asked, turns = await self._begin(request)
        finally:
            self.receiving -= 1
        for turn in turns:
            self.pending.add(turn.future)
            turn.future.add_done_callback(self.pending.discard)
        if asked.stream:
            return await self._streamed(asked, turns)
        return await self._whole(request, turns)

    def _check_room(self, turns: int) -> None:
        """Whether as many more turns may wait; any number may where none does."""
        room = self.options.limits.waiting + self.speaker.threads - len(self.pending)
        if self.pending and turns > room:
            raise _busy()

    async def _begin(self, request: Request) -> tuple[ChatRequest, list[_Turn]]:
        asked = parse_request(await request.body())
        self._check(asked.model)
        if self.local:
            asked.check_local()
        pixels = self.local or self.speaker.taught  # others are sent the pictures as they came
        work = partial(admit, asked, self.options.limits, self.options.fetching, pixels)
        heard = await anyio.to_thread.run_sync(work, limiter=self.decoding)
        count = asked.n or 1
        self._check_room(count)
        say = [partial(self._saying, asked, heard, choice) for choice in range(count)]
        return asked, [_Turn(self.pool, one) for one in say]

    def _saying(self, asked: ChatRequest, heard: Conversation, choice: int) -> Pieces:
        tuned = self.speaker.tuned(asked.tuning(self.options.max_tokens, choice), asked.extra())
        if asked.tools:  # the client makes its calls itself
            return tuned.stream(heard.messages, asked.offered() if self.local else asked.tools)
        tool = asked.calipers.depth_tool or self.options.depth_tool
        return saying(tuned, heard.messages, heard.session, tool, self.options.budget)

    async def _whole(self, request: Request, turns: list[_Turn]) -> Response:
        try:
            heard = [await self._heard(request, turn) for turn in turns]
        finally:
            _stop(turns)
        found = [end for _, end in heard]
        choices = [_choice(k, *one) for k, one in enumerate(heard)]
        if len(turns) > 1:
            for choice, one in zip(choices, found):
                choice |= _measured(one)
        body = {"choices": choices, "usage": _usage(found)}
        own = _measured(found[0]) if len(turns) == 1 else {}
        return _json(self._head("chat.completion") | body | own)

    async def _heard(self, request: Request, turn: _Turn) -> tuple[str, Said | Reply]:
        """All that a turn says, while the client is there, and what it came to."""
        parts, looked = [], time.monotonic()
        async for text in turn.texts():
            parts.append(text)
            if time.monotonic() > looked + 0.2:
                looked = time.monotonic()
                if await request.is_disconnected():
                    break
        return "".join(parts).strip(), await turn.end()

    async def _streamed(self, asked: ChatRequest, turns: list[_Turn]) -> Response:
        """Begin a stream when there is something to stream; before, errors have a status."""
        texts = turns[0].texts()
        try:
            first = await anext(texts, None)
            if first is None:
                await turns[0].end()
        except BaseException:
            _stop(turns)
            raise
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        events = self._events(turns, texts, first, usage)
        return StreamingResponse(events, media_type="text/event-stream")

    async def _events(
        self, turns: list[_Turn], texts: AsyncIterator[str], first: str | None, usage: bool
    ) -> AsyncIterator[bytes]:
        head, found = self._head("chat.completion.chunk"), []
        try:
            for number, turn in enumerate(turns):
                said = {"role": "assistant", "content": "" if number else first or ""}
                yield _event(head, said, number)
                async for text in turn.texts() if number else texts:
                    yield _event(head, {"content": text}, number)
                found.append(await turn.end())
                for event in _ending(head, number, found[-1]):
                    yield event
        except ToolError as error:  # too late for a status
            yield b"data: " + error.problem.model_dump_json().encode() + b"\n\n"
            return
        finally:
            _stop(turns)
        if usage:
            yield b"data: " + _dumped(head | {"choices": [], "usage": _usage(found)}) + b"\n\n"
        yield b"data: [DONE]\n\n"

    def _head(self, kind: str) -> dict[str, Any]:
        name = f"chatcmpl-{secrets.token_hex(12)}"
        return {
            "id": name,
            "object": kind,
            "created": int(time.time()),
            "model": self.speaker.name,
        }


def _stop(turns: list[_Turn]) -> None:
    """Let those end that nobody listens to any more."""
    for turn in turns:
        turn.stopped.set()


def _busy() -> ToolError:
    return ToolError("busy", "too many turns at once; try again later")


def _choice(number: int, text: str, found: Said | Reply) -> dict[str, Any]:
    """One of the answers of a whole response."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if isinstance(found, Reply) and found.tool_calls:
        message |= {"tool_calls": _calls(found), "content": text or None}
    return {"index": number, "message": message, "finish_reason": _finish(found)}


def _ending(head: dict[str, Any], number: int, found: Said | Reply) -> Iterator[bytes]:
    """The last events of a turn."""
    if isinstance(found, Reply) and found.tool_calls:
        calls = [{"index": k, **call} for k, call in enumerate(_calls(found))]
        yield _event(head, {"tool_calls": calls}, number)
    yield _event(head, {}, number, _finish(found), **_measured(found))


def _event(
    head: dict[str, Any], delta: dict[str, Any], number: int, finish: str | None = None, **more: Any
) -> bytes:
    choice = {"index": number, "delta": delta, "finish_reason": finish}
    return b"data: " + _dumped({**head, "choices": [choice], **more}) + b"\n\n"


def _finish(found: Said | Reply) -> str:
    if isinstance(found, Reply):
        return found.finish_reason or "stop"
    return "length" if found.ended == "length" else "stop"


def _usage(found: Sequence[Said | Reply]) -> dict[str, int]:
    """Tokens of all turns."""
    read, written = (
        sum(getattr(one, name) or 0 for one in found) for name in ("tokens_in", "tokens_out")
    )
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _calls(found: Reply) -> list[dict[str, Any]]:
    return [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in found.tool_calls
    ]


def _measured(found: Said | Reply) -> dict[str, Any]:
    """The field of our own: what was measured, and the budget that ended it."""
    if not isinstance(found, Said) or not found.calls:
        return {}
    return {"calipers": {"calls": found.calls, "ended": found.ended}}


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _json(value: Any) -> Response:
    return Response(_dumped(value), media_type=_JSON)


def make_app(speaker: Speaker, options: Options) -> Starlette:
    """The endpoint as an ASGI application."""
    service = _Service(speaker, options)
    return guarded(service.routes(), options.limits, options.host, options.token)


def serve(
    speaker: Speaker, options: Options, announce: Callable[[str], None] | None = None
) -> None:
    """Serve a model until interrupted; turns under way are finished, for at most five seconds.

    Args:
        speaker: see `calipers.model.speakers.load`.
        options: where and how.
        announce: called with the service's address when it is ready.

    Raises:
        UsageError: the address cannot be used.
    """
    run(make_app(speaker, options), options.host, options.port, announce)
