"""What is there, how many, and what is surely not there."""

from __future__ import annotations

import re

import pytest

from calipers import spatial_qa
from calipers.spatialqa.names import COLOURS, Names, a_or_an, kinds_of
from calipers.stages.similarity import NormalisedText
from calipers.types import Scene
from questions.hand_scenes import scene_of


def named(*captions: str, caption: str | None = None) -> Scene:
    boxes = [(f"the {c}", (k * 0.5, 2.0, 0.2), (0.2, 0.2, 0.2)) for k, c in enumerate(captions)]
    scene = scene_of(boxes)
    for item, text in zip(scene.objects, captions):
        item.caption = text
    scene.caption = caption
    return scene


@pytest.mark.parametrize(
    "said",
    [
        *("an 8-ball", "an 18-inch tire", "an 11 mm bolt", "an 80 cm shelf", "a 110 cm shelf"),
        *("a 1 m rod", "a 180 cm door", "an 11000 page book", "an MP3 player", "an mp3 player"),
        *("an L-shaped desk", "a U-shaped pipe", "a T-shirt", "an x-ray", "a STOP sign"),
        *("a USB stick", "a usb stick", "an LCD screen", "an led lamp", "an SUV", "a TV"),
        *(
            "a utensil",
            "a unit",
            "a uniform",
            "a user",
            "a used cup",
            "a ukulele",
            "a European map",
        ),
        *("an umbrella", "an urn", "an uncut loaf", "an usher", "an unidentified thing"),
        *("an hourglass", "an honest face", "a house", "a one-way sign", "an onion", "an apple"),
        *("a cup", "an x"),
    ],
)
def test_the_article_follows_the_sound(said: str) -> None:
    assert a_or_an(said.partition(" ")[2]) == said


@pytest.mark.parametrize(
    ("captions", "counts"),
    [
        ((), {}),
        (("red mug", "blue mug", "lamp"), {"mug": 2, "lamp": 1}),
        (("mug", "cup"), {}),
        (("two cups",), {}),
        (("stack of books",), {}),
        (("toy car", "lamp"), {"lamp": 1}),
        (("photo of a mug", "mug"), {}),
        (("chair leg", "chair"), {}),
        (("desk lamp", "floor lamp"), {"lamp": 2}),
        (("lamp", ""), {}),
    ],
)
def test_only_sure_kinds_are_counted(captions: tuple[str, ...], counts: dict[str, int]) -> None:
    found = Names(named(*captions)).counted()
    assert {kind: len(places) for kind, places in found.items()} == counts


@pytest.mark.parametrize(
    ("captions", "name", "is_absent"),
    [
        (("mug",), "lamp", True),
        (("mug",), "cup", False),
        (("red couch",), "sofa", False),
        (("bicycle wheel",), "bicycle", False),
        (("motorcycle",), "bicycle", False),
        (("mug", ""), "lamp", False),
        (("mug",), "scissors", False),
        (("tennis ball",), "tennis racket", False),
    ],
)
def test_absent_means_that_nothing_is_like_it(
    captions: tuple[str, ...], name: str, is_absent: bool
) -> None:
    assert Names(named(*captions)).absent([name]) == ([name] if is_absent else [])


def test_what_the_pictures_caption_names_is_not_absent() -> None:
    scene = named("mug", caption="A mug on a desk beside a big dog.")
    assert Names(scene).absent(["dog", "cat", "table", "horse", "guitar"]) == ["guitar"]


def test_a_further_judge_can_only_make_fewer_things_absent() -> None:
    scene = named("red mug")
    assert Names(scene, NormalisedText()).absent(["lamp", "mug"]) == ["lamp"]


def test_a_colour_is_absent_when_every_one_has_another() -> None:
    found = Names(named("red mug", "blue mug", "lamp")).miscoloured()
    assert "green mug" in found
    assert not any(name.endswith("lamp") for name in found)
    assert {"red mug", "blue mug"} & set(found) == set()


def test_kinds_of_many_scenes_are_named_once_and_without_colours() -> None:
    found = kinds_of([["red mug", "a mug"], ["toy car", "white wall", "blue desk lamp"]])
    assert found == ("desk lamp", "mug")


def test_a_kind_is_called_by_what_all_of_it_share() -> None:
    names = Names(named("red fuel tank", "desk lamp", "floor lamp", "turn signal", "turn signal"))
    assert [names.title(kind) for kind in ("tank", "lamp", "signal")] == [
        "fuel tank", "lamp", "turn signal",
    ]  # fmt: skip


def test_yes_and_no_are_in_balance_and_no_negative_is_in_any_caption() -> None:
    captions = ("red mug", "blue box", "desk lamp", "green bottle")
    scene = named(*captions)
    found = spatial_qa(scene, count=100, types=["existence"], vocabulary=("guitar", "mug", "cup"))
    labels = [q.label for q in found]
    assert labels.count("yes") == 4
    assert 4 <= labels.count("no") <= 6
    words = {word for caption in captions for word in caption.split()}
    for question in (q for q in found if q.label == "no"):
        named_words = set(re.findall("[a-z]+", question.question.lower()))
        kinds = named_words & words
        assert not kinds or named_words & COLOURS
        assert question.object_index == []
        assert "cup" not in named_words


def test_counts_are_told_in_words_and_zero_for_what_is_not_there() -> None:
    found = spatial_qa(named("red mug", "blue mug", "lamp"), count=50, types=["counting"])
    labels = sorted(q.label or "" for q in found)
    assert labels == ["0", "1", "2"]
    two = next(q for q in found if q.label == "2")
    assert "two" in two.answer.lower()
    assert "mugs" in two.question
    assert two.object_index == [0, 1]
