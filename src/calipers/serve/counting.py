"""Count the tokens of an answer with ``Depth(x,y)`` in it, which a model goes on with in rounds."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, cast

from calipers.chat import Chat, Message, Reply
from calipers.tools.chatting import A_PICTURE, A_TOKEN
from calipers.tools.generating import GenerateBackend
from calipers.tools.protocol import Backend, ChatBackend


class Rounds:
    """A backend whose tokens are counted.

    Attributes:
        read: tokens that were given to the model, in all rounds together.
        written: tokens that it wrote.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend, self.client = backend, None
        self.read = self.written = 0
        if isinstance(backend, ChatBackend):
            backend.client = self.client = _Counted(backend.client, self)

    def __call__(self, so_far: str) -> Generator[str, None, bool]:
        """Go on as the backend does."""
        backend = self.backend
        if not isinstance(backend, GenerateBackend):
            return bool((yield from cast("Generator[str, None, bool | None]", backend(so_far))))
        more = backend.tokenizer(so_far, add_special_tokens=False)["input_ids"] if so_far else ()
        self.read += int(backend.inputs["input_ids"].shape[1]) + len(more)
        try:
            return (yield from backend(so_far))
        finally:
            self.written = backend.spent


class _Counted:
    """A client that notes what its answers used; estimated where they were broken off."""

    def __init__(self, client: Chat, rounds: Rounds) -> None:
        self.client, self.rounds = client, rounds

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """Ask, and count."""
        reply: Reply | None = None
        length = 0
        with closing(self.client.stream(messages, tools)) as answer:
            try:
                while reply is None:
                    try:
                        piece = next(answer)
                    except StopIteration as end:
                        reply = end.value
                    else:
                        length += len(piece.encode())
                        yield piece
            finally:
                stated = (None, None) if reply is None else (reply.tokens_in, reply.tokens_out)
                self.rounds.read += _tokens(messages) if stated[0] is None else stated[0]
                self.rounds.written += -(-length // A_TOKEN) if stated[1] is None else stated[1]
        return reply


def _tokens(messages: Sequence[Message]) -> int:
    """Roughly how many tokens a conversation is.

    >>> _tokens([{"role": "user", "content": "How far?"}])
    3
    """
    found = 0
    for message in messages:
        content = message.get("content") or ""
        parts = [{"text": content}] if isinstance(content, str) else content
        texts = (part.get("text") for part in parts)
        found += sum(A_PICTURE if text is None else -(-len(text.encode()) // A_TOKEN)
                     for text in texts)  # fmt: skip
        calls = message.get("tool_calls") or ()
        found += -(-len(json.dumps(calls)) // A_TOKEN) if calls else 0
    return found
