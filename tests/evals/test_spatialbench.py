"""Files in SpatialBench's schema, read and scored; every score worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calipers.errors import DataError, UsageError
from calipers.evals.spatialbench import (
    Item,
    load,
    load_answers,
    missing_pictures,
    save,
)
from calipers.evals.spatialbench_score import ColumnScore, as_text, score, verdict

POSITIONAL = "Which is nearer?\nA. the cup\nB. the box"


def record(image: str, question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"image": image, "question": question, "answer": answer, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny set as the published files have it: no ids, pairs one after the other."""
    columns = {
        "positional": [record("positional/1.jpg", POSITIONAL, "B")] * 4,
        "existence": [
            record("existence/1.jpg", "Is there a cup?", "Yes"),
            record("existence/1.jpg", "Is there a dog?", "No"),
            record("existence/2.jpg", "Is there a cup?", "No"),
            record("existence/2.jpg", "Is there a dog?", "Yes"),
        ],
        "counting": [
            record("counting/1.jpg", "How many cups?", "4"),
            record("counting/2.jpg", "How many cups?", 2),
        ],
        "reach": [
            record("reach/1.jpg", "Does the cat touch the cup?", "Yes"),
            record("reach/1.jpg", "Does the cat touch the box?", "No"),
        ],
        "size": [
            record("size/1.jpg", "Is the cup bigger than the box?", "No"),
            record("size/1.jpg", "Is the box bigger than the cup?", "Yes"),
        ],
    }
    for column, records in columns.items():
        (tmp_path / f"{column}.json").write_text(json.dumps(records))
    return tmp_path


def scored(folder: Path, answers: dict[str, str]) -> dict[str, ColumnScore]:
    return {one.column: one for one in score(load(folder), answers)}


def test_records_without_ids_are_numbered_and_depth_stands_beside(folder: Path) -> None:
    items = load(folder)
    assert [item.key for item in items[:5]] == [
        "positional/0", "positional/1", "positional/2", "positional/3", "existence/0",
    ]  # fmt: skip
    assert items[4].images == ("existence/1.jpg",)
    assert items[4].depth_images == ("existence_d/1.png",)
    assert items[9].answer == "2"
    assert len(items) == 14


def test_missing_pictures_are_named(folder: Path) -> None:
    (folder / "size").mkdir()
    (folder / "size" / "1.jpg").touch()
    items = load(folder, columns=("size",))
    assert missing_pictures(items, folder) == ["size_d/1.png"]


def test_saved_and_loaded_again_is_the_same(folder: Path, tmp_path: Path) -> None:
    items = load(folder)
    out = tmp_path / "again"
    out.mkdir()
    save(items, out)
    assert load(out) == items


def test_positional_published_is_a_substring_and_exact_an_option(folder: Path) -> None:
    said = ["B", "(B) the box", "Box", "A or B"]
    found = scored(folder, {f"positional/{k}": text for k, text in enumerate(said)})["positional"]
    assert found.published == 100.0  # every one of them holds a capital B
    assert found.exact[:2] == (2, 4)
    assert found.verdicts == {"right": 2, "unread": 2}


def test_existence_needs_both_of_a_pair(folder: Path) -> None:
    said = ["Yes", "No", "No", "No"]
    found = scored(folder, {f"existence/{k}": text for k, text in enumerate(said)})["existence"]
    assert found.published == 50.0
    assert found.exact[:2] == (1, 2)
    assert found.single[:2] == (3, 4)


def test_no_in_not_sure_counts_by_the_published_rule_only(folder: Path) -> None:
    said = {"reach/0": "Yes, it does.", "reach/1": "Not sure, but I would say Yes."}
    found = scored(folder, said)["reach"]
    assert found.published == 100.0
    assert found.exact[:2] == (0, 1)
    assert found.verdicts == {"right": 1, "wrong": 1}


