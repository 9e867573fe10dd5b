"""Benchmarks whose questions have measures: SpatialRGPT-Bench, Q-Spatial, VSI-Bench."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.evals.hours import read_clock
from calipers.evals.options import options
from calipers.evals.quantities import read_length
from calipers.evals.responses import final
from calipers.evals.tasks.nouns import asked_about, heads
from calipers.evals.tasks.records import Record, letter, picture, records, text
from calipers.evals.tasks.run import COMPARED
from calipers.units import UNITS_M

_REGION = re.compile(r"Region \[(\d+)\]", re.IGNORECASE)
_SHAPES = {"predicate": "compare-yes-no", "choice": "compare-which"}


def spatial_rgpt(path: Path) -> Iterator[Case]:
    """``a8cheng/SpatialRGPT-Bench``: id, image_info, text_q, qa_info, conversations.

    ``qa_info`` holds the type (qualitative or quantitative) and the category ("width_data").
    The truth is read out of the answer's text as a response is: the published scorer asks GPT-4 to
    do that. Qualitative questions are read by what is said of the two regions.
    """
    for number, (_, record) in enumerate(records(path)):
        info = record["qa_info"]
        kind, category = text(info, "type"), text(info, "category")
        turns = record["conversations"]
        id = str(record.get("id", number))
        question = str(record.get("text_q") or turns[0]["value"])
        yield _region_case(id, question, str(turns[1]["value"]), kind, category, record)


def _region_case(
    id: str, question: str, answer: str, kind: str, category: str, record: Record
) -> Case:
    named = list(dict.fromkeys(_REGION.findall(question)))
    names = (f"Region [{named[0]}]", f"Region [{named[-1]}]") if named else ("", "")
    how, compares, truth = "length", ("", 1), None
    if category == "direction":
        how, truth = "clock", read_clock(answer)
    elif kind == "quantitative":
        found = read_length(answer)
        truth = None if found is None else found.value
    else:
        shape, first = category.rpartition("_")[2], category.partition("_")[0]
        if shape not in _SHAPES or first not in COMPARED:
            raise UsageError(f"record {id}: category: {category!r} is not known")
        how, compares = _SHAPES[shape], COMPARED[first]
    image = str(record.get("image_info", {}).get("file_path", ""))
    nouns = " ".join(_classes(record))
    case = Case(
        id, how, truth, question, (image,), names=names, compares=compares,
        tags=(kind, category), noun=f"{category} {nouns}",
    )  # fmt: skip
    if kind == "quantitative":
        return case
    return replace(case, truth=case.read(final(answer)))


def _classes(record: Record) -> list[str]:
    """What the regions of a record hold, where it says so."""
    info = record["qa_info"]
    classes = info.get("class") or info.get("classes") or record.get("classes") or ()
    return [classes] if isinstance(classes, str) else list(map(str, classes))


def q_spatial(path: Path) -> Iterator[Case]:
    """``andrewliao11/Q-Spatial-Bench``: question, answer_value, answer_unit, question_type.

    Ids are "plus/0" and "scannet/0": the split, from the file's name, and the place in it.
    """
    folder = path if path.is_dir() else path.parent
    places: dict[str, int] = {}
    for file, record in records(path):
        split = "scannet" if "scannet" in file.lower() else "plus"
        place = places.get(split, 0)
        places[split] = place + 1
        unit = text(record, "answer_unit").lower().strip(" .")
        if unit not in UNITS_M:
            raise UsageError(f"{path}: {split}/{place}: answer_unit: {unit!r} is not known")
        yield Case(
            id=f"{split}/{place}",
            kind="length",
            truth=float(record["answer_value"]) * UNITS_M[unit],
            question=text(record, "question"),
            images=(_shown(record, folder),),
            tags=(split, text(record, "question_type")),
            noun=heads(text(record, "question")),
        )


def _shown(record: Record, folder: Path) -> str:
    """The picture's path where there is such a file, else its bytes, else what is said of it."""
    path = picture(record.get("image_path"))
    if path and (folder / path).is_file():
        return path
    return picture(record.get("image")) or path


VSI_KINDS: Mapping[str, tuple[str, str | None]] = {
    "object_counting": ("count", None),
    "object_abs_distance": ("length", "m"),
    "object_size_estimation": ("length", "cm"),
    "room_size_estimation": ("area", "m²"),
}
"""Numeric types of VSI-Bench → how they are read, and the unit that the question asks for."""


def vsi(path: Path) -> Iterator[Case]:
    """``nyu-visionx/VSI-Bench``: id, scene_name, question_type, question, options, ground_truth."""
    for number, (_, record) in enumerate(records(path)):
        type = text(record, "question_type")
        kind, unit = VSI_KINDS.get(type, ("option", None))
        given = [str(option) for option in record.get("options") or ()]
        choices = tuple(options("\n".join(given)).values())
        true = text(record, "ground_truth")
        factor = UNITS_M["cm"] if unit == "cm" else 1.0
        yield Case(
            id=str(record.get("id", number)),
            kind="number" if kind == "count" else kind,
            truth=letter(true) if kind == "option" else float(true) * factor,
            question="\n".join((text(record, "question"), *given)),
            unit=unit,
            choices=choices,
            tags=(type, *(("object_rel_direction",) if "rel_direction" in type else ())),
            noun="" if kind == "option" else ", ".join(asked_about(text(record, "question"))),
            cluster=text(record, "scene_name"),
        )
