"""The chat client against a real server that answers well, badly, slowly and not at all."""

from __future__ import annotations

import json
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from calipers.chat import (
    ChatClient,
    ChatError,
    EndpointError,
    Reply,
    ToolCall,
    UnusableError,
    Usage,
    in_parallel,
    until,
    user,
)
from calipers.chat_wire import retry_after_s
from calipers.errors import RunError, UsageError
from chat_server import Act, Server, failed, said, serving

HELLO = [user("hello")]
JSON = {"content-type": "application/json"}
KEY = "sk-not-to-be-shown"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def client(server: Server, **options: Any) -> ChatClient:
    return ChatClient(
        model="m", base_url=server.url, **{"first_wait_s": 0.01, "attempts": 3, **options}
    )


def error_of(server: Server, **options: Any) -> ChatError:
    with client(server, **options) as chat, pytest.raises(ChatError) as caught:
        chat.complete(HELLO)
    return caught.value


def test_sends_the_request_of_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving([said("hi")]) as server, client(server, max_tokens=9, seed=4) as chat:
        reply = chat.complete(HELLO)
    assert reply == Reply("hi", (), None, "stop", 1000, 20)
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "temperature": 0,
        "seed": 4,
        "max_tokens": 9,
        "stream": False,
    }


def test_a_local_server_gets_no_key() -> None:
    with serving([said("hi")]) as server, client(server) as chat:
        chat.complete(HELLO)
    assert "authorization" not in server.asked[0].headers


def test_extra_fields_are_added_and_none_takes_one_out() -> None:
    extra = {"seed": None, "temperature": 1, "chat_template_kwargs": {"enable_thinking": False}}
    with serving([said("hi")]) as server, client(server, extra=extra) as chat:
        chat.complete(HELLO)
    body = server.asked[0].body
    assert "seed" not in body
    assert body["temperature"] == 1
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_tools_go_out_and_calls_come_back() -> None:
    tool = {"type": "function", "function": {"name": "depth_at", "parameters": {}}}
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "depth_at", "arguments": '{"x": 0.5'},
    }
    script = [said(None, tool_calls=[call], finish_reason="tool_calls")]
    with serving(script) as server, client(server) as chat:
        reply = chat.complete(HELLO, [tool])
    assert server.asked[0].body["tools"] == [tool]
    assert reply.text == ""
    assert reply.tool_calls == (ToolCall("c1", "depth_at", '{"x": 0.5'),)
    assert reply.finish_reason == "tool_calls"


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "red "}, {"type": "text", "text": "mug"}]
    with serving([said(parts)]) as server, client(server) as chat:  # type: ignore[arg-type]
        assert chat.complete(HELLO).text == "red mug"


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    with serving([failed(status), failed(status), said("hi")]) as server, client(server) as chat:
        assert chat.complete(HELLO).text == "hi"
    assert len(server.asked) == 3
    assert chat.usage == Usage(answers=1, retries=2, tokens_in=1000, tokens_out=20)


def test_no_try_is_begun_after_the_time_of_the_block() -> None:
    script = [Act(said("late").body, headers=JSON, delay_s=5.0)] * 3
    start = time.monotonic()
    with serving(script) as server, until(start + 0.3), until(None):
        error = error_of(server)
    assert str(error).endswith(" s (1 try)")
    assert "no answer in 0." in str(error)
    assert time.monotonic() - start < 3
    with serving([failed(503), said("hi")]) as server, until(time.monotonic() + 20):
        assert client(server).complete(HELLO).text == "hi"
    with serving([failed(503, **{"retry-after": "9"})]) as server, until(time.monotonic() + 5):
        assert str(error_of(server)).endswith("(1 try)")
    assert time.monotonic() - start < 6


def test_gives_up_after_the_attempts_that_were_given() -> None:
    with serving([failed(503, "loading\n the  model")] * 3) as server:
        error = error_of(server)
    assert str(error) == f"{server.url}/chat/completions: status 503: loading the model (3 tries)"
    assert (error.status, type(error), len(server.asked)) == (503, ChatError, 3)


def test_waits_as_long_as_the_server_asks() -> None:
    script = [failed(429, **{"retry-after": "1"}), said("hi")]
    with serving(script) as server, client(server) as chat:
        assert chat.complete(HELLO).text == "hi"
    first, second = server.asked
    assert 1.0 <= second.at_s - first.at_s < 5


