"""Benchmarks whose questions have options: CV-Bench, BLINK, EmbSpatial, 3DSRBench, SAT, MMSI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.evals.options import options
from calipers.evals.tasks.records import Record, letter, picture, pictures, records, text

LETTERS = "ABCDEFGH"


def _listed(question: str, choices: Sequence[str]) -> str:
    """A question with its options below."""
    return "\n".join((question, *(f"({a}) {b}" for a, b in zip(LETTERS, choices))))


def cv_bench(path: Path) -> Iterator[Case]:
    """``nyu-visionx/CV-Bench``: idx, type, task, choices, answer "(A)", prompt, source."""
    for number, (_, record) in enumerate(records(path)):
        choices = tuple(map(str, record.get("choices") or ()))
        yield Case(
            id=str(record.get("idx", number)),
            kind="option",
            truth=letter(text(record, "answer")),
            question=text(record, "prompt", "question"),
            images=(picture(record.get("image")) or str(record.get("filename") or ""),),
            choices=choices,
            tags=(text(record, "type"), text(record, "task"), text(record, "source")),
        )


def blink(path: Path) -> Iterator[Case]:
    """``BLINK-Benchmark/BLINK``: idx, sub_task, question, choices, answer, prompt, image_1 to 4.

    The answers of the test split are "hidden", so its questions are not scored.
    """
    for _, record in records(path):
        images = [picture(record.get(f"image_{k}")) for k in range(1, 5)]
        name = text(record, "sub_task", "category")
        yield Case(
            id=text(record, "idx", "index"),
            kind="option",
            truth=letter(str(record.get("answer") or "")),
            question=text(record, "prompt", "question"),
            images=tuple(image for image in images if image),
            choices=tuple(map(str, record.get("choices") or ())),
            tags=(name,),
        )


def emb_spatial(path: Path) -> Iterator[Case]:
    """EmbSpatial-Bench: question_id, question, answer_options, answer (a place), relation."""
    for number, (_, record) in enumerate(records(path)):
        choices = tuple(map(str, record["answer_options"]))
        place = int(record["answer"])
        if not 0 <= place < len(choices):
            raise UsageError(f"{path}: record {number}: no option {place} of {len(choices)}")
        yield Case(
            id=str(record.get("question_id", number)),
            kind="option",
            truth=LETTERS[place],
            question=_listed(text(record, "question"), choices),
            images=(picture(record.get("image")),),
            choices=choices,
            tags=(text(record, "relation"),),
            cluster=str(record.get("image_id") or record.get("scene_id") or ""),
        )


_PARENT = {"height": "height", "location": "location", "orientation": "orientation"}


def three_dsr(path: Path) -> Iterator[Case]:
    """``ccvl/3DSRBench``: index, qid, question, A to D, answer, category.

    A qid is "VIN6MS3J", then "-flip" for the mirror image and "-1" … for rotations of the options.
    """
    for _, record in records(path):
        qid = text(record, "qid", "index")
        choices = tuple(str(record[c]) for c in "ABCD" if _there(record.get(c)))
        category = text(record, "category")
        base, mirrored = qid[:8], "-flip" if "-flip" in qid else ""
        yield Case(
            id=text(record, "index", "qid"),
            kind="option",
            truth=letter(text(record, "answer")),
            question=_listed(text(record, "question"), choices),
            images=(str(record.get("image_url") or picture(record.get("image"))),),
            choices=choices,
            tags=(_PARENT.get(category.split("_")[0], "multi_object"), category),
            cluster=base,
            sets={
                "circular": base + mirrored,
                "flip": qid.replace("-flip", ""),
                "flip and circular": base,
            },
        )


def _there(value: Any) -> bool:
    return value is not None and str(value).strip().lower() not in ("", "nan")


def sat(path: Path) -> Iterator[Case]:
    """``array/SAT``: image_bytes, question, answers, correct_answer (its words), question_type."""
    for number, (_, record) in enumerate(records(path)):
        choices = tuple(map(str, record.get("answers") or record.get("answer_choices") or ()))
        yield Case(
            id=str(record.get("id", record.get("question_id", number))),
            kind="option",
            truth=_place(record, choices),
            question=_listed(text(record, "question"), choices),
            images=pictures(record, "image_bytes", "images", "image"),
            choices=choices,
            tags=(str(record.get("question_type") or "all types"),),
        )


def _place(record: Record, choices: Sequence[str]) -> str | None:
    if record.get("correct_answer_idx") is not None:
        return LETTERS[int(record["correct_answer_idx"])]
    true = str(record.get("correct_answer", "")).casefold()
    places = [k for k, choice in enumerate(choices) if choice.casefold() == true]
    return LETTERS[places[0]] if places else None


_OPTIONS = "Options:"


def mmsi(path: Path) -> Iterator[Case]:
    """``RunsenXu/MMSI-Bench``: id, images, question with its options, answer, question_type."""
    for number, (_, record) in enumerate(records(path)):
        question = text(record, "question")
        yield Case(
            id=str(record.get("id", number)),
            kind="option",
            truth=letter(text(record, "answer")),
            question=question,
            images=pictures(record, "images", "image"),
            choices=tuple(options(question.partition(_OPTIONS)[2]).values()),
            tags=(text(record, "question_type"),),
        )


def sat_circular(path: Path) -> Iterator[Case]:
    """SAT with its options in every rotation; a question is right when it is right in all."""
    for case in sat(path):
        head = case.question.removesuffix(_listed("", case.choices))
        yield from _rotations(case, [_listed(head, order) for order in _orders(case.choices)])


def mmsi_circular(path: Path) -> Iterator[Case]:
    """MMSI-Bench in the same way."""
    for case in mmsi(path):
        head = case.question.partition(_OPTIONS)[0] + _OPTIONS
        told = (
            ", ".join(f"{a}: {b}" for a, b in zip(LETTERS, order))
            for order in _orders(case.choices)
        )
        yield from _rotations(case, [f"{head} {text}" for text in told])


def _orders(choices: Sequence[str]) -> list[tuple[str, ...]]:
    return [(*choices[k:], *choices[:k]) for k in range(len(choices))]


def _rotations(case: Case, questions: Sequence[str]) -> Iterator[Case]:
    """A case, and its rotations by 1, 2, …: "7", "7-1", "7-2".

    A case is alone where its options cannot be told apart, or the true one is none of them.
    """
    place = None if case.truth is None else LETTERS.index(case.truth)
    if not case.choices or (place is not None and place >= len(case.choices)):
        yield case
        return
    for k, (question, order) in enumerate(zip(questions, _orders(case.choices))):
        yield replace(
            case,
            id=f"{case.id}-{k}" if k else case.id,
            truth=None if place is None else LETTERS[(place - k) % len(order)],
            question=question if k else case.question,
            choices=order,
            cluster=case.cluster or case.id,
            sets={"circular": case.id},
        )
