"""SpatialBot's DepthAPI as text (arXiv 2406.13642): the model writes a call, and reads the answer.

The model writes ``Depth(0.51,0.40)`` (x, y as shares of the picture); the runtime writes on
``=1520``, millimetres, and the model goes on from there. Nothing else of what it writes is acted
on: a call is found by one pattern and its two numbers are parsed as numbers.

A `Backend` continues a text. `ChatBackend` is any OpenAI-compatible endpoint, `GenerateBackend` a
transformers model; `run` is the loop over either.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from calipers.chat import ChatClient, Message
from calipers.tools.arguments import Point
from calipers.tools.canvas import Canvas
from calipers.tools.results import ToolError
from calipers.tools.session import Session

CALL = re.compile(r"Depth\(([^)\n]{0,200})\)")
"""A call; its brackets may hold anything, which is then answered with an error."""
_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,12})?|\.[0-9]{1,12}))\s*")
MOST_CALLS = 8

Ended = Literal["done", "calls", "length"]


class Backend(Protocol):
    """A model that continues a text."""

    def __call__(self, so_far: str) -> tuple[str, bool]:
        """Return what comes after `so_far`, and whether the model was cut off by its length.

        It may stop after each call of its own accord, or go on; what follows a call is thrown away.
        """
        ...


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
    """Let a model speak, and answer its calls.

    Args:
        backend: the model, with its prompt.
        session: where is measured.
        canvas: how the model sees the picture.
        most_calls: calls that are answered; at the next one it ends.
    """
    told = Told()
    while True:
        start = len(told.text)
        more, cut = backend(told.text)
        told.text += more
        call = CALL.search(told.text, start)  # with what the model made up as its answer
        if call is None:
            told.ended = "length" if cut else "done"
            return told
        told.text = told.text[: call.end()]
        if len(told.calls) >= most_calls:
            told.ended = "calls"
            return told
        made = answer(session, call[1], canvas)
        told.calls.append(made)
        told.text += f"={made.answer}"


@dataclass(slots=True)
class ChatBackend:
    """An OpenAI-compatible endpoint.

    The answer so far is sent back as the assistant's own message, to be gone on with. Servers that
    continue a message (vLLM, SGLang: ``continue_final_message``) do so; of others, which begin a
    new one, `remind` asks to go on. Stops at ``)`` are the server's; what it says after a call that
    it did not stop at is thrown away.

    Attributes:
        client: its ``extra`` may hold ``{"continue_final_message": True,
            "add_generation_prompt": False}``.
        messages: the conversation up to the question.
        remind: what the user says after an answered call; "" sends nothing.
    """

    client: ChatClient
    messages: Sequence[Message]
    remind: str = "Go on."

    def __call__(self, so_far: str) -> tuple[str, bool]:
        """Ask the endpoint for the next part."""
        sent: list[Mapping[str, Any]] = list(self.messages)
        if so_far:
            sent.append({"role": "assistant", "content": so_far})
            if self.remind:
                sent.append({"role": "user", "content": self.remind})
        reply = self.client.complete(sent)
        return _new_part(so_far, reply.text), reply.finish_reason == "length"


def _new_part(so_far: str, said: str) -> str:
    """What is new in an answer that may begin with all that was said before."""
    return said[len(so_far) :] if so_far and said.startswith(so_far) else said


@dataclass(slots=True)
class GenerateBackend:
    """A transformers model that generates.

    Attributes:
        model: with ``generate`` (`transformers.GenerationMixin`).
        tokenizer: of the model.
        inputs: what the model's processor or tokenizer made of the prompt (and the pictures), for
            ``generate``: ``input_ids`` (1, N) and whatever else.
        max_new_tokens: of the whole answer, the depths put in not counted.
        spent: tokens generated so far.
    """

    model: Any
    tokenizer: Any
    inputs: Mapping[str, Any]
    max_new_tokens: int = 512
    spent: int = 0
    _said: str = ""
    _ids: list[int] = field(default_factory=list)

    def __call__(self, so_far: str) -> tuple[str, bool]:
        """Generate up to the end of a call, or of the answer."""
        left = self.max_new_tokens - self.spent
        if left < 1:
            return "", True
        self._take(so_far)
        given = self._inputs()
        length = int(given["input_ids"].shape[1])
        stops = self._stops(length)
        out = self.model.generate(
            **given, max_new_tokens=left, do_sample=False, stopping_criteria=stops
        )
        new = [int(token) for token in out[0][length:]]
        self.spent += len(new)
        self._ids += new
        text = str(self.tokenizer.decode(new, skip_special_tokens=True))
        self._said = so_far + text
        ended = bool(new) and new[-1] in _end_tokens(self.model, self.tokenizer)
        return text, self.spent >= self.max_new_tokens and not ended

    def _take(self, so_far: str) -> None:
        """Make the tokens those of `so_far`; the model's own stay as they are where they can."""
        own = so_far.startswith(self._said)
        rest = so_far[len(self._said) :] if own else so_far
        more = self.tokenizer(rest, add_special_tokens=False)["input_ids"] if rest else []
        self._ids = [*(self._ids if own else []), *more]

    def _inputs(self) -> dict[str, Any]:
        """The prompt's inputs, those as long as its tokens made longer by the answer so far."""
        prompt, more = self.inputs["input_ids"], len(self._ids)
        given = dict(self.inputs)
        for name, value in self.inputs.items():
            if more and getattr(value, "shape", None) == prompt.shape:
                fill = {"input_ids": self._ids, "attention_mask": [1] * more}.get(name, [0] * more)
                given[name] = value.new_tensor([[*value[0].tolist(), *fill]])
        return given

    def _stops(self, length: int) -> Any:
        """Stop as soon as what was generated holds a whole call."""
        from transformers import StoppingCriteriaList

        decode: Callable[..., str] = self.tokenizer.decode

        def at_call(input_ids: Any, scores: Any, **_: Any) -> Any:
            text = decode(input_ids[0][length:], skip_special_tokens=True)
            return input_ids.new_full((len(input_ids),), bool(CALL.search(text))).bool()

        return StoppingCriteriaList([at_call])


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, (list, tuple)) else [ends]
    return {int(end) for end in (*ends, tokenizer.eos_token_id) if end is not None}
