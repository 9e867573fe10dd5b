"""Every reader, on records in the schema of its benchmark; scores worked out by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from calipers.cli import main
from calipers.errors import UsageError
from calipers.evals.evaluate import evaluate
from calipers.evals.regions import Polygon
from calipers.evals.report import Report, as_text
from calipers.evals.tasks.table import TASKS, task

PICTURE = {"bytes": b"", "path": "a.png"}


def put(path: Path, records: list[dict[str, Any]]) -> Path:
    """A file of records, in the form that its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    else:
        path.write_text(json.dumps(records))
    return path


def answered(name: str, data: Path, answers: dict[str, str]) -> Report:
    return evaluate(name, data, answers)


def test_cv_bench(tmp_path: Path) -> None:
    rows = [
        ("2D", "Count", "ADE20K", "(B)"),
        ("2D", "Relation", "COCO", "(A)"),
        ("2D", "Relation", "COCO", "(B)"),
        ("3D", "Depth", "Omni3D", "(A)"),
    ]
    record = {"question": "q", "prompt": "q (A) 1 (B) 2", "choices": ["1", "2"], "image": PICTURE}
    put(
        tmp_path / "test-00000.parquet",
        [
            {"idx": k, "type": t, "task": a, "source": s, "answer": x, **record}
            for k, (t, a, s, x) in enumerate(rows)
        ],
    )
    found = answered("cv-bench", tmp_path, {"0": "(B) 2", "1": "A", "2": "A", "3": "There is 2."})
    assert found.row("exact", "2D").mean[:1] == pytest.approx((2 / 3,))
    assert found.overall["overall"] == pytest.approx(((1 + 0.5) / 2 + 0) / 2)


def test_blink_does_not_score_hidden_answers(tmp_path: Path) -> None:
    record = {"sub_task": "Relative_Depth", "question": "q", "prompt": "p", "choices": ["A", "B"]}
    rows = [
        {"idx": "val_Relative_Depth_1", "answer": "(B)", "image_1": PICTURE, **record},
        {"idx": "test_Relative_Depth_1", "answer": "hidden", "image_1": PICTURE, **record},
    ]
    put(tmp_path / "Relative_Depth" / "val.parquet", rows)
    found = answered("blink", tmp_path, {"val_Relative_Depth_1": "B is closer"})
    row = found.row("exact", "Relative_Depth")
    assert (row.right, row.unscored, row.no_answer) == (1, 1, 0)


def test_embspatial(tmp_path: Path) -> None:
    record = {"question": "How are they placed?", "answer_options": ["left", "right", "in", "on"]}
    rows = [
        {"question_id": f"mp3d_{k}", "relation": r, "answer": k, **record}
        for k, r in enumerate(("left", "right", "close"))
    ]
    file = put(tmp_path / "embspatial.json", rows)
    found = answered("embspatial", file, {"mp3d_0": "A) left", "mp3d_1": "left", "mp3d_2": "C."})
    assert found.row("exact").right == 2
    assert found.row("exact").chance_adjusted == pytest.approx((2 - 0.75) / (3 - 0.75))
    rows[0]["answer"] = 7
    with pytest.raises(UsageError, match="no option 7 of 4"):
        answered("embspatial", put(tmp_path / "embspatial.json", rows), {})


def test_3dsrbench_circular_and_flip(tmp_path: Path) -> None:
    def row(qid: str, answer: str, a: str, b: str) -> dict[str, Any]:
        options = {"A": a, "B": b, "C": None, "D": "nan"}
        own = {"index": qid, "qid": qid, "answer": answer, "category": "height_higher"}
        return {**own, **options, "question": "Which is higher?", "image_url": "http://x/1.jpg"}

    rows = [
        row("VIN6MS3J", "A", "the lamp", "the cup"),
        row("VIN6MS3J-1", "B", "the cup", "the lamp"),
    ]
    rows += [row("VIN6MS3J-flip", "A", "the lamp", "the cup")]
    answers = {"VIN6MS3J": "A", "VIN6MS3J-1": "the lamp", "VIN6MS3J-flip": "B"}
    found = answered("3dsrbench", put(tmp_path / "x.jsonl", rows), answers)
    assert found.row("exact", "height").right == 2
    assert {name: share[:2] for name, share in found.sets.items()} == {
        "circular": (1, 2),
        "flip": (1, 2),
        "flip and circular": (0, 1),
    }


