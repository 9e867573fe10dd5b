"""Tool calls in the text that a model on this machine writes, found as it comes."""

from __future__ import annotations

import json
import re
from collections.abc import Generator

from calipers.chat import ToolCall

OPENS, CLOSES = "<tool_call>", "</tool_call>"
"""Around a tool call, in the form of Hermes that Qwen's templates ask for."""
_CALL = re.compile(rf"{OPENS}\s*(\{{.*?\}})\s*(?:{CLOSES}|$)", re.DOTALL)


def all_of(pieces: Generator[str, None, bool]) -> Generator[str, None, tuple[str, bool]]:
    """The pieces, without space before the first; the whole, and whether it was cut."""
    text = ""
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            return text, bool(end.value)
        new = piece if text else piece.lstrip()
        text += new
        if new:
            yield new


def before_calls(pieces: Generator[str, None, bool]) -> Generator[str, None, tuple[str, bool]]:
    """The pieces before the first tool call; the whole, and whether it was cut."""
    text, shown, source = "", 0, all_of(pieces)
    while True:
        try:
            text += next(source)
        except StopIteration as end:
            if OPENS not in text and shown < len(text):
                yield text[shown:]
            found: tuple[str, bool] = end.value
            return found
        ready = text.find(OPENS) if OPENS in text else len(text) - _begun(text)
        if ready > shown:
            yield text[shown:ready]
            shown = ready


def _begun(text: str) -> int:
    """How many signs at the end of a text may be the beginning of a call."""
    return next((n for n in range(len(OPENS) - 1, 0, -1) if text.endswith(OPENS[:n])), 0)


def read_calls(text: str) -> tuple[ToolCall, ...]:
    """The tool calls in a text, of those that are JSON with a name.

    >>> read_calls('<tool_call>{"name": "depth_at", "arguments": {"x": 0.5, "y": 0.4}}</tool_call>')
    (ToolCall(id='call-0', name='depth_at', arguments='{"x": 0.5, "y": 0.4}'),)
    """
    calls = []
    for number, found in enumerate(_CALL.findall(text)):
        try:
            wanted = json.loads(found)
        except ValueError:
            continue
        if isinstance(wanted, dict) and isinstance(wanted.get("name"), str):
            arguments = json.dumps(wanted.get("arguments", {}))
            calls.append(ToolCall(f"call-{number}", wanted["name"], arguments))
    return tuple(calls)
