"""Points of our questions, as a base writes them of its own.

Questions about a run have boxes in the base's `calipers.io.exports.notations` and points in shares
of the picture, ``(0.25, 0.50)``; a base writes both in the same numbers.
"""

from __future__ import annotations

import json
import re

from calipers.io.exports.notations import NOTATIONS
from calipers.model.bases import Base

_POINT = re.compile(r"(?<!\w)\(([01]\.\d+), ([01]\.\d+)\)")
_WHERE = re.compile(r"Where is (.+)\?")
_OBJECT_END = "]}"


def in_own_words(base: Base, question: str, answer: str) -> tuple[str, str]:
    """A question and its answer with points as the base writes them.

    Args:
        base: a row of the table.
        question, answer: of a run; an answer that is a box or a point as JSON gets the thing's
            name as its label, as Qwen3-VL's cookbooks have it.

    >>> from calipers.model.bases import base
    >>> in_own_words(base("qwen3_vl"), "Where is the cup?", "(0.25, 0.50)")[1]
    '{"point_2d": [250, 500], "label": "the cup"}'
    >>> in_own_words(base("paligemma"), "Where is the cup?", "(0.25, 0.50)")[1]
    '<loc0512><loc0256>'
    """
    said, asked = _told(base, answer), _WHERE.fullmatch(question)
    if asked and said.startswith("{") and said.endswith(_OBJECT_END):
        said = f'{said[:-1]}, "label": {json.dumps(asked[1], ensure_ascii=False)}}}'
    return _told(base, question), said


def _told(base: Base, text: str) -> str:
    notation = NOTATIONS[base.notation]
    return _POINT.sub(lambda found: notation.point(float(found[1]), float(found[2])), text)
