"""Captions and tags from a vision-language model behind a real server."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calipers.chat import ChatError, EndpointError, Reply, UnusableError, Usage
from calipers.errors import DataError, UsageError
from calipers.experts.endpoint import (
    EndpointCaptioner,
    EndpointTagger,
    close_up,
    marked,
    phrase,
    shrunk,
    tags,
)
from chat_server import Act, Asked, Server, failed, said, serving

GREY = np.full((480, 640, 3), 128, np.uint8)
BOX = np.float32([[100, 200, 180, 300]])


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def captioner(server: Server, **options: Any) -> EndpointCaptioner:
    quick = {"first_wait_s": 0.01, "attempts": 2, **options}
    return EndpointCaptioner.load("m", base_url=server.url, **quick)


def tagger(server: Server) -> EndpointTagger:
    return EndpointTagger.load("m", base_url=server.url, first_wait_s=0.01, attempts=2)


def reply(text: str, **more: Any) -> Reply:
    given = {"tool_calls": (), "refusal": None, "finish_reason": "stop", **more}
    return Reply(text=text, tokens_in=None, tokens_out=None, **given)


def pictures(asked: Asked) -> list[Image.Image]:
    """The pictures of a request's first message."""
    parts = asked.body["messages"][0]["content"]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert all(url.startswith("data:image/jpeg;base64,") for url in urls)
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


def test_a_box_is_shown_in_the_picture_and_close_up() -> None:
    image = GREY.copy()
    image[200:300, 100:180] = (0, 0, 255)
    with serving([said("A blue board.")]) as server:
        assert captioner(server).describe([image], [BOX], [[3]]) == [["blue board"]]
    whole, near = pictures(server.asked[0])
    assert whole.size == (640, 480)
    red = np.asarray(whole).astype(int) @ [1, -1, 0] > 80
    assert red[197:200, 100:180].mean() > 0.9  # the frame is just outside of the box
    assert not red[205:295, 105:175].any()
    # 80 x 100 pixels and 15 % more on every side are 104 x 130, of which the box is 59 %.
    assert near.size == (104, 130)
    blue = np.asarray(near).astype(int) @ [-1, 0, 1] > 100
    assert blue.mean() == pytest.approx(80 * 100 / (104 * 130), abs=0.02)
    assert not (np.asarray(near).astype(int) @ [1, -1, 0] > 80).any()  # no frame in the close-up


@pytest.mark.parametrize(("most", "text"), [(1, "in one word"), (4, "in at most 4 words")])
def test_the_limit_of_words_is_asked_for(most: int, text: str) -> None:
    with serving([said("mug")]) as server:
        captioner(server).describe([GREY], [BOX], [[most]])
    (asked,) = server.asked
    assert f"Name it {text}, with" in asked.texts[0]
    assert (asked.body["temperature"], asked.body["seed"]) == (0, 0)
    assert asked.body["max_tokens"] == 64


def test_large_pictures_are_sent_small() -> None:
    image = np.zeros((3000, 4000, 3), np.uint8)
    with serving([said("wall")]) as server:
        captioner(server).describe([image], [np.float32([[0, 0, 4000, 3000]])], [[1]])
    assert [p.size for p in pictures(server.asked[0])] == [(1024, 768), (512, 384)]
    with serving([said("wall")]) as server:
        captioner(server, side=200).describe([image], [np.float32([[5, 5, 3000, 2000]])], [[1]])
    assert [max(p.size) for p in pictures(server.asked[0])] == [200, 100]


def shade_of(body: dict[str, Any]) -> int:
    """The mean of the close-up's pixels, which the tests' pictures have in steps of 10."""
    asked = Asked("", {}, body, 0.0)
    return round(float(np.asarray(pictures(asked)[1]).mean()) / 10)