def test_3dsrbench_without_rotations_has_no_sets(tmp_path: Path) -> None:
    own = {"answer": "A", "A": "x", "B": "y", "category": "height_higher", "question": "?"}
    rows = [{"index": f"{k:08d}", "qid": f"{k:08d}", "image_url": f"{k}", **own} for k in range(9)]
    found = answered("3dsrbench", put(tmp_path / "x.jsonl", rows), {"00000000": "A"})
    assert found.sets == {}
    assert found.to_json()["sets"] == {}
    assert "circular" not in as_text(found)
    rows += [{"index": "a", "qid": "00000000-1", "image_url": "0", **own}]
    found = answered("3dsrbench", put(tmp_path / "x.jsonl", rows), {"00000000": "A", "a": "A"})
    assert {name: (*share[:2], share.incomplete) for name, share in found.sets.items()} == {
        "circular": (1, 9, 8),
        "flip and circular": (1, 9, 8),
    }
    assert found.to_json()["sets"]["circular"]["incomplete"] == 8


def test_sat_and_mmsi(tmp_path: Path) -> None:
    rows = [
        {"question": "Did it turn?", "answers": ["left", "right"], "correct_answer": "right",
         "question_type": "action_consequence"},
        {"question": "Did it move?", "answers": ["yes", "no"], "correct_answer": "yes",
         "question_type": "obj_movement"},
    ]  # fmt: skip
    found = answered("sat", put(tmp_path / "SAT_test.parquet", rows), {"0": "right", "1": "B"})
    assert found.row("exact", "action_consequence").right == 1
    assert found.row("exact", "obj_movement").right == 0
    question = "Where is it?\nOptions: A: North, B: South, C: East, D: West"
    rows = [{"id": 7, "question": question, "answer": "B", "question_type": "Positional"}]
    found = answered("mmsi-bench", put(tmp_path / "mmsi.json", rows), {"7": "``B``"})
    assert found.row("exact").right == 1
    assert found.row("exact").chance_adjusted == 1


def test_sat_and_mmsi_in_every_rotation(tmp_path: Path) -> None:
    row = {"question": "Did it turn?", "answers": ["left", "right"], "question_type": "t"}
    rows = [row | {"correct_answer": "right"}, row | {"correct_answer": "left"}]
    data = put(tmp_path / "sat.json", rows)
    asked = {case.id: (case.question, case.truth) for case in task("sat-circular").cases(data)}
    assert asked == {
        "0": ("Did it turn?\n(A) left\n(B) right", "B"),
        "0-1": ("Did it turn?\n(A) right\n(B) left", "A"),
        "1": ("Did it turn?\n(A) left\n(B) right", "A"),
        "1-1": ("Did it turn?\n(A) right\n(B) left", "B"),
    }
    found = answered("sat-circular", data, {"0": "B", "0-1": "right", "1": "A", "1-1": "A"})
    assert found.row("exact").right == 3
    assert found.sets["circular"][:2] == (1, 2)
    assert answered("sat", data, {"0": "B", "1": "A"}).row("exact").right == 2
    question = "Where is it?\nOptions: A: North, B: South, C: East, D: West"
    rows = [{"id": 7, "question": question, "answer": "B", "question_type": "Positional"}]
    data = put(tmp_path / "mmsi.json", rows)
    cases = {case.id: case for case in task("mmsi-bench-circular").cases(data)}
    assert [(name, case.truth) for name, case in cases.items()] == [
        ("7", "B"), ("7-1", "A"), ("7-2", "D"), ("7-3", "C"),
    ]  # fmt: skip
    assert cases["7"].question == question
    assert cases["7-1"].question.endswith("Options: A: South, B: East, C: West, D: North")
    found = answered("mmsi-bench-circular", data, dict.fromkeys(cases, "South"))
    assert found.sets["circular"][:2] == (1, 1)
    for told in ("A: North, B: South, C: East, E: West", "one of the four"):
        rows = [rows[0] | {"question": f"Where is it?\nOptions: {told}", "answer": "E"}]
        (alone,) = task("mmsi-bench-circular").cases(put(tmp_path / "mmsi.json", rows))
        assert (alone.id, alone.truth, alone.question) == ("7", "E", rows[0]["question"])


