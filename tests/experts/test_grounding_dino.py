"""Grounding DINO and LLMDet: what a box is called is decided by the tokens of each phrase."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_models  # noqa: E402
from calipers.experts.grounding_dino import GroundingDino, prompts  # noqa: E402

WIDE = np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)
TALL = np.random.default_rng(1).integers(0, 255, (90, 30, 3), np.uint8)


@pytest.fixture(scope="module", params=["grounding_dino", "llmdet"])
def expert(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return GroundingDino.load(str(tiny_models.MODELS[request.param](folder)), threshold=0.0)


@pytest.fixture
def answering(expert, monkeypatch):
    """Make the network answer known boxes and chances of tokens; keeps what it was asked."""

    def answer(boxes, chances_of_tokens):
        asked = []

        def forward(pixel_values, input_ids, **_):
            asked.append((pixel_values.shape, expert.processor.tokenizer.decode(input_ids[0])))
            chances = torch.full((len(boxes), 256), 1e-6)
            for row, chances_of in zip(chances, chances_of_tokens, strict=True):
                for token, chance in chances_of.items():
                    row[token] = chance
            many = len(pixel_values)
            return SimpleNamespace(
                pred_boxes=torch.tensor(boxes)[None].repeat(many, 1, 1),
                logits=torch.logit(chances)[None].repeat(many, 1, 1),
            )

        monkeypatch.setattr(expert.model, "forward", forward)
        monkeypatch.setattr(expert, "threshold", 0.25)
        return asked

    return answer


def test_the_tokens_of_phrases_that_share_a_word(expert):
    (prompt,) = prompts(expert.processor.tokenizer, ["chair", "Chair leg.", "red cups"], 256, 80)
    assert prompt.text == "chair. chair leg. red cups. "
    # [CLS] chair . chair leg . red cup ##s . [SEP]
    assert prompt.spans == ((1,), (3, 4), (6, 7, 8))
    assert prompt.phrases == ("chair", "Chair leg.", "red cups")


def test_a_full_stop_inside_a_phrase_does_not_end_it(expert):
    phrases = ["No. 5 lamp?", " ? ", "\u200b", "cup"]
    (prompt,) = prompts(expert.processor.tokenizer, phrases, 256, 80)
    assert prompt.text == "no 5 lamp. cup. "
    assert prompt.phrases == ("No. 5 lamp?", "cup")
    assert prompt.spans == ((1, 2, 3, 4), (6,))  # "no" is spelled n ##o


def test_a_chair_is_no_chair_leg(expert, answering):
    """Both "chair" tokens fire for a chair; only the leg makes a chair leg."""
    answering(
        [[0.5, 0.5, 0.2, 0.4], [0.5, 0.5, 0.1, 0.2], [0.2, 0.2, 0.1, 0.1]],
        [{1: 0.9, 3: 0.95, 4: 0.1}, {1: 0.6, 3: 0.8, 4: 0.8}, {6: 0.2}],
    )
    (found,) = expert.propose([WIDE], [["chair", "chair leg", "cup"]])
    assert [(one.phrase, round(one.score, 4)) for one in found] == [
        ("chair", 0.9),
        ("chair leg", 0.8),
    ]


def test_boxes_are_fractions_of_width_and_height_round_their_centre(expert, answering):
    answering([[0.5, 0.5, 0.2, 0.4]], [{1: 0.9}])
    (wide,) = expert.propose([WIDE], [["chair"]])
    assert wide[0].bbox_xyxy == pytest.approx((80, 30, 120, 70))
    (tall,) = expert.propose([TALL], [["chair"]])
    assert tall[0].bbox_xyxy == pytest.approx((12, 27, 18, 63))


def test_boxes_are_cut_at_the_border_and_dropped_beyond(expert, answering):
    answering([[0.95, 0.0, 0.2, 0.2], [1.3, 0.5, 0.2, 0.2]], [{1: 0.9}, {1: 0.8}])
    (found,) = expert.propose([WIDE], [["chair"]])
    assert [one.bbox_xyxy for one in found] == [pytest.approx((170, 0, 200, 10))]


def test_a_long_vocabulary_is_asked_in_parts(expert, answering, monkeypatch):
    asked = answering([[0.5, 0.5, 0.2, 0.4]], [{3: 0.9}])
    monkeypatch.setattr(expert, "phrases_at_once", 2)
    (found,) = expert.propose([WIDE], [["chair", "cup", "table", "lamp", "cat"]])
    assert [text for _, text in asked] == [
        "[CLS] chair. cup. [SEP]",
        "[CLS] table. lamp. [SEP]",
        "[CLS] cat. [SEP]",
    ]
    assert [one.phrase for one in found] == ["cup", "lamp"]


def test_no_text_is_longer_than_the_model_takes(expert):
    tokenizer = expert.processor.tokenizer
    parts = list(prompts(tokenizer, [f"thing number {i}" for i in range(300)], 256, 80))
    assert all(len(tokenizer(part.text)["input_ids"]) <= 256 for part in parts)
    assert [name for part in parts for name in part.phrases][299] == "thing number 299"
    assert all(len(part.phrases) <= 80 for part in parts)


def test_a_phrase_longer_than_the_model_takes_is_cut(expert):
    (prompt,) = prompts(expert.processor.tokenizer, ["cup " * 300], 256, 80)
    assert prompt.spans == (tuple(range(1, 255)),)
    (found,) = expert.propose([WIDE], [["cup " * 300]])
    assert {one.phrase for one in found} == {"cup " * 300}


def test_boxes_are_those_of_transformers_own_reading(expert):
    (found,) = expert.propose([WIDE], [["chair", "red cup"]])
    inputs = expert.processor(images=WIDE, text="chair. red cup. ", return_tensors="pt")
    with torch.inference_mode():
        output = expert.model(**inputs)
    reading = expert.processor.post_process_grounded_object_detection(
        output, inputs.input_ids, threshold=0.0, target_sizes=[(100, 200)]
    )[0]
    boxes = np.clip(reading["boxes"].numpy(), 0, [200, 100, 200, 100])
    mine = np.array(sorted(one.bbox_xyxy for one in found))
    np.testing.assert_allclose(mine, np.array(sorted(boxes.tolist())), atol=1e-3)


def test_a_picture_does_not_depend_on_the_rest_of_the_batch(expert):
    pictures = [WIDE, TALL, WIDE[::-1].copy(), WIDE]
    phrases = [["chair"], ["chair"], ["chair"], ["red cup", "lamp"]]
    together = expert.propose(pictures, phrases)
    for picture, some, found in zip(pictures, phrases, together, strict=True):
        (alone,) = expert.propose([picture], [some])
        assert [one.phrase for one in alone] == [one.phrase for one in found]
        np.testing.assert_allclose(
            [one.bbox_xyxy for one in alone], [one.bbox_xyxy for one in found], atol=1e-2
        )


def test_pictures_of_one_size_and_vocabulary_share_a_pass(expert, answering):
    asked = answering([[0.5, 0.5, 0.2, 0.4]], [{1: 0.9}])
    expert.propose([WIDE, TALL, WIDE], [["chair"]] * 3)
    assert [shape[0] for shape, _ in asked] == [2, 1]


def test_without_phrases_nothing_is_asked_and_nothing_found(expert, answering):
    asked = answering([[0.5, 0.5, 0.2, 0.4]], [{1: 0.9}])
    assert expert.propose([WIDE, TALL], [[], [" ."]]) == [[], []]
    assert asked == []
