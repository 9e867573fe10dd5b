"""Every adapter computes in bfloat16 too, as it does by itself on a graphics card."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import CLIPModel  # noqa: E402

import tiny_models  # noqa: E402
from calipers.experts.florence2 import (  # noqa: E402
    Florence2Captioner,
    Florence2Objects,
    Florence2Tagger,
)
from calipers.experts.grounding_dino import GroundingDino  # noqa: E402
from calipers.experts.image_text import ImageTextFilter  # noqa: E402
from calipers.experts.owlv2 import Owlv2  # noqa: E402
from calipers.experts.sam import Sam  # noqa: E402
from calipers.experts.sam2 import Sam2  # noqa: E402
from calipers.experts.sam3 import Sam3Objects  # noqa: E402

PICTURE = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
BOXES = [np.float32([[0, 0, 40, 20], [20, 10, 60, 30]])]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    folders = {}

    def loaded(adapter, name, **options):
        if name not in folders:
            folders[name] = str(tiny_models.MODELS[name](tmp_path_factory.mktemp(name)))
        return adapter.load(folders[name], **options)

    return loaded


def test_a_checkpoint_stored_in_halves_is_loaded_whole(tmp_path):
    """Otherwise nothing of it runs on a processor."""
    tiny_models.clip(tmp_path)
    CLIPModel.from_pretrained(tmp_path).half().save_pretrained(tmp_path)
    expert = ImageTextFilter.load(str(tmp_path), device="cpu")
    assert {weights.dtype for weights in expert.model.parameters()} == {torch.float32}
    assert sum(expert.score([PICTURE])[0].values()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["siglip", "clip"])
def test_scores_differ_by_little(load, name):
    whole, half = (
        list(load(ImageTextFilter, name, dtype=dtype).score([PICTURE])[0].values())
        for dtype in ("float32", "bfloat16")
    )
    assert whole != half
    np.testing.assert_allclose(half, whole, atol=0.05)


@pytest.mark.parametrize(("adapter", "name"), [(Sam, "sam"), (Sam, "sam_hq"), (Sam2, "sam2")])
def test_masks_differ_by_little(load, adapter, name):
    found = []
    for dtype in ("float32", "bfloat16"):
        expert = load(adapter, name, dtype=dtype)
        # SAM 2 chooses among masks by how stable they are, which random ones are not.
        expert.model.mask_decoder.dynamic_multimask_via_stability = False
        found += expert.segment([PICTURE], BOXES)
    assert found[1].shape == (2, 40, 80)
    assert 0 < (found[0] != found[1]).mean() < 0.1


@pytest.mark.parametrize(
    ("adapter", "name"),
    [
        (GroundingDino, "grounding_dino"),
        (GroundingDino, "llmdet"),
        (Owlv2, "owlv2"),
        (Sam3Objects, "sam3"),
    ],
)
def test_boxes_are_found_inside_the_picture(load, adapter, name):
    """Random networks rank near-equal boxes; which one is best may change."""
    expert = load(adapter, name, dtype="bfloat16", threshold=0.0)
    (found,) = expert.propose([PICTURE], [["chair", "red cup"]])
    assert len(found) > 5
    for one in found:
        x1, y1, x2, y2 = one.bbox_xyxy
        assert 0 <= x1 < x2 <= 80
        assert 0 <= y1 < y2 <= 40
        assert 0 < one.score <= 1


def test_objects_without_phrases(load):
    (found,) = load(Owlv2, "owlv2", dtype="bfloat16").propose([PICTURE], [[]])
    assert {one.phrase for one in found} == {None}


def test_florence_says_the_same(load):
    half = {"dtype": "bfloat16"}
    (objects,) = load(Florence2Objects, "florence2", **half).propose([PICTURE], [[]])
    assert [one.phrase for one in objects] == ["cup", "red lamp"]
    assert load(Florence2Tagger, "florence2", **half).tag([PICTURE]) == [["cup", "red lamp"]]
    captioner = load(Florence2Captioner, "florence2", **half)
    assert captioner.describe([PICTURE], BOXES, [[6, 1]]) == [["cup red lamp", "lamp"]]
