"""SAM 2.1 without torchvision: pictures squeezed into a square, masks enlarged out of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_models  # noqa: E402
from calipers.errors import MissingWeightsError  # noqa: E402
from calipers.experts.sam2 import Sam2  # noqa: E402
from calipers.experts.squares import Square, masks_of, proposals  # noqa: E402

WIDE = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
TALL = np.random.default_rng(1).integers(0, 255, (96, 32, 3), np.uint8)
BOXES = np.float32([[0, 0, 40, 20], [20, 10, 60, 30], [0, 0, 80, 40]])
NONE = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_models.sam2(tmp_path_factory.mktemp("sam2")))


@pytest.fixture
def expert(folder):
    return Sam2.load(folder)


def test_the_square_is_read_from_the_configuration(folder):
    square = Square.load(folder)
    assert square == Square(64, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_folder_without_configuration_is_one_clear_line(tmp_path):
    with pytest.raises(MissingWeightsError, match=str(tmp_path)) as error:
        Sam2.load(str(tmp_path))
    assert "\n" not in str(error.value)


def test_pixels_are_normalised_channel_by_channel():
    square = Square(2, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    red = np.zeros((7, 3, 3), np.uint8)
    red[..., 0] = 255
    pixels = square.pixels([red, red[:2]])
    assert pixels.shape == (2, 3, 2, 2)
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels[0, :, 0, 0], [1.0, -1.0, 0.0])


def test_a_picture_is_squeezed_not_padded_and_not_turned():
    """Left half black, right half white, 4 rows of 40 columns."""
    picture = np.zeros((4, 40, 3), np.uint8)
    picture[:, 20:] = 255
    pixels = Square(4, (0, 0, 0), (1, 1, 1)).pixels([picture])[0]
    assert (pixels[:, :, 0] == 0).all()
    assert (pixels[:, :, 3] == 1).all()


@pytest.mark.parametrize("size_hw", [(200, 300), (20, 31), (64, 64)])
def test_resizing_is_torchs_bilinear_with_antialiasing(size_hw):
    """That is what transformers' own processor does by torchvision; a step of 1/255 apart."""
    picture = np.random.default_rng(3).integers(0, 256, (*size_hw, 3), np.uint8)
    pixels = Square(64, (0, 0, 0), (1, 1, 1)).pixels([picture])
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(picture).permute(2, 0, 1)[None].float(),
        (64, 64),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    assert np.abs(pixels - wanted.round().numpy() / 255).max() <= 1.01 / 255


def fill_boxes(expert, monkeypatch):
    given = []

    def forward(input_boxes, **_):
        given.append(input_boxes)
        masks = torch.full((1, input_boxes.shape[1], 1, 16, 16), -1.0)
        for mask, box in zip(masks[0, :, 0], input_boxes[0], strict=True):
            x1, y1, x2, y2 = (round(float(side) / 4) for side in box)
            mask[y1:y2, x1:x2] = 1.0
        return SimpleNamespace(pred_masks=masks)

    monkeypatch.setattr(expert.model, "forward", forward)
    return given


def box_of(mask):
    """The tight box round a mask that fills it but for rounded corners."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x1, x2, y1, y2 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    assert mask.sum() >= (x2 - x1) * (y2 - y1) - 4 * 3
    return x1, y1, x2, y2


def test_boxes_are_squeezed_with_the_picture(expert, monkeypatch):
    given = fill_boxes(expert, monkeypatch)
    expert.segment([WIDE, TALL], [BOXES[:2], np.float32([[0, 48, 32, 96]])])
    np.testing.assert_allclose(given[0][0], [[0, 0, 32, 32], [16, 16, 48, 48]])
    np.testing.assert_allclose(given[1][0], [[0, 32, 64, 64]])


def test_masks_come_out_at_the_size_of_the_picture_in_the_order_of_the_boxes(expert, monkeypatch):
    fill_boxes(expert, monkeypatch)
    monkeypatch.setattr(expert, "boxes_at_once", 2)
    wide, tall = expert.segment([WIDE, TALL], [BOXES, np.float32([[0, 48, 32, 96]])])
    assert [box_of(mask) for mask in wide] == [tuple(map(int, box)) for box in BOXES]
    assert tall.dtype == bool
    np.testing.assert_array_equal(tall[0], np.arange(96)[:, None].repeat(32, 1) >= 48)


def test_masks_are_enlarged_as_logits():
    """Between +3 and -1 the border lies at three quarters of the way, not half."""
    logits = torch.tensor([[[3.0, -1.0]]])
    mask = masks_of(logits, (400, 2))
    assert mask.shape == (1, 2, 400)
    # Centres of the two cells lie at 100 and 300; logit 0 lies at 100 + 0.75 * 200.
    assert mask[0].sum(axis=1).tolist() == [250, 250]
    assert masks_of(torch.zeros(0, 4, 4), (5, 3)).shape == (0, 3, 5)


def test_a_picture_encoded_once_gives_the_masks_of_one_pass(expert, monkeypatch):
    encoded = []
    real = expert.model.get_image_embeddings
    monkeypatch.setattr(
        expert.model,
        "get_image_embeddings",
        lambda pixels: encoded.append(len(pixels)) or real(pixels),
    )
    mine, none, other = expert.segment([WIDE, TALL, TALL], [BOXES, NONE, BOXES[:1]])
    assert encoded == [2]
    assert (none.shape, other.shape) == ((0, 96, 32), (1, 96, 32))
    pixels = torch.from_numpy(expert.processor.pixels([WIDE]))
    boxes = torch.from_numpy(BOXES * np.float32([0.8, 1.6, 0.8, 1.6]))[None]
    with torch.inference_mode():
        output = expert.model(pixel_values=pixels, input_boxes=boxes, multimask_output=False)
    wanted = torch.nn.functional.interpolate(
        output.pred_masks[0], (40, 80), mode="bilinear", align_corners=False
    )
    assert (mine == (wanted[:, 0] > 0).numpy()).mean() > 0.999


def test_a_mask_does_not_depend_on_the_rest_of_the_batch(expert):
    together = expert.segment([WIDE, TALL], [BOXES, BOXES[:1]])
    (alone,) = expert.segment([TALL], [BOXES[:1]])
    assert (alone == together[1]).mean() > 0.999
    for i, mask in enumerate(together[0]):
        (one,) = expert.segment([WIDE], [BOXES[i : i + 1]])
        assert (one[0] == mask).mean() > 0.999


def test_proposals_are_cut_sorted_and_free_of_what_is_no_box():
    boxes = np.float32(
        [[-5, 2, 10, 12], [3, 3, 3, 9], [0, 0, np.nan, 5], [30, 0, 40, 5], [5, 5, 99, 99]]
    )
    found = proposals(boxes, (20, 10), list("abcde"), [0.2, 0.9, 0.9, 0.9, 0.7])
    assert [(one.phrase, one.bbox_xyxy) for one in found] == [
        ("e", (5, 5, 20, 10)),
        ("a", (0, 2, 10, 10)),
    ]
