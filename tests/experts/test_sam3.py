"""SAM 3: boxes and masks together, phrase by phrase over one encoding of the picture."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_models  # noqa: E402
from calipers.experts.sam3 import Sam3Objects  # noqa: E402

WIDE = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
TALL = np.random.default_rng(1).integers(0, 255, (96, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_models.sam3(tmp_path_factory.mktemp("sam3")))


@pytest.fixture
def expert(folder):
    return Sam3Objects.load(folder)


def answer(expert, monkeypatch, boxes, scores, presence=None):
    """Make the network find known boxes, with masks that fill them; counts the passes."""
    passes = []

    def forward(vision_embeds, text_embeds, attention_mask):
        passes.append(int(attention_mask.sum()))
        masks = torch.full((1, len(boxes), 16, 16), -1.0)
        for mask, box in zip(masks[0], boxes, strict=True):
            x1, y1, x2, y2 = (round(side * 16) for side in box)
            mask[max(y1, 0) : y2, max(x1, 0) : x2] = 1.0
        there = None if presence is None else torch.logit(torch.tensor([[presence]]))
        return SimpleNamespace(
            pred_boxes=torch.tensor([boxes]),
            pred_logits=torch.logit(torch.tensor([scores])),
            pred_masks=masks,
            presence_logits=there,
        )

    monkeypatch.setattr(expert.model, "forward", forward)
    return passes


def test_boxes_are_fractions_of_width_and_height_by_their_corners(expert, monkeypatch):
    answer(expert, monkeypatch, [[0.25, 0.5, 0.75, 1.0]], [0.9])
    wide, tall = expert.propose([WIDE, TALL], [["chair"], ["cup"]])
    assert wide[0].bbox_xyxy == (20, 20, 60, 40)
    assert tall[0].bbox_xyxy == (8, 48, 24, 96)
    assert (wide[0].phrase, tall[0].phrase) == ("chair", "cup")
    assert wide[0].score == pytest.approx(0.9)


def test_masks_belong_to_their_boxes(expert, monkeypatch):
    boxes = [[0.0, 0.5, 0.25, 1.0], [0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 1.0, 1.0]]
    answer(expert, monkeypatch, boxes, [0.1, 0.5, 0.9])
    (found,) = expert.propose([WIDE], [["chair"]])
    assert [one.bbox_xyxy for one in found] == [(40, 0, 80, 40), (0, 0, 40, 20)]
    for one in found:
        x1, y1, x2, y2 = map(int, one.bbox_xyxy)
        wanted = np.zeros((40, 80), bool)
        wanted[y1:y2, x1:x2] = True
        assert (one.mask != wanted).sum() <= 4  # the corners are rounded


def test_a_score_counts_whether_the_phrase_is_there_at_all(expert, monkeypatch):
    answer(expert, monkeypatch, [[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]], [0.9, 0.5], 0.5)
    (found,) = expert.propose([WIDE], [["chair"]])
    assert [round(one.score, 4) for one in found] == [0.45]


def test_boxes_are_cut_at_the_border(expert, monkeypatch):
    answer(expert, monkeypatch, [[-0.25, 0.5, 0.5, 1.25]], [0.9])
    ((one,),) = expert.propose([WIDE], [["chair"]])
    assert one.bbox_xyxy == (0, 20, 40, 40)


def test_a_picture_is_encoded_once_for_all_its_phrases(expert, monkeypatch):
    encoded, embedded = [], []
    vision, text = expert.model.get_vision_features, expert.model.get_text_features
    monkeypatch.setattr(
        expert.model,
        "get_vision_features",
        lambda pixel_values: encoded.append(len(pixel_values)) or vision(pixel_values),
    )
    monkeypatch.setattr(
        expert.model,
        "get_text_features",
        lambda **what: embedded.append(tuple(what["input_ids"].shape)) or text(**what),
    )
    passes = answer(expert, monkeypatch, [[0.25, 0.5, 0.75, 1.0]], [0.9])
    phrases = [["chair", "Cup", "lamp"], [], ["lamp", "lamp"]]
    found = expert.propose([WIDE, TALL, TALL], phrases)
    assert encoded == [2]
    assert embedded == [(1, 32)] * 3
    # Letters of the phrase, with the two tokens round them.
    assert passes == [7, 5, 6, 6]
    assert [sorted(one.phrase for one in some) for some in found] == [
        ["Cup", "chair", "lamp"],
        [],
        ["lamp"],
    ]


def test_without_phrases_nothing_is_encoded(expert, monkeypatch):
    monkeypatch.setattr(expert.model, "get_vision_features", None)
    assert expert.propose([WIDE, TALL], [[], []]) == [[], []]


def test_one_encoding_answers_as_one_pass(expert, monkeypatch):
    """The network's own forward of picture and phrase together."""
    monkeypatch.setattr(expert, "threshold", 0.0)
    square, tokenizer = expert.processor
    tokens = tokenizer(["red cup"], padding="max_length", max_length=32, return_tensors="pt")
    with torch.inference_mode():
        output = expert.model(pixel_values=torch.from_numpy(square.pixels([WIDE])), **tokens)
    scores = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
    order = scores[0].argsort(descending=True)
    wanted = output.pred_boxes[0][order] * torch.tensor([80, 40, 80, 40])
    (found,) = expert.propose([WIDE], [["red cup"]])
    assert len(found) == len(order) == 10
    np.testing.assert_allclose([one.score for one in found], scores[0][order], atol=1e-5)
    np.testing.assert_allclose([one.bbox_xyxy for one in found], wanted.clamp(min=0), atol=1e-2)


def test_a_picture_does_not_depend_on_the_rest_of_the_batch(expert, monkeypatch):
    monkeypatch.setattr(expert, "threshold", 0.0)
    together = expert.propose([WIDE, TALL], [["chair", "red cup"], ["lamp"]])
    (alone,) = expert.propose([TALL], [["lamp"]])
    np.testing.assert_allclose(
        [one.score for one in alone], [one.score for one in together[1]], atol=1e-5
    )
    np.testing.assert_allclose(
        [one.bbox_xyxy for one in alone], [one.bbox_xyxy for one in together[1]], atol=1e-2
    )


def test_each_picture_is_searched_in_its_own_encoding(expert, monkeypatch):
    seen = []
    real = expert.model.forward
    monkeypatch.setattr(
        expert.model,
        "forward",
        lambda vision_embeds, **what: (
            seen.append(vision_embeds) or real(vision_embeds=vision_embeds, **what)
        ),
    )
    expert.propose([WIDE, TALL], [["chair"], ["lamp"]])
    for picture, vision in zip([WIDE, TALL], seen, strict=True):
        pixels = torch.from_numpy(expert.processor[0].pixels([picture]))
        with torch.inference_mode():
            alone = expert.model.get_vision_features(pixel_values=pixels)
        for level, wanted in zip(vision.fpn_hidden_states, alone.fpn_hidden_states, strict=True):
            assert level.shape == wanted.shape
            np.testing.assert_allclose(level, wanted, atol=1e-7)
    levels = [vision.fpn_hidden_states[0] for vision in seen]
    assert (levels[0] - levels[1]).abs().max() > 1e-4


def test_a_phrase_too_long_for_the_model_is_cut(expert, monkeypatch):
    monkeypatch.setattr(expert, "threshold", 0.0)
    (found,) = expert.propose([WIDE], [["a chair with very many words " * 5]])
    assert len(found) == 10
