"""Lengths and areas as people and models write them: each row a text and its metres, or nothing."""

from __future__ import annotations

import math

import pytest

from calipers.evals.cases import Case
from calipers.evals.numerals import in_digits
from calipers.evals.quantities import read_area, read_length
from calipers.evals.score import score


def metres(text: str, unit: str | None = None) -> float | None:
    found = read_length(text, unit)
    return None if found is None else found.value


RANGES = {
    "1~2 m": 1.5,
    "10~20 cm": 0.15,
    "about 1.5~2 meters": 1.75,
    "0.5m ~ 0.7m": 0.6,
    "1～2 m": 1.5,
    "2 -3 m": 2.5,
    "2−3 m": 2.5,
    "1.5-2.0m": 1.75,
    "1/2-3/4 m": 0.625,
    "between about 1 and about 2 m": 1.5,
    "from about 1 to about 2 m": 1.5,
    "1 m up to 2 m": 1.5,
    "1 meter to roughly 2 meters": 1.5,
    "between 1/4 and 3/4 m": 0.5,
    "between one hundred and two hundred cm": 1.5,
    "between one thousand and two thousand mm": 1.5,
    "between 4 feet 6 inches and 5 feet 6 inches": 1.524,
    "between 1 m 20 cm and 1 m 80 cm": 1.5,
    "4 feet 6 inches to 5 feet": 1.4478,
    "5'6\" to 6'6\"": 1.8288,
    "from 2 to 3 feet 6 inches": 0.8382,
}
MARKUP = {
    "about ~2 m": 2.0,
    "~~3 m~~ 2 m": 2.0,
    "1.5~m": 1.5,
    "**2** *m*": 2.0,
    "_2 m_": 2.0,
    "Two (2) meters": 2.0,
    "2 (meters)": 2.0,
    "2 [m]": 2.0,
    "2 in meters": 2.0,
    '{"distance": 2, "unit": "m"}': 2.0,
    '{"unit": "feet", "value": 2}': 0.6096,
    '{"distance": 2, "unit": "cm", "confidence": 0.9}': 0.02,
    r"\frac{1}{2} m": 0.5,
    r"$1\frac{1}{2}$ m": 1.5,
    r"\(2\,\text{m}\)": 2.0,
    r"\SI{1.5}{\meter}": 1.5,
    r"\SI[mode=text]{1.5}{m}": 1.5,
    "a<b>2 m": 2.0,
    r"\qty{150}{\centi\metre}": 1.5,
    r"2 \unit{m}": 2.0,
    r"2 {\rm m}": 2.0,
    r"$2\rm{m}$": 2.0,
    "2{,}500 mm": 2.5,
    "2{,}5 m": 2.5,
    "<b>2.5</b> m": 2.5,
    "2.5 <b>m</b>": 2.5,
    "2.5&nbsp;m": 2.5,
    "2.5 m<br>and": 2.5,
    "< 2.5 m": 2.5,
    "2.5+ meters": 2.5,
}
BEFORE_THE_NUMBER = {
    '{"distance_m": 1.5}': 1.5,
    '{"distance_in_meters": "1.5"}': 1.5,
    '{"meters": 1.5}': 1.5,
    '{"height_cm": 150, "confidence": 0.9}': 1.5,
    "Distance (meters): 1.5": 1.5,
    "distance (m) = 1.5": 1.5,
    "In meters: 1.5": 1.5,
    "Distance in meters: about 1 to 2": 1.5,
    "Distance (m): 1.5\nIt is a guess.": 1.5,
    "1 m = 3.28 ft": 1.0,
    "In feet: 3 m": 3.0,
    "3 meters: 2 chairs": 3.0,
    "Height in feet: 5'3\"": 1.6002,
}
Q_SPATIAL = {
    r"\scalar{2} \text{ } \distance_unit{m}": 2.0,
    r"\distance_unit{feet} \scalar{2}": 0.6096,
    r"\scalar{2} in \distance_unit{m}": 2.0,
    r"\scalar{1} \distance_unit{m}, then \scalar{3} and \distance_unit{cm}": 0.03,
    r"\scalar{2} \distance\_unit{\text{m}}": 2.0,
    r"\scalar{2} m": 2.0,
}
UNITS = {
    "80cms": 0.8,
    "1 dm": 0.1,
    "30 decimetres": 3.0,
    "300 µm": 0.0003,
    "300 μm": 0.0003,
    "2 mtrs": 2.0,
    "2 mtr": 2.0,
    "5 mts": 5.0,
    "１５０ｃｍ": 1.5,
    "150㎝": 1.5,
    "5′3″": 1.6002,
    "6’2”": 1.8796,
    "5'3''": 1.6002,
    "5' 3''": 1.6002,
    "5′3′′": 1.6002,
    "5'11'' tall": 1.8034,
    "72''": 1.8288,
    "3 mètres": 3.0,
    "3 MÈTRES": 3.0,
    "150 centimètres": 1.5,
    "5 ınches": 0.127,
}
NUMERALS = {
    "1.5 × 10^2 cm": 1.5,
    "1.5×10² cm": 1.5,
    "1.5 * 10**2 cm": 1.5,
    r"$1.5 \times 10^{2}$ cm": 1.5,
    "1 x 10^3 mm": 1.0,
    "15 × 10⁻¹ m": 1.5,
    "1 and 1/2 feet": 0.4572,
    "one and a quarter meters": 1.25,
    "two and three quarters of an inch": 0.06985,
    "two metres and a half": 2.5,
    "half-meter": 0.5,
    "Half a metre": 0.5,
    "The 2 m table is half a meter away": 0.5,
    "a quarter of an inch": 0.00635,
    "2½-foot": 0.762,
    "1/2in": 0.0127,
    "point eight meters": 0.8,
    "zero point two five meters": 0.25,
    "one thousand mm": 1.0,
    "two thousand five hundred mm": 2.5,
    "one hundred and fifty cm": 1.5,
    "The height is two meters": 2.0,
    "1 234 m": 1234.0,
    "1\u202f234 m": 1234.0,
    "1.234,5 m": 1234.5,
    "two-and-a-half feet": 0.762,
    "1-and-a-half feet": 0.4572,
    "one-and-a-half meters": 1.5,
    "one and half meters": 1.5,
    "two and quarter meters": 2.25,
    "three-and-a-quarter inches": 0.08255,
    "2/3 of a meter": 0.666667,
    "1/2 of a meter": 0.5,
    "3/4 of an inch": 0.01905,
    "0.75 of a meter": 0.75,
    "0.75 of one meter": 0.75,
    "a tenth of a meter": 0.1,
    "two fifths of a meter": 0.4,
    "three-fourths of a meter": 0.75,
    "three-fourths of one meter": 0.75,
    "two and three eighths inches": 0.060325,
    "quarter of a meter": 0.25,
    "quarter-inch": 0.00635,
    "half-a-meter": 0.5,
    "one-hundred-fifty centimeters": 1.5,
    "two-hundred centimeters": 2.0,
    "one-thousand-five-hundred mm": 1.5,
}
PARTS = {
    "5ft3in": 1.6002,
    "5-foot-3": 1.6002,
    "5 feet 11": 1.8034,
    "5 feet 11 tall": 1.8034,
    "5 ft. 3 in.": 1.6002,
    "5 feet 2 chairs": 1.524,
    "1m20": 1.2,
    "1 m 20": 1.2,
    "1m20cm": 1.2,
    "2 m, 30 cm": 2.3,
    "1 m, 2 m, 5 ft": 1.524,
    "1m 20cm 5mm": 1.205,
    "2 yards 1 foot 6 inches": 2.286,
    "2 yards, 3 m": 3.0,
}


