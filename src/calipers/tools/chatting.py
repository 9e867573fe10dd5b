"""Let a chat model measure: its tool calls are made and answered until it says something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from calipers.chat import ChatClient, Message, Reply
from calipers.tools.results import ToolError
from calipers.tools.session import Session
from calipers.tools.table import openai_tools

MOST_ROUNDS = 16


@dataclass(frozen=True, slots=True)
class Talk:
    """How a model came to its answer.

    Attributes:
        text: the answer; "" when the budget of calls was used up before there was one.
        messages: the whole conversation, with every call and its result.
        calls: how many calls were made.
    """

    text: str
    messages: list[Message]
    calls: int


def converse(
    client: ChatClient, messages: Sequence[Message], session: Session, most_calls: int = MOST_ROUNDS
) -> Talk:
    """Ask a model that may call the tools of a session.

    Args:
        client: an OpenAI-compatible endpoint of a model that calls tools.
        messages: the conversation, the question last.
        session: where is measured.
        most_calls: calls beyond it are answered with an error, and the next time none is offered.

    Raises:
        ChatError: the endpoint gave no answer.
    """
    said: list[Message] = list(messages)
    calls, tools = 0, openai_tools()
    while True:
        reply = client.complete(said, tools if calls < most_calls else ())
        if not reply.tool_calls or calls >= most_calls:
            said.append({"role": "assistant", "content": reply.text})
            return Talk(reply.text, said, calls)
        said.append(_as_message(reply))
        for call in reply.tool_calls:
            calls += 1
            told = session.call(call.name, call.arguments) if calls <= most_calls else _SPENT
            said.append({"role": "tool", "tool_call_id": call.id, "content": told})


_SPENT = ToolError("too_many_calls", "no more calls; answer now").problem.model_dump_json()


def _as_message(reply: Reply) -> dict[str, Any]:
    """The model's turn, as the protocol wants it repeated."""
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in reply.tool_calls
    ]
    return {"role": "assistant", "content": reply.text or None, "tool_calls": calls}
