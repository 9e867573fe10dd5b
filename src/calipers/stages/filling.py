"""What the steps that fill frames in share: asking an expert and taking its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from calipers.errors import DataError, Skip
from calipers.types import Frame

Outcome = Skip | None
"""Why a frame is left out, or None."""


class Ask(Protocol):
    """An expert as the steps see it: one result a frame, in order; `Skip` where it failed."""

    @property
    def signature(self) -> str:
        """What it is, for the record."""
        ...

    def __call__(self, frames: Sequence[Frame], *inputs: Sequence[Any]) -> list[Any]:
        """Ask about frames with pixels, with one item of each input a frame."""
        ...


def take(
    frames: Sequence[Frame], answers: Sequence[Any], use: Callable[[Frame, Any], None]
) -> list[Outcome]:
    """Use the answers; a failed one, and one that cannot be used, leaves its frame out."""
    return [_take_one(frame, answer, use) for frame, answer in zip(frames, answers, strict=True)]


def _take_one(frame: Frame, answer: Any, use: Callable[[Frame, Any], None]) -> Outcome:
    if isinstance(answer, Skip):
        return answer
    try:
        use(frame, answer)
    except Skip as skip:
        return skip
    except DataError as error:
        return Skip("expert_failed", str(error))
    return None


def wanted_shape(what: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Refuse an answer of another shape.

    Raises:
        Skip: ``expert_failed``.
    """
    if shape != wanted:
        raise Skip("expert_failed", f"{what}: wanted shape {wanted}, got {shape}")
