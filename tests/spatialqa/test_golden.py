"""Records of the hand scene as they are written; a change of any text or number shows here."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest

from calipers import spatial_qa
from calipers.errors import DataError
from calipers.spatialqa.table import SPATIAL_TYPES, SpatialQuestion
from calipers.spatialqa.writing import LEAST_ANSWERS, LEAST_QUESTIONS, make_wordings, wordings
from questions.hand_scenes import scene_of
from spatialqa.seen_scenes import frame_of, lifted
from spatialqa.test_touch import dense, stack

GOLDEN = Path(__file__).parent / "golden" / "records.jsonl"


def first_of_each() -> list[SpatialQuestion]:
    """The first record of every type, of the hand scene or of a stack with a gripper."""
    frame = frame_of()
    found = spatial_qa(lifted(frame), frame.depth_m, count=300, seed=7)
    stacked = dense(scene_of(stack()))
    stacked.objects[3].role = "gripper"
    bowl = [
        ("the bowl", (0.0, 2.0, 0.1), (0.4, 0.4, 0.2)),
        ("the ball", (0.0, 2.0, 0.1), (0.1, 0.1, 0.1)),
    ]
    touching = ["contact", "reach", "on_top_of", "inside"]
    for scene in (stacked, dense(scene_of(bowl))):
        found += spatial_qa(scene, count=300, seed=7, types=touching)
    return [next(q for q in found if q.type == name) for name in SPATIAL_TYPES]


def golden_text() -> str:
    """Numbers to a micrometre: the last digits are the machine's."""
    rows = []
    for question in first_of_each():
        record = asdict(question)
        rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in record.items()}
        rows.append(json.dumps(rounded, ensure_ascii=False))
    return "\n".join(rows) + "\n"


def test_golden_records() -> None:
    """To renew after reading the difference: write golden_text() to the file."""
    assert golden_text() == GOLDEN.read_text("utf-8")


def test_every_type_has_its_templates() -> None:
    for type, book in wordings().items():
        assert len({text for texts in book.questions.values() for text in texts}) >= LEAST_QUESTIONS
        assert all(len(set(texts)) >= LEAST_ANSWERS for texts in book.answers.values())
        assert set(book.words) <= set(book.questions), type


def test_no_template_says_a_thing_twice_and_questions_end_as_sentences() -> None:
    for book in wordings().values():
        for texts in (*book.questions.values(), *book.answers.values()):
            assert max(Counter(texts).values()) == 1
        for texts in book.questions.values():
            assert all(text[-1] in ".?" for text in texts)


def test_verbs_agree_with_plural_references() -> None:
    scene = scene_of(
        [
            ("the scissors", (-0.3, 2.0, 0.1), (0.2, 0.2, 0.2)),
            ("the jeans", (0.3, 2.0, 0.1), (0.2, 0.2, 0.2)),
        ]
    )
    texts = [
        f"{q.question} {q.answer}"
        for seed in range(30)
        for q in spatial_qa(scene, count=20, seed=seed, types=["contact", "on_top_of"])
    ]
    assert len(set(texts)) > 40
    for text in texts:
        for wrong in ("scissors is", "jeans is", "Is the", "is the scissors", "does not rest"):
            assert wrong not in text.replace("Is there", "").replace("Is the gap", ""), text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"questions": {"where": ["Where?"]}}, "wanted 10 questions, got 1"),
        ({"answers": {"box": ["{box}"]}}, "locate.box: wanted 5 answers, got 1"),
        ({"answers": {"box": [f"{{B}} {n}" for n in range(5)]}}, "wanted one of"),
    ],
)
def test_templates_that_cannot_be_used_are_refused(
    change: dict[str, dict[str, list[str]]], message: str
) -> None:
    book = wordings()["locate"]
    raw = {"questions": dict(book.questions), "answers": dict(book.answers), **change}
    with pytest.raises(DataError, match=message):
        make_wordings("locate", raw)
