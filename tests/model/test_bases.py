"""What differs between the bases: the size of their pictures, how they write boxes and points."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers.models.smolvlm.image_processing_pil_smolvlm import (  # noqa: E402
    SmolVLMImageProcessorPil,
)

import tiny_bases  # noqa: E402
from calipers.errors import RunError  # noqa: E402
from calipers.evals.places import read_points  # noqa: E402
from calipers.io.exports.notations import NOTATIONS  # noqa: E402
from calipers.model.bases import BASES, base  # noqa: E402
from calipers.model.hugging import Chat, check_depth, collate  # noqa: E402
from calipers.model.pointing import in_own_words  # noqa: E402
from calipers.types import Frame  # noqa: E402


@pytest.mark.parametrize("side", [384, 512])
def test_smolvlm_gets_the_squares_of_its_own_size(side: int) -> None:
    """The processor of 2.2B says 384, that of 500M 512; ``size`` is for pictures cut in pieces."""
    images = SmolVLMImageProcessorPil(
        max_image_size={"longest_edge": side}, size={"longest_edge": 4 * side}
    )
    chat = Chat(SimpleNamespace(image_processor=images), base("smolvlm"))
    check_depth(chat)
    rgb = np.zeros((48, 64, 3), np.uint8)
    frame = Frame(id="a", image="a", width=64, height=48, rgb=rgb, depth_m=rgb[..., 0] + 1.5)
    assert [picture.size for picture in chat.pictures(frame)] == [(side, side)] * 2
    images.max_image_size = {"longest_edge": side // 2}
    images.size = {"height": side, "width": side}
    assert chat.pictures(frame)[0].size == (side // 2, side // 2)


def test_packed_depth_that_smolvlm_would_resize_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = SmolVLMImageProcessorPil(max_image_size={"longest_edge": 384})
    chat = Chat(SimpleNamespace(image_processor=images), base("smolvlm"))
    monkeypatch.setattr(Chat, "_square", lambda self: 512)
    with pytest.raises(RunError, match="512x512"):
        check_depth(chat)


def test_qwen_writes_boxes_and_points_as_json_with_the_name() -> None:
    box = NOTATIONS["qwen3-vl"].write((64, 48, 320, 480), (640, 480))
    asked, said = in_own_words(base("qwen3_vl"), "Where is the cup?", box)
    assert asked == "Where is the cup?"
    assert json.loads(said) == {"bbox_2d": [100, 100, 500, 1000], "label": "the cup"}
    asked, said = in_own_words(base("qwen3_vl"), f"What is at {box}?", "the cup")
    assert (asked, said) == ('What is at {"bbox_2d": [100, 100, 500, 1000]}?', "the cup")
    _, said = in_own_words(base("qwen3_vl"), "Where is the cup?", "(0.25, 0.99)")
    assert json.loads(said) == {"point_2d": [250, 990], "label": "the cup"}
    assert read_points(said) == ((0.25, 0.99),)


def test_other_bases_write_points_as_they_write_boxes() -> None:
    where = ("Where is the cup?", "(0.25, 0.50)")
    assert in_own_words(base("paligemma"), *where)[1] == "<loc0512><loc0256>"  # y before x
    assert in_own_words(base("internvl"), *where)[1] == "[250, 500]"
    said = "[100, 100, 500, 1000]"
    assert in_own_words(base("internvl"), "Where is it?", said)[1] == said
    for name in BASES:
        measured = "Depth(0.25,0.50)=1480 mm"
        assert in_own_words(base(name), "How deep is it?", measured)[1] == measured


def test_places_reach_paligemma_as_its_own_tokens() -> None:
    _, processor = tiny_bases.paligemma()
    chat = Chat(processor, base("paligemma"), see="rgb")
    rgb = np.zeros((48, 64, 3), np.uint8)
    frame = Frame(id="a", image="a", width=64, height=48, rgb=rgb)
    turn = ("What is at <loc0001><loc0002> <image>?", "<loc0003><loc0004>")
    batch = collate(chat, [(chat.pictures(frame), [turn])])
    tokens = processor.tokenizer.convert_ids_to_tokens(batch["input_ids"][0])
    assert [token for token in tokens if token.startswith("<loc")] == [
        f"<loc000{k}>" for k in (1, 2, 3, 4)
    ]
    assert tokens.count("<image>") == 16
