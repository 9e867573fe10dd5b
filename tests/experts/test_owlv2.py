"""OWLv2: a square round the picture, labels by the place of the phrase, objects without any."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import AutoProcessor  # noqa: E402

import tiny_models  # noqa: E402
from calipers.experts.owlv2 import Owlv2  # noqa: E402

WIDE = np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)
TALL = np.random.default_rng(1).integers(0, 255, (90, 30, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.owlv2(tmp_path_factory.mktemp("owlv2"))


@pytest.fixture
def expert(folder):
    """16 boxes of near nothing; tests set those they want to know."""
    return Owlv2.load(str(folder), threshold=0.3, template="{}")


def answer(expert, monkeypatch, boxes, *, fit=None, objectness=None):
    """Make the network's heads answer known values for the first boxes, and nothing for others."""

    def padded(rows, filler):
        rows = torch.tensor(rows)
        rest = torch.full((16 - len(rows), *rows.shape[1:]), filler)
        return torch.cat([rows, rest])[None]

    monkeypatch.setattr(
        expert.model,
        "box_predictor",
        lambda cells, grid: padded(boxes, 0.0).repeat(len(cells), 1, 1),
    )
    if fit is not None:
        logits = torch.logit(padded(fit, 1e-6))
        monkeypatch.setattr(expert.model, "class_predictor", lambda cells, queries: (logits, None))
    if objectness is not None:
        sure = torch.logit(padded(objectness, 1e-6))
        monkeypatch.setattr(expert.model, "objectness_predictor", lambda cells: sure)


def test_boxes_are_fractions_of_the_longer_side(expert, monkeypatch):
    answer(expert, monkeypatch, [[0.5, 0.25, 0.5, 0.25]], fit=[[0.9]])
    wide, tall = expert.propose([WIDE, TALL], [["chair"], ["chair"]])
    assert wide[0].bbox_xyxy == pytest.approx((50, 25, 150, 75))  # square of 200
    assert tall[0].bbox_xyxy == pytest.approx((22.5, 11.25, 30, 33.75))  # of 90, cut at 30


def test_a_picture_keeps_its_shape_on_grey(expert):
    """OpenAI CLIP's mean and deviation; a picture of 200 x 100 fills 64 x 32 of the square."""
    square = expert.processor[0]
    assert square.side == 64
    white = np.full((100, 200, 3), 255, np.uint8)
    pixels = square.pixels([white, white.transpose(1, 0, 2)], 0.5)
    bright, grey = (1 - 0.48145466) / 0.26862954, (0.5 - 0.48145466) / 0.26862954
    np.testing.assert_allclose(pixels[0, 0, :32], bright, atol=1e-5)
    np.testing.assert_allclose(pixels[0, 0, 32:], grey, atol=1e-5)
    np.testing.assert_allclose(pixels[1, 0, :, :32], bright, atol=1e-5)
    np.testing.assert_allclose(pixels[1, 0, :, 32:], grey, atol=1e-5)


def test_pixels_are_close_to_transformers_own(expert, folder):
    """Its antialiasing is another one (Gaussian); a smooth picture shows little of that."""
    x, y = np.meshgrid(np.linspace(0, 255, 200), np.linspace(0, 255, 100))
    picture = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    processor = AutoProcessor.from_pretrained(folder).image_processor
    wanted = processor(images=[picture], return_tensors="np")["pixel_values"][0]
    mine = expert.processor[0].pixels([picture], 0.5)[0]
    assert np.abs(mine - wanted)[:, 1:30, 1:63].max() < 0.03


def test_boxes_in_the_padding_are_dropped(expert, monkeypatch):
    answer(expert, monkeypatch, [[0.5, 0.8, 0.5, 0.5], [0.5, 0.5, 0.2, 0.2]], fit=[[0.9], [0.8]])
    (found,) = expert.propose([WIDE], [["chair"]])
    assert [one.bbox_xyxy for one in found] == [pytest.approx((80, 80, 120, 100))]


