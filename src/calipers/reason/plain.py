"""Tools for models that have no tool calls: a plain text protocol in front of any chat model.

The model writes a line ``CALL name {json}`` and is told ``RESULT {json}`` in the next message; it
ends with ``ANSWER: …``. `PlainChat` has the face of a `calipers.chat_wire.Chat` with tool calls, so
the loop of `calipers.tools.chatting` serves both kinds of models.

Calls are read from what the model itself writes and from nothing else: only at the beginning of a
line, not in its thoughts, and what it goes on to write after a call, a made-up result for one, is
thrown away. A number or a bullet before ``CALL`` is read over, and so is a colon behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from calipers.chat_wire import Chat, Message, Reply, ToolCall
from calipers.thoughts import spoken

_CALL = re.compile(
    r"(?m)^[ \t>*`•-]*(?:\d{1,2}[.)][ \t]*)?[*`]*"
    r"(?:CALL|(?i:call)(?=[:*`]*[ \t]+[*`]*\w+[*`]*[ \t]*\r?\n?[ \t]*\(?\{))[:*`]*[ \t]+"
    r"[*`]*([A-Za-z_]\w{0,60})[*`]*[ \t]*(?:\r?\n[ \t]*(?=\{))?"
)
_ANSWER = re.compile(r"(?m)^[ \t>*`]*ANSWER\b[ \t*]*:?[ \t*]*", re.IGNORECASE)
_RESULT = re.compile(r"(?m)^[ \t>*`]*RESULT\b")
_DECODER = json.JSONDecoder()
MOST_CALLS = 8
"""So many calls right after each other are made in one turn."""

PROTOCOL = """\
You can use tools. To use one, write a line of its own, and nothing after it:
CALL name {"argument": value}
You are then told RESULT with what came out. Use as many as you need, one after the other. Never \
write a RESULT yourself. When you know the answer, write:
ANSWER: the answer in a sentence

Tools:
"""
_NO_TOOLS = "Use no more tools. Write ANSWER: and the answer now."


@dataclass(slots=True)
class PlainChat:
    """A chat model that is shown its tools as text.

    Attributes:
        chat: the model, for example a `calipers.chat.ChatClient`.
    """

    chat: Chat

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """Yield the text as it comes; what is returned has the calls that were found in it.

        Raises:
            ChatError: as of the model.
        """
        text, cut = "", False
        reply: Reply | None = None
        answer = self.chat.stream(_in_words(messages, tools))
        with closing(answer):
            while not cut:
                try:
                    piece = next(answer)
                except StopIteration as end:
                    reply = end.value
                    break
                text += piece
                yield piece
                cut = bool(tools) and "\n" in piece and _beyond_calls(text)
        found = read(text, len(messages)) if tools else (_answer_in(spoken(text)), ())
        if reply is None:  # hung up: it went on after its calls
            return Reply(found[0], found[1], None, "tool_calls", None, None)
        whole: Reply = replace(reply, text=found[0], tool_calls=found[1])
        return whole


def read(text: str, turn: int = 0) -> tuple[str, tuple[ToolCall, ...]]:
    """What a model says, and the calls that it makes: those of the first block of calls.

    Args:
        text: as the model wrote it.
        turn: makes the calls' ids differ from those of other turns.

    >>> read('First the gap.\\nCALL gap {"a": 0, "b": 1}\\nRESULT {"value": 9}')[1][0].arguments
    '{"a": 0, "b": 1}'
    >>> read("ANSWER: 0.4 m")
    ('0.4 m', ())
    """
    text = spoken(text)
    first = _CALL.search(text)
    answered = _ANSWER.search(text)
    if first is None or (answered is not None and answered.start() < first.start()):
        return _answer_in(text), ()
    calls = tuple(
        ToolCall(f"call-{turn}-{k}", name, arguments)
        for k, (name, arguments, _) in enumerate(_block(text))
    )
    return text[: first.start()].strip(), calls


def _answer_in(text: str) -> str:
    """What stands behind ANSWER, up to a made-up result; all of it where there is none."""
    match = _ANSWER.search(text)
    if match is None:
        return text.strip()
    said = text[match.end() :]
    after = _RESULT.search(said) or _CALL.search(said)
    return (said if after is None else said[: after.start()]).strip()


def _block(text: str) -> list[tuple[str, str, int]]:
    """Name, arguments and end of the calls that follow right after each other."""
    calls: list[tuple[str, str, int]] = []
    match = _CALL.search(text)
    while match is not None and len(calls) < MOST_CALLS:
        arguments, end = _arguments(text, match.end())
        calls.append((match[1], arguments, end))
        after = _CALL.search(text, end)
        match = after if after and not text[end : after.start()].strip(" \t\r\n`)") else None
    return calls


def _arguments(text: str, start: int) -> tuple[str, int]:
    """The JSON object at a place, as text, and its end; else the rest of the line."""
    place = start + (text[start : start + 1] == "(")
    if text[place : place + 1] == "{":
        try:
            _, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            pass
        else:
            return text[place:end], end
    line = text.find("\n", start)
    end = len(text) if line < 0 else line
    return text[start:end].strip(), end


def _beyond_calls(text: str) -> bool:
    """Whether the model went on to something else after a whole call."""
    text = spoken(text)
    calls = _block(text)
    if not calls or (calls[-1][1].startswith("{") and not calls[-1][1].endswith("}")):
        return False
    return bool(text[calls[-1][2] :].strip(" \t\r\n`).:>*•-CALcal0123456789"))


def _in_words(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The conversation without tool calls: what is offered, called and told stands in texts."""
    said: list[Message] = [_message(message) for message in messages]
    rules = PROTOCOL + "\n".join(map(_described, tools)) if tools else _NO_TOOLS
    if tools or len(said) < 2:
        return _with_rules(said, rules)
    return [*said, {"role": "user", "content": rules}]


def _with_rules(said: list[Message], rules: str) -> list[Message]:
    if said and said[0]["role"] == "system":
        return [{"role": "system", "content": f"{said[0]['content']}\n\n{rules}"}, *said[1:]]
    return [{"role": "system", "content": rules}, *said]


def _message(message: Message) -> Message:
    if message["role"] == "tool":
        return {"role": "user", "content": f"RESULT {message['content']}"}
    calls = message.get("tool_calls")
    if not calls:
        return message
    lines = [f"CALL {c['function']['name']} {c['function']['arguments']}" for c in calls]
    return {"role": "assistant", "content": "\n".join(filter(None, [message["content"], *lines]))}


def _described(tool: Mapping[str, Any]) -> str:
    """A tool in a line: its name, what it takes, what it does.

    >>> _described({"function": {"name": "f", "description": "Does.", "parameters": {
    ...     "properties": {"a": {}, "b": {}}, "required": ["a"]}}})
    '- f {"a": …} (perhaps "b"): Does.'
    """
    function = tool["function"]
    given = function["parameters"].get("properties", {})
    required = function["parameters"].get("required", [])
    wanted = ", ".join(f'"{name}": …' for name in given if name in required)
    others = ", ".join(f'"{name}"' for name in given if name not in required)
    perhaps = f" (perhaps {others})" if others else ""
    return f"- {function['name']} {{{wanted}}}{perhaps}: {function['description']}"
