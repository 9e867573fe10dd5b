"""Boxes and points of our questions, as a base writes them of its own.

Questions about a run have boxes in the base's `calipers.io.exports.notations` and points in shares
of the picture, ``(0.25, 0.50)``. Qwen3-VL writes both as JSON, ``{"bbox_2d": [x1, y1, x2, y2],
"label": …}`` and ``{"point_2d": [x, y], "label": …}``, in thousandths; the others write points as
they write boxes, with half of the numbers.
"""

from __future__ import annotations

import json
import re

from calipers.io.exports.notations import NOTATIONS
from calipers.model.bases import Base

_BOX = re.compile(r"\[\d+, \d+, \d+, \d+\]")
_POINT = re.compile(r"(?<!\w)\(([01]\.\d+), ([01]\.\d+)\)")
_WHERE = re.compile(r"Where is (.+)\?")


def in_own_words(base: Base, question: str, answer: str) -> tuple[str, str]:
    """A question and its answer with boxes and points as the base writes them.

    Args:
        base: a row of the table.
        question, answer: of a run; an answer that is a box or a point gets the thing's name.

    >>> from calipers.model.bases import base
    >>> in_own_words(base("qwen3_vl"), "Where is the cup?", "(0.25, 0.50)")[1]
    '{"point_2d": [250, 500], "label": "the cup"}'
    >>> in_own_words(base("paligemma"), "Where is the cup?", "(0.25, 0.50)")[1]
    '<loc0512><loc0256>'
    """
    asked = _WHERE.fullmatch(question)
    return _told(base, question, ""), _told(base, answer, asked[1] if asked else "")


def point(base: Base, x: float, y: float, label: str = "") -> str:
    """A point as a base writes it.

    Args:
        base: a row of the table.
        x, y: shares of the picture's width and height.
        label: what is there; "" says nothing of it.
    """
    notation = NOTATIONS[base.notation]
    numbers = notation.numbers((x, y, x, y), (1, 1))[:2]
    if base.json:
        return _object("point_2d", str(numbers), label)
    before, between, after = notation.joined
    return before + between.join(map(notation.text, numbers)) + after


def _told(base: Base, text: str, label: str) -> str:
    if base.json:
        text = _BOX.sub(lambda found: _object("bbox_2d", found[0], label), text)
    return _POINT.sub(lambda found: point(base, float(found[1]), float(found[2]), label), text)


def _object(name: str, numbers: str, label: str) -> str:
    named = f', "label": {json.dumps(label, ensure_ascii=False)}' if label else ""
    return f'{{"{name}": {numbers}{named}}}'
