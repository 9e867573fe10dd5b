"""A calculator for models: arithmetic on lengths, areas, volumes, angles and times.

======================================  ==========================================================
written                                 meaning
======================================  ==========================================================
``0.4 m + 35 cm``, ``5 ft 3 in``        numbers with units; parts of one length are added
``r1 + 2 * r2``, ``r3.width``           results of earlier calls, and their further numbers
``6 m^2``, ``6 m²``, ``6 sq ft``        the power belongs to the unit; ``(6 m)^2`` squares both
``5 m / 2 s``, ``3 m/s``                quotients
``sqrt(r1^2 + r2^2) to cm``             functions; at the end, the unit to tell it in
``r1 + 5 cm < r2``                      compares: yes, no, or unsure within the margin
``count(r1 < 1 m, r2 < 1 m)``           how many of the comparisons hold
======================================  ==========================================================

Nothing else is understood: no names, no attributes of objects, nothing of Python is run. Units are
never mixed: adding a length and an area, or a sine of a length, is an error that says so. An angle
is no plain number: write ``deg`` or ``rad``.

A number that is written out must come from somewhere: from the question or from a measure. Free is
only a formula's own (one of `CONSTANTS`, or pi in digits), where something else in the expression
comes from somewhere, and not where it is added to another: ``r1 * 2`` is well, ``r1 * 37``,
``r1 * (100 + 3)`` and ``3 * 100`` are not; see `Calculated.literals` and `Calculated.constants`.

Results carry their margins into what is computed of them: to first order, each margin on its own,
as of independent measures (JCGM 100:2008, 5.1.2).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from calipers.reason.functions import FUNCTIONS
from calipers.reason.quantity import (
    PLAIN,
    RAISED,
    SQUARED,
    UNITS,
    CalculationError,
    Quantity,
    name_of,
    same,
    symbol_of,
)

LONGEST = 500
"""Characters of an expression."""
DEEPEST = 40
"""Brackets in brackets."""
HIGHEST_POWER = 8
CONSTANTS = (*range(13), 60, 90, 100, 180, 360, 1000, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 1.5)
"""Plain numbers that may be a formula's own: counts, halves, quarters, shares, parts of units."""


@dataclass(frozen=True, slots=True)
class Known:
    """A result that an expression may name.

    Attributes:
        margin: one standard deviation, in the unit of `value`; 0 where it is exact.
        traced: whether it comes from measures alone.
    """

    value: Quantity
    margin: float = 0.0
    traced: bool = True


class Literal(NamedTuple):
    """A number that was written in the expression."""

    text: str
    value: Quantity
    step: float
    """One in its last digit, metres, seconds or radians."""
    own: bool = False
    """Whether it may be a formula's own."""


@dataclass(frozen=True, slots=True)
class Calculated:
    """What came out.

    Attributes:
        value: of a comparison, left minus right.
        margin: one standard deviation, from the margins of the results that were used.
        unit: what it is told in, and one of it.
        verdict: of a comparison: yes, no or unsure; else None.
        used: names of results in it, in order.
        literals: numbers that were written out and must come from somewhere.
        constants: others, which must too where nothing else in the expression does.
    """

    value: Quantity
    margin: float
    unit: tuple[str, Quantity]
    verdict: str | None
    used: tuple[str, ...]
    literals: tuple[Literal, ...]
    constants: tuple[Literal, ...] = ()

    @property
    def told(self) -> float:
        """The value in its unit."""
        return self.value.value / self.unit[1].value

    @property
    def told_margin(self) -> float:
        """The margin in its unit."""
        return self.margin / self.unit[1].value


def calculate(expression: str, known: Mapping[str, Known] | None = None) -> Calculated:
    """Compute an expression.

    Args:
        expression: see the table above.
        known: results by name.

    Raises:
        CalculationError: it cannot be read, or its units do not fit.

    >>> calculate("0.4 m + 35 cm").told, calculate("sqrt((3 m)^2 + (4 m)^2) to cm").told
    (0.75, 500.0)
    >>> calculate("2 m + 3")
    Traceback (most recent call last):
    ...
    calipers.reason.quantity.CalculationError: units do not fit: + of a length and a plain number
    """
    values = dict(known or {})
    parser = _Parser(expression, values)
    left, compared, right, unit = parser.whole()
    value = _difference(left, compared, right)
    margin = Quantity(_margin(expression, values, value, parser.used)).value
    verdict = None if compared is None else _verdict(compared, value.value, margin)
    given = unit or (symbol_of(value.powers), Quantity(1.0, value.powers))
    loose = tuple(literal for literal in parser.literals if not literal.own)
    constants = tuple(literal for literal in parser.literals if literal.own)
    return Calculated(value, margin, given, verdict, tuple(parser.used), loose, constants)


_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def _difference(left: Quantity, compared: str | None, right: Quantity | None) -> Quantity:
    return left if compared is None or right is None else left.plus(right, -1)


