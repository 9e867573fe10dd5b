"""Guessers without the picture, and asking so that they learn nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from calipers.blind import COLUMNS, Balance, check
from calipers.errors import UsageError

SCENES = 400


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema(
        [(name, pa.string()) for name in COLUMNS if name not in ("objects", "value")]
        + [("objects", pa.list_(pa.string())), ("value", pa.float64())]
    )
    numbered = [
        {"id": f"{row['scene_id']}#{k}", "question_template": f"t{k % 5}"} | row
        for k, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(numbered, schema=schema)


def asked(pairs: list[tuple[str, str, float]], seed: int = 0) -> pa.Table:
    """In each scene "is A taller than B?" of each pair, with a chance of "yes"."""
    rng = np.random.default_rng(seed)
    return table_of(
        [
            {
                "scene_id": f"s{scene}",
                "type": "tall_predicate",
                "objects": [a, b],
                "label": "yes" if rng.random() < chance else "no",
            }
            for scene in range(SCENES)
            for a, b, chance in pairs
        ]
    )


def scores(table: pa.Table) -> dict[str, Any]:
    halves = table.slice(0, 333), table.slice(333)
    return check(lambda: halves).to_json()


LAMP_AND_CUP = [("the red lamp", "the cup", 0.95), ("the cup", "the red lamp", 0.05)]


def test_captions_give_away_what_the_type_does_not() -> None:
    found = scores(asked(LAMP_AND_CUP))
    assert found["type"]["labels"] == 2 * SCENES
    assert found["type"]["right"] == pytest.approx(0.5, abs=0.06)
    assert found["type"]["coin"] == 0.5
    assert found["heads"]["right"] == pytest.approx(0.95, abs=0.025)  # 3 standard deviations
    assert found["captions"]["right"] == pytest.approx(0.95, abs=0.025)
    assert found["heads"]["types"]["tall_predicate"]["right"] == found["heads"]["right"]


def test_nouns_are_enough_where_phrases_differ() -> None:
    rows = [(f"the {k} lamp", f"the {k} cup", 1.0) for k in ("red", "blue", "old", "new")]
    found = scores(asked(rows).take(pa.array([4 * k + k % 4 for k in range(SCENES)])))
    assert found["heads"]["right"] == 1.0
    swapped = asked([("the lamp that is seen alone", "the cup", 1.0)])
    assert scores(swapped)["captions"]["right"] == 1.0


def test_a_scene_never_helps_with_its_own_questions() -> None:
    """One fact a scene, asked ten times, by names that no other scene has: nothing to learn."""
    rng = np.random.default_rng(0)
    rows = []
    for scene in range(SCENES):
        label = "yes" if rng.random() < 0.5 else "no"
        row = {
            "scene_id": f"s{scene}",
            "type": "tall_predicate",
            "objects": [f"the thing{scene}", f"the block{scene}"],
            "label": label,
        }
        rows += [row] * 10
    found = scores(table_of(rows))
    assert found["captions"]["right"] < 0.56  # guessed from itself it would be 1.0


def test_ties_are_what_a_coin_never_says() -> None:
    row = {"scene_id": "s0", "type": "tall_predicate", "objects": ["the a", "the b"]}
    labels = ["yes", "no", "same", "same"]
    found = check(lambda: [table_of([row | {"label": label} for label in labels])]).to_json()
    assert found["type"]["coin"] == 0.25
    assert found["type"]["right"] == 0.0  # one scene alone: nothing was seen elsewhere


def test_lengths_are_guessed_by_the_geometric_mean_of_others() -> None:
    rows = [
        {"scene_id": f"s{k}", "type": "height", "objects": [thing], "value": value}
        for k in range(100)
        for thing, value in (("the cup", 0.1), ("the door", 2.0))
    ]
    found = scores(table_of(rows))
    assert found["type"]["lengths"] == 200
    assert found["type"]["within_factor_2"] == 0.0  # sqrt(0.1 x 2.0) = 0.45: too far from both
    assert found["heads"]["within_25_percent"] == 1.0
    assert found["type"]["right"] is None


def test_nothing_to_guess_gives_no_shares() -> None:
    found = check(lambda: [table_of([])]).to_json()
    assert found["captions"]["right"] is None
    assert found["captions"]["types"] == {}


@pytest.mark.parametrize("by", ["heads", "captions"])
def test_balance_takes_away_what_nouns_tell(by: str) -> None:
    table = asked([*LAMP_AND_CUP, ("the cup", "the box", 0.5)])
    kept = table.filter(pa.array(Balance.learn([table], by)(table)))
    answers = Counter(
        (row["objects"][0], row["objects"][1], row["label"]) for row in kept.to_pylist()
    )
    for a, b, _ in LAMP_AND_CUP:
        yes, no = answers[a, b, "yes"], answers[a, b, "no"]
        assert abs(yes - no) < 4 * (yes + no) ** 0.5
    assert scores(kept)["heads"]["right"] < 0.65
    fair = answers["the cup", "the box", "yes"] + answers["the cup", "the box", "no"]
    assert fair > 0.85 * SCENES  # what was fair stays


def test_balance_keeps_lengths_and_as_many_ties_as_there_were() -> None:
    rng = np.random.default_rng(1)
    row = {"type": "tall_predicate", "objects": ["the lamp", "the cup"]}
    labels = rng.choice(["yes", "no", "same"], 6000, p=[0.6, 0.2, 0.2])
    rows = [row | {"scene_id": f"s{k}", "label": label} for k, label in enumerate(labels)]
    height = {"type": "height", "objects": ["the lamp"], "value": 1.0}
    lengths = [height | {"scene_id": f"s{k}"} for k in range(50)]
    table = table_of([*rows, *lengths])
    kept = table.filter(pa.array(Balance.learn([table])(table))).to_pylist()
    counts = Counter(row["label"] for row in kept)
    assert counts[None] == 50
    assert counts["yes"] == pytest.approx(1200, abs=110)  # 3 standard deviations
    assert counts["no"] > 1150
    assert counts["same"] == pytest.approx(600, abs=80)  # 1200 x 2 x 1200 / 4800


def test_what_is_kept_does_not_depend_on_the_table_it_is_in(tmp_path: Path) -> None:
    table = asked(LAMP_AND_CUP)
    balance = Balance.learn([table])
    balance.save(tmp_path / "balance.npz")
    again = Balance.load(tmp_path / "balance.npz")
    pieces = [again(table.slice(start, 77)) for start in range(0, len(table), 77)]
    assert np.concatenate(pieces).tolist() == balance(table).tolist()


def test_another_file_is_no_balance(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"none")
    with pytest.raises(UsageError, match="not a balance"):
        Balance.load(tmp_path / "x.npz")
    with pytest.raises(UsageError, match="wanted heads or captions"):
        Balance.learn([asked(LAMP_AND_CUP)], "type")
