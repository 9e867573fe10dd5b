"""SigLIP and CLIP as a filter: nine labels, each model's own kind of probability."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image  # noqa: E402

import tiny_models  # noqa: E402
from calipers.experts.image_text import OTHERS, SCENES, ImageTextFilter  # noqa: E402

PICTURES = [
    np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    for height, width in ((40, 60), (90, 30))
]


@pytest.fixture(scope="module")
def siglip_folder(tmp_path_factory):
    return tiny_models.siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    return tiny_models.clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def siglip(siglip_folder):
    return ImageTextFilter.load(str(siglip_folder))


@pytest.fixture
def clip(clip_folder):
    return ImageTextFilter.load(str(clip_folder))


def whole_forward(expert, **text):
    """The model's own logits, pictures and labels in one pass."""
    pictures = [Image.fromarray(picture) for picture in PICTURES]
    inputs = expert.processor(
        images=pictures, text=list(expert.labels), return_tensors="pt", **text
    )
    with torch.inference_mode():
        return expert.model(**inputs).logits_per_image


def test_the_labels_are_the_papers_nine(siglip):
    assert siglip.labels == SCENES + OTHERS
    assert len(siglip.labels) == 9
    assert siglip.labels[0] == "an iphone photo of an indoor scene"


def test_siglip_gives_each_label_a_probability_of_its_own(siglip):
    wanted = whole_forward(siglip, padding="max_length", max_length=64).sigmoid()
    for scores, row in zip(siglip.score(PICTURES), wanted, strict=True):
        assert list(scores) == list(siglip.labels)
        np.testing.assert_allclose(list(scores.values()), row, atol=1e-6)
        assert sum(scores.values()) > 2


def test_clip_shares_one_probability_out(clip):
    wanted = whole_forward(clip, padding=True).softmax(-1)
    for scores, row in zip(clip.score(PICTURES), wanted, strict=True):
        np.testing.assert_allclose(list(scores.values()), row, atol=1e-6)
        assert sum(scores.values()) == pytest.approx(1)


def known(expert, monkeypatch, bias=None):
    """Two labels at right angles, a picture along the first, and a scale of 10."""
    expert.labels, expert._text = ("a room", "a sketch"), torch.eye(2)
    features = torch.nn.Module()
    features.pooler_output = torch.tensor([[3.0, 0.0]])
    monkeypatch.setattr(expert.model, "get_image_features", lambda **_: features)
    expert.model.logit_scale.data.fill_(np.log(10.0))
    if bias is not None:
        expert.model.logit_bias.data.fill_(bias)
    return expert.score(PICTURES[:1])[0]


def test_sigmoid_of_scale_times_cosine_plus_bias(siglip, monkeypatch):
    scores = known(siglip, monkeypatch, bias=-5.0)
    assert scores["a room"] == pytest.approx(1 / (1 + np.exp(-5)), rel=1e-5)
    assert scores["a sketch"] == pytest.approx(1 / (1 + np.exp(5)), rel=1e-4)


def test_softmax_of_scale_times_cosine(clip, monkeypatch):
    scores = known(clip, monkeypatch)
    assert scores["a room"] == pytest.approx(1 / (1 + np.exp(-10)), rel=1e-5)
    assert scores["a sketch"] == pytest.approx(np.exp(-10), rel=1e-3)


def test_labels_go_in_lower_case_and_siglips_are_64_tokens_long(siglip, monkeypatch):
    seen = []
    monkeypatch.setattr(siglip, "_inputs", lambda **what: seen.append(what) or real(**what))
    real = ImageTextFilter._inputs.__get__(siglip)
    siglip.labels = ("A Sketch", "a room")
    siglip._embed_labels()
    assert seen[0]["text"] == ["a sketch", "a room"]
    assert real(**seen[0])["input_ids"].shape == (2, 64)


@pytest.mark.parametrize("name", ["siglip", "clip"])
def test_a_score_does_not_depend_on_the_rest_of_the_batch(name, request):
    expert = request.getfixturevalue(name)
    together = expert.score(PICTURES)
    for picture, scores in zip(PICTURES, together, strict=True):
        alone = expert.score([picture])[0]
        np.testing.assert_allclose(list(alone.values()), list(scores.values()), atol=1e-6)


def test_no_pictures_no_scores(clip):
    assert clip.score([]) == []


def test_other_labels_and_the_revision_of_a_folder(clip_folder):
    expert = ImageTextFilter.load(str(clip_folder), labels=["a room", "a sketch"])
    assert list(expert.score(PICTURES[:1])[0]) == ["a room", "a sketch"]
    assert expert.revision.startswith("local-")
