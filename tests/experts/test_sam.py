"""SAM and SAM-HQ: boxes into the padded square, masks out of it, in the order of the boxes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image  # noqa: E402

import tiny_models  # noqa: E402
from calipers.experts.sam import Sam  # noqa: E402

WIDE = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
TALL = np.random.default_rng(1).integers(0, 255, (96, 32, 3), np.uint8)
BOXES = np.float32([[0, 0, 40, 20], [20, 10, 60, 30], [0, 0, 80, 40]])
NONE = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module", params=["sam", "sam_hq"])
def folder(request, tmp_path_factory):
    return str(tiny_models.MODELS[request.param](tmp_path_factory.mktemp(request.param)))


@pytest.fixture
def expert(folder):
    return Sam.load(folder)


def corner_masks(pixel_boxes):
    """Mask logits of 16 x 16: +1 in the box (of the square's 64 pixels), -1 outside."""
    masks = torch.full((1, len(pixel_boxes), 1, 16, 16), -1.0)
    for mask, box in zip(masks[0, :, 0], pixel_boxes, strict=True):
        x1, y1, x2, y2 = (round(float(side) / 4) for side in box)
        mask[y1:y2, x1:x2] = 1.0
    return masks


def decode_boxes(expert, monkeypatch):
    """Make the mask decoder fill the boxes that it is given; keeps them."""
    given = []

    def forward(input_boxes, **_):
        given.append(input_boxes)
        return SimpleNamespace(pred_masks=corner_masks(input_boxes[0]))

    monkeypatch.setattr(expert.model, "forward", forward)
    return given


def box_of(mask):
    """The tight box round a mask that fills it but for rounded corners."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x1, x2, y1, y2 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    assert mask.sum() >= (x2 - x1) * (y2 - y1) - 4 * 3
    return x1, y1, x2, y2


def test_boxes_go_into_a_square_padded_at_the_right_and_bottom(expert, monkeypatch):
    given = decode_boxes(expert, monkeypatch)
    expert.segment([WIDE, TALL], [BOXES[:2], np.float32([[0, 48, 32, 96]])])
    # 80 x 40 fills 64 x 32 of the square, 32 x 96 fills 21 x 64.
    np.testing.assert_allclose(given[0][0], [[0, 0, 32, 16], [16, 8, 48, 24]])
    np.testing.assert_allclose(given[1][0], [[0, 32, 21, 64]], atol=1e-5)


def test_masks_come_out_at_the_size_of_the_picture(expert, monkeypatch):
    decode_boxes(expert, monkeypatch)
    wide, tall = expert.segment([WIDE, TALL], [BOXES[:2], np.float32([[0, 48, 32, 96]])])
    assert wide.shape == (2, 40, 80)
    assert wide.dtype == bool
    assert [box_of(mask) for mask in wide] == [(0, 0, 40, 20), (20, 10, 60, 30)]
    assert tall.shape == (1, 96, 32)
    assert not tall[0, :48].any()
    assert tall[0, 50:, :28].all()


def test_masks_keep_the_order_of_the_boxes_in_parts_too(expert, monkeypatch):
    given = decode_boxes(expert, monkeypatch)
    boxes = np.float32([[x, 0, x + 10, 40] for x in (70, 0, 30, 60, 10)])
    whole = expert.segment([WIDE], [boxes])[0]
    assert [int(mask.any(axis=0).argmax()) for mask in whole] == [70, 0, 30, 60, 10]
    monkeypatch.setattr(expert, "boxes_at_once", 2)
    np.testing.assert_array_equal(expert.segment([WIDE], [boxes])[0], whole)
    assert [some.shape[1] for some in given] == [5, 2, 2, 1]


def test_masks_are_those_of_transformers_own_reading(expert):
    """At a size that no step of the enlargement divides evenly."""
    picture = np.random.default_rng(2).integers(0, 255, (37, 83, 3), np.uint8)
    boxes = np.float32([[3, 5, 40.5, 20], [20, 10, 60, 30]])
    inputs = expert.processor(
        images=[Image.fromarray(picture)], input_boxes=[boxes.tolist()], return_tensors="pt"
    )
    with torch.inference_mode():
        output = expert.model(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"].float(),
            multimask_output=False,
        )
    wanted = expert.processor.image_processor.post_process_masks(
        output.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )[0][:, 0]
    (mine,) = expert.segment([picture], [boxes])
    assert wanted.shape == (2, 37, 83)
    assert 0.02 < wanted.float().mean() < 0.98
    assert (mine == wanted.numpy()).mean() > 0.999


def test_a_picture_is_encoded_once_for_all_its_boxes(expert, monkeypatch):
    encoded = []
    real = expert.model.vision_encoder.forward
    monkeypatch.setattr(
        expert.model.vision_encoder,
        "forward",
        lambda pixels, **what: encoded.append(len(pixels)) or real(pixels, **what),
    )
    monkeypatch.setattr(expert, "boxes_at_once", 2)
    found = expert.segment([WIDE, TALL, TALL], [BOXES, NONE, BOXES[:1]])
    assert encoded == [2]
    assert [mask.shape for mask in found] == [(3, 40, 80), (0, 96, 32), (1, 96, 32)]


def test_without_boxes_nothing_is_encoded(expert, monkeypatch):
    monkeypatch.setattr(expert.model.vision_encoder, "forward", None)
    assert expert.segment([WIDE], [NONE])[0].shape == (0, 40, 80)
    assert expert.segment([], []) == []


def test_a_mask_does_not_depend_on_the_rest_of_the_batch(expert):
    together = expert.segment([WIDE, TALL], [BOXES, BOXES[:1]])
    (alone,) = expert.segment([TALL], [BOXES[:1]])
    assert (alone == together[1]).mean() > 0.999
    for i, mask in enumerate(together[0]):
        (one,) = expert.segment([WIDE], [BOXES[i : i + 1]])
        assert (one[0] == mask).mean() > 0.999