@pytest.mark.parametrize(
    ("said", "published", "exact"),
    [(("No", "Yes"), 100.0, 1), (("No", "No"), 100 / 3, 0), (("Yes", "No"), 0.0, 0)],
)
def test_size_gives_thirds(
    folder: Path, said: tuple[str, str], published: float, exact: int
) -> None:
    found = scored(folder, {"size/0": said[0], "size/1": said[1]})["size"]
    assert found.published == pytest.approx(published)
    assert found.exact.right == exact


@pytest.mark.parametrize(
    ("said", "published", "verdicts"),
    [
        (("4", "2"), 100.0, {"right": 2}),
        (("3", "2"), 87.5, {"wrong": 1, "right": 1}),
        (("9", "2"), 37.5, {"wrong": 1, "right": 1}),  # 125 % off, no limit
        (("40", "2"), -350.0, {"wrong": 1, "right": 1}),
        (("<think>4? 3?</think>4", "2"), 50.0, {"right": 2}),
        (("<think>4, or perhaps", "2"), 50.0, {"no answer": 1, "right": 1}),
        (("four cups", "2"), 50.0, {"right": 2}),
        (("many", "2"), 50.0, {"unread": 1, "right": 1}),
    ],
)
def test_counting_in_percent_and_exactly(
    folder: Path, said: tuple[str, str], published: float, verdicts: dict[str, int]
) -> None:
    found = scored(folder, {"counting/0": said[0], "counting/1": said[1]})["counting"]
    assert found.published == published
    assert found.verdicts == verdicts


@pytest.mark.parametrize(
    ("said", "exact"),
    [
        ("1520", "right"),
        ("1.55 m", "right"),
        ("1560 mm", "wrong"),
        ("152 cm away", "right"),
        ("Depth: 1520", "right"),
        ("<think>1.4 m?</think>1520", "right"),
        ("1520 kg", "unread"),
        ("far", "unread"),
        ("", "no answer"),
    ],
)
def test_depth_within_two_percent(said: str, exact: str) -> None:
    assert verdict(Item("depth", 0, "0", ("a.png",), "?", "1520"), said) == exact


def test_an_answer_that_is_lacking_is_not_right(folder: Path) -> None:
    found = scored(folder, {"existence/0": "Yes"})
    assert found["existence"].verdicts == {"right": 1, "no answer": 3}
    assert found["existence"].published == 0.0
    assert found["counting"].published == 0.0


def test_the_table_says_counts_and_intervals(folder: Path) -> None:
    said = {f"existence/{k}": text for k, text in enumerate(["Yes", "No", "No", "No"])}
    lines = as_text(score(load(folder), said)).splitlines()
    assert lines[2] == "existence          4       50.0  50.0 % [9.5, 90.5] (1 of 2) pairs"


def test_answers_of_both_forms(tmp_path: Path) -> None:
    lines, array = tmp_path / "a.jsonl", tmp_path / "a.json"
    lines.write_text('{"column": "size", "id": 0, "response": "Yes"}\n\n')
    array.write_text('[{"key": "size/0", "response": "Yes"}]')
    assert load_answers(lines) == load_answers(array) == {"size/0": "Yes"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "answer 0: wanted column, id and response"),
        ('[{"key": "a/0", "response": "x"}, {"key": "a/0", "response": "y"}]', "was answered"),
        ("{", "not readable as answers"),
    ],
)
def test_bad_answers_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_answers(path)


def test_an_answer_to_no_question_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="1 answers belong to no question, the first to size/9"):
        score(load(folder), {"size/9": "Yes"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not JSON"),
        ("{}", "wanted a list of records, got dict"),
        ("[1, 2]", "record 0: wanted an object"),
        ('[{"image": "a.jpg", "question": "?"}]', "wanted pairs of records, got 1"),
        ('[{"image": "a", "question": "?"}, {}]', "record 0 has no 'answer'"),
        ('[{"image": 1, "question": "?", "answer": "Yes"}, {}]', "image: wanted a path"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "size.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        load(tmp_path)


def test_a_folder_without_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"wanted at least one of positional\.json"):
        load(tmp_path)
