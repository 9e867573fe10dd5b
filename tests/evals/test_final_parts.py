"""The part of a response that counts, and what a number in it takes from the rest."""

from __future__ import annotations

import pytest

from calipers.evals.cases import Case
from calipers.evals.extract import read_count, read_number, read_yes_no
from calipers.evals.hours import read_clock
from calipers.evals.responses import final, finals
from calipers.thoughts import parted


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("FINAL ANSWER: B. (A is wrong)", "B. (A is wrong)"),
        ("Answer: 2 m. My answer is based on a door.", "2 m. My answer is based on a door."),
        ('{"answer": "1.5 m", "reasoning": "a door is 2 m"}', "1.5 m"),
        ('{"reasoning": "a door is 2 m", "answer": 1.5, "unit": "m"}', "1.5 m"),
        ('I see.\n```json\n{"distance": 1.5, "unit": "meters"}\n```', "1.5 meters"),
        ('{"answer": "1.5 m", "unit": "m"}', "1.5 m"),
        ('{"answer": [0.5, 0.25]}', "[0.5, 0.25]"),
        ('{"answer": true}', "true"),
        ('{"hour": 3}', "3"),
        ('{"count": 4}', '{"count": 4}'),
        ('{"answer": ', '{"answer":'),
        ('<answer>{"answer": "2 m"}</answer>', "2 m"),
        ("◁think▷2 m◁/think▷1.5 m", "1.5 m"),
        ("◁think▷2 m, so", ""),
        ("[THINK]2 m[/THINK]1.5 m", "1.5 m"),
    ],
)
def test_the_final_part(text: str, part: str) -> None:
    assert final(text) == part


def test_other_marks_of_thoughts() -> None:
    assert parted("[THINK]2 m[/THINK]1.5 m") == parted("◁think▷2 m◁/think▷1.5 m") == ("1.5 m", "")
    assert parted("[THINK]so")[0] == ""
    assert parted("I [think] so") == ("I [think] so", "")
    assert final("<think>x " * 40_000) == ""  # a model that hangs on a tag
    assert parted("<reasoning>a<think>b</think>c</reasoning>d</thought>e<think>f") == (
        "e",
        "<think>f",
    )
    assert finals("Answer: 1 m. Final answer: 2 m") == ["2 m", "1 m."]


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        (r"$\boxed{1.5}$ meters", 1.5),
        (r"\boxed{1.5}\text{ m}", 1.5),
        (r"\boxed{150} cm, which is 59 inches", 1.5),
        ("<answer>1.5</answer> meters", 1.5),
        (r"The distance in meters is \boxed{1.5}", 1.5),
        ("The width is 1.5 m. Answer: 1.5", 1.5),
        ("It's 3 feet. So the final answer is: 3", 0.9144),
        ("Answer: 1.5 meters. My answer is based on the door's height.", 1.5),
        ("The answer is 1.5 m. This answer is an estimate.", 1.5),
        ('{"answer": "1.5 m", "reasoning": "a door is 2 m"}', 1.5),
        ("The door is 2 m or 6 ft high. Answer: 1.5", None),
        (r"\boxed{1.5} in the picture", None),
        ("<think>2 m</think>1.5", None),
        ("The chair is 1 m. The answer is unknown.", None),
        ("The answer is 2 m? The answer is not known.", None),
        ("1.5", None),
    ],
)
def test_the_unit_of_a_final_number(text: str, metres: float | None) -> None:
    found, _ = Case("a", "length", 1.0).answer(text)
    assert found == (None if metres is None else pytest.approx(metres))


def test_a_unit_that_is_said_goes_before_the_one_that_is_asked_for() -> None:
    asked = Case("a", "length", 1.0, unit="cm")
    assert asked.answer("<answer>1.5</answer> meters")[0] == pytest.approx(1.5)
    assert asked.answer("The door is 2 m. Answer: 150")[0] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("3.5 o'clock", 3.5),
        ("4 o'clock if 12 o'clock is straight ahead", 4.0),
        ("With 12 o'clock ahead, it is at 4 o'clock", 4.0),
        ("the 4 o'clock position relative to 12 o'clock", 4.0),
        ("3 o'clock, not 9 o'clock", 3.0),
        ("It is not 3 o'clock", None),
        ("11-12 o'clock", 11.5),
        ("between 11 and 1 o'clock", 0.0),
        ("1 o'clock to 2 o'clock", 1.5),
        ("2 or 3 o'clock", 2.5),
        ("3 to 9 o'clock", None),
        ("between 10 and 2 meters off, at 3 o'clock", 3.0),
        (r"3\text{ o'clock}", 3.0),
        ("about 3.", 3.0),
        ("10:30", 10.5),
        ("3 pm", 3.0),
        ("13 o'clock", None),
        ("5 meters ahead", None),
        ("2 m to the right", None),
        ("10 degrees to the right", None),
        ("Region 1 is to the left", None),
        ("I can't determine from 2 regions", None),
        ("Object 2 is behind object 1.", None),
    ],
)
def test_hours(text: str, hour: float | None) -> None:
    assert read_clock(text) == hour


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Certainly not", "no"),
        ("Definitely not.", "no"),
        ("Certainly, it is.", "yes"),
        ("Definitely the box", None),
        ("Absolutely.", "yes"),
        ("Of course", "yes"),
        ("Of course not", "no"),
        ("There is no obstacle, so it fits.", None),
        ("No problem, it can fit", None),
        ("No object is in the way.", None),
        ("There is no cup on the table.", "no"),
        ("There is no clear answer", None),
        ("No it is not", "no"),
        ("Yes, no problem", "yes"),
        ("I can't say yes for sure", None),
        ("I wouldn't say yes.", None),
        ("I cannot answer with yes or no.", None),
        ("yes/no", None),
        ("Yes or no", None),
        ("That's correct.", "yes"),
        ("The statement is incorrect.", "no"),
        ("That isn't quite correct.", "no"),
        ("The correct height is unclear.", None),
        ("No. Yes would need more room", "no"),
    ],
)
def test_yes_and_no(text: str, says: str | None) -> None:
    assert read_yes_no(text) == says


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4 chairs: 2 left, 2 right", 4),
        ("Total: 4 (1+3)", 4),
        ("2 on the left and 2 on the right, so 4", 4),
        ("One in the back and one in front: two", 2),
        ("1,200", 1200),
        ("1, 2 or 3", None),
        ("4 chairs, 1 taken, so 3", None),
    ],
)
def test_counts_and_their_parts(text: str, count: int | None) -> None:
    assert read_count(text) == count
    if count is not None:
        assert read_number(text) == count


def test_the_last_number_counts_unless_it_is_a_part() -> None:
    assert read_number("4 chairs, 1 taken, so 3") == 3
    assert read_number("frames 1, 2: 5 chairs") == 5
