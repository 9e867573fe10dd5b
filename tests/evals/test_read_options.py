"""Options as models explain them: the letter that is the answer, not one that is spoken of."""

from __future__ import annotations

import pytest

from calipers.evals.cases import Case
from calipers.evals.options import read_option

SIDES = ("on the left", "on the right", "in front", "20 m²")
CLOSER = ("A is closer", "B is closer")
COUNTS = ("2", "3", "1", "12")


def chosen(text: str, choices: tuple[str, ...]) -> str | None:
    found, _ = Case("a", "option", "A", choices=choices).answer(text)
    assert found is None or isinstance(found, str)
    return found


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B\n\nExplanation: Option A is incorrect because the chair is not on the left.", "B"),
        ("**B**\n\nOption A is incorrect.", "B"),
        ("First I looked at A and C.\n\nB", "B"),
        ("Answer: B\n\nReasoning: A and C are wrong.", "B"),
        ("Answer: B. My answer is based on the position.", "B"),
        ("FINAL ANSWER: B. (A is wrong)", "B"),
        ("A: left? No. B: right? Yes. ANSWER: B", "B"),
        ("The answer is B, because A is on the other side.", "B"),
        ("The answer is B because A is on the other side", "B"),
        ("B is correct. A is not.", "B"),
        ("B (not A)", "B"),
        ("Not A, but B.", "B"),
        ("It's not A. It's B", "B"),
        ("A is wrong, B is right", "B"),
        ("B rather than option A", "B"),
        ('{"answer": "b", "reasoning": "A is wrong"}', "B"),
        ("◁think▷A or B?◁/think▷B", "B"),
        ("[THINK]A or B[/THINK]B", "B"),
        ("Ｂ", "B"),
        ("A is wrong", None),
        ("A and C are wrong", None),
        ("not B", None),
        ("Definitely not A", None),
        ("A\nB", None),
        ("on the left, not on the right", "A"),
        ("It is on the left rather than on the right", "A"),
        ("It is not on the left.", None),
        ("On the right. It is not on the left, on the left is the lamp.", "B"),
        ("about 20 m²", "D"),
    ],
)
def test_the_letter_that_is_the_answer(text: str, letter: str | None) -> None:
    assert chosen(text, SIDES) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A is closer to the camera than B.", "A"),
        ("Point A is closer than point B.", "A"),
        ("B is closer, A is further away.", "B"),
        ("(A)\n\nPoint B is further away.", "A"),
        ("Answer: A\n\nExplanation: B is farther.", "A"),
        ("(B) A is closer", "B"),
        ("A. A is closer", "A"),
        ("The point closer to the camera is A.", "A"),
        ("B is correct.", "B"),
        ("A is farther", None),
        ("B is farther than A", None),
        ("A or B", None),
        ("A, B", None),
    ],
)
def test_letters_that_name_things(text: str, letter: str | None) -> None:
    assert chosen(text, CLOSER) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("There are two chairs", "A"),
        ("three", "B"),
        ("There is one chair", "C"),
        ("twelve", "D"),
        ("There are 3 chairs, two of them red.", "B"),
        ("two or three", None),
        ("The other one is hidden.", None),
        ("I can't tell from this one.", None),
        ("four", None),
    ],
)
def test_counts_in_words(text: str, letter: str | None) -> None:
    assert chosen(text, COUNTS) == letter


def test_a_first_sentence_that_is_an_option() -> None:
    choices = {"A": "Yes", "B": "No"}
    assert read_option("Yes. There is no obstacle.", choices) == "A"
    assert read_option("No\n\nYes would need more room", choices) == "B"
    assert read_option("yes or no", choices) is None
