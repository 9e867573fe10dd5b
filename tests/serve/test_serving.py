"""`calipers serve`: the stock openai client against a real process, and hostile clients."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from serving_processes import asking, client, data_url, metres, picture, png, process

from chat_server import Act, said, serving, streamed

openai = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def nano(home: Path) -> Iterator[str]:
    with process("--model", home / "nano", "--max-tokens", 64) as url:
        yield url


@pytest.fixture(scope="module")
def depth(home: Path) -> Iterator[str]:
    with process("--model", home / "depth", "--depth-tool", "text", "--max-tokens", 64) as url:
        yield url


def test_a_model_answers_about_a_picture(nano: str) -> None:
    with client(nano) as http:
        assert [model.id for model in http.models.list()] == ["nano"]
        assert http.models.retrieve("nano").owned_by == "calipers"
        found = http.chat.completions.create(model="nano", messages=asking(png()))
    choice = found.choices[0]
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert choice.message.content == "It is 1.5 m."
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens
    assert found.usage.prompt_tokens > 8  # two pictures of four patches, and the question


def test_a_stream_says_the_same_in_pieces(nano: str) -> None:
    with client(nano) as http:
        chunks = list(
            http.chat.completions.create(
                model="nano", messages=asking(png()), stream=True,
                stream_options={"include_usage": True},
            )
        )  # fmt: skip
    texts = [c.choices[0].delta.content for c in chunks if c.choices]
    pieces = [text for text in texts if text]
    assert "".join(pieces) == "It is 1.5 m."
    assert len(pieces) > 3
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens >= len(pieces)


def test_an_answer_is_cut_where_the_client_wants_it(nano: str) -> None:
    with client(nano) as http:
        found = http.chat.completions.create(model="nano", messages=asking(), max_tokens=2)
    assert found.choices[0].finish_reason == "length"
    assert found.usage.completion_tokens == 2


def test_the_model_measures_on_the_way(depth: str) -> None:
    own = {"calipers": {"depth": metres(2.0)}}
    with client(depth) as http:
        found = http.chat.completions.create(model="depth", messages=asking(png()), extra_body=own)
        chunks = http.chat.completions.create(
            model="depth", messages=asking(png()), extra_body=own, stream=True
        )
        streamed_text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert found.choices[0].message.content.startswith("Depth(0.5,0.1)=2000")
    assert streamed_text == found.choices[0].message.content
    assert found.model_extra["calipers"]["calls"] == [
        {"tool": "depth_at", "asked": "Depth(0.5,0.1)", "answer": "2000"}
    ]


def test_what_is_read_in_every_round_is_counted(depth: str) -> None:
    """The model goes on once, from the prompt and what was said before."""
    own = {"calipers": {"depth": metres(2.0)}}
    with client(depth) as http:
        plain = http.chat.completions.create(model="depth", messages=asking(png()))
        found = http.chat.completions.create(model="depth", messages=asking(png()), extra_body=own)
    once, twice = plain.usage.prompt_tokens, found.usage.prompt_tokens
    assert 2 * once < twice < 2 * once + 40
    assert found.usage.total_tokens == twice + found.usage.completion_tokens


NEUTRAL: list[dict[str, Any]] = [
    {"logit_bias": {}},
    {"modalities": ["text"]},
    {"tool_choice": "none"},
    {"tool_choice": "none", "tools": [{"type": "function", "function": {"name": "f"}}]},
    {"repetition_penalty": 1.0},
    {"top_p": 0, "temperature": 2},
    {"stream": None},
    {"n": 1, "top_k": -1, "presence_penalty": 0},
]


@pytest.mark.parametrize("change", NEUTRAL, ids=str)
def test_what_asks_for_nothing_is_not_refused(nano: str, change: dict[str, Any]) -> None:
    body = {"model": "nano", "messages": asking(png()), **change}
    found = httpx2.post(f"{nano}/chat/completions", json=body, trust_env=False)
    assert found.json()["choices"][0]["message"]["content"] == "It is 1.5 m."


def test_without_depth_nothing_is_measured(depth: str) -> None:
    with client(depth) as http:
        found = http.chat.completions.create(model="depth", messages=asking(png()))
    assert found.choices[0].message.content.startswith("Depth(0.5,0.1)")
    assert "calipers" not in found.model_extra


REFUSED = [
    ({"model": "gpt"}, 404, "no model 'gpt'; there is nano"),
    ({"messages": []}, 400, "at least 1 item"),
    ({"messages": [{"role": "robot", "content": "hi"}]}, 400, "messages.0.role"),
    ({"messages": asking("http://127.0.0.1:9/a.png")}, 400, "send it as a data: URL"),
    ({"messages": asking("file:///etc/passwd")}, 400, "send it as a data: URL"),
    ({"messages": asking("data:image/png;base64,%%%")}, 400, "not base64"),
    ({"messages": asking("data:image/png,abc")}, 400, "wanted data:…;base64,…"),
    ({"messages": asking(data_url(b"GIF89a is no picture"))}, 400, "not a"),
    ({"messages": asking(png(5000, 4000))}, 413, "wanted at most 16000000 pixels, got 20000000"),
    ({"messages": asking(png()) * 2 + asking(png())}, 400, "sees one picture, got 3"),
    ({"messages": [{"role": "assistant", "content": "hi"}]}, 400, "wanted a question"),
    ({"n": 3}, 400, "n: not known to this model"),
    ({"n": 17}, 400, "n: "),
    ({"repetition_penalty": 1.2}, 400, "repetition_penalty: not known to this model"),
    ({"modalities": ["audio"]}, 400, "modalities: not known to this model"),
    ({"temperature": -1}, 400, "temperature"),
    ({"stop": ["m"]}, 400, "stop: not known to this model"),
    ({"messages": asking(text="How far? " * 5000)}, 400, "the model takes 4096 tokens"),
    ({"calipers": {"depth": metres(1)}}, 400, "wanted a picture"),
    ({"calipers": {"depth": metres(1, 9, 9)}, "messages": asking(png())}, 422, "differ in size"),
    ({"calipers": {"depth": "data:;base64,AAAA"}, "messages": asking(png())}, 422, "depth"),
    ({"calipers": {"run": "rm"}}, 400, "calipers.run"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "calls no tools"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "status", "message"), REFUSED)
def test_what_is_refused(nano: str, change: dict[str, Any], status: int, message: str) -> None:
    body = {"model": "nano", "messages": asking(), **change}
    with client(nano) as http, pytest.raises(openai.APIStatusError) as error:
        http.post("/chat/completions", body=body, cast_to=object)
    assert error.value.status_code == status
    assert message in error.value.message


def test_a_long_prompt_that_fits_is_answered(nano: str) -> None:
    """10,000 signs of words that are known are fewer tokens than the model takes."""
    text = ("How far is the red box? " * 420)[:10_000]
    with client(nano) as http:
        found = http.chat.completions.create(model="nano", messages=asking(text=text), max_tokens=3)
    assert 2000 < found.usage.prompt_tokens < 4096


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": 1}', b"\xff" * 100])
def test_what_is_no_request(nano: str, body: bytes) -> None:
    found = httpx2.post(f"{nano}/chat/completions", content=body, trust_env=False)
    assert found.status_code == 400
    assert found.json()["error"]["code"] == "bad_request"


def test_too_much_is_not_read(nano: str) -> None:
    host, port = nano.removeprefix("http://").removesuffix("/v1").split(":")
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999999999"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.send(f"{head}\r\n\r\nx".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_slow_and_vanishing_clients_stop_nobody(nano: str) -> None:
    host, port = nano.removeprefix("http://").removesuffix("/v1").split(":")
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999\r\n\r\n{"
    slow = [socket.create_connection((host, int(port))) for _ in range(20)]
    for connection in slow:
        connection.send(head)
    body = json.dumps({"model": "nano", "messages": asking(), "stream": True}).encode()
    gone = head.replace(b"999", str(len(body)).encode())[:-1] + body
    for _ in range(5):
        with socket.create_connection((host, int(port))) as connection:
            connection.send(gone)
    with client(nano) as http:
        found = http.chat.completions.create(model="nano", messages=asking(png()))
    assert found.choices[0].message.content == "It is 1.5 m."
    for connection in slow:
        connection.close()
    end = time.monotonic() + 20
    health = nano.removesuffix("/v1") + "/health"
    while (left := httpx2.get(health, trust_env=False).json()["turns"]) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == 0


def test_a_key_is_asked_for(home: Path) -> None:
    more = ("--model", home / "nano", "--token-env", "CALIPERS_KEY")
    with process(*more, CALIPERS_KEY="s3cret") as url:
        with client(url) as http, pytest.raises(openai.AuthenticationError):
            http.models.list()
        with client(url, api_key="s3cret") as http:
            assert len(http.models.list().data) == 1


@contextmanager
def before(script: Any, *more: object) -> Iterator[tuple[Any, Any]]:
    """``calipers serve`` before another endpoint: that endpoint, and a client of ours."""
    with serving(script) as behind:
        given = ("--model", "m", "--base-url", behind.url)
        with process(*given, *more) as url, client(url) as http:
            yield behind, http


CALL = {"name": "depth_at", "arguments": '{"x": 0.5, "y": 0.5}'}


def wants(function: dict[str, str]) -> Act:
    calls = [{"id": "c1", "type": "function", "function": function}]
    return said(None, tool_calls=calls, finish_reason="tool_calls")


def test_before_an_endpoint_the_tool_loop_is_ours() -> None:
    acts = [wants(CALL), streamed("It is ", "2 m.")]
    own = {"calipers": {"depth": metres(2.0)}}
    with before(acts, "--depth-tool", "native") as (behind, http):
        found = http.chat.completions.create(model="m", messages=asking(png()), extra_body=own)
    assert found.choices[0].message.content == "It is 2 m."
    (call,) = found.model_extra["calipers"]["calls"]
    assert (call["tool"], json.loads(call["answer"])["value"]) == ("depth_at", 2.0)
    first, second = (asked.body for asked in behind.asked)
    names = [tool["function"]["name"] for tool in first["tools"]]
    assert {"depth_at", "distance", "size"} <= set(names)
    assert first["messages"][0]["content"][0]["image_url"]["url"] == png()
    assert "calipers" not in first
    assert second["messages"][-1]["tool_call_id"] == "c1"


def test_before_an_endpoint_there_are_as_many_answers_as_asked_for() -> None:
    with before(lambda body: said(f"{body['seed']} m")) as (behind, http):
        ask = partial(http.chat.completions.create, model="m", messages=asking(), n=3, seed=5)
        found, chunks = ask(), list(ask(stream=True, stream_options={"include_usage": True}))
    assert [(c.index, c.message.content) for c in found.choices] == [
        (0, "5 m"), (1, "6 m"), (2, "7 m"),
    ]  # fmt: skip
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (3000, 60)
    texts = ["", "", ""]
    for choice in (chunk.choices[0] for chunk in chunks if chunk.choices):
        texts[choice.index] += choice.delta.content or ""
    assert texts == ["5 m", "6 m", "7 m"]
    assert chunks[-1].usage.total_tokens == 3060
    assert not any("n" in asked.body for asked in behind.asked)


def test_every_answer_of_a_request_counts_as_a_turn_that_waits() -> None:
    """Eight are under way and 64 may wait: four times sixteen answers are let in, and no more."""

    def slow(body: dict[str, Any]) -> Act:
        return replace(said("5 m"), delay_s=0.6)

    def status(http: Any) -> int:
        try:
            found = http.chat.completions.create(model="m", messages=asking(), n=16)
        except openai.APIStatusError as error:
            return int(error.status_code)
        return 200 if len(found.choices) == 16 else 0

    with before(slow) as (_, http), ThreadPoolExecutor(6) as pool:
        found = Counter(pool.map(status, [http] * 6))
    assert found.keys() == {200, 503}
    assert found[200] >= 4


def test_before_an_endpoint_the_tokens_of_all_rounds_are_counted() -> None:
    """Where a round is broken off at a call, its tokens are estimated."""
    acts = [streamed("Depth(0.5,0.1)", "=7 m"), streamed("=2000, so ", "2 m.")]
    own = {"calipers": {"depth": metres(2.0)}}
    with before(acts, "--depth-tool", "text") as (_, http):
        found = http.chat.completions.create(model="m", messages=asking(png()), extra_body=own)
    assert 2000 < found.usage.prompt_tokens < 2300  # a picture counts as 1000
    assert 20 < found.usage.completion_tokens < 30


def test_tools_of_the_client_pass_through() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    with before([wants({"name": "f", "arguments": "{}"})], "--depth-tool", "native") as (b, http):
        found = http.chat.completions.create(
            model="m", messages=asking(), tools=tools, tool_choice="auto", stop=["."]
        )
    choice = found.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert (choice.message.tool_calls[0].function.name, choice.message.tool_calls[0].id) == (
        "f", "c1",
    )  # fmt: skip
    asked = b.asked[0].body
    assert (asked["tools"], asked["tool_choice"], asked["stop"]) == (tools, "auto", ["."])


def test_streamed_tool_calls_pass_through() -> None:
    part = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    act = streamed("Hm.", {"tool_calls": [part]}, finish="tool_calls")
    tools = [{"type": "function", "function": {"name": "f"}}]
    with before([act]) as (_, http):
        chunks = list(
            http.chat.completions.create(model="m", messages=asking(), tools=tools, stream=True)
        )
    calls = [c.choices[0].delta.tool_calls for c in chunks if c.choices[0].delta.tool_calls]
    assert calls[0][0].function.name == "f"
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_errors_of_the_endpoint_behind_do_not_tell_where_it_is() -> None:
    refusing = Act(b'{"error": {"message": "too many tokens"}}', 400)
    with before([refusing]) as (behind, http), pytest.raises(openai.BadRequestError) as error:
        http.chat.completions.create(model="m", messages=asking())
    assert "too many tokens" in error.value.message
    assert behind.url not in error.value.message


class Pictures(BaseHTTPRequestHandler):
    """Serves one picture; ``/away`` leads to it."""

    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("location", "/picture.png")
        self.end_headers()
        self.wfile.write(picture(Image.new("RGB", (32, 24))))

    def log_message(self, *_: object) -> None:
        pass


def test_pictures_are_fetched_from_hosts_that_are_allowed(home: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{files.server_port}"
        with process("--model", home / "nano", "--allow-host", host) as url, client(url) as http:
            ask = partial(http.chat.completions.create, model="nano")
            found = ask(messages=asking(f"http://{host}/picture.png"))
            assert found.choices[0].message.content.startswith("It is 1.5 m.")
            for other in (f"http://{host}/away", f"http://{host}@example.org/", "http://[::1]/"):
                with pytest.raises(openai.BadRequestError):
                    ask(messages=asking(other))
        files.shutdown()
