"""General data as it is found: odd records and missing pictures cost themselves alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from calipers.errors import UsageError
from calipers.train.data import open_seen
from calipers.train.general import Conversation, read_general
from calipers.train.recipe import GeneralData
from calipers.train.sources import samples

ASKED = {"from": "human", "value": "<image>\nWhat is it?"}
TOLD = {"from": "gpt", "value": "A can."}
TURN = ("What is it?", "A can.")


def talk(*said: Any, **more: Any) -> dict[str, Any]:
    return {"conversations": list(said or (ASKED, TOLD))} | more


def lines(home: Path, *rows: Any) -> Path:
    """A file of JSON Lines; text stands there as it is."""
    path = home / "talk.jsonl"
    written = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in written), encoding="utf-8")
    return path


def picture(home: Path, name: str) -> str:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(home / name)
    return name


def turns(found: Sequence[Conversation]) -> list[list[tuple[str, str]]]:
    return [one.turns for one in found]


def test_answers_before_the_first_question_are_left_out(tmp_path: Path) -> None:
    hello = {"from": "gpt", "value": "Hello!"}
    path = lines(tmp_path, talk(hello, ASKED, TOLD), talk(hello, hello, ASKED, TOLD, ASKED, TOLD))
    assert turns(read_general(path)) == [[TURN], [TURN, TURN]]


ODD = [
    (talk(TOLD), "bad_data", "wanted turns of user and assistant"),
    (talk(ASKED), "bad_data", "wanted turns of user and assistant"),
    (talk(ASKED, ASKED), "bad_data", "wanted turns of user and assistant"),
    (talk(ASKED, {"from": "gpt", "value": " "}), "bad_data", "an answer without words"),
    (talk(ASKED, {"from": "gpt"}), "bad_data", "a turn without text"),
    (talk("hm"), "bad_data", "wanted turns of user and assistant"),
    ({}, "bad_data", "wanted turns of user and assistant"),
    ({"conversations": []}, "bad_data", "wanted turns of user and assistant"),
    ({"conversations": 3}, "bad_data", "wanted turns of user and assistant"),
    (talk(images=["a.png"] * 3), "bad_data", "wanted the names of one picture"),
    (talk(image={"bytes": ""}), "bad_data", "wanted the names of one picture"),
    (talk(image=7), "bad_data", "wanted the names of one picture"),
    (talk(images=[""]), "bad_data", "wanted the names of one picture"),
    (talk(image="none.png"), "missing_file", "no such file: none.png"),
    (talk(images=["a.png", "none.png"]), "missing_file", "no such file: none.png"),
    (talk(image="../secret.png"), "path_outside_folder", ""),
    (talk(image="folder"), "", ""),
    (7, "bad_json", "wanted an object of JSON"),
    ('{"conversations": [', "bad_json", "wanted an object of JSON"),
]


@pytest.mark.parametrize(("row", "reason", "said"), ODD)
def test_an_odd_record_is_left_out_with_its_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, row: Any, reason: str, said: str
) -> None:
    (tmp_path / "data" / "folder").mkdir(parents=True)
    picture(tmp_path, "secret.png")
    name = picture(tmp_path / "data", "a.png")
    path = lines(tmp_path / "data", talk(image=name), "", row, talk())
    assert turns(read_general(path)) == [[TURN], [TURN]]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    told = record.getMessage()
    assert told.startswith(f"{path}: 1 of 3 records left out: 1 {reason}")
    assert f"(line 3: {said}" in told


@pytest.mark.parametrize(("row", "reason", "said"), ODD)
def test_a_file_of_which_nothing_is_left_is_refused(
    tmp_path: Path, row: Any, reason: str, said: str
) -> None:
    (tmp_path / "data" / "folder").mkdir(parents=True)
    picture(tmp_path, "secret.png")
    picture(tmp_path / "data", "a.png")
    path = lines(tmp_path / "data", row)
    with pytest.raises(UsageError) as error:
        read_general(path)
    assert str(error.value).startswith(f"{path}: holds no conversation: 1 {reason}")
    assert f"(line 1: {said}" in str(error.value)


@pytest.mark.parametrize("text", ["", "\n", "[]"])
def test_a_file_without_records_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "talk.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"talk\.json: holds no conversation$"):
        read_general(path)


@pytest.mark.parametrize("text", ["[1,", '[{"a": 1}'])
def test_a_list_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "talk.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be read as JSON"):
        read_general(path)
    with pytest.raises(UsageError, match=r"none\.json: cannot be read"):
        read_general(tmp_path / "none.json")


def test_records_of_a_list_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "talk.json"
    rows = [talk(), talk(TOLD), talk(image="x.png"), talk(image="y.png")]
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert turns(read_general(path)) == [[TURN]]
    assert caplog.messages == [
        f"{path}: 3 of 4 records left out: 1 bad_data (record 2: wanted turns of user and "
        "assistant), 2 missing_file (record 3: no such file: x.png)"
    ]


def test_lines_end_at_line_ends_alone(tmp_path: Path) -> None:
    """U+2028 may stand in a text of JSON as it is."""
    said = "A can.\u2028Red."
    row = json.dumps(talk(ASKED, {"from": "gpt", "value": said}), ensure_ascii=False)
    assert turns(read_general(lines(tmp_path, "\ufeff" + row))) == [[("What is it?", said)]]


def test_a_missing_picture_is_said_once_and_never_drawn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All stages of a run read the same file."""
    shown = tmp_path / "shown"
    shown.mkdir()
    name = picture(shown, "a.png")
    path = lines(tmp_path, *(talk(image=one) for one in (name, "b.png", name)))
    for seed in range(3):
        stream = samples(
            [GeneralData(general=path, images=shown)], seed=seed, turns=1, spatial_share=1,
            measure=lambda sample: 1,
        )  # fmt: skip
        for sample in islice(stream, 20):
            assert sample.seen is not None
            assert open_seen(sample.seen).width == 4
    assert len(caplog.messages) == 1
    path.unlink()
    assert len(read_general(lines(tmp_path, talk()))) == 1  # it is another file now
