"""The calculator: arithmetic that never mixes units, and never runs anything."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calipers.reason.calculator import FUNCTIONS, LONGEST, Known, calculate
from calipers.reason.quantity import (
    AREA,
    LENGTH,
    PLAIN,
    UNITS,
    CalculationError,
    Quantity,
    dimension,
    name_of,
    symbol_of,
)

KNOWN = {
    "r1": Known(Quantity(1.0, LENGTH), 0.03),
    "r2": Known(Quantity(0.5, LENGTH), 0.04),
    "r3.width": Known(Quantity(0.2, LENGTH)),
}


@pytest.mark.parametrize(
    ("expression", "value", "unit"),
    [
        ("0.4 m + 35 cm", 0.75, "m"),
        ("1 ft to cm", 30.48, "cm"),
        ("5 ft 3 in to cm", 160.02, "cm"),
        ("1 h 20 min to min", 80, "min"),
        ("6 m^2", 6, "m^2"),
        ("(6 m)^2", 36, "m^2"),
        ("6 m²", 6, "m^2"),
        ("1 sq ft to square inches", 144, "square inches"),
        ("2 cubic m to l", 2000, "l"),
        ("0.3 m * 40 cm * 0.5 m to l", 60, "l"),
        ("36 km/h to m/s", 10, "m/s"),
        ("3 m/s * 10 s", 30, "m"),
        ("10 m / 4 s", 2.5, "m/s"),
        ("sqrt((3 m)^2 + (4 m)^2)", 5, "m"),
        ("hypot(3 m, 4 m)", 5, "m"),
        ("min(2 m, 30 cm)", 0.3, "m"),
        ("max(2 m, 30 cm)", 2, "m"),
        ("mean(1 m, 2 m, 600 cm)", 3, "m"),
        ("abs(1 m - 3 m)", 2, "m"),
        ("acos(0.5) to deg", 60, "deg"),
        ("sin(30 deg)", 0.5, ""),
        ("atan2(1 m, 1 m) to deg", 45, "deg"),
        ("pi * (2 m)^2", 4 * math.pi, "m^2"),
        ("-2^2", -4, ""),
        ("2 + 3 * 4 - 10 / 5", 12, ""),
        ("1,200 m to km", 1.2, "km"),
        ("25 % * 8 m", 2, "m"),
        ("r1 + 2 × r3.width", 1.4, "m"),
        ("R1 ÷ r2", 2, ""),
        ("4 m / min(2, 8)", 2, "m"),
        ("round(r1 / (30 cm))", 3, ""),
        ("floor(r1 / (30 cm)) + ceil(r1 / (30 cm))", 7, ""),
        ("count(r1 < 1 m, r2 <= 50 cm, r3.width >= r2 - 40 cm)", 2, ""),
        ("3 - count(2 > 1)", 2, ""),
        ("2^1.05", 2**1.05, ""),
        ("(r1 / r2)^0.77", 2**0.77, ""),
        ("(8 m^3)^(1/3)", 2, "m"),
        ("π * (2 m)^2", 4 * math.pi, "m^2"),
        ("3 m – 2 m", 1, "m"),
        ("0e400 m", 0, "m"),
        ("1e-99999", 0, ""),
    ],
)
def test_what_comes_out(expression: str, value: float, unit: str) -> None:
    found = calculate(expression, KNOWN)
    assert found.told == pytest.approx(value, rel=1e-9)
    assert found.unit[0] == unit


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("2 m + 3", "units do not fit: + of a length and a plain number"),
        ("2 m - 3 s", "units do not fit: - of a length and a time"),
        ("r1 + 2 m^2", "units do not fit: + of a length and an area"),
        ("r1 < 3", "units do not fit: < of a length and a plain number"),
        ("30 deg + 1", "units do not fit: + of an angle and a plain number"),
        ("hypot(3 m, 4)", "units do not fit: , of a length and a plain number"),
        ("3 m to s", "units do not fit: to of a length and a time"),
        ("sin(3)", "wanted an angle (deg or rad), got a plain number"),
        ("acos(3 m)", "wanted a plain number, got a length"),
        ("acos(3)", "wanted a number from -1 to 1"),
        ("2^(1 m)", "wanted a plain power up to 8"),
        ("9^9^9", "wanted a plain power up to 8"),
        ("(2 m)^1.05", "wanted a whole power of a length, or a root"),
        ("1e999 m", "out of range: wanted numbers up to 1e+15"),
        ("1" + "^1" * 200, "more than 40 brackets in brackets"),
        ("1 / 0", "division by zero"),
        ("0^-1", "division by zero"),
        ("sqrt(-1)", "a root of a negative number"),
        ("9e9^4", "out of range: wanted numbers up to 1e+15"),
        ("1e400", "out of range: wanted numbers up to 1e+15"),
        ("r7 + 1 m", "no result 'r7'; there are: r1, r2, r3.width"),
        ("2 m 3", "two numbers with no operator between them"),
        ("3 in 5 ft", "two numbers with no operator between them"),
        ("2 r1", "cannot read on from 'r1': an operator is missing"),
        ("m", "unknown name 'm'; write 1 before a unit"),
        ("open", "unknown name 'open'"),
        ("3 parsecs", "cannot read on from 'parsecs': an operator is missing"),
        ("__import__('os')", "cannot read \"__import__('os')\""),
        ("r1.__class__", "no result 'r1.__class__'; there are: r1, r2, r3.width"),
        ("(1 m", "wanted ')', got 'the end'"),
        ("", "wanted a number, got 'the end'"),
        ("3 m to", "wanted a unit after 'to', got 'the end'"),
        ("round(3 m)", "wanted a plain number, got a length"),
        ("count(r1)", "wanted < or > in count(), got ')'"),
        ("count(r1 < 1)", "units do not fit: < of a length and a plain number"),
        ("sqrt(1, 2)", "wanted one argument, got 2"),
        ("(" * 41 + "1" + ")" * 41, "more than 40 brackets in brackets"),
        ("1+" * 300 + "1", f"wanted at most {LONGEST} characters"),
    ],
)
def test_what_has_no_value(expression: str, why: str) -> None:
    with pytest.raises(CalculationError) as caught:
        calculate(expression, KNOWN)
    assert str(caught.value) == why


def test_margins_go_into_what_is_computed() -> None:
    assert calculate("r1 + r2", KNOWN).margin == pytest.approx(0.05)  # 3, 4, 5
    assert calculate("r1 - r1", KNOWN).margin == pytest.approx(0)
    assert calculate("2 * r1 to cm", KNOWN).told_margin == pytest.approx(6)
    assert calculate("r1 * r2", KNOWN).margin == pytest.approx(math.hypot(0.015, 0.04))


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("r1 < r2", "no"), ("r1 > r2", "yes"), ("r1 < r2 + 48 cm", "unsure"),
        ("3 m >= 300 cm", "yes"), ("3 m < 300 cm", "no"), ("r3.width ≤ 20 cm", "yes"),
    ],
)  # fmt: skip
def test_comparisons_know_their_margin(expression: str, verdict: str) -> None:
    assert calculate(expression, KNOWN).verdict == verdict


def test_a_count_moves_with_what_is_in_doubt() -> None:
    assert calculate("count(r1 < 1.02 m, r2 < 1 m)", KNOWN).margin == 1  # 1 m ± 0.03
    assert calculate("count(r1 < 1.2 m, r2 < 1 m)", KNOWN).margin == 0
    assert calculate("count(r1 < 3.7 m)", KNOWN).literals[0].text == "3.7 m"


def test_a_margin_out_of_range_is_an_error() -> None:
    wide = {name: Known(Quantity(1.0), 0.9) for name in ("r1", "r2")}
    with pytest.raises(CalculationError, match="out of range"):
        calculate("9e14 - 8e14 * r1 - 8e14 * r2", wide)


def test_which_numbers_were_written_out() -> None:
    found = calculate("2 * r1 + 0.5 * 3.71 m + 1.234 * r2", KNOWN)
    assert [literal.text for literal in found.literals] == ["3.71 m", "1.234"]
    assert [constant.text for constant in found.constants] == ["2", "0.5"]
    assert found.used == ("r1", "r2")


@pytest.mark.parametrize(
    ("expression", "loose"),
    [
        ("(r1 + r2) / 2", []), ("100 * r1 / r2", []), ("4/3 * 3.1416 * r1^3", []),
        ("25 % * r1", []), ("r1 / r2 - 1", []), ("12 - count(r1 < r2)", []),
        ("r1 * 37 / 10", ["37"]), ("r1 * 3.1415", ["3.1415"]), ("0.37 * r1", ["0.37"]),
        ("37 % * r1", ["37 %"]), ("r1 * (100 + 3)", ["100", "3"]), ("37 * 100 + 42", ["37", "42"]),
    ],
)  # fmt: skip
def test_which_numbers_are_a_formulas_own(expression: str, loose: list[str]) -> None:
    assert [literal.text for literal in calculate(expression, KNOWN).literals] == loose


def test_what_dimensions_are_called() -> None:
    assert [name_of(p) for p in (PLAIN, AREA, dimension(1, -1))] == [
        "a plain number", "an area", "a speed",
    ]  # fmt: skip
    assert symbol_of(dimension(2, -1, -1)) == "m^2/s/rad"


LENGTHS = [name for name, one in UNITS.items() if one.powers == LENGTH]


@given(
    st.floats(0.001, 1e5), st.floats(0.001, 1e5), st.sampled_from(LENGTHS), st.sampled_from(LENGTHS)
)
def test_sums_in_any_units_are_sums_in_metres(a: float, b: float, one: str, two: str) -> None:
    found = calculate(f"{a:.6f} {one} + ({b:.6f} {two}) to m").told
    metres = float(f"{a:.6f}") * UNITS[one].value + float(f"{b:.6f}") * UNITS[two].value
    assert found == pytest.approx(metres, rel=1e-12)


@given(st.text(max_size=60) | st.text("0123456789.+-*/^()<>,=rmcseπ– to", max_size=60))
def test_nothing_but_its_own_error_comes_out(text: str) -> None:
    with suppress(CalculationError):
        assert abs(calculate(text, KNOWN).value.value) <= 1e15


def test_the_table_of_functions_is_what_the_tool_says() -> None:
    assert {"sqrt", "min", "max", "mean", "hypot", "sin", "acos"} <= set(FUNCTIONS)
