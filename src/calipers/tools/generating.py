"""A transformers model that writes ``Depth(x,y)``: a `calipers.tools.protocol.Backend`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from calipers.tools.protocol import CALL

UNFINISHED = "\ufffd"
"""What the bytes of half a character are decoded to."""


@dataclass(slots=True)
class GenerateBackend:
    """A transformers model that generates; it is stopped at the token that closes a call.

    ``generate`` runs in a thread of its own; the text of each token is yielded when it is there.

    Attributes:
        model: with ``generate`` (`transformers.GenerationMixin`).
        tokenizer: of the model.
        inputs: what the model's processor or tokenizer made of the prompt (and the pictures), for
            ``generate``: ``input_ids`` (1, N) and whatever else.
        max_new_tokens: of the whole answer, the depths put in not counted.
        answer_type: of the answer's tokens in ``token_type_ids``, as the model was trained.
        spent: tokens generated so far.
    """

    model: Any
    tokenizer: Any
    inputs: Mapping[str, Any]
    max_new_tokens: int = 512
    answer_type: int = 0
    spent: int = 0
    _said: str = ""
    _ids: list[int] = field(default_factory=list)

    def __call__(self, so_far: str) -> Generator[str, None, bool]:
        """Generate up to the end of a call, or of the answer."""
        left = self.max_new_tokens - self.spent
        if left < 1:
            return True
        self._take(so_far)
        given = self._inputs()
        length = int(given["input_ids"].shape[1])
        running = _Running(self.model, self.tokenizer, length)
        try:
            yield from running.pieces({**given, "max_new_tokens": left, "do_sample": False})
        finally:
            new = running.finish()
            self.spent += len(new)
            self._ids += new
            self._said = so_far + running.decode(new)
        ended = bool(new) and new[-1] in _end_tokens(self.model, self.tokenizer)
        return self.spent >= self.max_new_tokens and not ended

    def _take(self, so_far: str) -> None:
        """Make the tokens those of `so_far`; the model's own stay as they are where they can."""
        own = so_far.startswith(self._said)
        rest = so_far[len(self._said) :] if own else so_far
        more = self.tokenizer(rest, add_special_tokens=False)["input_ids"] if rest else []
        self._ids = [*(self._ids if own else []), *more]

    def _inputs(self) -> dict[str, Any]:
        """The prompt's inputs, those as long as its tokens made longer by the answer so far."""
        prompt, more = self.inputs["input_ids"], len(self._ids)
        fill = {"input_ids": self._ids, "attention_mask": [1] * more}
        fill["token_type_ids"] = [self.answer_type] * more
        given = dict(self.inputs)
        for name, value in self.inputs.items():
            if more and getattr(value, "shape", None) == prompt.shape:
                given[name] = value.new_tensor([[*value[0].tolist(), *fill.get(name, [0] * more)]])
        return given


class _Running:
    """One call of ``generate`` in a thread, watched token by token."""

    def __init__(self, model: Any, tokenizer: Any, length: int) -> None:
        self.model, self.tokenizer, self.length = model, tokenizer, length
        self.texts: SimpleQueue[str | None] = SimpleQueue()
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.work: Future[list[int]] | None = None
        self.unheard = False

    def pieces(self, options: Mapping[str, Any]) -> Generator[str, None, None]:
        """The text, as it grows."""
        self.work = self.pool.submit(self._generate, options)
        shown = 0
        while (text := self.texts.get()) is not None:
            if len(text) > shown and not text.endswith(UNFINISHED):
                yield text[shown:]
                shown = len(text)
        rest = self.decode(self.work.result())[shown:]
        if rest:
            yield rest

    def finish(self) -> list[int]:
        """Stop at the next token where it still runs; the tokens that were generated."""
        self.unheard = True
        self.pool.shutdown()
        if self.work is None or self.work.exception() is not None:
            return []
        return self.work.result()

    def decode(self, ids: Any) -> str:
        """The text of tokens, without special ones."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def _generate(self, options: Mapping[str, Any]) -> list[int]:
        from transformers import StoppingCriteriaList

        try:
            stops = StoppingCriteriaList([self._stops])
            out = self.model.generate(**options, stopping_criteria=stops)
            return [int(token) for token in out[0][self.length :]]
        finally:
            self.texts.put(None)

    def _stops(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Show what there is, and stop as soon as it holds a whole call or nobody listens."""
        text = self.decode(input_ids[0][self.length :])
        self.texts.put(text)
        stop = self.unheard or CALL.search(text) is not None
        return input_ids.new_full((len(input_ids),), stop).bool()


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, (list, tuple)) else [ends]
    return {int(end) for end in (*ends, tokenizer.eos_token_id) if end is not None}