def _verdict(compared: str, difference: float, margin: float) -> str:
    if margin and abs(difference) <= margin:
        return "unsure"
    return "yes" if _COMPARISONS[compared](difference, 0.0) else "no"


def _margin(
    expression: str, known: Mapping[str, Known], value: Quantity, used: Sequence[str]
) -> float:
    """How far the value moves with each margin, summed in squares."""
    moves = []
    for name in dict.fromkeys(used):
        one = known[name]
        if one.margin:
            moved = replace(one, value=replace(one.value, value=one.value.value + one.margin))
            left, compared, right, _ = _Parser(expression, {**known, name: moved}).whole()
            moves.append(_difference(left, compared, right).value - value.value)
    return math.hypot(*moves)


_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<result>[rR]\d+(?:\.[A-Za-z_]\w*)?)"
    r"|(?P<word>atan2|[A-Za-zµμ]+|[%°ºπ])|(?P<raised>[²³])"
    r"|(?P<sign>\*\*|->|<=|>=|[-+*/^(),<>×·÷−–≤≥]))"
)
_PLAIN_SIGNS = {
    "×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "**": "^", "->": "to", "≤": "<=", "≥": ">=",
    "π": "pi",
}  # fmt: skip


class _Token(NamedTuple):
    kind: str
    text: str


def _tokens(expression: str) -> list[_Token]:
    if len(expression) > LONGEST:
        raise CalculationError(f"wanted at most {LONGEST} characters")
    found, place, text = [], 0, expression.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise CalculationError(f"cannot read {text[place:].strip()[:20]!r}")
        said = match[match.lastgroup]
        found.append(_Token(match.lastgroup, _PLAIN_SIGNS.get(said, said)))
        place = match.end()
    return [*found, _Token("end", "")]