def test_spatialrgpt_bench(tmp_path: Path) -> None:
    def row(id: str, kind: str, category: str, question: str, answer: str) -> dict[str, Any]:
        turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        info = {"type": kind, "category": category, "class": ["chair"]}
        image = {"file_path": f"{id}.jpg", "height": 4, "width": 4}
        return {"id": id, "text_q": question, "qa_info": info, "conversations": turns,
                "image_info": image, "bbox": [[0, 0, 1, 1]]}  # fmt: skip

    rows = [
        row("w", "quantitative", "width_data", "How wide is Region [0]?", "It is 10.0 inches."),
        row("d", "quantitative", "direction", "From Region [0], where is Region [1]?",
            "around the 12 o'clock direction"),
        row("p", "qualitative", "behind_predicate", "Is Region [0] behind Region [1]?",
            "No, it is in front of Region [1]."),
        row("c", "qualitative", "tall_choice", "Who is taller, Region [2] or Region [0]?",
            "Region [0] is taller."),
    ]  # fmt: skip
    answers = {
        "w": "Region [0] is 30 centimeters wide.",
        "d": "1 o'clock",
        "p": "Region [0] is behind Region [1].",
        "c": "With more height is Region [0].",
    }
    found = answered("spatialrgpt-bench", put(tmp_path / "val.jsonl", rows), answers)
    assert found.row("within-25", "width_data").right == 1
    assert found.row("abs-rel").mean.mean == pytest.approx((0.3 - 0.254) / (0.254 + 1e-4))
    assert found.row("clock-1", "direction").right == 1
    assert found.row("exact", "behind_predicate").wrong == 1
    assert found.row("exact", "tall_choice").right == 1
    rows[2]["qa_info"]["category"] = "prettier_predicate"
    with pytest.raises(UsageError, match="prettier_predicate"):
        answered("spatialrgpt-bench", put(tmp_path / "val.jsonl", rows), {})


def test_q_spatial(tmp_path: Path) -> None:
    record = {"question_type": "object width", "image_path": "a.jpg", "image": None}
    plus = [
        {"question": "How wide?", "answer_value": 96.0, "answer_unit": "centimeters", **record},
        {"question": "How far?", "answer_value": 1.0, "answer_unit": "meter", **record},
    ]
    put(tmp_path / "QSpatial_plus-00000.parquet", plus)
    put(tmp_path / "QSpatial_scannet-00000.parquet", plus[:1])
    answers = {
        "plus/0": r"Thus \scalar{1} \distance_unit{meter}",
        "plus/1": r"\scalar{2} \distance_unit{meters}",  # exactly twice: wrong
        "scannet/0": r"\scalar{100} \distance_unit{inches}",
    }
    found = answered("q-spatial", tmp_path, answers)
    assert found.row("ratio-2", "plus").right == 1
    assert found.row("ratio-2", "scannet").right == 0
    assert found.row("within-50-200", "plus").right == 2


