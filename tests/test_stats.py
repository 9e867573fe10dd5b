"""Counting what a run holds; tables counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calipers.cli import main
from calipers.errors import UsageError
from calipers.io.questions import QUESTION_SCHEMA, questions_table, write_questions
from calipers.stats import Counts, as_text, stats

Asked = tuple[str, str, str, list[str], str | None, float | None]
"""Scene, type, question, objects, label, value."""

FIVE: list[Asked] = [
    ("s0", "left_predicate", "Is A left of B?", ["the a", "the b"], "yes", None),
    ("s0", "left_predicate", "Is A left of B, you think?", ["the a", "the b"], "yes", None),
    ("s0", "left_predicate", "Is B left of A?", ["the b", "the a"], "no", None),
    ("s1", "left_predicate", "Is A left of B?", ["the a", "the b"], "same", None),
    ("s1", "distance", "How far apart?", ["the a", "the b"], None, 0.75),
]


def table_of(rows: list[Asked], first: int = 0) -> Any:
    """A table of the contract's columns."""
    columns: dict[str, list[Any]] = {name: [] for name in QUESTION_SCHEMA.names}
    for number, (scene, type, question, objects, label, value) in enumerate(rows, first):
        row = dict.fromkeys(QUESTION_SCHEMA.names) | {
            "id": f"{scene}#{number}",
            "scene_id": scene,
            "type": type,
            "kind": "qualitative" if value is None else "quantitative",
            "question": question,
            "question_template": f"{type}.q01",
            "objects": objects,
            "label": label,
            "value": value,
        }
        for name, cell in row.items():
            columns[name].append(cell)
    return questions_table(columns)


def counted(*tables: list[Asked]) -> dict[str, Any]:
    counts = Counts()
    for rows in tables:
        counts.add(table_of(rows))
    return counts.to_json()


def write_run(folder: Path, *parts: list[Asked]) -> Path:
    (folder / "qa").mkdir(parents=True)
    for k, rows in enumerate(parts):
        with (folder / "qa" / f"part-{k:05d}.parquet").open("wb") as sink:
            write_questions(table_of(rows, 1000 * k), sink)
    record = {
        "options": {},
        "counts": {"questions": sum(map(len, parts))},
        "skipped": {"read": {"missing_image": 3}},
        "seconds": {"ask": 1.25},
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_nothing_is_counted_as_nothing() -> None:
    found = counted([])
    assert (found["questions"], found["types"], found["balance"]) == (0, {}, {})
    assert found["repeated_share"] == found["reworded_share"] == 0.0


def test_five_questions_are_counted_by_hand() -> None:
    found = counted(FIVE)
    assert found["questions"] == 5
    assert found["types"]["left_predicate"] == {
        "kind": "qualitative",
        "questions": 4,
        "labels": {"yes": 2, "no": 1, "same": 1},
    }
    assert found["types"]["distance"]["questions"] == 1
    assert found["balance"] == {"yes/no": {"first": 2, "second": 1, "same": 1, "share": 2 / 3}}
    assert found["reworded_share"] == 1 / 5  # the second asks the first again
    assert found["repeated_share"] == 0.0  # the fourth has the words of the first, another picture


def test_the_same_words_about_the_same_picture_are_repeated() -> None:
    found = counted([*FIVE, FIVE[0]])
    assert (found["repeated_share"], found["reworded_share"]) == (1 / 6, 2 / 6)


@pytest.mark.parametrize(
    ("metres", "bar"),
    [(0.0, 0), (0.0099, 0), (0.01, 1), (0.75, 6), (1.0, 7), (49.0, 11), (50.0, 12), (900.0, 12)],
)
def test_a_length_is_in_the_bar_it_belongs_to(metres: float, bar: int) -> None:
    row: Asked = ("s", "distance", "?", ["the a", "the b"], None, metres)
    lengths = counted([row])["lengths_m"]
    assert [k for k, n in enumerate(lengths["counts"]) if n] == [bar]
    assert lengths["edges"][bar] <= metres
    assert lengths["edges"][bar + 1] is None or metres < lengths["edges"][bar + 1]


def test_tables_add_up() -> None:
    one, many = counted(FIVE), counted(FIVE[:3], FIVE[3:])
    assert one == many


def test_opposites_of_all_types_are_put_together() -> None:
    rows: list[Asked] = [
        ("s0", "left_right_classify", "1", ["the a", "the b"], "right", None),
        ("s0", "left_right_classify", "2", ["the b", "the a"], "left", None),
        ("s0", "tall_choice", "3", ["the a", "the b"], "B", None),
        ("s0", "wide_choice", "4", ["the a", "the b"], "A", None),
        ("s0", "big_choice", "5", ["the a", "the b"], "B", None),
    ]
    balance = counted(rows)["balance"]
    assert balance["left/right"]["share"] == 0.5
    assert (balance["A/B"]["first"], balance["A/B"]["second"]) == (1, 2)


def test_a_type_with_one_answer_alone_is_part_of_its_pair() -> None:
    row: Asked = ("s0", "wide_thin_classify", "1", ["the a", "the b"], "thin", None)
    balance = counted([row])["balance"]
    assert balance["wide/thin"] == {"first": 0, "second": 1, "same": 0, "share": 0.0}


def test_stats_reads_all_parts_and_what_the_run_says(tmp_path: Path) -> None:
    found = stats(write_run(tmp_path / "run", FIVE[:3], FIVE[3:]))
    assert found["questions"] == 5
    assert found["skipped"] == {"read": {"missing_image": 3}}
    assert found["blind"]["type"]["labels"] == 4
    text = as_text(found)
    assert "left_predicate  4          yes 50.0 %, no 25.0 %, same 25.0 %" in text
    assert "read   missing_image  3" in text
    assert "0.5 to 1  1" in text
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_command_prints_tables_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file, balance = write_run(tmp_path / "run", FIVE), tmp_path / "s.json", tmp_path / "b.npz"
    assert main(["stats", str(run), "--json", str(file), "--balance", str(balance)]) == 0
    assert "Guessed without the picture" in capsys.readouterr().out
    assert json.loads(file.read_text())["questions"] == 5
    assert balance.stat().st_size > 0
    assert main(["stats", str(run), "--no-blind"]) == 0
    assert "Guessed" not in capsys.readouterr().out


def test_a_folder_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        stats(tmp_path)
    (tmp_path / "run.json").write_text('{"options": {}}')
    with pytest.raises(UsageError, match="holds no questions"):
        stats(tmp_path)
    (tmp_path / "qa").mkdir()
    (tmp_path / "qa" / "part-00000.parquet").write_bytes(b"none")
    with pytest.raises(UsageError, match="not a readable file of questions"):
        stats(tmp_path)