def test_captions_come_in_the_order_of_pictures_and_boxes() -> None:
    def slow_first(body: dict[str, Any]) -> Act:
        shade = shade_of(body)
        act = said(f"shade {'abcdefghijkl'[shade]}")
        act.delay_s = 0.3 if shade == 0 else 0.05
        return act

    image, other = GREY.copy(), GREY.copy()
    for row in range(6):
        image[row * 80 : row * 80 + 80], other[row * 80 : row * 80 + 80] = row * 10, 60 + row * 10
    boxes = np.float32([[100, row * 80 + 30, 130, row * 80 + 50] for row in range(6)])
    none = np.zeros((0, 4), np.float32)
    with serving(slow_first, together=8) as server:
        said_of = captioner(server).describe(
            [image, GREY, other], [boxes, none, boxes], [[2] * 6, [], [2] * 6]
        )
    assert said_of == [
        [f"shade {letter}" for letter in "abcdef"],
        [],
        [f"shade {letter}" for letter in "ghijkl"],
    ]
    assert server.most_at_once == 8


def test_no_box_asks_nothing() -> None:
    with serving([]) as server:
        assert captioner(server).describe([GREY], [np.zeros((0, 4), np.float32)], [[]]) == [[]]
    assert server.asked == []


def test_too_many_words_are_asked_for_again() -> None:
    with serving([said("red mug with a white handle"), said("red mug")]) as server:
        assert captioner(server).describe([GREY], [BOX], [[2]]) == [["red mug"]]
    assert server.asked[1].texts[1:] == [
        "assistant: red mug with a white handle",
        "user: Your answer cannot be used: it has 6 words; write at most 2 words. "
        "Please answer again.",
    ]


def test_a_second_refusal_costs_that_box_alone() -> None:
    def answer(body: dict[str, Any]) -> Act:
        return said("Sorry.") if "in one word" in json.dumps(body) else said("red mug")

    with serving(answer) as server:
        asks = captioner(server)
        boxes = np.repeat(BOX, 3, axis=0)
        assert asks.describe([GREY], [boxes], [[2, 1, 2]]) == [["red mug", None, "red mug"]]
        count = len(server.asked)
        assert asks.describe([GREY], [BOX], [[1]]) == [[None]]
        assert len(server.asked) == count  # what was refused twice is not asked a third time


def test_a_second_refusal_to_tag_is_an_error() -> None:
    script = [said("I'm sorry, I can't help with that."), said("Sorry.")]
    wanted = pytest.raises(UnusableError, match=r"^m said 'Sorry\.': it is a refusal")
    with serving(script) as server, wanted:
        tagger(server).tag([GREY])


def test_after_an_error_only_what_failed_is_asked_again() -> None:
    image = GREY.copy()
    for row in range(6):
        image[row * 80 : row * 80 + 80] = row * 10
    boxes = np.float32([[100, row * 80 + 30, 130, row * 80 + 50] for row in range(6)])
    down = True

    def script(body: dict[str, Any]) -> Act:
        shade = shade_of(body)
        return failed(500) if down and shade == 3 else said(f"shade {'abcdef'[shade]}")

    with serving(script) as server:
        expert = captioner(server)
        with pytest.raises(ChatError, match="status 500"):
            expert.describe([image], [boxes], [[2] * 6])
        assert len(server.asked) == 5 + 2  # two tries of the one that failed
        down = False
        assert expert.describe([image], [boxes], [[2] * 6])[0][3] == "shade d"
        assert len(server.asked) == 5 + 2 + 1


def test_a_wrong_key_is_an_error_that_ends_it() -> None:
    boxes = np.tile(BOX, (100, 1))
    wanted = pytest.raises(EndpointError, match="status 401: who are you")
    with serving(lambda _: failed(401, "who are you")) as server, wanted:
        captioner(server, concurrency=2).describe([GREY], [boxes], [[1] * 100])
    assert len(server.asked) < 50


