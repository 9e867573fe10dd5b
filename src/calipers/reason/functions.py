"""What the calculator may call: roots, means and trigonometry, each minding its dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from calipers.reason.quantity import ANGLE, PLAIN, CalculationError, Quantity, name_of, same

Function = Callable[[Sequence[Quantity]], Quantity]


def _one(values: Sequence[Quantity]) -> Quantity:
    if len(values) != 1:
        raise CalculationError(f"wanted one argument, got {len(values)}")
    return values[0]


def _alike(function: Callable[[list[float]], float]) -> Function:
    """Of any number of values of one dimension, to a value of it."""

    def apply(values: Sequence[Quantity]) -> Quantity:
        for other in values[1:]:
            same(",", values[0], other)
        return Quantity(function([v.value for v in values]), values[0].powers)

    return apply


def _turned(function: Callable[[float], float]) -> Function:
    """Of an angle, to a plain number."""

    def apply(values: Sequence[Quantity]) -> Quantity:
        value = _one(values)
        if value.powers != ANGLE:
            raise CalculationError(f"wanted an angle (deg or rad), got {name_of(value.powers)}")
        return Quantity(function(value.value))

    return apply


def _turning(function: Callable[[float], float]) -> Function:
    """Of a plain number, to an angle."""

    def apply(values: Sequence[Quantity]) -> Quantity:
        value = _one(values)
        if value.powers != PLAIN:
            raise CalculationError(f"wanted a plain number, got {name_of(value.powers)}")
        try:
            return Quantity(function(value.value), ANGLE)
        except ValueError as error:
            raise CalculationError("wanted a number from -1 to 1") from error

    return apply


def _whole(function: Callable[[float], int]) -> Function:
    """Of a plain number, to a whole one."""

    def apply(values: Sequence[Quantity]) -> Quantity:
        value = _one(values)
        if value.powers != PLAIN:
            raise CalculationError(f"wanted a plain number, got {name_of(value.powers)}")
        return Quantity(float(function(value.value)))

    return apply


def _atan2(values: Sequence[Quantity]) -> Quantity:
    if len(values) != 2:
        raise CalculationError(f"wanted two arguments, got {len(values)}")
    same(",", *values)
    return Quantity(math.atan2(values[0].value, values[1].value), ANGLE)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


FUNCTIONS: Mapping[str, Function] = {
    "sqrt": lambda values: _one(values).to_power(Fraction(1, 2)),
    "abs": lambda values: replace(_one(values), value=abs(_one(values).value)),
    "min": _alike(min), "max": _alike(max), "sum": _alike(math.fsum),
    "mean": _alike(_mean), "hypot": _alike(lambda values: math.hypot(*values)),
    "sin": _turned(math.sin), "cos": _turned(math.cos), "tan": _turned(math.tan),
    "asin": _turning(math.asin), "acos": _turning(math.acos), "atan": _turning(math.atan),
    "atan2": _atan2,
    "round": _whole(round), "floor": _whole(math.floor), "ceil": _whole(math.ceil),
}  # fmt: skip
"""What may be called, on quantities."""
