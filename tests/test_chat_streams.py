"""Streamed answers of the chat client, against a real server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calipers.chat import ChatClient, ChatError, Reply, ToolCall, Usage, user
from calipers.chat_wire import END, Gathered, StreamError, events
from chat_server import Server, event, failed, said, serving, streamed

HELLO = [user("hello")]


def client(server: Server, timeout_s: float = 60.0) -> ChatClient:
    return ChatClient(
        model="m", base_url=server.url, first_wait_s=0.01, attempts=3, timeout_s=timeout_s
    )


def whole(pieces: Generator[str, None, Reply]) -> tuple[list[str], Reply]:
    """The pieces of a streamed answer, and what it returned."""
    texts = []
    while True:
        try:
            texts.append(next(pieces))
        except StopIteration as end:
            return texts, end.value


def test_a_streamed_answer_comes_in_pieces() -> None:
    with serving([streamed("1.3", " m", " away")]) as server, client(server) as chat:
        texts, reply = whole(chat.stream(HELLO))
    assert texts == ["1.3", " m", " away"]
    assert reply == Reply("1.3 m away", (), None, "stop", 1000, 20)
    assert server.asked[0].body["stream"] is True
    assert server.asked[0].body["stream_options"] == {"include_usage": True}
    assert chat.usage == Usage(answers=1, tokens_in=1000, tokens_out=20)


def test_the_first_piece_is_there_before_the_last_is_sent() -> None:
    act = streamed("now", *["x"] * 50, pause_s=0.1)
    with serving([act]) as server, client(server) as chat:
        pieces = chat.stream(HELLO)
        assert next(pieces) == "now"
        assert act.sent < 25
        pieces.close()
        deadline = time.monotonic() + 3
        while server._now and time.monotonic() < deadline:
            time.sleep(0.02)
    assert act.sent < 40  # the server saw that nobody listens
    assert chat.usage == Usage(answers=1, unstated=1)


def test_tool_calls_come_in_pieces() -> None:
    def part(index: int, **more: Any) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, **more}]}

    act = streamed(
        {"role": "assistant", "content": None},
        part(0, id="c1", type="function", function={"name": "gap", "arguments": ""}),
        part(0, function={"arguments": '{"a": 0,'}),
        part(0, function={"arguments": ' "b": 1}'}),
        part(1, id="c2", type="function", function={"name": "locate", "arguments": "{}"}),
        finish="tool_calls",
    )
    with serving([act]) as server, client(server) as chat:
        texts, reply = whole(chat.stream(HELLO))
    assert texts == []
    assert reply.tool_calls == (
        ToolCall("c1", "gap", '{"a": 0, "b": 1}'),
        ToolCall("c2", "locate", "{}"),
    )
    assert reply.finish_reason == "tool_calls"


def test_calls_that_a_server_does_not_number() -> None:
    answer = Gathered()
    for part in ({"id": "a", "function": {"name": "gap"}}, {"function": {"arguments": "{}"}},
                 {"id": "b", "function": {"name": "size", "arguments": "[]"}}):  # fmt: skip
        answer.take(json.dumps({"choices": [{"delta": {"tool_calls": [part]}}]}).encode())
    assert answer.reply.tool_calls == (ToolCall("a", "gap", "{}"), ToolCall("b", "size", "[]"))


def test_a_server_that_does_not_stream_gives_one_piece() -> None:
    with serving([said("hi")]) as server, client(server) as chat:
        texts, reply = whole(chat.stream(HELLO))
    assert (texts, reply.text, reply.tokens_in) == (["hi"], "hi", 1000)


def test_a_stream_that_has_not_begun_is_tried_again() -> None:
    with serving([failed(503), streamed("hi")]) as server, client(server) as chat:
        assert whole(chat.stream(HELLO))[0] == ["hi"]
    assert chat.usage == Usage(answers=1, retries=1, tokens_in=1000, tokens_out=20)


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (b"", "the answer broke off"),
        (b'data: {"error": {"message": "out of memory"}}\n\n', "out of memory"),
        (b"data: [1]\n\n", "no event of a chat answer but [1]"),
        (b"data: {\n\n", "no event of a chat answer but {"),
        (b'data: {"choices": [{"delta": {"content": 5}}]}\n\n', "no event of a chat answer but"),
    ],
)
def test_a_stream_that_ends_badly(end: bytes, text: str) -> None:
    act = streamed()
    act.pieces = (event({"content": "half"}), *([end] if end else []))
    with serving([act]) as server, client(server) as chat:
        pieces = chat.stream(HELLO)
        assert next(pieces) == "half"
        with pytest.raises(ChatError, match=re.escape(text)):
            next(pieces)
    assert len(server.asked) == 1


def test_a_stream_has_a_time_limit() -> None:
    slow = serving([streamed(*"abcdefgh", pause_s=0.4)])
    with (
        slow as server,
        client(server, timeout_s=1.0) as chat,
        pytest.raises(ChatError, match="in 1 s"),
    ):
        whole(chat.stream(HELLO))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=8))
def test_events_do_not_depend_on_how_their_bytes_are_cut(cuts: list[int]) -> None:
    text = ': hi\r\n\r\ndata: {"a":\r\ndata: "\u2028x"}\r\n\r\nevent: e\ndata: 2\n\ndata: [DONE]'
    data = text.encode()
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    chunks = [data[a:b] for a, b in pairwise(ends)]
    assert list(events(chunks)) == ['{"a":\n"\u2028x"}'.encode(), b"2", END]


def test_an_event_that_is_an_error_says_so() -> None:
    with pytest.raises(StreamError, match="no such model"):
        Gathered().take(b'{"error": {"message": "no such model"}}')