def test_a_box_is_called_by_the_phrase_that_fits_best(expert, monkeypatch):
    boxes = [[0.2, 0.2, 0.1, 0.1], [0.5, 0.2, 0.1, 0.1], [0.7, 0.2, 0.1, 0.1]]
    answer(expert, monkeypatch, boxes, fit=[[0.2, 0.4], [0.7, 0.6], [0.29, 0.1]])
    (found,) = expert.propose([WIDE], [["chair", "chair leg"]])
    assert [(one.phrase, round(one.score, 3)) for one in found] == [
        ("chair", 0.7),
        ("chair leg", 0.4),
    ]
    assert found[1].bbox_xyxy == pytest.approx((30, 30, 50, 50))


def test_without_phrases_the_likeliest_objects(expert, monkeypatch):
    boxes = [[0.2, 0.2, 0.1, 0.1], [0.5, 0.2, 0.1, 0.1], [0.7, 0.2, 0.1, 0.1]]
    answer(expert, monkeypatch, boxes, objectness=[0.1, 0.6, 0.3])
    monkeypatch.setattr(expert, "objects", 2)
    (found,) = expert.propose([WIDE], [[]])
    assert [(one.phrase, round(one.score, 3)) for one in found] == [(None, 0.6), (None, 0.3)]
    assert found[0].bbox_xyxy == pytest.approx((90, 30, 110, 50))


def test_the_network_in_parts_answers_as_in_one(expert, folder, monkeypatch):
    """Picture and phrases are embedded apart; transformers embeds them in one pass."""
    monkeypatch.setattr(expert, "threshold", 0.0)
    phrases = ["red cup", "a chair"]
    square, tokenizer = expert.processor
    tokens = tokenizer(phrases, padding="max_length", max_length=16, return_tensors="pt")
    pixels = torch.from_numpy(square.pixels([WIDE], 0.5))
    with torch.inference_mode():
        output = expert.model(pixel_values=pixels, **tokens)
    reading = AutoProcessor.from_pretrained(folder).post_process_grounded_object_detection(
        output, threshold=0.0, target_sizes=[(100, 200)], text_labels=[phrases]
    )[0]
    boxes = np.clip(reading["boxes"].numpy(), 0, [200, 100, 200, 100])
    there = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    wanted = sorted(
        (float(score), name, *box)
        for score, name, box, keep in zip(
            reading["scores"], reading["text_labels"], boxes.tolist(), there, strict=True
        )
        if keep
    )
    (found,) = expert.propose([WIDE], [phrases])
    mine = sorted((one.score, one.phrase, *one.bbox_xyxy) for one in found)
    assert len(mine) == len(wanted) > 5
    assert [one[1] for one in mine] == [one[1] for one in wanted]
    np.testing.assert_allclose([one[0] for one in mine], [one[0] for one in wanted], atol=1e-5)
    np.testing.assert_allclose([one[2:] for one in mine], [one[2:] for one in wanted], atol=1e-3)


def test_a_phrase_is_put_into_a_caption_in_lower_case(folder, monkeypatch):
    expert = Owlv2.load(str(folder))
    seen = []
    real = expert.model.owlv2.get_text_features
    monkeypatch.setattr(
        expert.model.owlv2, "get_text_features", lambda **what: seen.append(what) or real(**what)
    )
    expert.propose([WIDE], [["Cup"]])
    said = expert.processor[1].decode(seen[0]["input_ids"][0], skip_special_tokens=True)
    assert "".join(said.split()).startswith("aphotoofacup")


def test_a_phrase_too_long_for_the_model_is_cut(expert, monkeypatch):
    monkeypatch.setattr(expert, "threshold", 0.0)
    (found,) = expert.propose([WIDE], [["a very long description of a chair " * 5]])
    assert len(found) > 0


def test_a_picture_does_not_depend_on_the_rest_of_the_batch(expert, monkeypatch):
    monkeypatch.setattr(expert, "threshold", 0.0)
    pictures, phrases = [WIDE, TALL, TALL], [["chair"], ["red cup", "lamp", "cat"], []]
    for picture, some, found in zip(
        pictures, phrases, expert.propose(pictures, phrases), strict=True
    ):
        (alone,) = expert.propose([picture], [some])
        assert [one.phrase for one in alone] == [one.phrase for one in found]
        np.testing.assert_allclose(
            [one.bbox_xyxy for one in alone], [one.bbox_xyxy for one in found], atol=1e-3
        )


def test_no_pictures_no_boxes(expert):
    assert expert.propose([], []) == []
