"""What can be guessed of a set without the picture: `calipers.evals.baselines` on its answers.

Each scene is guessed from all others, so that its own questions never help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from calipers.evals.baselines import guess
from calipers.evals.cases import Case
from calipers.evals.spatialbench import Item

BASELINES: Mapping[str, str] = MappingProxyType({"majority": "majority", "text": "words"})
"""What ``bench.json`` calls a guesser, and what `calipers.evals.baselines` calls it."""


def baseline(items: Sequence[Item], name: str) -> dict[str, str]:
    """Answers of a blind guesser: key of the item → response.

    Args:
        items: those of the whole set; "scene_id" of `Item.extra`, or the picture, tells scenes
            apart.
        name: "majority" or "text".
    """
    guesses = guess([_case(item) for item in items], BASELINES[name])
    return {item.key: _response(one) for item, one in zip(items, guesses)}


def _case(item: Item) -> Case:
    """An item whose truth is its answer, letter for letter; depths are numbers."""
    depth = item.column == "depth"
    return Case(
        id=item.key,
        kind="number" if depth else "text",
        truth=float(item.answer) if depth else item.answer,
        question=item.question,
        images=item.images,
        tags=(item.column,),
        cluster=str(item.extra.get("scene_id", "")),
    )


def _response(guessed: Any) -> str:
    """As an answer is written; "" where nothing could be guessed from."""
    if guessed is None:
        return ""
    return str(round(guessed)) if isinstance(guessed, float) else str(guessed)