@dataclass(slots=True)
class _Parser:
    """Reads by descent and computes as it reads."""

    expression: str
    known: Mapping[str, Known]
    used: list[str] = field(default_factory=list)
    literals: list[Literal] = field(default_factory=list)
    tokens: list[_Token] = field(default_factory=list)
    place: int = 0
    depth: int = 0

    @property
    def next(self) -> str:
        return self.tokens[self.place].text

    def take(self, *texts: str) -> str | None:
        """The next token's text, taken, where it is one of these."""
        if self.tokens[self.place].kind != "end" and self.next in texts:
            self.place += 1
            return self.tokens[self.place - 1].text
        return None

    def want(self, text: str) -> None:
        if self.take(text) is None:
            raise CalculationError(f"wanted {text!r}, got {self.next or 'the end'!r}")

    def whole(self) -> tuple[Quantity, str | None, Quantity | None, tuple[str, Quantity] | None]:
        """Left, comparison, right, and the unit that is wanted."""
        self.tokens = _tokens(self.expression)
        left, right, unit = self.sum(), None, None
        compared = self.take(*_COMPARISONS)
        if compared is not None:
            right = self.sum()
            same(compared, left, right)
        elif self.take("to"):
            unit = self.wanted_unit(left)
        if self.tokens[self.place].kind != "end":
            raise CalculationError(f"cannot read on from {self.next!r}: an operator is missing")
        return left, compared, right, unit

    def wanted_unit(self, value: Quantity) -> tuple[str, Quantity]:
        start = self.place
        one = self.rate()
        if one is None:
            raise CalculationError(f"wanted a unit after 'to', got {self.next or 'the end'!r}")
        same("to", value, one)
        words = [t.text for t in self.tokens[start : self.place]]
        return "".join(f"{w} " if w in SQUARED else w for w in words), one

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise CalculationError(f"more than {DEEPEST} brackets in brackets")

    def sum(self) -> Quantity:
        self.deeper()
        used, written = len(self.used), len(self.literals)
        value = self.product()
        while sign := self.take("+", "-"):
            value = value.plus(self.product(), 1 if sign == "+" else -1)
            if len(self.used) == used and all(one.own for one in self.literals[written:]):
                self.literals[written:] = [x._replace(own=False) for x in self.literals[written:]]
        self.depth -= 1
        return value

    def product(self) -> Quantity:
        value = self.signed()
        while sign := self.take("*", "/"):
            other = self.signed()
            value = value.times(other) if sign == "*" else value.over(other)
        return value

    def signed(self) -> Quantity:
        sign = 1.0
        while found := self.take("+", "-"):
            sign = -sign if found == "-" else sign
        value = self.power()
        return replace(value, value=sign * value.value)

    def power(self) -> Quantity:
        base = self.atom()
        if self.tokens[self.place].kind == "raised":
            self.place += 1
            return base.to_power(Fraction(RAISED[self.tokens[self.place - 1].text]))
        return base.to_power(self.exponent(base)) if self.take("^") else base

    def exponent(self, base: Quantity) -> Fraction:
        """A power: any of a plain number, of a quantity one that leaves a unit."""
        self.deeper()
        value = self.signed()
        self.depth -= 1
        if value.powers != PLAIN or abs(value.value) > HIGHEST_POWER:
            raise CalculationError(f"wanted a plain power up to {HIGHEST_POWER}")
        power = Fraction(value.value).limit_denominator(12)
        if math.isclose(power, value.value, rel_tol=1e-12):
            return power
        if base.powers != PLAIN:
            raise CalculationError(f"wanted a whole power of {name_of(base.powers)}, or a root")
        return Fraction(value.value)

    def atom(self) -> Quantity:
        kind, text = self.tokens[self.place]
        if self.take("("):
            value = self.sum()
            self.want(")")
            return value
        if kind == "number":
            return self.number()
        if kind == "result":
            return self.result()
        return self.word(text.lower()) if kind == "word" else self.stuck()

    def stuck(self) -> Quantity:
        raise CalculationError(f"wanted a number, got {self.next or 'the end'!r}")

    def number(self) -> Quantity:
        """A number with its unit; "5 ft 3 in" is one."""
        value, unit = self.one_number()
        while self.tokens[self.place].kind == "number" and unit is not None:
            more, smaller = self.one_number()
            if smaller is None or smaller.powers != unit.powers or smaller.value >= unit.value:
                raise CalculationError("two numbers with no operator between them")
            value, unit = value.plus(more), smaller
        return value

    def one_number(self) -> tuple[Quantity, Quantity | None]:
        start, text = self.place, self.next.replace(",", "")
        self.place += 1
        unit = self.rate()
        one = unit or Quantity(1.0)
        value = Quantity(float(text) * one.value, one.powers)
        words = " ".join(t.text for t in self.tokens[start : self.place])
        own = one.powers == PLAIN and _is_constant(value.value, text)
        self.literals.append(Literal(words, value, last_step(text) * one.value, own))
        return value, unit

    def rate(self) -> Quantity | None:
        """A unit, perhaps over others, where one comes next: m, m/s, m/s^2."""
        one = self.unit()
        while one is not None and self.next == "/":
            self.place += 1
            other = self.unit()
            if other is None:
                self.place -= 1
                break
            one = one.over(other)
        return one

    def unit(self) -> Quantity | None:
        """A unit with its power, where one comes next."""
        start = self.place
        power = SQUARED.get(self.next.lower())
        self.place += power is not None
        kind, word = self.tokens[self.place]
        found = UNITS.get(word.lower()) if kind == "word" else None
        if found is None or self.tokens[self.place + 1].text == "(":  # min is a function too
            self.place = start
            return None
        self.place += 1
        if self.tokens[self.place].kind == "raised":
            power = RAISED[self.next]
            self.place += 1
        elif self.next == "^" and self.tokens[self.place + 1].text in ("2", "3"):
            power = int(self.tokens[self.place + 1].text)
            self.place += 2
        return found if power is None else found.to_power(Fraction(power))

    def result(self) -> Quantity:
        name = self.next.lower()
        self.place += 1
        if name not in self.known:
            there = ", ".join(list(self.known)[-12:]) or "none yet"
            raise CalculationError(f"no result {name[:40]!r}; there are: {there}")
        self.used.append(name)
        return self.known[name].value

    def word(self, name: str) -> Quantity:
        """A function, or pi."""
        self.place += 1
        if name == "pi":
            return Quantity(math.pi)
        if name == "count":
            return self.count()
        if name not in FUNCTIONS:
            hint = "; write 1 before a unit" if name in UNITS else ""
            raise CalculationError(f"unknown name {name[:40]!r}{hint}")
        self.want("(")
        values = [self.sum()]
        while self.take(","):
            values.append(self.sum())
        self.want(")")
        return FUNCTIONS[name](values)

    def count(self) -> Quantity:
        """How many of the comparisons in brackets hold."""
        self.want("(")
        held = self.holds()
        while self.take(","):
            held += self.holds()
        self.want(")")
        return Quantity(float(held))

    def holds(self) -> int:
        left = self.sum()
        compared = self.take(*_COMPARISONS)
        if compared is None:
            raise CalculationError(f"wanted < or > in count(), got {self.next or 'the end'!r}")
        right = self.sum()
        same(compared, left, right)
        return _COMPARISONS[compared](left.value, right.value)


def last_step(text: str) -> float:
    """One in the last digit of a number.

    >>> last_step("0.40"), last_step("12"), last_step("1e-3")
    (0.01, 1.0, 0.001)
    """
    digits, _, power = text.lower().partition("e")
    return float(f"1e{power or 0}") * 10.0 ** -len(digits.partition(".")[2])


def _is_constant(value: float, text: str) -> bool:
    """Whether a plain number may be a formula's own; pi counts in three digits or more."""
    decimals = len(text.partition(".")[2])
    is_pi = decimals >= 2 and text == f"{math.pi:.{min(decimals, 15)}f}"
    return is_pi or any(math.isclose(value, constant) for constant in CONSTANTS)
