"""The way that is left as a vision-language model says it: SpatialVLM's dense reward.

The model is asked distances in words, as people ask, and its answer is read as a length.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from calipers.reward.curves import THERE_M
from calipers.reward.goals import Goal
from calipers.reward.measures import AWAY_M, BESIDE_M, LIFT_M
from calipers.types import Frame

SAMPLES = 1


class Asks(Protocol):
    """Answers a question about a frame in words, as ``calipers.model.answering`` does."""

    def __call__(self, frame: Frame, question: str) -> str:
        """The answer, for example "About 12 cm."."""
        ...


def questions(goal: Goal) -> tuple[str, ...]:
    """What is asked: the hand's way, and the target's where it has one to go.

    >>> from calipers.reward.goals import parse
    >>> questions(parse("put the apple in the bowl"))
    ('How far is the robot gripper from the apple?', 'How far is the apple from the bowl?')
    """
    hand = f"How far is the robot gripper from {goal.target}?"
    if goal.relation == "lifted":
        return hand, f"How high is {goal.target} above the table?"
    if goal.reference is None:
        return (hand,)
    return hand, f"How far is {goal.target} from {goal.reference}?"


def said_left(goal: Goal, frame: Frame, ask: Asks) -> float:
    """Metres that are left in one frame; NaN where an answer that counts states no length.

    As by the tools the hand counts no more once the target is where it goes.
    """
    from calipers.evals.quantities import read_length

    lengths = [read_length(ask(frame, question)) for question in questions(goal)]
    hand, *rest = [float("nan") if one is None else one.value for one in lengths]
    if not rest:
        return hand
    said = rest[0]
    short = {"lifted": LIFT_M - said, "away": AWAY_M - said, "beside": said - BESIDE_M}
    way = max(short.get(goal.relation, said), 0.0)
    return way if way <= THERE_M and goal.relation != "lifted" else hand + way


def trained(source: str | Path, samples: int = SAMPLES, device: str | None = None) -> Asks:
    """A model that `calipers train` wrote, or a base that is on disk.

    Args:
        source: its folder, or its id.
        samples: answers that are averaged.
        device: cuda, mps or cpu.

    Raises:
        UsageError: there is no such model.
        MissingExtraError: torch is not installed.
    """
    from calipers.errors import MissingExtraError

    try:
        from calipers.model.answering import answer, load
    except ImportError as error:
        raise MissingExtraError("a model's reward", "models") from error
    model = load(source, device)
    return lambda frame, question: answer(model, frame, question, samples)
