"""Lengths as text: published figures, hand tables, and round trips within the rounding."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calipers.errors import DataError
from calipers.units import parse_length, say_length, tolerance

# 20 * 160 * 10 equal cells of the unit cube: every share in the tree is a whole number of cells.
CELLS = [
    ((a + 0.5) / 20, (b + 0.5) / 160, (c + 0.5) / 10)
    for a, b, c in itertools.product(range(20), range(160), range(10))
]
uniforms = st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3)
lengths = st.floats(-4, 4).map(lambda power: 10.0**power)


def shares(value_m: float) -> Counter[str]:
    counts = Counter(say_length(value_m, u) for u in CELLS)
    return Counter({text: count / len(CELLS) for text, count in counts.items()})


def test_published_figures_of_086_m():
    found = shares(0.86)
    assert found["1 meter"] == pytest.approx(0.75)
    assert found["3 feet"] == pytest.approx(0.10)
    assert sum(found[t] for t in ("90 cm", "90 centimeters", "0.9 m", "0.9 meters")) == (
        pytest.approx(0.03)
    )
    assert 0 < found["90 cm"] < found["3 feet"] < found["1 meter"]
    assert set(found) == {
        "1 meter", "90 cm", "90 centimeters", "0.9 m", "0.9 meters",
        "86 cm", "86 centimeters", "0.86 m", "0.86 meters",
        "3 feet", "2 feet 10 inches", "2.8 ft", "2.8 feet",
    }  # fmt: skip


def test_published_figure_of_23_m():
    found = shares(23)
    assert found["20 meters"] == pytest.approx(0.75)
    assert found["23 m"] + found["23 meters"] == pytest.approx(0.05)
    assert found["80 feet"] == pytest.approx(0.10)


@pytest.mark.parametrize("value_m", [0.0, 0.0003, 0.004, 0.03, 0.4, 0.86, 2.0, 23.0, 400.0, 6e3])
def test_a_fifth_is_imperial(value_m):
    imperial = ("in", "inch", "inches", "ft", "foot", "feet", "mile", "miles")
    found = shares(value_m)
    assert sum(p for t, p in found.items() if t.split()[-1] in imperial) == pytest.approx(0.2)


METRIC, IMPERIAL = 0.5, 0.1
ROUND, NORMAL, PRECISE = 0.1, 0.7, 0.99  # of u[1] where the usual shares hold
SHORT, LONG = 0.0, 0.99


@pytest.mark.parametrize(
    ("value_m", "u", "text"),
    [
        (0.0, (METRIC, ROUND, SHORT), "0 cm"),
        (0.0, (METRIC, ROUND, LONG), "0 meters"),
        (0.0, (IMPERIAL, ROUND, LONG), "0 inches"),
        (0.0001, (METRIC, ROUND, SHORT), "0.1 mm"),
        (0.0001, (IMPERIAL, NORMAL, LONG), "0.004 inches"),
        (0.001, (METRIC, NORMAL, LONG), "1 millimeter"),
        (0.0034, (METRIC, PRECISE, SHORT), "3.4 mm"),
        (0.0342, (METRIC, PRECISE, SHORT), "3.42 cm"),
        (0.0342, (METRIC, PRECISE, 0.5), "34.2 mm"),
        (0.3, (METRIC, ROUND, SHORT), "30 cm"),
        (0.342, (METRIC, NORMAL, SHORT), "34 cm"),
        (0.342, (METRIC, NORMAL, LONG), "0.34 meters"),
        (0.5, (METRIC, NORMAL, LONG), "0.5 meters"),
        (0.9996, (METRIC, PRECISE, SHORT), "1 m"),
        (1.44, (METRIC, ROUND, SHORT), "1.5 meters"),
        (1.24, (METRIC, PRECISE, SHORT), "1.24 m"),
        (1.26, (METRIC, NORMAL, LONG), "1.3 meters"),
        (7.0, (METRIC, ROUND, SHORT), "7 meters"),
        (999.6, (METRIC, PRECISE, SHORT), "1 km"),
        (960.0, (METRIC, ROUND, SHORT), "1 kilometer"),
        (1234.0, (METRIC, PRECISE, LONG), "1.23 kilometers"),
        (0.0, (IMPERIAL, ROUND, SHORT), "0 inches"),
        (0.18, (IMPERIAL, NORMAL, SHORT), "7 inches"),
        (0.0254, (IMPERIAL, NORMAL, LONG), "1 inch"),
        (0.3048, (IMPERIAL, ROUND, SHORT), "1 foot"),
        (0.9, (IMPERIAL, ROUND, SHORT), "3 feet"),
        (1.6, (IMPERIAL, NORMAL, LONG), "5 feet 3 inches"),
        (1.6, (IMPERIAL, NORMAL, SHORT), "5 feet 3 inches"),
        (1.8275, (IMPERIAL, NORMAL, SHORT), "6 ft"),
        (0.6350, (IMPERIAL, NORMAL, LONG), "2 feet 1 inch"),
        (1.8275, (IMPERIAL, NORMAL, LONG), "6 feet"),
        (0.5969, (IMPERIAL, NORMAL, LONG), "2 feet"),
        (1.6, (IMPERIAL, PRECISE, SHORT), "5.2 ft"),
        (30.0, (IMPERIAL, NORMAL, SHORT), "98 ft"),
        (1609.344, (IMPERIAL, ROUND, SHORT), "1 mile"),
        (804.672, (IMPERIAL, ROUND, SHORT), "0.5 miles"),
    ],
)
def test_hand_table(value_m, u, text):
    assert say_length(value_m, u) == text


@pytest.mark.parametrize("value_m", [-0.1, math.nan, math.inf, 1e7])
def test_no_such_length(value_m):
    with pytest.raises(DataError, match="wanted 0 to"):
        say_length(value_m, (0.5, 0.5, 0.5))


@settings(max_examples=1500, deadline=None)
@given(lengths, uniforms)
def test_text_parses_back_within_its_rounding(value_m, u):
    text = say_length(value_m, u)
    assert abs(parse_length(text) - value_m) <= tolerance(text)
    assert parse_length(text) > 0
    assert abs(parse_length(text) / value_m - 1) <= 0.2 + 1e-9 or value_m < 0.001


@settings(max_examples=1500, deadline=None)
@given(lengths, st.floats(1, 1.3), uniforms)
def test_a_longer_length_is_never_said_shorter(value_m, ratio, u):
    shorter = parse_length(say_length(value_m, u))
    assert parse_length(say_length(value_m * ratio, u)) >= shorter * (1 - 1e-12)


@settings(max_examples=1500, deadline=None)
@given(lengths, uniforms)
def test_texts_are_those_of_a_person(value_m, u):
    words = say_length(value_m, u).split()
    number, unit = float(words[0]), words[1]
    assert "e" not in words[0]
    assert "in" not in words  # "7 in in front of"
    if unit in ("meter", "foot", "kilometer", "inch", "centimeter", "millimeter", "mile"):
        assert number == 1
    if unit.endswith("s") or unit == "feet":
        assert number != 1
    largest = {"mm": 100, "millimeters": 100, "cm": 100, "centimeters": 100, "m": 1000,
               "meters": 1000, "inches": 24}  # fmt: skip
    assert number < largest.get(unit, math.inf) or (unit == "inches" and number == 24)
    if len(words) == 4:
        assert 1 <= float(words[2]) <= 11


@pytest.mark.parametrize(
    ("text", "value_m", "half_width_m"),
    [
        ("1.2 m", 1.2, 0.05),
        ("1.20 meters", 1.2, 0.005),
        ("1 meter", 1.0, 0.5),
        ("20 meters", 20.0, 5.0),
        ("15 metres", 15.0, 2.5),
        ("5 meters", 5.0, 0.5),
        ("86 cm", 0.86, 0.005),
        ("90cm", 0.9, 0.05),
        ("0 cm", 0.0, 0.005),
        ("3 mm.", 0.003, 0.0005),
        ("It is about 3 feet away.", 0.9144, 0.1524),
        ("5'3\"", 1.6002, 0.0127),
        ("5 ft 3 in", 1.6002, 0.0127),
        ("5 feet, 10 inches", 1.778, 0.0127),
        ("6 feet and 1 inch", 1.8542, 0.0127),
        ("7 in", 0.1778, 0.0127),
        ("1,200 m", 1200.0, 50.0),
        ("2 km", 2000.0, 500.0),
        ("0.5 miles", 804.672, 80.4672),
        ("2 yards", 1.8288, 0.4572),
        ("The 3 in the box are 2.5 m away", 2.5, 0.25),
        (".5 m", 0.5, 0.05),
        ("30 dm", 3.0, 0.5),
        ("80cms", 0.8, 0.05),
        ("5ft3in", 1.6002, 0.0127),
    ],
)
def test_human_writings(text, value_m, half_width_m):
    assert parse_length(text) == pytest.approx(value_m)
    assert tolerance(text) == pytest.approx(half_width_m)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "3",
        "meters",
        "2-3 m",
        "-3 m",
        "2 m or 3 m",
        "3 mice",
        "3 m²",
        "4 in the box",
        "3 m/s",
        "60 km/h",
        "3.5m2",
        "2 meters squared",
        "1 foot per step",
    ],
)
def test_what_is_not_one_length(text):
    with pytest.raises(DataError, match="length: wanted"):
        parse_length(text)
    with pytest.raises(DataError, match="length: wanted"):
        tolerance(text)


def test_relative_error_is_as_documented():
    rng = np.random.default_rng(0)
    values = 10 ** rng.uniform(-2, math.log10(50), 20_000)
    said = [
        parse_length(say_length(v, u)) for v, u in zip(values.tolist(), rng.random((20_000, 3)))
    ]
    error = np.abs(np.array(said) / values - 1)
    measured = (error.mean(), np.median(error), np.quantile(error, 0.95), error.max())
    assert measured == pytest.approx((0.033, 0.010, 0.14, 0.20), rel=0.03)
