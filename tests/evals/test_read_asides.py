"""Which of several lengths an answer gives: tolerances, asides and the sides of a box are none."""

from __future__ import annotations

import pytest

from calipers.evals.quantities import read_area, read_length
from calipers.evals.responses import final

TOLERANCES = [
    "1.5 m ± 0.2 m",
    "1.5 m (±0.2 m)",
    "1.5 m (+/- 0.2 m)",
    "1.5 m (estimated ±10 cm)",
    r"$1.5 \pm 0.2$ m",
    r"$1.5\pm0.1\,\text{m}$",
    r"1.5\pm0.2 m",
    r"1.5 m $\pm$ 0.1 m",
    r"\boxed{1.5 \pm 0.1 \text{ m}}",
    "1.5 m, give or take 0.2 m",
    "1.5 m tall, give or take about 0.2 m",
    "1.5 meters plus or minus 20 cm",
    "1.5 meters, plus or minus 0.2 meters",
    "1.5 m, with a margin of error of 20 cm",
    "about 1.5 m with an uncertainty of 0.2 m",
    "1.5 m (accurate to 0.1 m)",
    "1.5 m, accurate to within 10 cm",
    "Distance: 1.5 m. Error margin: 0.1 m",
    "With an error of 0.1 m, it is 1.5 m.",
]
ASIDES = [
    "About 1.5 meters (for reference, the door is 2 meters).",
    "1.5 m tall (a door is 2 m tall and 0.9 m wide)",
    "1.5 m (compared with 2 m of the door)",
    "1.5 m (1-2 m)",
    "1.5 m, assuming the door is 2 m tall",
    "The chair is 1.5 m from the table, assuming the door is 2 m tall.",
    "1.5 m, not 2 m",
    "1.5 m, not 2 m, and not about 3 m",
    "1.5 m rather than 2 m",
    "1.5 m instead of 2 m",
    "It is 1.5 m compared with 2 m of the door.",
]
THE_LAST = [
    "not 2 m but 1.5 m",
    "The chair is 0.9 m, not 2 m, so they are 1.5 m apart.",
    "Rather than 2 m, it is 1.5 m.",
    "Compared with the 2 m door, the chair is 1.5 m.",
    "Assuming the door is 2 m tall, the chair is 1.5 m.",
    "The door is 2 m tall, and assuming the chair is lower, it is 1.5 m.",
    "The door is 2 m tall so assuming the chair is lower it is 1.5 m.",
    "The 1 m table is not more than 1.5 m away.",
    "The door is 2 m tall, so the chair is smaller (about 1.5 m).",
    "The tiles are 0.5 m (3 × 0.5 m = 1.5 m)",
    "Using the door (2 m), I get (1.5 m).",
    "The door is 2 m. Assuming half of it, 1 m, and half a metre: 1.5 m",
]


@pytest.mark.parametrize("text", [*TOLERANCES, *ASIDES, *THE_LAST])
def test_asides_are_not_the_answer(text: str) -> None:
    found = read_length(final(text))
    assert found is not None
    assert found.value == pytest.approx(1.5)


@pytest.mark.parametrize("text", ["1.5 ± 0.2", r"$1.5 \pm 0.2$", "1.5, not 2"])
def test_asides_without_a_unit(text: str) -> None:
    found = read_length(text, unit="m")
    assert found is not None
    assert found.value == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 meter (3 feet)", 1.0),
        ("3 feet (1 meter)", 0.9144),
        ("2 feet (about half a meter)", 0.6096),
        ("2 m (between 1 m and 4 m)", 2.0),
    ],
)
def test_another_unit_in_brackets_is_an_aside(text: str, says: float) -> None:
    found = read_length(text)
    assert found is not None
    assert found.value == pytest.approx(says)


BOXES = [
    "1.2m x 0.5m",
    "1.2 m × 0.5 m",
    "1.2 x 0.5 m",
    "1.2 by 0.5 meters",
    "1.2 m by about 0.5 m",
    "1.2m*0.5m",
    "1.2 m * 0.5 m",
    "1 x 2 x 3 m",
    "2*3 m",
    "1.5 meters wide by 2 meters tall",
    "1.5 m tall and 0.5 m wide",
    "The box is 1.5 m tall, 0.5 m wide and 2 m long.",
]


@pytest.mark.parametrize("text", BOXES)
def test_the_sides_of_a_box_are_no_single_length(text: str) -> None:
    assert read_length(text) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5 × 30 cm = 150 cm", 1.5),
        ("The box is 1.2 x 0.5 m. It is 3 m away.", 3.0),
        ("It is 3 m away. The box is 1.2 x 0.5 m.", 3.0),
        ("The chair is 1 m wide and 0.5 m deep, so they are 2.5 m apart.", 2.5),
        ("2 ft * 0.3048 = 0.61 m", 0.61),
        ("I walk 3 m by 2 pm", 3.0),
        ("1 m tall and 1.5 m high", 1.5),
        ("**1.5 m** *2 chairs*", 1.5),
    ],
)
def test_what_stands_beside_the_sides_of_a_box(text: str, says: float) -> None:
    found = read_length(text)
    assert found is not None
    assert found.value == pytest.approx(says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("4 m x 5 m = 20 m²", 20.0),
        ("4 m x 5 m (20 m²)", 20.0),
        ("5 x 4 = 20", 20.0),
        ("5 x 4", None),
    ],
)
def test_products_and_areas(text: str, says: float | None) -> None:
    found = read_area(text, unit="m²")
    assert says == (None if found is None else pytest.approx(found.value))
