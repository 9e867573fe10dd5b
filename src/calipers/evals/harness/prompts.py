"""What a question says about the form of its answer, and cases as records and back."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from calipers.evals.cases import Case
from calipers.evals.regions import Mask, Polygon

HINTS: Mapping[str, str] = {
    "length": "Answer with one number and its unit.",
    "area": "Answer with one number and its unit.",
    "number": "Answer with one number.",
    "count": "Answer with one number.",
    "clock": "Answer with an hour of the clock, like 3 o'clock.",
    "yes-no": "Answer yes or no.",
    "option": "Answer with the letter of the option.",
    "points": "Answer with points as a list of (x, y), from 0 to 1 of the width and height.",
    "compare-yes-no": "Answer yes or no, or that they are about the same.",
    "compare-which": "Answer with the one of both, or that they are about the same.",
    "compare": "If there is no clear difference, say so.",
    "text": "Answer in a few words.",
}
"""Kind of a question → a line after it."""


def prompt(case: Case) -> str:
    """The question as a model is asked.

    >>> prompt(Case("a", "length", 1.0, "How tall is the lamp?"))
    'How tall is the lamp?\\nAnswer with one number and its unit.'
    """
    return f"{case.question}\n{HINTS[case.kind]}"


def truth_text(case: Case) -> str:
    """The truth as a text, for people who look at a log."""
    return "points in a region" if isinstance(case.truth, Mask | Polygon) else str(case.truth)


def to_record(case: Case) -> dict[str, Any]:
    """A case as JSON values; a mask is packed."""
    record = asdict(replace(case, truth=None))
    return record | {"truth": _packed(case.truth) if case.kind == "points" else case.truth}


def _packed(region: Any) -> dict[str, Any] | None:
    if isinstance(region, Polygon):
        return {"corners": [list(corner) for corner in region.corners]}
    if region is None:
        return None
    data = zlib.compress(np.packbits(region.pixels).tobytes())
    return {"shape": list(region.pixels.shape), "bits": base64.b64encode(data).decode()}


def _region(packed: Mapping[str, Any] | None) -> Mask | Polygon | None:
    if packed is None:
        return None
    if "corners" in packed:
        return Polygon(tuple((x, y) for x, y in packed["corners"]))
    height, width = packed["shape"]
    data = np.frombuffer(zlib.decompress(base64.b64decode(packed["bits"])), np.uint8)
    return Mask(np.unpackbits(data, count=height * width).reshape(height, width).astype(bool))


def from_record(record: Mapping[str, Any]) -> Case:
    """What `to_record` wrote, after JSON.

    >>> case = Case("a", "compare", 1, names=("cup", "box"), compares=("tall", 1))
    >>> from_record(to_record(case)) == case
    True
    """
    lists = ("images", "choices", "names", "compares", "tags")
    given = {**record, **{name: tuple(record[name]) for name in lists}}
    if record["kind"] == "points":
        given["truth"] = _region(record["truth"])
    return Case(**given)
