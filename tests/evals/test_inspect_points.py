"""Questions whose answers are points are asked and scored by inspect_ai as by us."""

from __future__ import annotations

import asyncio
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

from inspect_ai import Task
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import Score, Target
from inspect_ai.solver import TaskState

from calipers.errors import UsageError
from calipers.evals.evaluate import evaluate
from calipers.evals.harness.inspect_tasks import questions

HALF = np.zeros((10, 20), np.uint8)
HALF[:, 10:] = 255


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def scored(asked: Task, answers: dict[str, str]) -> dict[str, Score]:
    """What our scorer makes of answers, out of the metadata as a log would keep it."""
    found = {}
    assert callable(asked.scorer[0] if isinstance(asked.scorer, list) else None)
    for sample in asked.dataset:
        state = TaskState("m", str(sample.id), 1, sample.input, [])  # type: ignore[arg-type]
        state.metadata = json.loads(json.dumps(sample.metadata))
        state.output = ModelOutput.from_content("m", answers[str(sample.id)])
        judged = asyncio.run(asked.scorer[0](state, Target("")))  # type: ignore[index, arg-type]
        assert judged is not None
        found[str(sample.id)] = judged
    return found


def test_robospatial_home_is_asked_whole(tmp_path: Path) -> None:
    shared = {"img": "a.png", "mask": None}
    rows = [
        {"category": "compatibility", "question": "Fits?", "answer": "yes", **shared},
        {"category": "context", "question": "Where?", "answer": "[(0.5,0),(1,0),(1,1)]", **shared},
    ]
    (tmp_path / "rs.json").write_text(json.dumps(rows))
    (tmp_path / "a.png").write_bytes(png(HALF))
    asked = questions(data=str(tmp_path / "rs.json"), task="robospatial-home")
    assert [sample.id for sample in asked.dataset] == ["0", "1"]
    assert asked.dataset[1].target == "points in a region"
    answers = {"0": "Yes.", "1": "[(0.9, 0.5), (0.1, 0.9)]"}
    found = scored(asked, answers)
    assert found["0"].as_dict()["exact@1"] == 1
    assert found["1"].as_dict()["points-in-mask@1"] == 0.5
    assert found["1"].as_dict()["first-point-in-mask@1"] == 1
    ours = evaluate("robospatial-home", tmp_path / "rs.json", answers)
    assert ours.row("points-in-mask").mean.mean == 0.5


def test_refspatial_bench_is_asked(tmp_path: Path) -> None:
    record = {"id": 0, "object": "cup", "prompt": "Point", "suffix": "as a list", "step": 2}
    bytes = {name: {"bytes": png(HALF), "path": None} for name in ("mask", "image")}
    path = tmp_path / "location-0.parquet"
    pq.write_table(pa.Table.from_pylist([record | bytes]), path)
    found = scored(
        questions(data=str(path), task="refspatial-bench"), {"location/0": "[(0.9, 0.1), (9, 9)]"}
    )
    assert found["location/0"].as_dict()["points-in-mask@1"] == 0.5


def test_refspatial_bench_in_folders_finds_its_pictures(tmp_path: Path) -> None:
    record = {"id": 0, "object": "cup", "prompt": "Point", "suffix": "", "step": 2}
    for split in ("Location", "Placement"):
        for part in ("image", "mask"):
            (tmp_path / split / part).mkdir(parents=True)
            (tmp_path / split / part / "0.png").write_bytes(png(HALF))
        paths = {"rgb_path": "image/0.png", "mask_path": "mask/0.png"}
        (tmp_path / split / "question.json").write_text(json.dumps([record | paths]))
    asked = questions(data=str(tmp_path), task="refspatial-bench")
    shown = [sample.input[0].content[0].image for sample in asked.dataset]  # type: ignore[union-attr]
    assert shown == [str(tmp_path / s / "image" / "0.png") for s in ("Location", "Placement")]


def test_nothing_to_ask_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rs.json").write_text("[]")
    with pytest.raises(UsageError, match="holds no question"):
        questions(data=str(tmp_path / "rs.json"), task="robospatial-home")
