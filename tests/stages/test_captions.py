"""Captions read as noun phrases: definite forms, heads, and what cannot be a subject."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calipers.stages.captions import MAX_CHARACTERS, read_caption


@pytest.mark.parametrize(
    ("caption", "reference"),
    [
        ("a red mug", "the red mug"),
        ("an apple", "the apple"),
        ("the mug", "the mug"),
        ("some apples", "the apples"),
        ("my cup", "my cup"),
        ("someone's shoe", "someone's shoe"),
        ("Tom's bike", "Tom's bike"),
        ("Men's shoe", "the men's shoe"),
        ("a child's toy", "the child's toy"),
        ("this box", "the box"),
        ("two chairs", "the two chairs"),
        ("a couple of books", "the books"),
        ("a pair of shoes", "the pair of shoes"),
        ("all of the books", "the books"),
        ("Green soap box.", "the green soap box"),
        ("Green Soap Box", "the green soap box"),
        ("A Red Mug", "the red mug"),
        ("RED MUG", "the red mug"),
        ("TV", "the TV"),
        ("A TV stand", "the TV stand"),
        ("IKEA shelf", "the IKEA shelf"),
        ("Coca-Cola can", "the Coca-Cola can"),
        ("Red Coca-Cola can", "the red Coca-Cola can"),
        ("Eiffel Tower", "the Eiffel Tower"),
        ("Rubik's cube", "the Rubik's cube"),
        ("T-shirt", "the T-shirt"),
        ("iPhone", "the iPhone"),
        ("Lego brick", "the Lego brick"),
        ("  red\n mug\t\x00 ", "the red mug"),
        ("red box , open!", "the red box, open"),
        ('a "special" box', 'the "special" box'),
        ("<b>box</b>", "the <b>box</b>"),
        ("red mug 🙂", "the red mug 🙂"),
        ("红色杯子", "the 红色杯子"),
        ("There is a red mug on the table.", "the red mug on the table"),
        ("A dog is sitting on the couch", "the dog that is sitting on the couch"),
        ("sign saying life is good", "the sign saying life is good"),
        ("Kids' bike", "the kids' bike"),
        ("box that is open", "the box that is open"),
        ("A red mug. It is on a table.", "the red mug"),
    ],
)
def test_definite_form(caption, reference):
    phrase = read_caption(caption)
    assert phrase.problem is None
    assert phrase.definite() == reference


@pytest.mark.parametrize(
    ("caption", "head"),
    [
        ("green soap boxes", "box"),
        ("front wheel of the motorcycle", "wheel"),
        ("cake shaped like a house", "cake"),
        ("large painting on the wall", "painting"),
        ("standing desk", "desk"),
        ("man standing", "man"),
        ("bunk bed in the corner", "bed"),
        ("person wearing a hat", "person"),
        ("chair next to the table", "chair"),
        ("left shoe", "shoe"),
        ("box, half open", "box"),
        ("<b>box</b>", "box"),
        ("knives", "knife"),
        ("glass dishes", "dish"),
        ("bus", "bus"),
    ],
)
def test_head(caption, head):
    assert read_caption(caption).head == head


@pytest.mark.parametrize(
    "caption",
    ["sky", "The sun", "a white wall", "wooden floor", "blue sky with clouds", "wall behind desk",
     "Ceilings", "the ground", "blurry background", "grey carpet", "road"],
)  # fmt: skip
def test_background(caption):
    assert read_caption(caption).problem == "background"


@pytest.mark.parametrize(
    "caption",
    ["wall clock", "floor lamp", "skylight", "office chair", "road sign", "sun hat",
     "carpet cleaner", "sea shell", "lamp on the floor", "picture on the wall", "layer cake"],
)  # fmt: skip
def test_background_words_elsewhere_do_not_count(caption):
    assert read_caption(caption).problem is None


@pytest.mark.parametrize("caption", ["", "   ", "...", "?!", "\x00\n", "🙂", "a", '""'])
def test_no_caption(caption):
    assert read_caption(caption).problem == "no_caption"
    assert read_caption(caption).noun == ""


def test_length_limit():
    assert read_caption("x" * MAX_CHARACTERS).problem is None
    assert read_caption("x" * (MAX_CHARACTERS + 1)).problem == "caption_too_long"
    assert read_caption("red box " * 1250).problem == "caption_too_long"
    assert read_caption("the " * 100_000 + "box").problem in ("caption_too_long", "no_caption")
    assert read_caption(" " * 100_000 + "box").definite() == "the box"


def test_words_before_and_after():
    assert read_caption("green box").definite("third", "from the left") == (
        "the third green box from the left"
    )
    assert read_caption("my green box").definite("third", "from the left") == (
        "my third green box from the left"
    )
    assert read_caption("box on the table").definite("", "on the left") == (
        "the box on the table on the left"
    )


@given(st.text(max_size=200))
def test_any_text_gives_a_clean_line(caption):
    phrase = read_caption(caption)
    reference = phrase.definite()
    assert "\n" not in reference
    assert "  " not in reference
    assert "\x00" not in reference
    assert reference.encode()  # no lone surrogates
    assert (phrase.problem == "no_caption") == (phrase.noun == "")
