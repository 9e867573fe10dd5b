"""Referring expressions: true in the picture, unique, or a reason instead."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calipers.stages.refer import refer
from calipers.types import SceneObject

WIDTH = 640


def thing(caption, x=100.0, y=100.0, size=40.0, at=(0.0, 0.0, 2.0), level=None, reason=None):
    """An object whose image box is centred at (x, y); ``at`` None means it was not lifted."""
    lifted = at is not None
    return SceneObject(
        caption=caption,
        bbox=(x - size / 2, y - size / 2, size, size),
        reference_reason=reason,
        center_camera=None if at is None else np.array(at),
        center_level=None if level is None else np.array(level),
        cloud=np.zeros((1, 3), np.int16) if lifted else None,
    )


def references(*objects, frame="camera"):
    refer(objects, frame)
    return [item.reference or item.reference_reason for item in objects]


def test_nothing():
    assert references() == []


def test_one_of_each_stays():
    assert references(thing("A red mug"), thing("Green soap box."), thing("office chair")) == [
        "the red mug",
        "the green soap box",
        "the office chair",
    ]


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("sky", "background"),
        ("white wall", "background"),
        ("", "no_caption"),
        ("?!", "no_caption"),
        ("very " * 40 + "red mug", "caption_too_long"),
    ],
)
def test_reasons(caption, reason):
    item = thing(caption)
    refer([item], "camera")
    assert (item.reference, item.reference_reason) == (None, reason)


def test_two_alike_across():
    assert references(thing("green ball", x=300), thing("a green ball", x=100)) == [
        "the green ball on the right",
        "the green ball on the left",
    ]


def test_two_alike_by_distance():
    near, far = (0.0, 0.0, 2.0), (0.0, 0.0, 2.3)
    assert references(thing("ball", x=100, at=far), thing("ball", x=110, at=near)) == [
        "the ball farther from the camera",
        "the ball closer to the camera",
    ]


def test_two_alike_up_and_down():
    assert references(thing("ball", y=100), thing("ball", y=200)) == [
        "the upper ball",
        "the lower ball",
    ]


def test_two_alike_and_nothing_clear():
    assert references(thing("ball"), thing("ball", x=115, y=90, at=(0, 0, 2.1))) == [
        "ambiguous",
        "ambiguous",
    ]


@pytest.mark.parametrize(("apart", "clear"), [(19.0, False), (20.0, True)])
def test_margin_is_half_the_mean_width(apart, clear):
    found = references(thing("ball", x=100), thing("ball", x=100 + apart))
    assert found[0] == ("the ball on the left" if clear else "ambiguous")


@pytest.mark.parametrize(("distance", "clear"), [(2.19, False), (2.21, True)])
def test_margin_of_distance_is_a_tenth(distance, clear):
    found = references(thing("ball"), thing("ball", at=(0.0, 0.0, distance)))
    assert found[0] == ("the ball closer to the camera" if clear else "ambiguous")


def test_picture_and_space_must_agree():
    """Left in the picture but right in the level frame: the clause would contradict answers."""
    pair = (
        thing("ball", x=100, at=(0, 0, 2), level=(0.3, 2, 0)),
        thing("ball", x=300, at=(0, 0, 3), level=(0.1, 3, 0)),
    )
    assert references(*pair, frame="level") == [
        "the ball closer to the camera",
        "the ball farther from the camera",
    ]


def test_farther_must_not_be_in_front():
    """2.5 m away at the side is farther than 2 m straight ahead, but it is in front."""
    pair = (thing("ball", at=(0.0, 0.0, 2.0)), thing("ball", at=(1.6, 0.0, 1.9)))
    assert references(*pair) == ["ambiguous", "ambiguous"]


def test_upper_must_be_higher_in_the_level_frame():
    pair = (thing("ball", y=100, level=(0, 2, 0.1)), thing("ball", y=200, level=(0, 2, 0.4)))
    assert references(*pair, frame="level") == ["ambiguous", "ambiguous"]


def test_three_alike_are_counted_from_the_left():
    row = [thing("a green box", x=x) for x in (500, 100, 300, 200)]
    assert references(*row) == [
        "the rightmost green box",
        "the leftmost green box",
        "the third green box from the left",
        "the second green box from the left",
    ]


def test_three_alike_by_distance():
    column = [thing("box", at=(0, 0, z)) for z in (3.0, 1.0, 2.0)]
    assert references(*column) == [
        "the farthest box from the camera",
        "the closest box to the camera",
        "the second closest box to the camera",
    ]


def test_only_the_clear_one_of_three_is_asked_about():
    row = [thing("box", x=x) for x in (100, 300, 305)]
    assert references(*row) == ["the leftmost box", "ambiguous", "ambiguous"]


def test_eleventh_and_twenty_second():
    row = [thing("box", x=100 * place) for place in range(23)]
    found = references(*row)
    assert found[9] == "the tenth box from the left"
    assert found[10] == "the 11th box from the left"
    assert found[21] == "the 22nd box from the left"
    assert found[22] == "the rightmost box"


def test_shorter_caption_is_ambiguous_and_longer_stays():
    assert references(thing("box", x=100), thing("green soap box", x=300)) == [
        "the box on the left",
        "the green soap box",
    ]


def test_part_is_not_taken_for_the_whole():
    assert references(thing("motorcycle"), thing("front wheel of the motorcycle")) == [
        "the motorcycle",
        "the front wheel of the motorcycle",
    ]


def test_objects_without_depth_count_for_ambiguity():
    lost = thing("box", x=300, at=None, reason="not lifted: no_depth")
    assert references(thing("box", x=100), lost) == ["the box on the left", "not lifted: no_depth"]
    lost = thing("box", x=105, at=None)
    assert references(thing("box", x=100), lost) == ["ambiguous", "not lifted"]
    assert lost.reference is None


def test_reason_of_another_step_stays():
    item = thing("box", reason="too_few_pixels")
    assert references(item) == ["too_few_pixels"]
    assert item.reference is None


def test_again_gives_the_same():
    row = [thing("ball"), thing("ball", x=105), thing("sky"), thing("red mug")]
    assert references(*row) == references(*row)


def test_caption_that_is_a_clause_already_meets_no_one():
    row = [thing("ball", x=100), thing("ball on the left", x=300)]
    assert references(*row) == ["ambiguous", "ambiguous"]


def test_possessives_and_plurals_take_clauses():
    row = [thing("my cup", x=100), thing("your cup", x=300)]
    assert references(*row) == ["my cup on the left", "your cup on the right"]
    row = [thing("two chairs", x=100), thing("two chairs", x=300)]
    assert references(*row)[0] == "the two chairs on the left"


class AllAlike:
    def alike(self, captions):
        return np.ones((len(captions), len(captions)), np.bool_)


def test_similarity_is_an_interface():
    couch, sofa = thing("couch", x=100), thing("sofa", x=300)
    refer([couch, sofa], "camera", AllAlike())
    assert [couch.reference, sofa.reference] == ["the couch on the left", "the sofa on the right"]


captions = st.sampled_from(["box", "a box", "green box", "Green soap box", "ball", "balls", "sky"])
places = st.tuples(
    captions, st.integers(0, WIDTH), st.integers(0, 480), st.integers(5, 120), st.integers(5, 50)
)
scenes = st.lists(places, max_size=8)


def build(scene, mirrored=False):
    return [
        thing(
            caption,
            x=float(WIDTH - x if mirrored else x),
            y=float(y),
            size=float(size),
            at=((-1 if mirrored else 1) * (x - WIDTH / 2) * tenths / 5000, 0.0, tenths / 10),
        )
        for caption, x, y, size, tenths in scene
    ]


@settings(max_examples=300, deadline=None)
@given(scenes)
def test_references_are_unique_and_never_without_reason(scene):
    objects = build(scene)
    refer(objects, "camera")
    found = [item.reference.lower() for item in objects if item.reference]
    assert len(set(found)) == len(found)
    for item in objects:
        assert (item.reference is None) != (item.reference_reason is None)


@settings(max_examples=300, deadline=None)
@given(scenes)
def test_clauses_are_true(scene):
    objects = build(scene)
    refer(objects, "camera")
    for item in objects:
        rivals = [o for o in objects if o is not item and of_kind(item, o)]
        text = item.reference or ""
        x, distance = center_x(item), np.linalg.norm(item.center_camera)
        if re.search(r"leftmost|on the left", text):
            assert all(x < center_x(o) for o in rivals)
        if re.search(r"rightmost|on the right", text):
            assert all(x > center_x(o) for o in rivals)
        if re.search(r"closer|the closest", text):
            assert all(distance < np.linalg.norm(o.center_camera) for o in rivals)
        if "farthe" in text:
            assert all(distance > np.linalg.norm(o.center_camera) for o in rivals)
        if "second" in text and "from the left" in text:
            assert sum(center_x(o) < x for o in rivals) == 1
        if item.reference and text.endswith(("box", "ball", "balls")):
            assert not rivals or re.search(r"leftmost|rightmost|upper|lower", text)


def of_kind(item, other):
    words = [set(o.caption.lower().replace("balls", "ball").split()) - {"a"} for o in (item, other)]
    return words[0] <= words[1]


def center_x(item):
    return item.bbox[0] + item.bbox[2] / 2


@settings(max_examples=200, deadline=None)
@given(scenes)
def test_mirror_swaps_left_and_right(scene):
    objects, mirror = build(scene), build(scene, mirrored=True)
    refer(objects, "camera")
    refer(mirror, "camera")
    swap = {"left": "right", "right": "left", "leftmost": "rightmost", "rightmost": "leftmost"}
    for item, twin in zip(objects, mirror):
        if "from the left" in (item.reference or ""):
            assert "from the left" in (twin.reference or "")
        elif item.reference:
            swapped = " ".join(swap.get(word, word) for word in item.reference.split())
            assert twin.reference == swapped
        else:
            assert twin.reference_reason == item.reference_reason