@pytest.mark.parametrize(
    ("text", "says"),
    [pair for table in (RANGES, MARKUP, BEFORE_THE_NUMBER, Q_SPATIAL) for pair in table.items()],
)
def test_ranges_and_markup(text: str, says: float) -> None:
    assert metres(text) == pytest.approx(says, rel=1e-9)


@pytest.mark.parametrize(
    ("text", "says"), [pair for table in (UNITS, NUMERALS, PARTS) for pair in table.items()]
)
def test_units_and_numerals(text: str, says: float) -> None:
    assert metres(text) == pytest.approx(says, rel=1e-9)
    assert metres(f"It is {text}, roughly.", unit="km") == pytest.approx(says, rel=1e-9)


OTHER_UNITS = [
    "1.5 m^2",
    "1.5 m**2",
    "3.5m2",
    "3.5 m³",
    "3 ㎡",
    "2 meters squared",
    "1.5 m/s",
    "60 km/h",
    "2 feet per second",
    "3 hands",
    "80kgs",
    "1.5 (kg)",
    "2 units",
    "10^2 px",
    "5 °",
    "2D",
    "1.2.3",
    "1m5",
    '{"distance": 2, "unit": "kg"}',
    r"\scalar{2} \distance_unit{spans}",
    "3 mètres carrés",
    "3 m<sup>2</sup>",
    r"\SI{3}{\square\meter}",
    r"\SI{3}{\meter\per\second}",
    "Distance (kg): 3 kg",
    "Speed (m/s): 3 m/s",
]
NO_LENGTHS = [
    "minus 2 m",
    "-0.5 m",
    "negative 2 m",
    "10 m minus 2 m",
    "1e400 m",
    "1e400 ft 3 in of 9e307 km",
    "I can't tell without a meter stick.",
    "I can't measure it to within an inch.",
    "It is a foot stool.",
    "a few tenths of a meter",
    "a fraction of a meter",
]