def test_a_wait_of_an_hour_is_an_error_at_once() -> None:
    with serving([failed(429, "quota", **{"retry-after": "3600"})]) as server:
        error = error_of(server)
    assert str(error).endswith("status 429: quota (asks to wait 3600 s)")
    assert len(server.asked) == 1


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=30), usegmt=True)
    assert retry_after_s("7") == 7.0
    assert 28 < (retry_after_s(soon) or 0) <= 30
    assert retry_after_s(past) == 0.0
    assert retry_after_s("soon") is None
    assert retry_after_s(None) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ChatError),
        (401, EndpointError),
        (403, EndpointError),
        (404, EndpointError),
        (413, ChatError),
        (422, ChatError),
    ],
)
def test_a_lasting_failure_is_one_line_without_the_key(
    status: int, kind: type[ChatError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", KEY)
    with serving([failed(status, f"bad {KEY}")]) as server:
        error = error_of(server, api_key_env="OTHER_KEY")
    assert str(error) == f"{server.url}/chat/completions: status {status}: bad ***"
    assert (error.status, type(error), len(server.asked)) == (status, kind, 1)


def test_a_redirect_is_not_followed() -> None:
    with serving([failed(307, "moved", location="http://127.0.0.1:9/v1")]) as server:
        error = error_of(server)
    assert (error.status, type(error)) == (307, EndpointError)


def test_a_late_answer_is_asked_for_again() -> None:
    slow = said("late")
    slow.delay_s = 4.0
    with serving([slow, said("hi")]) as server, client(server, timeout_s=1.5) as chat:
        assert chat.complete(HELLO).text == "hi"
    assert chat.usage.retries == 1


def test_a_dripping_answer_is_left() -> None:
    drip = Act(b" " * 200, headers=JSON, drip_s=0.1)
    start = time.monotonic()
    with serving([drip, drip]) as server:
        error = error_of(server, timeout_s=1.0, attempts=2)
        assert time.monotonic() - start < 10  # one of them whole would take 20 s
    assert str(error).endswith("no whole answer in 1 s (2 tries)")


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (Act(b'{"choices": [{"mess', headers=JSON), "the answer is broken JSON"),
        (Act(b"", headers=JSON), "the answer is broken JSON"),
        (Act(b"\xff\xfe", headers=JSON), "the answer is broken JSON"),
        (Act(b"[1, 2]", headers=JSON), "no chat answer but [1, 2]"),
        (Act(b'{"choices": []}', headers=JSON), 'no chat answer but {"choices": []}'),
        (Act(b'{"error": {"message": "busy"}}', headers=JSON), "no chat answer but busy"),
        (Act(b'{"choices": [{"message": null}]}', headers=JSON), "no chat answer but {"),
        (Act(said("hi").body, headers=JSON, short=True), ""),
    ],
)
def test_a_broken_answer_is_asked_for_again(broken: Act, text: str) -> None:
    with serving([broken, said("hi")]) as server, client(server) as chat:
        assert chat.complete(HELLO).text == "hi"
    with serving([broken] * 2) as server:
        error = error_of(server, attempts=2)
    assert text in str(error)
    assert str(error).endswith(" (2 tries)")
    assert len(server.asked) == 2


def test_a_web_page_is_an_error_at_once() -> None:
    page = Act(b"<html>Sign in</html>", headers={"content-type": "text/html; charset=utf-8"})
    with serving([page]) as server:
        error = error_of(server)
    assert str(error).endswith("answered text/html, wanted JSON: is base_url right?")
    assert type(error) is EndpointError


def test_json_of_a_wrong_content_type_is_taken() -> None:
    act = Act(said("hi").body, headers={"content-type": "text/plain"})
    with serving([act]) as server, client(server) as chat:
        assert chat.complete(HELLO).text == "hi"


def test_an_endless_answer_is_left() -> None:
    with serving([Act(b" " * 9_000_000, headers=JSON)]) as server:
        error = error_of(server)
    assert str(error).endswith("an answer of more than 8 MB")


