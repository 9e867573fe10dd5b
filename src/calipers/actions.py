"""Actions of a robot arm as text: seven changes, each one of 101 bins, with frames of history.

An action is (7,): how far the gripper moves (x, y, z, metres), how it turns (a rotation vector or
roll, pitch, yaw, radians), and its grip (-1 open … 1 closed). Bin 50 of 0 … 100 is the middle of a
range, so that standing still is exactly zero; 101 bins and four frames of history are those of
SpatialQA-E (Cai et al., "SpatialBot: Precise Spatial Understanding with Vision Language Models",
2024, section on robot manipulation). The words around the numbers are our own.

What lies outside its range is refused unless it is asked to be cut, and `encode` and `decode` are
each other's inverse on bins: ``encode(decode(bins)) == bins``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calipers.errors import DataError

BINS = 101
HISTORY = 4
"""Frames that are shown before the one to act on."""
DIMENSIONS = ("x", "y", "z", "roll", "pitch", "yaw", "grip")

_ACTION = re.compile(r"<action>([^<>]*)</action>")
_NUMBER = re.compile(r"\d{1,3}")


@dataclass(frozen=True, slots=True)
class ActionSpace:
    """Ranges of the seven numbers, and the bins that they fall into.

    Attributes:
        low, high: (7,) ends of the ranges; the middles of the first and the last bin.

    >>> space = ActionSpace.symmetric(0.05, 0.25)
    >>> space.encode([0.0, 0.05, -0.05, 0.0, 0.0, 0.0125, 1.0]).tolist()
    [50, 100, 0, 50, 50, 52, 100]
    >>> space.decode([50, 100, 0, 50, 50, 52, 100]).round(4).tolist()
    [0.0, 0.05, -0.05, 0.0, 0.0, 0.01, 1.0]
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        ends = np.array([self.low, self.high], dtype=np.float64)
        if ends.shape != (2, len(DIMENSIONS)) or not np.isfinite(ends).all():
            raise DataError(f"action space: wanted 7 finite ends twice, got {self}")
        if (ends[0] >= ends[1]).any():
            raise DataError(f"action space: wanted low below high, got {self}")

    @classmethod
    def symmetric(cls, move_m: float = 0.05, turn_rad: float = 0.25) -> ActionSpace:
        """The same range to both sides: metres along axes, radians about them, grip -1 to 1."""
        high = (move_m,) * 3 + (turn_rad,) * 3 + (1.0,)
        return cls(tuple(-end for end in high), high)

    @classmethod
    def of(cls, actions: Any) -> ActionSpace:
        """The smallest symmetric ranges that hold all of (N, 7) actions; the grip keeps -1 to 1.

        Raises:
            DataError: not (N, 7) finite numbers, or a grip outside -1 … 1.
        """
        table = _table(actions)
        reach = np.maximum(np.abs(table).max(axis=0, initial=0.0), 1e-6)
        if reach[6] > 1.0:
            raise DataError(f"actions: wanted a grip in [-1, 1], got {reach[6]}")
        reach[6] = 1.0
        return cls(tuple((-reach).tolist()), tuple(reach.tolist()))

    @property
    def step(self) -> NDArray[np.float64]:
        """(7,) how far the middles of neighbouring bins are apart."""
        return np.asarray((np.array(self.high) - np.array(self.low)) / (BINS - 1))

    def encode(self, actions: Any, clip: bool = False) -> NDArray[np.int64]:
        """Bins 0 … 100 of actions (7,) or (N, 7): the nearest middle.

        Args:
            actions: metres, radians and grip.
            clip: take the first or last bin for what lies outside, instead of an error.

        Raises:
            DataError: not seven finite numbers, or one more than half a bin outside its range.
        """
        table = np.asarray(actions, dtype=np.float64)
        _table(table if table.ndim > 1 else table[None])
        place = (table - np.array(self.low)) / self.step
        if not clip and ((place < -0.5) | (place > BINS - 0.5)).any():
            raise DataError(f"actions: wanted {self.low} to {self.high}, got {table.tolist()}")
        return np.asarray(np.clip(np.rint(place), 0, BINS - 1), dtype=np.int64)

    def decode(self, bins: Any) -> NDArray[np.float64]:
        """Actions of bins (7,) or (N, 7): the middle of each; raises DataError for no such bin."""
        table = np.asarray(bins)
        if table.shape[-1:] != (len(DIMENSIONS),) or table.dtype.kind not in "iu":
            raise DataError(f"bins: wanted 7 whole numbers, got {table.dtype} {table.shape}")
        if ((table < 0) | (table >= BINS)).any():
            raise DataError(f"bins: wanted 0 to {BINS - 1}, got {table.tolist()}")
        return np.asarray(np.array(self.low) + table * self.step)


