"""What questions ask about, and the per-class median of benchmarks that only say it in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calipers.evals.baselines import guess
from calipers.evals.cases import Case
from calipers.evals.tasks.nouns import asked_about, head, heads
from calipers.evals.tasks.table import task

SIZE = (
    "What is the length of the longest dimension (length, width, or height) of the {}, "
    "measured in centimeters?"
)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("", []),
        ("Where is the cup?", []),
        ("How far is it?", []),
        ("How many table(s) are in this room?", ["table"]),
        ("How many trash bin(s) are in this room?", ["trash bin"]),
        ("how many cups?", ["cups"]),
        (SIZE.format("trash bin"), ["trash bin"]),
        (
            "Measuring from the closest point of each object, what is the direct distance between "
            "the stove and the ceiling light (in meters)?",
            ["ceiling light", "stove"],
        ),
        ("What is the gap between the ceiling light and the stove?", ["ceiling light", "stove"]),
        ("What is the size of this room (in square meters)? If so, say so.", ["room"]),
        ("What is the height of a door?", ["door"]),
        ("How tall is the lamp?", ["lamp"]),
        ("How many people in the room can stand?", ["people in the room can stand"]),
        ("What is the depth value of the cup?", ["cup"]),
    ],
)
def test_names_by_hand(question: str, names: list[str]) -> None:
    assert asked_about(question) == names


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What is the minimum distance between the two black chairs in the image?", "chairs"),
        ("What is the gap between the lid of the pot and the red mug?", "lid mug"),
        ("What is the height of the door to the left of the sofa?", "door"),
        ("What is the width of the picture that hangs over the bed?", "picture"),
        ("How many chairs are there?", "chairs"),
        ("How many red cups can you see in the picture?", "cups"),
        ("How many legs does the table have?", "legs"),
        ("How wide is the table?", "table"),
        ("Where?", ""),
    ],
)
def test_heads_by_hand(question: str, words: str) -> None:
    assert heads(question) == words


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", ""),
        ("the red mug", "mug"),
        ("the mug on the table", "mug"),
        ("the mug nearest to us", "mug"),
        ("the lamp farthest to the left", "lamp"),
        ("the fan", "fan"),
        ("the red can", "can"),
        ("the can in the box", "can"),
        ("the pack of white socks", "socks"),
        ("the leg of a table", "leg"),
    ],
)
def test_the_head_of_a_name(name: str, word: str) -> None:
    assert head(name) == word


def q_spatial(k: int, noun: str, value: float) -> dict[str, Any]:
    question = f"What is the height of the {noun}?"
    return {"question": question, "answer_value": value, "answer_unit": "m",
            "question_type": "object height", "image_path": f"{k}.jpg"}  # fmt: skip


def vsi(k: int, noun: str, value: float) -> dict[str, Any]:
    return {"id": k, "scene_name": f"s{k}", "question_type": "object_size_estimation",
            "question": SIZE.format(noun), "options": None,
            "ground_truth": str(value * 100)}  # fmt: skip


def vsi_count(k: int, noun: str, value: float) -> dict[str, Any]:
    return {"id": k, "scene_name": f"s{k}", "question_type": "object_counting",
            "question": f"How many {noun}(s) are in this room?", "options": None,
            "ground_truth": str(value)}  # fmt: skip


def cases(name: str, file: Path, rows: list[dict[str, Any]]) -> list[Case]:
    file.write_text(json.dumps(rows))
    return task(name).cases(file.parent if name == "spatialbench" else file)


@pytest.mark.parametrize(
    ("name", "row"), [("q-spatial", q_spatial), ("vsi-bench", vsi), ("vsi-bench", vsi_count)]
)
def test_the_median_is_that_of_the_class(name: str, row: Any, tmp_path: Path) -> None:
    sizes = [("door", 20), ("cup", 1), ("door", 22), ("cup", 3), ("door", 18), ("cup", 5)]
    found = cases(name, tmp_path / "plus.json", [row(k, *size) for k, size in enumerate(sizes)])
    # of the two others of the same noun the mean; of all five others the median
    assert guess(found, "class") == pytest.approx([20, 4, 19, 3, 21, 2])
    assert guess(found, "majority") == pytest.approx([5, 18, 5, 18, 5, 18])


def test_counts_of_spatialbench_have_classes(tmp_path: Path) -> None:
    counts = [("cups", 1), ("people", 9), ("cups", 3), ("people", 7), ("cups", 2), ("people", 8)]
    rows = [
        {"image": f"counting/{k}.jpg", "question": f"How many {noun} are there?", "answer": n}
        for k, (noun, n) in enumerate(counts)
    ]
    found = cases("spatialbench", tmp_path / "counting.json", rows)
    assert guess(found, "class") == pytest.approx([2.5, 7.5, 1.5, 8.5, 2, 8])
    assert guess(found, "majority") == pytest.approx([7, 3, 7, 3, 7, 3])
