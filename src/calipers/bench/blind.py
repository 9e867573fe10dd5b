"""What can be guessed without the picture: the commonest answer, and the words of the question.

Each scene is guessed from all others, so that its own questions never help.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from calipers.evals.spatialbench import Item

Guess = Callable[[Item, Sequence[Item]], str]


def _majority(item: Item, others: Sequence[Item]) -> str:
    """The commonest answer of the column; the median of depths."""
    if not others:
        return ""
    if item.column == "depth":
        return str(round(median(float(other.answer) for other in others)))
    counts = Counter(other.answer for other in others)
    return min(counts, key=lambda answer: (-counts[answer], answer))


def _words(item: Item) -> list[str]:
    """Single words, and neighbours in pairs."""
    words = re.findall(r"[a-z]+", item.question.lower())
    return [*words, *(f"{a} {b}" for a, b in pairwise(words))]


def _text(item: Item, others: Sequence[Item]) -> str:
    """The likeliest answer given the words (naive Bayes, add-one); of depths the median."""
    if item.column == "depth" or not others:
        return _majority(item, others)
    priors = Counter(other.answer for other in others)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for other in others:
        counts[other.answer].update(_words(other))
    vocabulary = len({word for counter in counts.values() for word in counter})

    def likelihood(answer: str) -> float:
        total = counts[answer].total() + vocabulary
        said = sum(math.log((counts[answer][word] + 1) / total) for word in _words(item))
        return said + math.log(priors[answer])

    return max(sorted(priors), key=likelihood)


BASELINES: dict[str, Guess] = {"majority": _majority, "text": _text}


def baseline(items: Sequence[Item], name: str) -> dict[str, str]:
    """Answers of a blind guesser: key of the item → response.

    Args:
        items: those of the whole set; "scene_id" of `Item.extra`, or the picture, tells scenes
            apart.
        name: "majority" or "text".
    """
    guess = BASELINES[name]
    answers = {}
    for item in items:
        others = [o for o in items if o.column == item.column and _scene(o) != _scene(item)]
        answers[item.key] = guess(item, others)
    return answers


def _scene(item: Item) -> str:
    return str(item.extra.get("scene_id", item.images))