@contextmanager
def resetting(answer: bytes) -> Iterator[str]:
    """A server that resets its first connection and sends `answer` on the second."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        first, _ = listener.accept()
        first.recv(100)
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        first.close()
        second, _ = listener.accept()
        second.recv(100_000)
        second.sendall(answer)
        second.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        thread.join(10)
        listener.close()


def test_a_reset_connection_is_tried_again() -> None:
    body = said("hi").body
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with resetting(head.encode() + b"\r\n\r\n" + body) as url:
        chat = ChatClient(model="m", base_url=url, first_wait_s=0.01)
        assert chat.complete(HELLO).text == "hi"
    assert chat.usage.retries == 1


def test_no_server_is_an_error_of_the_endpoint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    chat = ChatClient(
        model="m", base_url=f"http://127.0.0.1:{port}/v1", attempts=2, first_wait_s=0.01
    )
    with pytest.raises(EndpointError, match=r"refused \(2 tries\)$"):
        chat.complete(HELLO)


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_requests_overlap_as_far_as_allowed(threads: int) -> None:
    def echo(body: dict[str, Any]) -> Act:
        return said(body["messages"][0]["content"][0]["text"])

    with serving(echo, together=threads) as server, client(server) as chat:
        replies = in_parallel(lambda text: chat.complete([user(text)]).text, "abcdefgh", threads)
    assert replies == list("abcdefgh")
    assert server.most_at_once == threads
    assert chat.usage == Usage(answers=8, tokens_in=8000, tokens_out=160)


def test_an_error_lets_the_others_finish() -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item in (1, 3):
            raise ChatError(f"item {item}")
        done.append(item)
        return item

    with pytest.raises(ChatError, match="item 1"):
        in_parallel(work, range(6), 2)
    assert sorted(done) == [0, 2, 4, 5]


def test_an_error_of_the_endpoint_ends_all() -> None:
    refusing = serving(lambda _: failed(401, "who are you"))
    wanted = pytest.raises(EndpointError, match="status 401: who are you")
    with refusing as server, client(server) as chat, wanted:
        in_parallel(lambda _: chat.complete(HELLO), range(500), 2)
    assert len(server.asked) < 100


def test_the_cost_is_counted() -> None:
    script = [said("a", (1000, 20)), said("b", (2500, 4)), said("c", None)]
    with serving(script) as server, client(server, price_in=0.15, price_out=0.60) as chat:
        assert chat.usage.cost == 0.0
        for _ in script:
            chat.complete(HELLO)
    # 3,500 tokens at 0.15 a million are 0.000525; 24 at 0.60 a million are 0.0000144.
    assert chat.usage.cost == pytest.approx(0.000525 + 0.0000144, rel=1e-12)
    assert (chat.usage.tokens_in, chat.usage.tokens_out, chat.usage.unstated) == (3500, 24, 1)
    assert str(chat.usage) == (
        "3 answers, 0 sent again, 3,500 tokens in, 24 out (not stated for 1), cost 0.0005394"
    )


def test_no_cost_without_prices() -> None:
    with serving([said("a")]) as server, client(server) as chat:
        chat.complete(HELLO)
    assert chat.usage.cost is None


def number(reply: Reply) -> int:
    if not reply.text.isdigit():
        raise UnusableError("it is no number")
    return int(reply.text)


def test_an_unusable_answer_is_asked_for_once_more() -> None:
    with serving([said("two"), said("2")]) as server, client(server) as chat:
        assert chat.ask(HELLO, number) == 2
    assert server.asked[1].texts == [
        "user: hello",
        "assistant: two",
        "user: Your answer cannot be used: it is no number. Please answer again.",
    ]


def test_two_unusable_answers_are_an_error() -> None:
    wanted = pytest.raises(UnusableError, match=r"^m said 'deux': it is no number$")
    with serving([said("two"), said("deux")]) as server, client(server) as chat, wanted:
        chat.ask(HELLO, number)
    assert len(server.asked) == 2


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.org/v1/")
    assert ChatClient(model="m").address == "https://example.org/v1/chat/completions"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "no endpoint: give base_url or set OPENAI_BASE_URL"),
        ({"base_url": "localhost:8000"}, "wanted http://… or https://…, got 'localhost:8000'"),
        ({"base_url": "ftp://a/v1"}, "wanted http://"),
        ({"base_url": "http://"}, "wanted http://"),
        ({"base_url": "http://[::1/v1"}, "base_url: "),
        ({"base_url": "http://me:secret@a/v1"}, "wanted no user name, password"),
        ({"base_url": "http://a/v1?key=secret"}, "wanted no user name, password"),
        ({"base_url": "http://a", "model": ""}, "the model's name"),
        ({"base_url": "http://a", "attempts": 0}, "attempts: wanted more than 0, got 0"),
        ({"base_url": "http://a", "timeout_s": -1}, "timeout_s: wanted more than 0, got -1"),
        ({"base_url": "http://a", "price_in": -0.1}, "price_in: wanted 0 or more, got -0.1"),
        ({"base_url": "http://a", "api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY is not set"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        ChatClient(**{"model": "m", **options})
    assert text in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_key_that_no_header_may_hold_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\nsecret")
    with pytest.raises(UsageError, match="the key in OPENAI_API_KEY has signs") as caught:
        ChatClient(model="m", base_url="http://a")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", [ChatError, EndpointError, UnusableError])
def test_errors_travel_between_processes(kind: type[ChatError]) -> None:
    error = pickle.loads(pickle.dumps(kind("no", 401)))
    assert (type(error), str(error), error.status) == (kind, "no", 401)


def test_only_an_error_of_the_endpoint_ends_a_run() -> None:
    assert issubclass(EndpointError, RunError)
    assert not issubclass(UnusableError, RunError)
    assert not issubclass(ChatError, RunError)


def test_said_is_what_the_protocol_says() -> None:
    """The server of these tests speaks as the protocol's own example does."""
    assert json.loads(said("hi").body) == {
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 20},
    }
