"""What each patch of a picture shows, in words: what an encoder learns before it is asked anything.

SpatialBot's encoder, SigLIP, was taught on millions of captions which colours and shapes go with
which words. One from scratch learns it here from a scene's masks: the token of a patch is to be
like the words of the thing that covers it. A language model then finds a thing by its words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calipers.io.exports.mentions import harmless
from calipers.io.masks import decode_mask
from calipers.model.grounding import IGNORED
from calipers.model.tokens import Writer
from calipers.types import Bools, Rle, Scene

WORDS = 4
"""Most words of a thing's name; its last ones."""
_LEAST_COVERED = 0.2
_LEFT_OUT = ("the",)
_JOINING = {"and", "at", "by", "for", "from", "in", "near", "of", "on", "to", "under", "with"}
"""Names that hold one are not shortened: "pair of thing"."""


class Thing(NamedTuple):
    """A thing in a picture.

    Attributes:
        words: of its name.
        mask: where it is.
        short: what else it is called, see `things`; "" for nothing.
        shown: the words that its patches learn; none stands for all.
    """

    words: tuple[str, ...]
    mask: Rle
    short: str = ""
    shown: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its words together, as they stand in a question."""
        return " ".join(self.words)


def things(scene: Scene, described: bool = False) -> list[Thing]:
    """The things of a scene that have a name and a mask.

    A can that is the only red thing is called "red thing" in short.

    Args:
        scene: lifted.
        described: patches learn the words before the last of a name alone, where there are such. A
            patch shows what colour a thing has; what it is takes all of its patches, and would be
            guessed from the colour where some things are never red.
    """
    found = [
        Thing(_words(item.reference), item.segmentation)
        for item in scene.objects
        if item.reference is not None and item.segmentation is not None
    ]
    told = [set(_words(item.reference)) for item in scene.objects if item.reference is not None]
    return [
        thing._replace(short=_short(thing.words, told), shown=thing.words[:-1] if described else ())
        for thing in found
    ]


def _short(words: tuple[str, ...], told: Sequence[set[str]]) -> str:
    """A name without what the thing is, where no other thing is so.

    >>> _short(("red", "can"), [{"red", "can"}, {"blue", "can"}])
    'red thing'
    >>> _short(("red", "can"), [{"red", "can"}, {"dark", "red", "box"}]), _short(("can",), [])
    ('', '')
    """
    rest = words[:-1]
    alone = rest and _JOINING.isdisjoint(rest) and sum(set(rest) <= other for other in told) == 1
    return " ".join([*rest, "thing"]) if alone else ""


def called(found: Sequence[Thing]) -> dict[str, int]:
    """What the things are called → their numbers."""
    full = {thing.name: k for k, thing in enumerate(found)}
    return {thing.short: k for k, thing in enumerate(found) if thing.short} | full


def shorten(question: str, found: Sequence[Thing], share: float, rng: np.random.Generator) -> str:
    """A question with some of the names in it in short, each with the probability `share`.

    >>> can = Thing(("red", "can"), {"size": [1, 1], "counts": ""}, "red thing")
    >>> shorten("Where is the red can?", [can], 1.0, np.random.default_rng(0))
    'Where is the red thing?'
    """
    short = {thing.name: thing.short for thing in found if thing.short}
    if not short or not share:
        return question
    longest = sorted((thing.name for thing in found), key=len, reverse=True)

    def say(name: re.Match[str]) -> str:
        return short[name[0]] if name[0] in short and rng.random() < share else name[0]

    return re.sub(rf"\b(?:{'|'.join(map(re.escape, longest))})\b", say, question)


def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in harmless(name).split() if word not in _LEFT_OUT)[-WORDS:]


def shares(found: Sequence[Thing], grid_wh: tuple[int, int]) -> NDArray[np.float32]:
    """How much of each patch each thing covers, (things, patches) row by row, 0 to 1.

    >>> from calipers.io.masks import encode_mask
    >>> shares([Thing(("box",), encode_mask(np.eye(2)[:1].repeat(2, 0)))], (2, 1)).tolist()
    [[1.0, 0.0]]
    """
    out = np.zeros((len(found), grid_wh[0] * grid_wh[1]), np.float32)
    for row, thing in zip(out, found):
        row[:] = _shares(decode_mask(thing.mask), grid_wh).ravel()
    return out


def covering(shared: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which of `shares` covers each patch most, (patches,); -1 where none covers a fifth.

    >>> covering(np.array([[1.0, 0.1, 0.3], [0.0, 0.1, 0.6]], np.float32)).tolist()
    [0, -1, 1]
    """
    if not len(shared):
        return np.full(shared.shape[1], -1)
    return np.where(shared.max(axis=0) > _LEAST_COVERED, shared.argmax(axis=0), -1)


def _shares(mask: Bools, grid_wh: tuple[int, int]) -> NDArray[np.float64]:
    """The covered share of each patch, (rows, columns)."""
    (height, width), (columns, rows) = mask.shape, grid_wh
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    place = row[:, None] * columns + column
    total = np.bincount(place.ravel(), minlength=rows * columns)
    covered = np.bincount(place.ravel(), mask.ravel(), minlength=rows * columns)
    return (covered / np.maximum(total, 1)).reshape(rows, columns)


def patch_words(
    found: Sequence[Thing], covers: NDArray[np.int64], writer: Writer
) -> NDArray[np.int64]:
    """The tokens of what each patch shows, (patches, `WORDS`); `IGNORED` after the last.

    Of a word that is several tokens the first stands for it; where nothing is, ``<pad>``.

    Args:
        found: the things; of a picture without any nothing is known.
        covers: which of them covers each patch, see `covering`.
        writer: knows the tokens.
    """
    out = np.full((len(found) + 1, WORDS), IGNORED)
    for row, thing in zip(out, found):
        words = thing.shown or thing.words
        row[: len(words)] = [writer.tokens(" " + word)[0] for word in words]
    if found:
        out[-1, 0] = writer.tokenizer.pad_token_id
    return np.asarray(out[covers])


def names(found: Sequence[Thing]) -> Iterator[str]:
    """The names of things, for a tokenizer."""
    for thing in found:
        yield f" {thing.name}"
