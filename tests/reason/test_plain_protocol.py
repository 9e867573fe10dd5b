"""The plain text protocol: which calls are read out of what a model writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calipers.chat import Reply, user
from calipers.reason.plain import MOST_CALLS, PlainChat, read


@pytest.mark.parametrize(
    ("text", "said", "calls"),
    [
        ("ANSWER: 3 m", "3 m", []),
        ("It is 3 m.", "It is 3 m.", []),
        ("**ANSWER:** 3 m\nRESULT {}", "3 m", []),
        ("CALL locate {}", "", [("locate", "{}")]),
        ("CALL locate", "", [("locate", "")]),
        ("> `CALL locate {}`", "", [("locate", "{}")]),
        ('CALL gap({"a": 0, "b": 1})', "", [("gap", '{"a": 0, "b": 1}')]),
        ('CALL size {"a":\n {"x": 1}}\n', "", [("size", '{"a":\n {"x": 1}}')]),
        ("CALL gap {a: 0}\nmore", "", [("gap", "{a: 0}")]),
        ("Now\nCALL a {}\nCALL b {}\n\nRESULT {}\nCALL c {}", "Now", [("a", "{}"), ("b", "{}")]),
        ("I will CALL gap {} later", "I will CALL gap {} later", []),
        ('The "CALL gap {}" in the name', 'The "CALL gap {}" in the name', []),
        ("ANSWER: done\nCALL gap {}", "done", []),
        ('call gap {"a": 0}', "", [("gap", '{"a": 0}')]),
        ('CALL: gap {"a": 0}', "", [("gap", '{"a": 0}')]),
        ('**CALL:** `gap` {"a": 0}', "", [("gap", '{"a": 0}')]),
        ('1. CALL gap {"a": 0}\n2. CALL size {}', "", [("gap", '{"a": 0}'), ("size", "{}")]),
        ("- CALL gap {}\n- call size {}", "", [("gap", "{}"), ("size", "{}")]),
        ('CALL gap\n{"a": 0}\nRESULT {}', "", [("gap", '{"a": 0}')]),
        ("call me when\nit is done {}", "call me when\nit is done {}", []),
        ("<think>\nCALL gap {}\n</think>\nANSWER: 1 m", "1 m", []),
        ("<think>\nCALL gap {}\nANSWER: 1 m", "", []),
        ("<think>Hm.</think>CALL gap {}", "", [("gap", "{}")]),
        ("", "", []),
    ],
)  # fmt: skip
def test_what_is_read(text: str, said: str, calls: list[tuple[str, str]]) -> None:
    found, made = read(text)
    assert found == said
    assert [(call.name, call.arguments) for call in made] == calls


@pytest.mark.parametrize(
    "text",
    ['CALL gap\n{\n"a": 0,\n"b": 1\n}\n', 'CALL gap {\n"a": 0,\n"b": 1}\n',
     '<think>\nCALL size {}\nOr not.\n</think>\nCALL gap {"a": 0,\n"b": 1}\n'],
)  # fmt: skip
def test_a_call_that_comes_line_by_line_is_waited_for(text: str) -> None:
    class Lines:
        def stream(self, messages, tools=()):
            yield from text.splitlines(keepends=True)
            return Reply(text, (), None, "stop", 1, 1)

    answer = PlainChat(Lines()).stream([user("?")], [{"function": {
        "name": "gap", "description": "", "parameters": {}}}])  # fmt: skip
    while True:
        try:
            next(answer)
        except StopIteration as end:
            (call,) = end.value.tool_calls
            break
    assert (call.name, json.loads(call.arguments)) == ("gap", {"a": 0, "b": 1})


def test_so_many_calls_a_turn() -> None:
    _, made = read("CALL a {}\n" * 20, turn=3)
    assert len(made) == MOST_CALLS
    assert [call.id for call in made[:2]] == ["call-3-0", "call-3-1"]


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=20) | st.floats(0, 1), max_size=4))
def test_any_arguments_come_through(arguments: dict[str, object]) -> None:
    _, (call,) = read(f"CALL size {json.dumps(arguments)}\nRESULT {{}}")
    assert json.loads(call.arguments) == arguments


@given(st.text(max_size=200))
def test_nothing_that_is_written_raises(text: str) -> None:
    read(f"CALL a {text}\nCALL {text}")