def test_vsi_bench(tmp_path: Path) -> None:
    def row(id: int, type: str, truth: str, options: list[str] | None = None) -> dict[str, Any]:
        return {"id": id, "scene_name": f"s{id}", "question_type": type, "question": "?",
                "options": options, "ground_truth": truth}  # fmt: skip

    two = ["A. left", "B. right"]
    rows = [
        row(0, "object_counting", "4"),
        row(1, "object_abs_distance", "2.0"),
        row(2, "object_size_estimation", "100"),
        row(3, "room_size_estimation", "20"),
        row(4, "object_rel_direction_easy", "A", two),
        row(5, "object_rel_direction_medium", "A", two),
        row(6, "object_rel_direction_hard", "A", two),
        row(7, "object_rel_distance", "B", two),
        row(8, "route_planning", "B", two),
        row(9, "obj_appearance_order", "B", two),
    ]
    answers = {"0": "4", "1": "2.5", "2": "1.5 m", "3": "20 square meters", "4": "A", "5": "B"}
    answers |= {"6": "A", "7": "B. right", "8": "left", "9": "B"}
    found = answered("vsi-bench", put(tmp_path / "test.jsonl", rows), answers)
    assert found.row("mra-code", "object_abs_distance").mean.mean == pytest.approx(0.6)
    assert found.row("mra-paper", "object_abs_distance").mean.mean == pytest.approx(0.5)
    eight = (1 + 0.6 + 0.1 + 1 + 2 / 3 + 1 + 0 + 1) / 8
    assert found.overall["mean of eight"] == pytest.approx(eight)


def png(pixels: np.ndarray[Any, Any]) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


HALF = np.zeros((10, 10), np.uint8)
HALF[:, 5:] = 255


def test_robospatial_home(tmp_path: Path) -> None:
    rows = [
        {"category": "compatibility", "question": "Fits?", "answer": "No", "mask": None},
        {"category": "configuration", "question": "Left?", "answer": "Yes", "mask": None},
        {"category": "context", "question": "Where?",
         "answer": "[(0.5, 0), (1, 0), (1, 1), (0.5, 1)]", "mask": None},
        {"category": "context", "question": "Where?", "answer": "see mask",
         "mask": {"bytes": png(HALF), "path": None}},
    ]  # fmt: skip
    data = put(tmp_path / "test.parquet", rows)
    assert isinstance(TASKS["robospatial-home"].cases(data)[2].truth, Polygon)
    answers = {"0": "Not sure", "1": "yes", "2": "[(0.7, 0.5), (0.1, 0.5)]", "3": "[0.2, 0.5]"}
    found = answered("robospatial-home", data, answers)
    assert found.overall["accuracy"] == pytest.approx(2 / 4)
    assert found.row("points-in-mask").mean.mean == pytest.approx(0.25)
    assert found.row("exact", "compatibility").no_answer == 1
    only = {kind: put(tmp_path / f"{kind}.json", some) for kind, some in
            {"words": rows[:2], "points": rows[2:3]}.items()}  # fmt: skip
    found = answered("robospatial-home", only["words"], {"0": "No", "1": "No"})
    assert found.overall["accuracy"] == pytest.approx(1 / 2)
    found = answered("robospatial-home", only["points"], {"0": "[(0.7, 0.5)]"})
    assert found.overall["accuracy"] == 1


