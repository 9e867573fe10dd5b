"""Pictures of other benchmarks reach inspect_ai: bytes of Parquet, base64, files; or it refuses."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytest.importorskip("inspect_ai")

from calipers.errors import UsageError
from calipers.evals.harness.inspect_tasks import questions
from calipers.evals.tasks.table import TASKS


def png() -> bytes:
    sink = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(sink, "PNG")
    return sink.getvalue()


BYTES = png()
URL = f"data:image/png;base64,{base64.b64encode(BYTES).decode()}"
CV = {"idx": 0, "type": "2D", "task": "Count", "source": "COCO", "answer": "(A)", "prompt": "p",
      "choices": ["1", "2"]}  # fmt: skip
SAT = {"question": "Which?", "answers": ["left", "right"], "correct_answer": "left"}
MMSI = {"id": 7, "question": "Where? Options: A: x, B: y", "answer": "B", "question_type": "P"}
EMB = {"question_id": "a", "relation": "left", "answer": 0, "question": "How?",
       "answer_options": ["left", "right"]}  # fmt: skip

PLUS = {"question": "How far?", "answer_value": 1.0, "answer_unit": "m", "question_type": "gap",
        "image_path": "IMG_1.jpg"}  # fmt: skip


def put(folder: Path, record: dict[str, Any], suffix: str = "parquet") -> Path:
    path = folder / f"data.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist([record]), path)
    else:
        path.write_text(json.dumps([record]))
    return path


def shown(path: Path, task: str, **options: Any) -> list[str]:
    """What the only question shows; its text last."""
    (sample,) = questions(data=str(path), task=task, **options).dataset
    assert not isinstance(sample.input, str)
    content = sample.input[0].content
    assert not isinstance(content, str)
    assert (sample.metadata or {})["case"]["images"] == ()
    return [getattr(part, "image", part.type) for part in content]


GIVEN = [
    ("cv-bench", CV | {"image": {"bytes": BYTES, "path": None}}, 1),
    ("cv-bench", CV | {"image": {"bytes": BYTES, "path": "not-on-disk.png"}}, 1),
    ("sat", SAT | {"image_bytes": [BYTES, BYTES]}, 2),
    ("mmsi-bench", MMSI | {"images": [BYTES, BYTES, BYTES]}, 3),
    ("mmsi-bench", MMSI | {"images": [{"bytes": BYTES, "path": None}]}, 1),
    ("embspatial", EMB | {"image": base64.b64encode(BYTES).decode()}, 1),
    ("q-spatial", PLUS | {"image": {"bytes": BYTES, "path": "IMG_1.jpg"}}, 1),
    ("q-spatial", PLUS | {"image": BYTES}, 1),
]


@pytest.mark.parametrize(("task", "record", "number"), GIVEN)
def test_bytes_are_shown(task: str, record: dict[str, Any], number: int, tmp_path: Path) -> None:
    path = put(tmp_path, record)
    assert shown(path, task) == [*[URL] * number, "text"]
    assert shown(path, task, blind=True) == ["text"]
    (case,) = TASKS[task].cases(path)
    assert len(set(case.images)) == 1
    assert len(case.images[0]) < 30  # scoring holds no pictures in memory


def test_base64_in_json_is_shown(tmp_path: Path) -> None:
    path = put(tmp_path, EMB | {"image": base64.b64encode(BYTES).decode()}, "json")
    assert shown(path, "embspatial") == [URL, "text"]


def test_files_and_addresses_are_shown(tmp_path: Path) -> None:
    path = put(tmp_path, CV | {"image": {"bytes": None, "path": "a.png"}})
    with pytest.raises(UsageError, match=r"no picture at .*a\.png"):
        shown(path, "cv-bench")
    (tmp_path / "a.png").write_bytes(BYTES)
    assert shown(path, "cv-bench") == [str(tmp_path / "a.png"), "text"]
    (tmp_path / "IMG_1.jpg").write_bytes(BYTES)
    row = PLUS | {"image": {"bytes": BYTES, "path": "IMG_1.jpg"}}
    assert shown(put(tmp_path, row), "q-spatial") == [str(tmp_path / "IMG_1.jpg"), "text"]
    row = {"index": "VIN6MS3J", "qid": "VIN6MS3J", "question": "Which?", "A": "x", "B": "y",
           "answer": "A", "category": "height_higher", "image_url": "http://x/1.jpg"}  # fmt: skip
    assert shown(put(tmp_path, row, "json"), "3dsrbench") == ["http://x/1.jpg", "text"]


VSI = {"id": 0, "scene_name": "s", "question_type": "object_counting", "question": "How many?",
       "options": None, "ground_truth": "4"}  # fmt: skip


@pytest.mark.parametrize(("task", "record"), [("sat", SAT), ("mmsi-bench", MMSI),
                                              ("embspatial", EMB), ("vsi-bench", VSI)])  # fmt: skip
def test_nobody_is_asked_blind_unawares(task: str, record: dict[str, Any], tmp_path: Path) -> None:
    path = put(tmp_path, record, "json")
    with pytest.raises(UsageError, match="has no picture; -T blind=true"):
        questions(data=str(path), task=task)
    assert shown(path, task, blind=True) == ["text"]
