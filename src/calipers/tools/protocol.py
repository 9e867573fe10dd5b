"""SpatialBot's DepthAPI as text (arXiv 2406.13642): the model writes a call, and reads the answer.

The model writes ``Depth(0.51,0.40)`` (x, y as shares of the picture); the runtime writes on
``=1520``, millimetres, and the model goes on from there. Nothing else of what it writes is acted
on: a call is found by one pattern and its two numbers are parsed as numbers.

A `Backend` continues a text, piece by piece, and is stopped at the bracket that closes a call:
`ChatBackend` is any OpenAI-compatible endpoint, `generating.GenerateBackend` a transformers model.
`stream` is the loop over either, `run` the same for who does not want the pieces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from calipers.chat import Chat, Message, Reply
from calipers.tools.arguments import Point
from calipers.tools.canvas import Canvas
from calipers.tools.results import ToolError
from calipers.tools.session import Session

CALL = re.compile(r"Depth\(([^)\n]{0,200})\)")
"""A call; its brackets may hold anything, which is then answered with an error."""
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,12})?|\.[0-9]{1,12}))\s*")
ANSWERED = re.compile(CALL.pattern + r"(=(?:\d+|no reading))")
"""A call, and in its second group what the runtime wrote behind it."""
LONGEST_CALL = 210
"""No call has more characters."""
MOST_CALLS = 8

Ended = Literal["done", "calls", "length"]


Backend = Callable[[str], Iterable[str]]
"""Takes what was said so far (answers put in), gives the pieces that come after it.

A generator may return True: the model was cut off by its length. It is closed at the end of a call,
and what it has given beyond that is thrown away.
"""


@dataclass(frozen=True, slots=True)
class DepthCall:
    """A call that was made.

    Attributes:
        asked: as the model wrote it.
        answer: what was put after the ``=``.
        depth_mm: None when there was no depth to tell.
    """

    asked: str
    answer: str
    depth_mm: int | None


@dataclass(slots=True)
class Told:
    """What a model said, with the answers in it.

    Attributes:
        text: everything after the prompt.
        calls: in order.
        ended: "done", or "calls" or "length" when the budget of calls or of the model's tokens
            was used up.
    """

    text: str = ""
    calls: list[DepthCall] = field(default_factory=list)
    ended: Ended = "done"


def answer(session: Session, arguments: str, canvas: Canvas | None = None) -> DepthCall:
    """Answer one call.

    Args:
        session: where is measured.
        arguments: what stood between the brackets.
        canvas: how the model sees the picture; None: its points are of the original picture.

    Returns:
        The depth in whole millimetres, ``no reading``, or an error in words.
    """
    asked = f"Depth({arguments})"
    parts = arguments.split(",")
    found = [_NUMBER.fullmatch(part) for part in parts]
    if len(parts) != 2 or not all(found):
        return DepthCall(asked, "error: wanted Depth(x,y) with two numbers from 0 to 1", None)
    x, y = (float(match[1]) for match in found if match)
    try:
        seen = canvas or Canvas()
        point: Point = seen.to_picture(x, y)
        measured = session.depth_at(point.x, point.y)
    except ToolError as error:
        return DepthCall(asked, f"error: {error}", None)
    if measured.value is None:
        return DepthCall(asked, "no reading", None)
    depth_mm = math.floor(measured.value * 1000 + 0.5)
    return DepthCall(asked, str(depth_mm), depth_mm)


def run(
    backend: Backend,
    session: Session,
    canvas: Canvas | None = None,
    most_calls: int = MOST_CALLS,
) -> Told:
    """Let a model speak, and answer its calls; the same as `stream`, in one piece."""
    pieces = stream(backend, session, canvas, most_calls)
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            told: Told = end.value
            return told


def stream(
    backend: Backend,
    session: Session,
    canvas: Canvas | None = None,
    most_calls: int = MOST_CALLS,
) -> Generator[str, None, Told]:
    """Let a model speak, answer its calls, and yield the text as it comes, answers in it.

    Args:
        backend: the model, with its prompt.
        session: where is measured.
        canvas: how the model sees the picture.
        most_calls: calls that are answered; at the next one it ends.

    Returns:
        The whole, when the model has ended or a budget is used up.
    """
    told = Told()
    while True:
        call, cut = yield from _until_call(backend(told.text), told)
        if call is None:
            told.ended = "length" if cut else "done"
            return told
        if len(told.calls) >= most_calls:
            told.ended = "calls"
            return told
        made = answer(session, call, canvas)
        told.calls.append(made)
        told.text += f"={made.answer}"
        yield f"={made.answer}"


def _until_call(pieces: Iterable[str], told: Told) -> Generator[str, None, tuple[str | None, bool]]:
    """Add pieces up to the end of a call: what stands in its brackets, or whether it was cut."""
    cut: list[bool] = []
    start = len(told.text)
    with closing(_noting_end(pieces, cut)) as source:
        for piece in source:
            shown = len(told.text)
            told.text += piece
            call = CALL.search(told.text, max(start, shown - LONGEST_CALL))
            if call is not None:
                break
            yield piece
        else:
            return None, any(cut)
    told.text = told.text[: call.end()]  # without what the model made up as its answer
    yield told.text[shown:]
    return call[1], False


def _noting_end(pieces: Iterable[str], cut: list[bool]) -> Generator[str, None, None]:
    """The pieces; and what a generator of them returns, noted."""
    cut.append(bool((yield from cast("Generator[str, None, bool | None]", pieces))))


@dataclass(slots=True)
class ChatBackend:
    """A chat model, an OpenAI-compatible endpoint for one.

    The answer so far is sent back as the assistant's own message, to be gone on with. Servers that
    continue a message (vLLM, SGLang: ``continue_final_message``) do so; of others, which begin a
    new one, `remind` asks to go on. At the bracket that closes a call the connection is closed.

    Attributes:
        client: a `calipers.chat.ChatClient`; its ``extra`` may hold ``{"continue_final_message":
            True, "add_generation_prompt": False}``.
        messages: the conversation up to the question.
        remind: what the user says after an answered call; "" sends nothing.
    """

    client: Chat
    messages: Sequence[Message]
    remind: str = "Go on."

    def __call__(self, so_far: str) -> Generator[str, None, bool]:
        """Ask the endpoint for the next part."""
        sent: list[Mapping[str, Any]] = list(self.messages)
        if so_far:
            sent.append({"role": "assistant", "content": so_far})
            if self.remind:
                sent.append({"role": "user", "content": self.remind})
        answer = self.client.stream(sent)
        with closing(answer):
            reply = yield from _new_part(so_far, answer)
        return reply.finish_reason == "length"


def _new_part(so_far: str, pieces: Generator[str, None, Reply]) -> Generator[str, None, Reply]:
    """What is new in an answer that may begin with all that was said before."""
    held = ""
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            if held:
                yield held  # it ended before all was said again: it was no repetition
            reply: Reply = end.value
            return reply
        held += piece
        if so_far.startswith(held) and held != so_far:
            continue
        if so_far and held.startswith(so_far):
            held = held[len(so_far) :]
        yield held
        so_far, held = "", ""