def say(bins: Any) -> str:
    """The text of one action's bins (7,).

    >>> say([50, 100, 0, 50, 50, 52, 100])
    '<action>50 100 0 50 50 52 100</action>'
    """
    table = np.asarray(bins)
    if table.shape != (len(DIMENSIONS),) or ((table < 0) | (table >= BINS)).any():
        raise DataError(f"bins: wanted 7 of 0 to {BINS - 1}, got {table.tolist()}")
    return f"<action>{' '.join(str(int(value)) for value in table)}</action>"


def read(text: str) -> NDArray[np.int64]:
    """The bins (7,) of the only action in a text, whatever stands around it.

    Raises:
        DataError: no action, more than one, or not seven numbers of 0 to 100.

    >>> read("Now: <action>50 100 0 50 50 52 100</action>").tolist()
    [50, 100, 0, 50, 50, 52, 100]
    """
    found = _ACTION.findall(text)
    if len(found) != 1:
        raise DataError(f"wanted one action, got {len(found)} in {text[:200]!r}")
    return _read_bins(found[0])


def read_all(text: str) -> NDArray[np.int64]:
    """The bins (N, 7) of all actions in a text, in order; raises DataError for a malformed one.

    >>> read_all("").shape
    (0, 7)
    """
    rows = [_read_bins(inner) for inner in _ACTION.findall(text)]
    return np.array(rows, dtype=np.int64).reshape(-1, len(DIMENSIONS))


def prompt(instruction: str, past: Sequence[Any], history: int = HISTORY) -> str:
    """The text that asks for the next action, with the bins of the last few.

    Args:
        instruction: what the robot is told to do.
        past: the bins (7,) of actions so far, oldest first; the last `history` are shown, one
            for each frame of history.
        history: how many frames come before the present one.

    >>> print(prompt("Lift the red cup.", [[50] * 6 + [0]]))
    Task: Lift the red cup.
    Last actions, oldest first: <action>50 50 50 50 50 50 0</action>
    What is the next action?
    """
    shown = list(past)[max(0, len(past) - history) :] if history > 0 else []
    said = " ".join(say(bins) for bins in shown) or "none"
    return f"Task: {instruction}\nLast actions, oldest first: {said}\nWhat is the next action?"


def frames_of_history(step: int, history: int = HISTORY) -> list[int]:
    """Positions of the frames to show at a step: `history` before it, and its own.

    Before the beginning the first frame is repeated, so that there are always as many.

    >>> frames_of_history(2), frames_of_history(9)
    ([0, 0, 0, 1, 2], [5, 6, 7, 8, 9])
    """
    if step < 0 or history < 0:
        raise DataError(f"wanted a step and a history of 0 or more, got {step}, {history}")
    return [max(0, step - back) for back in range(history, -1, -1)]


def _read_bins(inner: str) -> NDArray[np.int64]:
    words = inner.split()
    if len(words) != len(DIMENSIONS) or not all(_NUMBER.fullmatch(word) for word in words):
        raise DataError(f"action: wanted 7 numbers, got {inner[:80]!r}")
    bins = np.array([int(word) for word in words], dtype=np.int64)
    if (bins >= BINS).any():
        raise DataError(f"action: wanted 0 to {BINS - 1}, got {inner!r}")
    return bins


def _table(actions: Any) -> NDArray[np.float64]:
    table = np.asarray(actions, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(DIMENSIONS) or not np.isfinite(table).all():
        raise DataError(f"actions: wanted (N, 7) finite numbers, got shape {table.shape}")
    return table