def test_refspatial_bench_in_parquet_and_in_folders(tmp_path: Path) -> None:
    record = {"id": 0, "object": "cup", "prompt": "Point", "suffix": "as a list", "step": 2}
    shared = {"mask": {"bytes": png(HALF), "path": None}, "image": PICTURE}
    put(tmp_path / "a" / "location-00000-of-1.parquet", [{**record, **shared}])
    found = answered("refspatial-bench", tmp_path / "a", {"location/0": "[(0.9, 0.1), (0.1, 0.1)]"})
    assert found.row("points-in-mask", "location").mean.mean == 0.5
    folder = tmp_path / "b" / "Location"
    record |= {"rgb_path": "image/0.png", "mask_path": "mask/0.png"}
    put(folder / "question.json", [record])
    (folder / "mask").mkdir()
    (folder / "mask" / "0.png").write_bytes(png(HALF))
    found = answered("refspatial-bench", tmp_path / "b", {"location/0": "(0.9, 0.1)"})
    assert found.row("points-in-mask", "2 steps").mean.mean == 1
    (folder / "mask" / "0.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match="mask"):
        answered("refspatial-bench", tmp_path / "b", {})


def test_masks_hold_every_pixel_over_zero(tmp_path: Path) -> None:
    """As RefSpatial's scorer and those of RoboSpatial-Home's masks have it."""
    grey = np.array([[0, 1, 100, 255]], np.uint8)
    asked = {"x": "(0.1, 0.5)", "1": "(0.4, 0.5)", "100": "(0.6, 0.5)", "255": "(0.9, 0.5)"}
    record = {"object": "cup", "prompt": "Point", "suffix": "", "step": 1, "image": PICTURE}
    for k, pixels in enumerate([grey, np.repeat(grey[..., None], 3, 2)]):
        mask = {"bytes": png(pixels), "path": None}
        rows = [{"id": name, "mask": mask, **record} for name in asked]
        data = put(tmp_path / str(k) / "location-0.parquet", rows)
        found = answered("refspatial-bench", data, {f"location/{n}": a for n, a in asked.items()})
        assert found.row("points-in-mask").mean.mean == 3 / 4
        row = {"category": "context", "question": "?", "answer": "see mask", "mask": mask}
        data = put(tmp_path / str(k) / "home.parquet", [row])
        assert answered("robospatial-home", data, {"0": "(0.6, 0.5)"}).overall["accuracy"] == 1


def test_spatialbench_has_pairs_and_its_published_rules(tmp_path: Path) -> None:
    record = {"image": "reach/1.jpg", "question": "Does the cat touch the cup?"}
    rows = [{**record, "answer": "Yes"}, {**record, "answer": "No"}]
    put(tmp_path / "reach.json", rows)
    found = answered("spatialbench", tmp_path, {"reach/0": "Yes.", "reach/1": "Not sure."})
    assert found.row("exact", "reach").right == 1
    assert found.sets["pairs of reach"][:2] == (0, 1)
    assert found.overall["published reach"] == pytest.approx(1.0)  # "No" is in "Not sure."


@pytest.mark.parametrize("name", TASKS)
def test_what_is_not_such_a_file_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there"):
        TASKS[name].cases(tmp_path / "nothing")
    with pytest.raises(UsageError):
        TASKS[name].cases(tmp_path)
    if name not in ("run", "spatialbench"):
        with pytest.raises(UsageError, match="record"):
            TASKS[name].cases(put(tmp_path / "x.json", [{"odd": 1}]))
        (tmp_path / "x.json").write_text("{")
        with pytest.raises(UsageError, match="cannot be read"):
            TASKS[name].cases(tmp_path / "x.json")


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"question_type": "width", "answer_unit": "m", "question": "?"}
    values = [{"answer_value": v, "image_path": f"{v}.jpg", **record} for v in (1.0, 2.0, 3.0)]
    data = put(tmp_path / "plus.jsonl", values)
    answers = put(
        tmp_path / "a.jsonl", [{"id": "plus/0", "text": "1 m"}, {"id": "plus/1", "text": ""}]
    )
    blind = put(tmp_path / "b.jsonl", [{"id": "plus/2", "response": "2 m"}])
    files = ["--data", str(data), "--answers", str(answers), "--blind", str(blind)]
    out = tmp_path / "report.json"
    assert main(["eval", "q-spatial", *files, "--json", str(out), "--rules", "ratio-2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].split()[:4] == ["ratio-2@1", "all", "3", "33.3"]
    assert said[1].split()[-4:] == ["33.3", "33.3", "33.3", "33.3"]  # blind, majority, class, words
    assert said[-1] == "nothing read: 1 empty, 1 missing"
    written = json.loads(out.read_text())
    assert written["rows"][0]["right"] == 1
    assert written["baselines"]["blind"]["rows"][0]["right"] == 1
    for wrong in (["q-spatial", *files[:2], "--answers", str(data)], ["nothing", *files]):
        assert main(["eval", *wrong]) == 2
    put(answers, [{"id": "plus/9", "text": "1 m"}])
    assert main(["eval", "q-spatial", *files]) == 1
    assert "belong to no question" in capsys.readouterr().err
