"""Ask a model about frames, and let it measure on the way: by ``Depth(x,y)``, or by tool calls.

The tools know a frame's depth, intrinsics and gravity, not its objects: what a model asks about it
has to find in the picture itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, Literal

from calipers.chat import ChatError, EndpointError, Message
from calipers.errors import UsageError
from calipers.evals.agreeing import AVERAGES, agreed
from calipers.model.speakers import Asked, Speaker, Tuning, about
from calipers.serve.counting import Rounds
from calipers.tools import Session, ToolError
from calipers.tools.chatting import Budget, Called
from calipers.tools.chatting import stream as calling
from calipers.tools.protocol import Told
from calipers.tools.protocol import stream as writing
from calipers.types import Frame

DepthTool = Literal["none", "text", "native"]
DEPTH_TOOLS: tuple[DepthTool, ...] = ("none", "text", "native")
EXPLAINED = (
    "You can measure depth. Write Depth(x,y), with x and y from 0 to 1 as shares of the picture's "
    "width and height, (0,0) its top left corner; the depth there is then put behind it, in "
    "millimetres, as in Depth(0.51,0.40)=1520. Go on from there, and end with the answer."
)
"""What a model that was not taught ``Depth(x,y)`` is told."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How questions are asked.

    Attributes:
        depth_tool: "text": the model may write ``Depth(x,y)``; "native": it may call any tool.
        samples: answers to each question, made one by `agreeing.agreed`.
        average: of lengths: "mean" or "median".
        temperature: of the samples, where they are several.
        max_tokens: of one turn.
        together: most answers computed at once.
        budget: of tool calls.
    """

    depth_tool: DepthTool = "none"
    samples: int = 1
    average: str = "mean"
    temperature: float = 0.7
    max_tokens: int = 256
    together: int = 32
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        if self.depth_tool not in DEPTH_TOOLS:
            raise UsageError(f"depth_tool: wanted {', '.join(DEPTH_TOOLS)}, got {self.depth_tool}")
        if self.average not in AVERAGES:
            raise UsageError(f"average: wanted {' or '.join(AVERAGES)}, got {self.average!r}")
        for name in ("samples", "max_tokens", "together", "temperature"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}: wanted more than 0, got {getattr(self, name)}")

    def tuning(self, sample: int) -> Tuning:
        """How one of the samples is written; a single one is greedy."""
        warm = self.temperature if self.samples > 1 else 0.0
        return Tuning(temperature=warm, max_tokens=self.max_tokens, seed=sample)


@dataclass(slots=True)
class Said:
    """An answer.

    Attributes:
        text: what counts, after the last tool call.
        calls: what was measured on the way: ``tool``, ``asked``, ``answer``.
        samples: the texts that were made one; () where there was one.
        ended: "done", or the budget that ended it.
        tokens_in, tokens_out: of all turns, as far as they are known.
    """

    text: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    samples: tuple[str, ...] = ()
    ended: str = "done"
    tokens_in: int = 0
    tokens_out: int = 0

    def record(self) -> dict[str, Any]:
        """What is worth keeping beside the text."""
        given = asdict(self)
        return {name: given[name] for name in ("calls", "samples") if given[name]} | (
            {} if self.ended == "done" else {"ended": self.ended}
        )


def measuring(frame: Frame | None) -> Session | None:
    """What measures in a frame, without its objects; None without depth."""
    if frame is None or frame.depth_m is None:
        return None
    try:
        return Session.of_frame(replace(frame, objects=None))
    except ToolError:  # intrinsics such as no camera has: depth can still be read
        return Session.of_frame(replace(frame, objects=None, camera=None))


def saying(
    speaker: Speaker,
    messages: Sequence[Message],
    session: Session | None = None,
    depth_tool: DepthTool = "none",
    budget: Budget | None = None,
) -> Generator[str | Called, None, Said]:
    """Let a model say its next turn, tool calls included; yield text and calls as they come.

    Args:
        speaker: the model, tuned as wanted.
        messages: the conversation, the question last.
        session: where is measured; None: nothing can be.
        depth_tool: how.
        budget: of tool calls.

    Raises:
        ChatError: there is no answer.
        UsageError: a conversation that the model cannot read.
    """
    limits = budget or Budget()
    if session is None or depth_tool == "none":
        return (yield from _plain(speaker, messages))
    if depth_tool == "text":
        return (yield from _written(speaker, messages, session, limits))
    talk = yield from calling(speaker, messages, session, limits)
    calls = [{"tool": c.name, "asked": c.arguments, "answer": c.result} for c in talk.calls]
    return Said(talk.text, calls, (), talk.ended, talk.tokens_in, talk.tokens_out)


def _plain(speaker: Speaker, messages: Sequence[Message]) -> Generator[str, None, Said]:
    reply = yield from speaker.stream(messages)
    ended = "refused" if reply.refusal else "length" if reply.finish_reason == "length" else "done"
    return Said(reply.text, [], (), ended, reply.tokens_in or 0, reply.tokens_out or 0)


def _written(
    speaker: Speaker, messages: Sequence[Message], session: Session, budget: Budget
) -> Generator[str, None, Said]:
    rounds = Rounds(speaker.going_on(messages, "" if speaker.taught else EXPLAINED))
    found = yield from _from_first_word(writing(rounds, session, most_calls=budget.calls))
    calls = [{"tool": "depth_at", "asked": c.asked, "answer": c.answer} for c in found.calls]
    return Said(found.text.strip(), calls, (), found.ended, rounds.read, rounds.written)


def _from_first_word(pieces: Generator[str, None, Told]) -> Generator[str, None, Told]:
    """The pieces without the space that they begin with."""
    begun = False
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            told: Told = end.value
            return told
        piece = piece if begun else piece.lstrip()
        begun = begun or bool(piece)
        if piece:
            yield piece


def answer(speaker: Speaker, frame: Frame, question: str, manner: Manner = Manner()) -> Said:
    """Ask one question about a frame.

    Args:
        speaker: see `calipers.model.speakers.load`.
        frame: with `rgb`, and `depth_m` where depth is shown or measured.
        question: as people ask.
        manner: how.

    Raises:
        ChatError: there is no answer.
    """
    said = list(_samples(speaker, frame, question, manner))
    return _one(said, manner)


def _samples(speaker: Speaker, frame: Frame, question: str, manner: Manner) -> Iterator[Said]:
    session = None if manner.depth_tool == "none" else measuring(frame)
    for number in range(manner.samples):
        tuned = speaker.tuned(manner.tuning(number), MappingProxyType({}))
        yield whole(
            saying(tuned, about(frame, question), session, manner.depth_tool, manner.budget)
        )


def whole(turn: Generator[str | Called, None, Said]) -> Said:
    """What a turn comes to, when nobody listens on the way."""
    while True:
        try:
            next(turn)
        except StopIteration as end:
            said: Said = end.value
            return said


def _one(said: Sequence[Said], manner: Manner) -> Said:
    """One answer of several; what counts of a text with calls in it stands behind the last."""
    if len(said) == 1:
        return said[0]
    text = agreed([_tail(one) for one in said], manner.average)
    calls = [call for one in said for call in one.calls]
    spent = sum(one.tokens_in for one in said), sum(one.tokens_out for one in said)
    return Said(text, calls, tuple(one.text for one in said), "done", *spent)


def _tail(said: Said) -> str:
    """The text behind the last ``Depth(x,y)=…``; the depth itself, in words, where none is."""
    if not said.calls or "=" not in said.text:
        return said.text
    depth = said.calls[-1]["answer"]
    rest = said.text.rpartition(f"{said.calls[-1]['asked']}={depth}")[2]
    return rest.strip(" .") or (f"{depth} mm" if depth.isdigit() else said.text)


def answers(
    speaker: Speaker, asked: Iterable[Asked], manner: Manner = Manner()
) -> Iterator[Said | ChatError]:
    """Ask many questions; answers come in order, in batches or a few at a time.

    Args:
        speaker: the model.
        asked: frames and questions.
        manner: how.

    Returns:
        An answer for each question, or why there is none.

    Raises:
        EndpointError: the next question would fail as well.
    """
    stream, size = iter(asked), max(1, manner.together // manner.samples)
    while some := list(islice(stream, size)):
        found = _together(speaker, some, manner) if manner.depth_tool == "none" else None
        yield from _each(speaker, some, manner) if found is None else found


def _together(speaker: Speaker, some: Sequence[Asked], manner: Manner) -> list[Said] | None:
    repeated = [one for one in some for _ in range(manner.samples)]
    tuning = manner.tuning(0)
    texts = speaker.tuned(tuning, {}).texts(repeated, tuning.temperature)
    if texts is None:
        return None
    rows = [texts[k : k + manner.samples] for k in range(0, len(texts), manner.samples)]
    return [_one([Said(text) for text in row], manner) for row in rows]


def _each(speaker: Speaker, some: Sequence[Asked], manner: Manner) -> Iterator[Said | ChatError]:
    with ThreadPoolExecutor(max_workers=speaker.threads) as pool:
        waiting = [pool.submit(answer, speaker, *one, manner) for one in some]
        try:
            for one in waiting:
                yield _outcome(one)
        finally:
            for one in waiting:
                one.cancel()


def _outcome(done: Future[Said]) -> Said | ChatError:
    try:
        return done.result()
    except EndpointError:
        raise
    except ChatError as error:
        return error
