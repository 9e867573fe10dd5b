"""What is read out of answers: each row a text that some scorer gets wrong, and what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calipers.evals.extract import read_count, read_number, read_yes_no
from calipers.evals.hours import read_clock
from calipers.evals.options import read_option
from calipers.evals.places import polygon, read_points
from calipers.evals.quantities import read_area, read_length
from calipers.evals.responses import final, is_refusal
from calipers.units import say_length

LENGTHS = {
    "1.5 m": 1.5,
    "about 3 feet": 0.9144,
    "5'3\"": 1.6002,
    "5'3": 1.6002,
    "5 ft 3 in": 1.6002,
    "5 feet and 3 inches": 1.6002,
    "1 m 20 cm": 1.2,
    "2-3 m": 2.5,
    "2m-3m": 2.5,
    "1.7 m - 1.9 m": 1.8,
    "between 2 and 3 meters": 2.5,
    "2 or 3 feet": 0.762,
    "one to two meters": 1.5,
    "two and a half feet": 0.762,
    "half a meter": 0.5,
    "three quarters of a meter": 0.75,
    "a meter and a half": 1.5,
    "one point five meters": 1.5,
    "twenty-five cm": 0.25,
    "a hundred meters": 100.0,
    "1 1/2 inches": 0.0381,
    "1½ feet": 0.4572,
    "1,200 m": 1200.0,
    "0,25 m": 0.25,
    "1e-1 m": 0.1,
    "2 ± 0.5 m": 2.0,
    r"\scalar{2.5} \distance_unit{m}": 2.5,
    r"\scalar{1} \distance_unit{m}, no: \scalar{2-3} \distance_unit{feet}": 0.762,
    r"$1.5\,\text{m}$": 1.5,
    "**1.5** meters": 1.5,
    "1.2 m (4 ft)": 1.2,
    "The chair is 1 m wide, so they are 2.5 m apart.": 2.5,
    "Region [0] is 2.17 meters wide.": 2.17,
    "The left one is 2 m": 2.0,
}
NO_LENGTHS = [
    "1.5",
    "1.5 kg",
    "3 m²",
    "12 square feet",
    "3 in the box",
    "The answer is '2'.",
    "10 o'clock",
    "Not sure",
    "30 %",
    "",
]


@pytest.mark.parametrize("text", LENGTHS)
def test_lengths(text: str) -> None:
    found = read_length(text)
    assert found is not None
    assert found.value == pytest.approx(LENGTHS[text], rel=1e-9)


@pytest.mark.parametrize("text", NO_LENGTHS)
def test_what_is_no_length(text: str) -> None:
    assert read_length(text) is None


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("1.5", 1.5),
        ("1.5 feet", 0.4572),
        ('{"answer": "2"}', 2.0),
        ("Region [0] is 2.17 wide.", 2.17),
        ("2 to 3", 2.5),
        ("1.5 kg", None),
        ("45 degrees", None),
    ],
)
def test_a_bare_number_has_the_unit_that_was_asked_for(text: str, metres: float | None) -> None:
    found = read_length(text, unit="m")
    assert metres == (None if found is None else pytest.approx(found.value))


@pytest.mark.parametrize(
    ("text", "squared"),
    [("12 m^2", 12.0), ("about 20 square meters", 20.0), ("12.5 sqm", 12.5), ("3 m", None)],
)
def test_areas(text: str, squared: float | None) -> None:
    found = read_area(text, unit="m²")
    assert squared == (None if found is None else pytest.approx(found.value))


@given(
    st.floats(0.01, 50.0),
    st.tuples(*[st.floats(0.0, 1.0, exclude_max=True)] * 3),
    st.sampled_from(["{}.", "It is about {} from the table.", "I would say {}, roughly."]),
)
def test_every_length_that_is_said_is_read(
    metres: float, draws: tuple[float, float, float], sentence: str
) -> None:
    found = read_length(sentence.format(say_length(metres, draws)))
    assert found is not None
    assert abs(math.log(found.value / metres)) < math.log(1.2501)  # round figures: 20 % off at most


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("1,234.5 mm", 1.2345),
        ("1,234 mm", 1.234),
        ("0,5 m", 0.5),
        ("9,0.05 m", 0.05),
        ("Depth(09,0.05)=1500 mm", 1.5),
        ("1,2,3.5 m", 3.5),
    ],
)
def test_commas_of_numbers_and_between_them(text: str, metres: float) -> None:
    assert read_length(text) == pytest.approx((metres,) * 3)


PIECES = [*"0123456789.,-–+±e/ m½²'\"()=to~*^×{}[]", "10^", "1e400", "9" * 400, " and ", " ft "]
PIECES += ["half", "a ", " thousand", "\\frac{1}{0}", "\\scalar{", "\\distance_unit{", "point "]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_nothing_that_a_model_writes_breaks_the_reader(text: str) -> None:
    for read in (read_length, read_area, read_number, read_count, read_clock, read_points):
        assert np.isfinite(np.asarray(read(text) or 0, float)).all(), read


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Yes.", "yes"),
        ("No, it is not.", "no"),
        ("Not sure.", None),
        ("Not sure, maybe no", "no"),
        ("Nothing is there", None),
        ("It is known to be behind.", None),
        ("No idea.", None),
        ("No clear difference.", None),
        ("True", "yes"),
        ("**No**", "no"),
        ("yes and no", "yes"),
        ("It could be yes or no.", None),
        ("That is True.", "yes"),
        ("That is False.", "no"),
        ("That is not true.", "no"),
        ("It isn't true that it is taller", "no"),
        ("It is true that the mug is taller.", "yes"),
        ("No, that is true only of the box.", "no"),
        ("The true height is hard to say.", None),
        ("It may be true. It may be false.", None),
        ("", None),
    ],
)
def test_yes_and_no(text: str, says: str | None) -> None:
    assert read_yes_no(text) == says


CHOICES = {"A": "left", "B": "left of the red mug", "C": "No", "D": "2"}


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b.", "B"),
        ("(C)", "C"),
        ("Option D", "D"),
        ("C) No", "C"),
        ("It is left of the red mug.", "B"),
        ("left", "A"),
        ("A chair is left", "A"),
        ("A or B", None),
        ("Not sure", None),
        ("There are 2.", "D"),
        ("There are 12.", None),
        ("The answer is (B), not A.", "B"),
        ("A, B", None),
        ("A/B", None),
        ("(A), (B)", None),
        ("**A**, **B**", None),
        ("A; C", None),
        ("A, B or C", None),
        ("A, B. So (B).", "B"),
        ("B, because A is smaller", "B"),
        ("A, I think", "A"),
        ("E", None),
    ],
)
def test_options(text: str, letter: str | None) -> None:
    assert read_option(text, CHOICES) == letter


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("<think>yes</think>No.", "No."),
        ("I think <answer>B</answer>", "B"),
        (r"so \boxed{\text{2 m}} it is", r"\text{2 m}"),
        ("Reasons.\n**Final answer:** 3 m", "3 m"),
        ("The answer is B", "B"),
        ("plain", "plain"),
        ("<think>The door is 2 m so the chair is 1 m, or perhaps", ""),
        ("<thinking>2 m", ""),
        ("<THOUGHT>2 m", ""),
        ("<think>3 m</think>2 m <think>or 4 m", ""),
        ("<think>3 m, so <answer>2", ""),
        ("<think>3 m, so <answer>2 m</answer>", "2 m"),
        ("Since 1 < 2, the answer is B", "B"),
    ],
)
def test_the_final_part(text: str, part: str) -> None:
    assert final(text) == part


def test_numbers_and_clocks() -> None:
    assert [read_count(t) for t in ("two", "2 or 3", "There are none")] == [2, None, 0]
    assert [read_number(t) for t in ("3 and 2, so 5", "1,234", "five", "A")] == [5, 1234, 5, None]
    texts = ["twenty-one", "3.0", "2.5", "one and a half", "９", "1 or 2.0", "9" * 400, "a hundred"]
    assert [read_count(t) for t in texts] == [21, 3, None, None, 9, None, None, 100]
    assert read_number("1e400") is read_number("9" * 400) is None
    hours = ["10 o'clock", "the 12 o’clock direction", "three o'clock", "10:30 o'clock", "14", "up"]
    assert [read_clock(t) for t in hours] == [10.0, 0.0, 3.0, 10.5, None, None]


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("[(0.5, 0.25), (1.2, 0)]", ((0.5, 0.25), (1.2, 0.0))),
        ('```json\n[{"point_2d": [500, 250], "label": "x"}]\n```', ((0.5, 0.25),)),
        ("<loc0512><loc0256> cup", ((0.25, 0.5),)),
        ("<loc0512><loc0256><loc0768><loc0512> cup", None),  # a box
        ('<point x="63.5" y="44.9" alt="mug">mug</point>', ((0.635, 0.449),)),
        ('<points coords="1 1 990 800 2 10 20">mugs</points>', ((0.99, 0.8), (0.01, 0.02))),
        ("around the mug", None),
    ],
)
def test_points(text: str, points: tuple[tuple[float, float], ...] | None) -> None:
    found = read_points(text)
    assert (found is None) == (points is None)
    for one, wanted in zip(found or (), points or (), strict=True):
        assert one == pytest.approx(wanted)


def test_plain_pairs_are_what_the_question_says() -> None:
    assert read_points("(500, 250)", "thousandths") == ((0.5, 0.25),)
    assert polygon("[(0.1, 0.2), (0.3, 0.2)]") is None


def test_refusals() -> None:
    assert is_refusal("I'm sorry, but I cannot determine the distance.")
    assert not is_refusal("a long way off")