def test_tokens_and_cost_add_up() -> None:
    boxes = np.float32([[0, 0, 50, 50], [300, 300, 400, 400]])
    image = GREY.copy()
    image[:240] = 0
    with serving(lambda _: said("mug", (1200, 3))) as server:
        expert = captioner(server, price_in=2.0, price_out=10.0)
        expert.describe([image], [boxes], [[1, 1]])
    # 2,400 tokens at 2 a million are 0.0048, 6 at 10 a million 0.00006.
    assert expert.usage == Usage(answers=2, tokens_in=2400, tokens_out=6, cost=0.00486)


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("red mug", "red mug"),
        ("Red mug.", "red mug"),
        ('"A red mug."', "red mug"),
        ("‘The red mug’", "red mug"),
        ("It is a red mug!", "red mug"),
        ("The object is an orange.", "orange"),
        ("Answer: red  mug", "red mug"),
        ("**red mug**", "red mug"),
        ("`red mug`", "red mug"),
        ("```\nred mug\n```", "red mug"),
        ("- red mug", "red mug"),
        ("1. red mug", "red mug"),
        ("\n red mug \n\n", "red mug"),
        ("<think>It is red.\nA mug?</think>\nred mug", "red mug"),
        ("TV", "TV"),
        ("Coke can", "coke can"),
        ("Mickey Mouse", "Mickey Mouse"),
        ("7up can", "7up can"),
        ("child's toy", "child's toy"),
        ("child’s toy", "child's toy"),
        ("cake shaped like a house", "cake shaped like a house"),
        ("rote Tasse", "rote Tasse"),
        ("红色杯子", "红色杯子"),
    ],
)
def test_a_phrase_is_taken_from_what_models_say(text: str, caption: str) -> None:
    assert phrase(reply(text), 6) == caption


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty; write the phrase"),
        (" \n ", "it is empty; write the phrase"),
        ("...", "it is no phrase; write words"),
        ("42", "it is no phrase; write words"),
        ("red mug\nblue mug", "it has 2 lines; write one line"),
        ("I'm sorry, I can't tell.", "it is a refusal; name what is seen"),
        ("I’m sorry", "it is a refusal; name what is seen"),
        ("As an AI, no", "it is a refusal; name what is seen"),
        ("I cannot identify people", "it is a refusal; name what is seen"),
        ("unknown", "it names nothing; say what it most likely is"),
        ("Unknown object.", "it names nothing; say what it most likely is"),
        ("N/A", "it names nothing; say what it most likely is"),
        ("one two three four five six seven", "it has 7 words; write at most 6 words"),
        ("x" * 121, "it has 1 words; write at most 6 words"),
        ('{"caption": "mug"}', "it is not a plain phrase; write words only"),
        ("<box>mug</box>", "it is not a plain phrase; write words only"),
        ("object in bounding box", "it is not a plain phrase; write words only"),
        ("<think>Is it a mug or", "it was cut off at the limit of tokens; be brief"),
    ],
)
def test_what_is_no_phrase_is_told_why(text: str, reason: str) -> None:
    with pytest.raises(UnusableError) as caught:
        phrase(reply(text), 6)
    assert str(caught.value) == reason


def test_marks_of_the_service_are_heeded() -> None:
    with pytest.raises(UnusableError, match="cut off"):
        phrase(reply("red mug with", finish_reason="length"), 6)
    with pytest.raises(UnusableError, match="refusal"):
        phrase(reply("", refusal="I will not"), 6)
    with pytest.raises(UnusableError, match="refusal"):
        phrase(reply("", finish_reason="content_filter"), 6)


def test_one_word_is_one_word() -> None:
    assert phrase(reply("A mug."), 1) == "mug"
    with pytest.raises(UnusableError, match="it has 2 words; write one word"):
        phrase(reply("red mug"), 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("red mug\nwooden chair\n", ["red mug", "wooden chair"]),
        ("- A red mug\n- The chair\n* lamp.", ["red mug", "chair", "lamp"]),
        ("1. mug\n2) Chair", ["mug", "chair"]),
        ("mug, chair, Desk Lamp", ["mug", "chair", "desk lamp"]),
        ("mug\nMug\na mug\nchair", ["mug", "chair"]),
        ("mug\na very long description of a chair\n", ["mug"]),
        ("<think>hm, a lamp</think>mug", ["mug"]),
        ("\n".join(f"thing {'a' * n}" for n in range(1, 41)), 30),
    ],
)
def test_tags_are_taken_from_what_models_say(text: str, found: list[str] | int) -> None:
    if isinstance(found, int):
        assert len(tags(reply(text))) == found
    else:
        assert tags(reply(text)) == found


def test_a_tag_that_was_cut_off_is_left_out() -> None:
    assert tags(reply("mug\nchair\nwoode", finish_reason="length")) == ["mug", "chair"]