@pytest.mark.parametrize("text", [*OTHER_UNITS, *NO_LENGTHS, "1.5 × 10^400 m", "10^400"])
@pytest.mark.parametrize("unit", [None, "m"])
def test_another_unit_is_never_ignored(text: str, unit: str | None) -> None:
    assert read_length(text, unit=unit) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("80cms", 0.8),
        ("30 dm", 3.0),
        ("１５０ｃｍ", 1.5),
        ("1.5 approximately", 1.5),
        ("1.5×10^1", 15.0),
        ("“2”", 2.0),
        ("2\nchairs", 2.0),
        ("about 2 to about 3", 2.5),
        ("The chair is 1.5 away from it", 1.5),
        ('{"distance": 2, "unit": "cm"}', 0.02),
    ],
)
def test_with_and_without_the_unit_that_was_asked_for(text: str, says: float) -> None:
    assert metres(text, unit="m") == pytest.approx(says)


@pytest.mark.parametrize(
    ("text", "squared"),
    [
        ("3.5m2", 3.5),
        ("2 meters squared", 2.0),
        ("20 (m²)", 20.0),
        ("20 (m^2)", 20.0),
        ("20 sq. m", 20.0),
        ("12 m^{2}", 12.0),
        ("３㎡", 3.0),
        ("12", 12.0),
        ("12 hands", None),
        ("-3 m²", None),
        ("3.5 m³", None),
    ],
)
def test_areas(text: str, squared: float | None) -> None:
    found = read_area(text, unit="m²")
    assert squared == (None if found is None else pytest.approx(found.value))


def test_numbers_in_digits() -> None:
    said = ["Eight", "the height", "one third", "between 1 and 3/2", "2 and 3/0", "a couple of"]
    digits = ["8", "the height", "1 third", "between 1 and 1.5", "2 and 3/0", "2"]
    assert [in_digits(text) for text in said] == digits


def test_what_is_endless_or_still_thought_is_no_answer() -> None:
    cases = [Case(id, "length", 2.0) for id in "abc"] + [Case("d", "text", "mug")]
    thought = "<think>The door is 2 m so the chair is 1 m, or perhaps"
    found = score(cases, {"a": "1e400 m", "b": thought, "c": "2 m", "d": "<think>mug"})
    assert found.status == ["unread", "empty", "read", "empty"]
    errors = found.points["abs-rel@1"].tolist()
    assert [math.isnan(error) for error in errors] == [True, True, False, True]
