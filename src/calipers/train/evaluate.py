"""Evaluation during training: questions of a run that are answered and scored, not learnt from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch

from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.evals.report import Report, report
from calipers.evals.score import score
from calipers.evals.tasks.run import COLUMNS, case
from calipers.model.answering import MOST_TOKENS, Answerer, ChatAnswerer, NanoAnswerer, answers
from calipers.model.answering import Asked as Pair
from calipers.model.speakers import Tuning, about
from calipers.model.speaking import HuggingSpeaker, NanoSpeaker
from calipers.questions.sampling import generator
from calipers.stream import QuestionStream
from calipers.tools.protocol import CALL, run
from calipers.tools.session import Session
from calipers.train.data import Cache, Frames, Seen, frames_root, scenes_of
from calipers.train.plain import ASKED, Plain, draw, plain_case
from calipers.train.recipe import Evaluation
from calipers.types import Frame, Scene

MOST_READ = 20_000
"""Questions of a run among which some are drawn."""


class Asked(NamedTuple):
    """A question of an evaluation, and where its pictures are."""

    case: Case
    seen: Seen


def drawn(wanted: Evaluation) -> list[Asked]:
    """The questions of an evaluation: always the same, spread over the run's scenes.

    Raises:
        UsageError: the run has none, or no such split.
    """
    frames = Frames.under(frames_root(wanted.run, wanted.frames))
    found = (_plain if wanted.ask == "plain" else _of_a_run)(wanted, frames)
    if not found:
        raise UsageError(f"{wanted.run}: there is nothing to ask in an evaluation")
    return found


def _of_a_run(wanted: Evaluation, frames: Frames) -> list[Asked]:
    """Questions as of ``calipers ask``."""
    stream = QuestionStream(
        wanted.run, seed=wanted.seed, split=wanted.split, types=wanted.types, rank=0, world_size=1,
        fields=(*COLUMNS, "depth_image"),
    )  # fmt: skip
    rows = list(islice(stream, MOST_READ))
    order = generator(wanted.seed, "evaluation").permutation(len(rows))[: wanted.questions]
    return [
        Asked(case(rows[k]), frames.seen(rows[k]["image"], rows[k]["depth_image"])) for k in order
    ]


def _plain(wanted: Evaluation, frames: Frames) -> list[Asked]:
    """As many plain questions of each scene; those for points are not scored, so not asked."""
    types = wanted.types or [name for name in ASKED if name != "point"]
    scenes = list(scenes_of(wanted.run, wanted.split))
    each = -(-wanted.questions // max(len(scenes), 1))
    found = plain_asked(scenes, frames, each, wanted.seed, types)
    return [asked for _, asked in islice(found, wanted.questions)]


def plain_asked(
    scenes: Iterable[Scene], frames: Frames, each: int, seed: int, types: Sequence[str]
) -> Iterator[tuple[Plain, Asked]]:
    """So many plain questions of each scene, always the same, and what is true of them."""
    for scene in scenes:
        seen = frames.seen(scene.image, scene.depth_image)
        for k, one in enumerate(draw(scene, each, generator(seed, scene.id), types)):
            yield one, Asked(plain_case(one, scene, k), seen)


def examiner(
    wanted: Evaluation | None, frame_of: Callable[[Seen], Frame] | None = None
) -> Callable[[Answerer], dict[str, Any]] | None:
    """What evaluates a model each time; None where the recipe wants nothing.

    The questions are drawn at once, so that a run without any ends before its first step.

    Raises:
        UsageError: the run has none.
    """
    if wanted is None:
        return None
    asked, read = drawn(wanted), frame_of or Cache.frames()
    return lambda model: summary(evaluate(model, asked, read, bool(wanted.tool)))


def evaluate(
    model: Answerer, asked: Sequence[Asked], read: Callable[[Seen], Frame], tool: bool = False
) -> Report:
    """Let a model answer, and score what it says.

    Args:
        model: see `calipers.model.answering.load`.
        asked: see `drawn`.
        read: reads frames.
        tool: the model may ask the DepthAPI on the way.
    """
    pairs = ((read(one.seen), one.case.question) for one in asked)
    said = with_tool(model, pairs) if tool else answers(model, pairs)
    given = {one.case.id: text for one, text in zip(asked, said)}
    return report("evaluation", score([one.case for one in asked], given))


def with_tool(model: Answerer, asked: Iterable[Pair], together: int = 32) -> Iterator[str]:
    """What a model says in the end, its calls of the DepthAPI answered on the way.

    Where it makes none, and of a frame without depth, that is what it says at once; whoever makes
    one says it again, alone.

    Args:
        model: see `calipers.model.answering.load`.
        asked: frames and questions.
        together: most questions a batch.
    """
    stream = iter(asked)
    while some := list(islice(stream, together)):
        for (frame, question), text in zip(some, model.texts(some, 0.0)):
            calls = frame.depth_m is not None and CALL.search(text)
            yield _measured(model, frame, question) if calls else text


def _measured(model: Answerer, frame: Frame, question: str) -> str:
    speaker = _speaker(model).tuned(Tuning(max_tokens=MOST_TOKENS), {})
    return run(speaker.going_on(about(frame, question)), Session.of_frame(frame)).text.strip()


def _speaker(model: Answerer) -> NanoSpeaker | HuggingSpeaker:
    if isinstance(model, NanoAnswerer):
        return NanoSpeaker("nano", model)
    assert isinstance(model, ChatAnswerer)
    return HuggingSpeaker("base", _InPrecision(model.model), model.chat, taught=True)


class _InPrecision:
    """A model whose `generate` computes in the precision of the thread that this is made in.

    Autocast holds for one thread, and a call is watched for from another one.
    """

    def __init__(self, model: Any) -> None:
        self._model, device = model, model.device.type
        half = torch.is_autocast_enabled(device)
        self._precision = device, torch.get_autocast_dtype(device), half

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, **options: Any) -> Any:
        """Continue a text."""
        with torch.autocast(*self._precision):
            return self._model.generate(**options)


SHOWN = (
    ("qualitative", "exact"),
    ("quantitative", "gives-number"),
    ("quantitative", "within-50-200"),
    ("quantitative", "within-90-110"),
)
"""Kind of question and rule of what is told during training."""


def summary(found: Report) -> dict[str, Any]:
    """How many questions, and shares in percent: of the `SHOWN`, those that the questions have."""
    rows = {(row.tag, row.rule.partition("@")[0]): row.mean.mean for row in found.rows}
    shown = {f"{tag} {name}": rows[tag, name] for tag, name in SHOWN if (tag, name) in rows}
    shares = {name: round(100 * share, 1) for name, share in shown.items() if share is not None}
    return {"questions": found.cases} | shares
