"""Numbers in answers: read, and found in what was measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calipers.reason.quantity import ANGLE, LENGTH, PLAIN, UNITS, Quantity
from calipers.reason.tracing import Source, numbers, sources_in, trace

SOURCES = [
    Source("measured", "r1", "value", Quantity(0.4382, LENGTH), UNITS["m"]),
    Source("computed", "r2", "value", Quantity(2.2003), Quantity(1.0)),
    Source("measured", "r3", "value", Quantity(0.5236, ANGLE), UNITS["deg"]),
    Source("computed", "r4", "value", Quantity(7.0, LENGTH), UNITS["m"], ("7 m",)),
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("no number", []),
        ("About 0.44 m, or 17 inches.", [("0.44 m", 0.44), ("17 inches", 0.4318)]),
        ("5'3\" tall, 3 in the box", [("5'3\"", 1.6002), ("3", 3)]),
        ("1 ft 4 in", [("1 ft 4 in", 0.4064)]),
        ("two and a half feet; half a meter; a meter",
         [("two and a half feet", 0.762), ("half a meter", 0.5), ("a meter", 1)]),
        ("one of them, a second box", []),
        ("0.40, 0.48 and 0.41 m", [("0.40", 0.4), ("0.48", 0.48), ("0.41 m", 0.41)]),
        ("0.4 ± 0.1 m", [("0.4", 0.4), ("0.1 m", 0.1)]),
        ("40 cm (± 2)", [("40 cm", 0.4), ("2", 0.02)]),
        ("2-3 m", [("2", 2), ("3 m", 3)]),
        ("3 boxes 2 m away", [("3", 3), ("2 m", 2)]),
        ("2 m², 12 square feet, 3 l", [("2 m²", 2), ("12 square feet", 1.11484), ("3 l", 0.003)]),
        ("12 % at 36 km/h", [("12 %", 0.12), ("36 km/h", 10)]),
        ("-0.3 m", [("0.3 m", -0.3)]),
        ("r1 and box2 and x3", []),
        ("1. Measure.\n2. Answer 4 m.", [("4 m", 4)]),
        ("1. Measure.\n\n  2. Answer 4 m." + "\n" * 100_000, [("4 m", 4)]),
        ("1,200 m", [("1,200 m", 1200)]),
        ("1e300 m", [("1e300 m", 1e14)]),
        ("1e999 km", [("1e999 km", 1e14)]),
        ("0e400 m", [("0e400 m", 0)]),
        ("1e-999 m", [("1e-999 m", 0)]),
        ("one hundred and seventeen cm", [("one hundred and seventeen cm", 1.17)]),
        ("a hundred meters; two hundred thousand", [("a hundred meters", 100),
                                                     ("two hundred thousand", 200_000)]),
        ("between one hundred and two hundred cm", [("one hundred", 1), ("two hundred cm", 2)]),
        ("fifteen hundred mm", [("fifteen hundred mm", 1.5)]),
        ("three thousand and forty-two", [("three thousand and forty-two", 3042)]),
        ("a dozen, half a dozen, two dozen",
         [("a dozen", 12), ("half a dozen", 6), ("two dozen", 24)]),
        ("a couple of meters", [("a couple of meters", 2)]),
        ("twenty-five cm, forty five degrees",
         [("twenty-five cm", 0.25), ("forty five degrees", 0.785398)]),
        ("four point two meters", [("four point two meters", 4.2)]),
        ("zero point one seven three m", [("zero point one seven three m", 0.173)]),
        ("two point twenty-five m", [("two point twenty-five m", 2.25)]),
        ("½ m, 1½ m, 3/4 m, 2 1/2 in",
         [("½ m", 0.5), ("1½ m", 1.5), ("3/4 m", 0.75), ("2 1/2 in", 0.0635)]),
        ("a quarter meter, three quarters of a meter",
         [("a quarter meter", 0.25), ("three quarters of a meter", 0.75)]),
        ("two thirds of them, a third of the cups", [("two thirds", 2 / 3), ("a third", 1 / 3)]),
        ("a meter and a half; 5 feet and a half inch",
         [("a meter and a half", 1.5), ("5 feet and a half inch", 1.5367)]),
        ("twice as far, half the width", [("twice", 2), ("half", 0.5)]),
        ("the left half of a third box, a pair", []),
        ("1 000 mm and 1,5 m", [("1 000 mm", 1), ("1,5 m", 1.5)]),
        ("5ft3in, 1m20cm, 2 m3", [("5ft3in", 1.6002), ("1m20cm", 1.2), ("2 m3", 2)]),
        ("0.4 x 0.3 m, 0.4x0.3 m",
         [("0.4", 0.4), ("0.3 m", 0.3), ("0.4", 0.4), ("0.3 m", 0.3)]),
        ("5x, 2.2 x", [("5x", 5), ("2.2", 2.2)]),
        ("the 5th in 3D", []),
        ("1.2.3", [("1.2.3", 1.2)]),
        ("5 METERſ; 5 ınches; 5 \N{KELVIN SIGN}m",
         [("5 METERs", 5), ("5 inches", 0.127), ("5 km", 5000)]),
    ],
)  # fmt: skip
def test_numbers_in_a_text(text: str, found: list[tuple[str, float]]) -> None:
    seen = numbers(text)
    assert [n.text for n in seen] == [t for t, _ in found]
    assert [n.value.value for n in seen] == pytest.approx([v for _, v in found], rel=1e-4)
    assert all(len(text[n.start : n.end].strip()) == len(n.text) for n in seen)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("5kg", "kg"), ("12 kg", "kg"), ("30blips", "blips"), ("3.5ells", "ells"), ("1.3k", "k"),
        ("2m30", "m30"), ("20 °C", "°c"), ("$7", "$"), ("7nm", "nm"), ("5м", "м"),
    ],
)  # fmt: skip
def test_a_number_of_another_unit_is_none_of_ours(text: str, other: str) -> None:
    (said,) = numbers(f"It is {text}!")
    assert said.other == other
    same = Source("measured", "r1", "value", said.value, said.unit)
    assert not trace(f"It is {text}!", [same])[0].good
    assert trace(f"It is {text}!", sources_in(f"Is it {text}?"))[0].kind == "asked"


@given(st.text(max_size=60) | st.text("0123456789.,/e½ -a hundredpointmcx", max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert all(abs(said.value.value) <= 1e14 for said in numbers(text))
    trace(text, sources_in(text), [text])


@pytest.mark.parametrize(
    "part", ["1 ", "1,000", "one hundred and ", "a half ", "1 1/", " ", "9", "between 1 and "]
)
def test_a_long_hostile_text_is_read_to_its_end(part: str) -> None:
    """It would not end within hours if a pattern went back over what it has read."""
    assert numbers(part * 20_000 + ", at last 0.25 m")[-1].value.value == 0.25


@pytest.mark.parametrize(
    ("text", "result", "how"),
    [
        ("0.4382 m", "r1", "as it is"),
        ("0.44 m", "r1", "rounded"),
        ("43.82 cm", "r1", "converted"),
        ("44 cm", "r1", "converted and rounded"),
        ("17 inches", "r1", "converted and rounded"),
        ("1.4 feet", "r1", "converted and rounded"),
        ("30°", "r3", "rounded"),
        ("2.2 times", "r2", "rounded"),
        ("two point two times", "r2", "rounded"),
        ("forty-four cm", "r1", "converted and rounded"),
        ("four tenths of a meter", "r1", "rounded"),
        ("half a meter", None, None),
        ("a hundred and forty-four cm", None, None),
        ("½ ft", None, None),
        ("0.45 m", None, None),  # is 0.44
        ("0.4382 s", None, None),  # is no time
        ("0.4382", None, None),  # is no plain number
        ("0 m", None, None),  # rounded too far
        ("1 m", None, None),
        ("2.2 m", None, None),  # is no length
    ],
)
def test_where_a_number_comes_from(text: str, result: str | None, how: str | None) -> None:
    (found,) = trace(f"It is {text}.", SOURCES)
    assert (found.result, found.how, found.good) == (result, how, result is not None)
    assert found.text == text.removesuffix(" times")


def test_a_number_made_of_one_from_nowhere_is_not_good() -> None:
    (found,) = trace("It is 7 m.", SOURCES)
    assert (found.result, found.untraced, found.good) == ("r4", ("7 m",), False)
    measured = Source("measured", "r5", "value", Quantity(7.02, LENGTH), UNITS["m"])
    assert trace("It is 7 m.", [*SOURCES, measured])[0].good


def test_the_question_and_names_may_be_repeated() -> None:
    sources = sources_in("Is the 7up can within 2 m?")
    assert [s.value for s in sources if not s.other] == [Quantity(2.0, LENGTH)]
    found = trace("Box 12 is not within 2 m of level 12.", sources, ["box 12"])
    assert [(n.text, n.kind) for n in found] == [("12", "name"), ("2 m", "asked"), ("12", None)]


@pytest.mark.parametrize("name", ["2.5 m", "the 2.5 m", "three", "exactly 2.5 m apart"])
def test_a_name_that_is_a_measure_is_no_excuse(name: str) -> None:
    assert not trace(f"They are {name}.", SOURCES, [name])[0].good
    assert trace(f"It is a {name} sign.", SOURCES, [f"{name} sign"])[0].kind == "name"


def test_nothing_of_zero_is_divided() -> None:
    touching = Source("measured", "r1", "value", Quantity(0.0, LENGTH), UNITS["m"])
    assert trace("They are 0 cm apart.", [touching])[0].good
    assert not trace("They are 1 mm apart.", [touching])[0].good
    assert trace("They are 0 apart.", [Source("asked", "", "", Quantity(0.0, PLAIN), UNITS["%"])])


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("2 or 3 m", [2.0, 3.0]),
        ("between 2 and 3 m", [2.0, 3.0]),
        ("40 x 30 cm", [0.4, 0.3]),
        ("40 by 30 by 2 cm", [0.4, 0.3, 0.02]),
    ],
)
def test_a_unit_that_stands_once_is_that_of_both(text: str, metres: list[float]) -> None:
    found = numbers(text)
    assert [said.value.powers for said in found] == [LENGTH] * len(metres)
    assert [said.value.value for said in found] == pytest.approx(metres)
