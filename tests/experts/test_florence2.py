"""Florence-2: places as thousandths, questions in its own words, one model for three roles.

The tiny model answers `tiny_models.SAID` to everything: a cup and a red lamp, with places.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image  # noqa: E402

import tiny_models  # noqa: E402
from calipers.errors import UsageError  # noqa: E402
from calipers.experts.florence2 import (  # noqa: E402
    Florence2Captioner,
    Florence2Objects,
    Florence2Tagger,
    located,
    places,
    shorten,
)

WIDE = np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)
TALL = np.random.default_rng(1).integers(0, 255, (90, 30, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_models.florence2(tmp_path_factory.mktemp("florence2")))


@pytest.fixture
def answers(monkeypatch):
    """Make an expert answer known texts in turn; gives what it was asked, picture by picture."""

    def prepare(expert, *texts):
        asked = []
        left = list(texts)

        def answer(pictures, questions, most):
            asked.extend(questions)
            return [left.pop(0) for _ in questions]

        monkeypatch.setattr(expert, "_ask", answer)
        return asked

    return prepare


def test_places_are_thousandths_of_width_and_height():
    assert places(np.float32([0, 0, 200, 100]), (200, 100)) == "<loc_0><loc_0><loc_999><loc_999>"
    assert (
        places(np.float32([50, 50, 100, 75]), (200, 100)) == "<loc_250><loc_500><loc_500><loc_750>"
    )
    assert places(np.float32([-5, 1, 900, 2]), (200, 100)) == "<loc_0><loc_10><loc_999><loc_20>"


def test_a_place_is_the_middle_of_its_thousandth():
    ((phrase, box),) = located("cup<loc_250><loc_500><loc_499><loc_999>", (2000, 1000))
    assert phrase == "cup"
    assert box.tolist() == pytest.approx([501, 500.5, 999, 999.5])


def test_a_phrase_may_have_several_boxes_or_be_empty():
    text = "a cup<loc_1><loc_2><loc_3><loc_4><loc_5><loc_6><loc_7><loc_8>red lamp<loc_9>"
    assert [(name, box[0]) for name, box in located(text, (1000, 1000))] == [
        ("a cup", 1.5),
        ("a cup", 5.5),
    ]
    ((name, box),) = located("<loc_1><loc_2><loc_3><loc_4>", (1000, 500))
    assert (name, box.tolist()) == ("", [1.5, 1.25, 3.5, 2.25])
    assert located("nothing to see", (10, 10)) == []


def test_boxes_and_phrases_of_a_picture(folder):
    """SAID puts the cup at 0.1 to 0.5 of the width and 0.2 to 0.8 of the height."""
    expert = Florence2Objects.load(folder)
    wide, tall = expert.propose([WIDE, TALL], [[], []])
    assert [one.phrase for one in wide] == ["cup", "red lamp"]
    assert wide[0].bbox_xyxy == pytest.approx((20.1, 20.05, 99.9, 79.95), abs=1e-3)
    assert wide[1].bbox_xyxy == pytest.approx((100.1, 10.05, 179.9, 69.95), abs=1e-3)
    assert tall[0].bbox_xyxy == pytest.approx((3.015, 18.045, 14.985, 71.955), abs=1e-3)
    assert wide[0].score is None
    assert wide[0].mask is None


def test_regions_without_phrases_and_grounding_with(folder, answers):
    expert = Florence2Objects.load(folder, phrases_at_once=2)
    asked = answers(expert, "", "cup<loc_0><loc_0><loc_9><loc_9>", "")
    found = expert.propose([WIDE, TALL], [[], ["cup", "lamp", "cat"]])
    assert asked == [
        (0, "<DENSE_REGION_CAPTION>", ""),
        (1, "<CAPTION_TO_PHRASE_GROUNDING>", "cup. lamp"),
        (1, "<CAPTION_TO_PHRASE_GROUNDING>", "cat"),
    ]
    assert found[0] == []
    assert [one.phrase for one in found[1]] == ["cup"]


def test_proposals_without_a_phrase(folder, answers):
    expert = Florence2Objects.load(folder, task="<REGION_PROPOSAL>")
    asked = answers(expert, "<loc_0><loc_0><loc_499><loc_499>")
    ((one,),) = expert.propose([WIDE], [[]])
    assert asked == [(0, "<REGION_PROPOSAL>", "")]
    assert one.phrase is None
    assert one.bbox_xyxy == pytest.approx((0.1, 0.05, 99.9, 49.95), abs=1e-3)


def test_an_unknown_task_is_refused(folder):
    with pytest.raises(UsageError, match="<OCR>"):
        Florence2Objects.load(folder, task="<OCR>")
    with pytest.raises(UsageError, match="colours"):
        Florence2Tagger.load(folder, sources=["colours"])


def test_questions_are_transformers_own(folder):
    """Token by token, and so is the answer, though the picture is encoded apart."""
    expert = Florence2Captioner.load(folder)
    region = places(np.float32([50, 50, 100, 75]), (200, 100))
    inputs = expert.processor(
        images=Image.fromarray(WIDE), text=f"<REGION_TO_DESCRIPTION>{region}", return_tensors="pt"
    )
    mine = expert._tokens([expert._english("<REGION_TO_DESCRIPTION>", region)])
    assert mine["input_ids"].tolist() == inputs["input_ids"].tolist()
    with torch.inference_mode():
        wanted = expert.model.generate(**inputs, max_new_tokens=30, num_beams=3, do_sample=False)
    text = expert.processor.batch_decode(wanted, skip_special_tokens=False)[0]
    (found,) = expert._ask(expert._encode([WIDE]), [(0, "<REGION_TO_DESCRIPTION>", region)], 30)
    assert text == f"</s>{found}</s>"
    assert found == tiny_models.SAID


def test_each_question_is_asked_of_its_own_picture(folder, monkeypatch):
    expert = Florence2Captioner.load(folder, prompts_at_once=2)
    passes = []
    monkeypatch.setattr(
        expert,
        "_answer",
        lambda pictures, texts, most: passes.append((pictures.tolist(), len(texts))) or texts,
    )
    pictures = torch.tensor([10.0, 11.0, 12.0])
    questions = [(2, "<OD>", ""), (0, "<CAPTION>", ""), (2, "<REGION_PROPOSAL>", "")]
    assert expert._ask(pictures, questions, 9) == [
        "Locate the objects with category name in the image.",
        "What does the image describe?",
        "Locate the region proposals in the image.",
    ]
    assert passes == [([12.0, 10.0], 2), ([12.0], 1)]


def test_a_region_is_described_or_named_by_how_many_words_are_wanted(folder, answers):
    expert = Florence2Captioner.load(folder)
    boxes = [np.float32([[0, 0, 100, 50], [100, 50, 200, 100]]), np.float32([[0, 0, 15, 45]])]
    asked = answers(expert, "A tall green plant.", "the lamp", "a red cup on a table")
    said = expert.describe([WIDE, TALL], boxes, [[6, 1], [3]])
    assert asked == [
        (0, "<REGION_TO_DESCRIPTION>", "<loc_0><loc_0><loc_500><loc_500>"),
        (0, "<REGION_TO_CATEGORY>", "<loc_500><loc_500><loc_999><loc_999>"),
        (1, "<REGION_TO_DESCRIPTION>", "<loc_0><loc_0><loc_500><loc_500>"),
    ]
    assert said == [["tall green plant", "lamp"], ["red cup"]]


@pytest.mark.parametrize(
    ("caption", "most", "wanted"),
    [
        ("", 3, ""),
        ("A chair.", 1, "chair"),
        ("the tall wooden chair with a red cushion", 4, "tall wooden chair"),
        ("the tall wooden chair with a red cushion", 8, "tall wooden chair with a red cushion"),
        ("two men standing on a beach", 3, "two men"),
        ("Blue and white striped porcelain vase", 1, "blue"),
        ("very old large brown wooden kitchen table", 3, "wooden kitchen table"),
    ],
)
def test_a_caption_is_cut_to_its_main_noun_phrase(caption, most, wanted):
    assert shorten(caption, most) == wanted


def test_pictures_without_boxes_are_not_encoded(folder, monkeypatch):
    expert = Florence2Captioner.load(folder)
    encoded = []
    real = expert._encode
    monkeypatch.setattr(
        expert, "_encode", lambda images: encoded.append(len(images)) or real(images)
    )
    none = np.zeros((0, 4), np.float32)
    boxes = [none, np.float32([[0, 0, 10, 10]] * 3), none]
    said = expert.describe([WIDE, TALL, WIDE], boxes, [[], [6] * 3, []])
    assert [len(some) for some in said] == [0, 3, 0]
    assert encoded == [1]
    assert expert.describe([WIDE], [none], [[]]) == [[]]
    assert encoded == [1]


def test_tags_are_bare_phrases_all_different(folder, answers):
    expert = Florence2Tagger.load(folder)
    box = "<loc_1><loc_2><loc_3><loc_4>"
    caption = "The image shows a red cup on the table."
    asked = answers(
        expert, caption, f"Cup{box}{box}chair{box}", f"a red cup{box}the table{box}cup{box}"
    )
    assert expert.tag([WIDE]) == [["cup", "chair", "red cup", "table"]]
    assert asked == [
        (0, "<DETAILED_CAPTION>", ""),
        (0, "<OD>", ""),
        (0, "<CAPTION_TO_PHRASE_GROUNDING>", caption),
    ]


def test_tags_of_the_tiny_model(folder):
    assert Florence2Tagger.load(folder).tag([WIDE, TALL]) == [["cup", "red lamp"]] * 2
    regions = Florence2Tagger.load(folder, sources=["regions"])
    assert regions.tag([WIDE]) == [["cup", "red lamp"]]
    assert regions.tag([]) == []


def test_an_answer_does_not_depend_on_the_rest_of_the_batch(folder, monkeypatch):
    """Questions of different lengths are padded; scores of the next token stay the same."""
    expert = Florence2Captioner.load(folder)
    region = places(np.float32([50, 50, 100, 75]), (200, 100))
    questions = [("<OD>", ""), ("<REGION_TO_DESCRIPTION>", region)]
    texts = [expert._english(*question) for question in questions]
    features = expert._encode([WIDE, TALL])
    for i, (picture, text) in enumerate(zip([WIDE, TALL], texts, strict=True)):
        np.testing.assert_allclose(expert._encode([picture])[0], features[i], atol=1e-5)
        together, alone = expert._tokens(texts), expert._tokens([text])
        length = alone["input_ids"].shape[1]
        assert together["input_ids"][i, :length].tolist() == alone["input_ids"][0].tolist()
        hidden = []
        for tokens, row in ((together, i), (alone, 0)):
            embedded = expert.model.get_input_embeddings()(tokens["input_ids"])
            read = expert.model.get_encoder()(
                inputs_embeds=embedded, attention_mask=tokens["attention_mask"]
            )
            hidden.append(read.last_hidden_state[row, :length].detach())
        np.testing.assert_allclose(*hidden, atol=1e-5)


def test_the_three_classes_share_one_loaded_model(folder):
    captioner, objects = Florence2Captioner.load(folder), Florence2Objects.load(folder)
    tagger = Florence2Tagger.load(folder)
    assert captioner.model is objects.model is tagger.model
    assert captioner.revision == objects.revision
    assert captioner.revision.startswith("local-")
