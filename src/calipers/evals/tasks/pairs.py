"""SpatialBench as cases; its published rules stay in `calipers.evals.spatialbench_score`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from calipers.evals.cases import NUMERIC, Case
from calipers.evals.extract import read_depth, read_yes_no
from calipers.evals.options import options, read_option
from calipers.evals.spatialbench import PAIRED, Item, load
from calipers.evals.spatialbench_score import score
from calipers.evals.tasks.nouns import heads


def read(path: Path) -> Iterator[Case]:
    """The questions of a folder with positional.json, existence.json, …; pairs are sets.

    Those of several steps are left to `calipers bench score`.
    """
    return (_case(item) for item in load(path) if item.column != "multistep")


def _case(item: Item) -> Case:
    choices = options(item.question)
    kind, truth = _truth(item, choices)
    return Case(
        id=item.key,
        kind=kind,
        truth=truth,
        question=item.question,
        images=item.images,
        unit="mm" if kind == "length" else None,
        choices=tuple(choices.values()),
        tags=(item.column,),
        noun=heads(item.question) if kind in NUMERIC else "",
        cluster=str(item.extra.get("scene_id", "")),
        sets={f"pairs of {item.column}": str(item.place // 2)} if item.column in PAIRED else {},
    )


def _truth(item: Item, choices: Mapping[str, str]) -> tuple[str, Any]:
    """How an item's answer is read, and what is true; a size may be asked for by a name."""
    if item.column == "depth":
        return "length", read_depth(item.answer)
    if item.column == "counting":
        return "count", int(item.answer)
    if item.column == "positional":
        return "option", read_option(item.answer, choices)
    said = read_yes_no(item.answer)
    return ("yes-no", said) if said else ("text", item.answer.casefold().strip(" ."))


def published(path: Path, answers: Mapping[str, str]) -> dict[str, float | None]:
    """Each column by its published rule, from 0 to 1."""
    found = score(load(path), answers)
    return {
        f"published {one.column}": None if one.published is None else one.published / 100
        for one in found
    }