def test_a_picture_is_tagged() -> None:
    with serving([said("I see nothing, sorry"), said("mug\nchair")]) as server:
        expert = tagger(server)
        assert expert.tag([GREY]) == [["mug", "chair"]]
    first, second = server.asked
    assert "one short phrase of at most 3 words a line" in first.texts[0]
    assert [p.size for p in pictures(first)] == [(640, 480)]
    assert first.body["max_tokens"] == 256
    assert "it is a refusal" in second.texts[-1]
    assert expert.usage.answers == 2


def test_pictures_are_tagged_in_order() -> None:
    def script(body: dict[str, Any]) -> Act:
        dark = np.asarray(pictures(Asked("", {}, body, 0.0))[0]).mean() < 60
        act = said("night" if dark else "day")
        act.delay_s = 0.2 if dark else 0.0
        return act

    with serving(script) as server:
        assert tagger(server).tag([GREY // 8, GREY]) == [["night"], ["day"]]


def test_a_frame_is_drawn_outside_of_the_box_and_inside_of_the_picture() -> None:
    drawn = np.asarray(marked(Image.fromarray(GREY), (100, 200, 180, 300)))
    red = (drawn == (255, 0, 0)).all(axis=2)
    assert red.sum() == 86 * 106 - 80 * 100  # 3 pixels wide: 640 / 250
    assert not red[200:300, 100:180].any()
    drawn = np.asarray(marked(Image.fromarray(GREY), (0, 0, 640, 480)))
    red = (drawn == (255, 0, 0)).all(axis=2)
    assert red.sum() == 640 * 480 - 634 * 474
    assert (np.asarray(Image.fromarray(GREY)) == 128).all()


@pytest.mark.parametrize(
    ("box", "size_wh"),
    [
        ((100, 200, 180, 300), (104, 130)),
        ((0, 0, 640, 480), (256, 192)),  # at most 256 of 640
        ((300, 200, 310, 210), (56, 56)),  # 13 x 13 enlarged
        ((0, 100, 640, 104), (256, 96)),  # 832 x 277 of which 640 x 240 are inside
        ((600, 0, 602, 480), (76, 256)),  # 208 x 624 of which 143 x 480 are inside
        ((639.5, 479.5, 640, 480), (56, 56)),  # half a pixel in the corner
        ((700, 500, 710, 510), (56, 56)),  # outside: the nearest corner
    ],
)
def test_close_ups_are_neither_tiny_nor_slim(
    box: tuple[float, float, float, float], size_wh: tuple[int, int]
) -> None:
    near = close_up(Image.fromarray(GREY), box, 256)
    assert near.size == pytest.approx(size_wh, abs=1)


def test_small_pictures_are_not_enlarged() -> None:
    assert shrunk(Image.fromarray(GREY), 1024).size == (640, 480)
    assert shrunk(Image.fromarray(GREY), 64).size == (64, 48)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"revision": "main"}, "an endpoint serves one revision; cannot take 'main'"),
        ({"url": "http://a"}, "an endpoint has no option url; it has api_key_env, attempts, base"),
        ({"concurrency": 0}, "concurrency: wanted 1 or more, got 0"),
        ({"side": 10}, "side: wanted 56 pixels or more, got 10"),
        ({"base_url": None}, "no endpoint: give base_url or set OPENAI_BASE_URL"),
    ],
)
@pytest.mark.parametrize("expert", [EndpointCaptioner, EndpointTagger])
def test_wrong_options_are_one_line(
    expert: type[EndpointCaptioner], options: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError) as caught:
        expert.load("m", **{"base_url": "http://localhost:1/v1", **options})
    assert str(caught.value).startswith(text)


def test_loads_as_every_expert_and_tells_its_address() -> None:
    expert = EndpointCaptioner.load(
        "m", revision=None, device="cuda", dtype="float16", base_url="http://localhost:1/v1/"
    )
    assert expert.revision == "http://localhost:1/v1/chat/completions"
    assert expert.usage == Usage()


def test_wrong_requests_are_refused() -> None:
    with serving([]) as server:
        with pytest.raises(DataError, match="words: wanted 1 or more, got 0"):
            captioner(server).describe([GREY], [BOX], [[0]])
        with pytest.raises(ValueError, match=re.escape("zip()")):
            captioner(server).describe([GREY], [BOX], [[1, 2]])
    assert server.asked == []
