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
"""Most words that a patch learns; the last ones."""
_LEAST_COVERED = 0.2
_ARTICLE = "the"
_ARTICLES = {"a", "an", _ARTICLE}
_JOINING = {
    *("and", "at", "by", "for", "from", "in", "near", "of", "on", "to", "under", "with"),
    _ARTICLE,
}
"""In a name that holds one the words before the last do not describe the thing: of a "pair of
socks" there is no short name and no description."""


class Thing(NamedTuple):
    """A thing in a picture.

    Attributes:
        words: of its name, as they stand in a question behind the article.
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
        """Its words together."""
        return " ".join(self.words)


def things(scene: Scene, described: bool = False) -> list[Thing]:
    """The things of a scene that have a name and a mask.

    A can that is the only red thing is called "red thing" in short. What a name says beyond the
    caption ("the leftmost red can") tells it from others and describes nothing.

    Args:
        scene: lifted.
        described: patches learn the words before the last of a name alone, where these describe
            the thing. A patch shows what colour a thing has; what it is takes all of its patches,
            and would be guessed from the colour where some things are never red.
    """
    named = [item for item in scene.objects if item.reference is not None]
    told = [set(_words(item.reference or "")) for item in named]
    found = []
    for item in named:
        if item.segmentation is not None:
            words = _words(item.reference or "")
            of_itself = words if words == _words(item.caption) else ()
            shown = _describing(of_itself) if described else ()
            found.append(Thing(words, item.segmentation, _short(of_itself, told), shown))
    return found


def _describing(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a name before what the thing is; none where they join it to something.

    >>> _describing(("dark", "red", "can")), _describing(("can",)), _describing(("can", "of", "x"))
    (('dark', 'red'), (), ())
    """
    rest = words[:-1]
    return rest if _JOINING.isdisjoint(rest) else ()


def _short(words: tuple[str, ...], told: Sequence[set[str]]) -> str:
    """A name without what the thing is, where no other thing is so.

    >>> _short(("red", "can"), [{"red", "can"}, {"blue", "can"}])
    'red thing'
    >>> _short(("red", "can"), [{"red", "can"}, {"dark", "red", "box"}]), _short(("can",), [])
    ('', '')
    """
    rest = _describing(words)
    alone = rest and sum(set(rest) <= other for other in told) == 1
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
    """The words of a name, a leading article left out.

    >>> _words("the man with the hat")
    ('man', 'with', 'the', 'hat')
    """
    words = harmless(name).split()
    return tuple(words[1:] if words and words[0] in _ARTICLES else words)


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

    Articles are left out. Of a word that is several tokens the first stands for it; where nothing
    is, ``<pad>``.

    Args:
        found: the things; of a picture without any nothing is known.
        covers: which of them covers each patch, see `covering`.
        writer: knows the tokens.
    """
    out = np.full((len(found) + 1, WORDS), IGNORED)
    for row, thing in zip(out, found):
        words = [word for word in thing.shown or thing.words if word != _ARTICLE][-WORDS:]
        row[: len(words)] = [writer.tokens(" " + word)[0] for word in words]
    if found:
        out[-1, 0] = writer.tokenizer.pad_token_id
    return np.asarray(out[covers])


def names(found: Sequence[Thing]) -> Iterator[str]:
    """The names of things, for a tokenizer."""
    for thing in found:
        yield f" {thing.name}"
