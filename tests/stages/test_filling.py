"""The small steps that fill frames in: what to look for, which boxes stay, who is believed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calipers.experts.base import Gravity, Proposal
from calipers.stages.caption import MOST_WORDS, word_limit
from calipers.stages.captions import noun_phrases
from calipers.stages.depth import camera_from_fov
from calipers.stages.filter import scene_share
from calipers.stages.opinions import angle_deg, settle
from calipers.stages.propose import MOST_OBJECTS, choose_boxes, is_object, overlaps

SIZE = (640, 480)


def box(x: float, y: float, w: float, h: float, score: float | None = None) -> Proposal:
    return Proposal((x, y, x + w, y + h), "thing", score)


def test_no_boxes() -> None:
    assert choose_boxes([], SIZE) == []


def test_of_two_boxes_over_the_same_thing_the_better_stays() -> None:
    cup, mug = box(100, 100, 60, 80, 0.4), box(104, 102, 60, 80, 0.7)
    beside = box(150, 100, 60, 80, 0.1)
    assert choose_boxes([cup, mug, beside], SIZE) == [mug, beside]


def test_a_box_inside_another_is_another_thing() -> None:
    table, cup = box(100, 200, 400, 200, 0.9), box(200, 210, 60, 60, 0.3)
    assert choose_boxes([cup, table], SIZE) == [table, cup]


def test_without_scores_the_models_order_counts() -> None:
    first, second = box(100, 100, 60, 80), box(102, 100, 60, 80)
    assert choose_boxes([second, first], SIZE) == [second]


@pytest.mark.parametrize(
    ("bbox", "wanted"),
    [
        ((10, 10, 20, 20), False),  # 100 of 307,200 pixels are less than 0.05 %
        ((10, 10, 24, 24), True),
        ((10, 10, 17, 200), False),  # 7 pixels wide
        ((0, 100, 640, 300), True),  # a long table, cut off on two sides
        ((0, 300, 640, 480), False),  # the floor: three borders
        ((1, 1, 639, 479), False),  # all of the picture
        ((0, 0, 300, 300), True),
    ],
)
def test_which_boxes_can_be_objects(bbox: tuple[float, ...], wanted: bool) -> None:
    assert is_object(bbox, SIZE) is wanted


def test_at_most_twenty() -> None:
    many = [box(30 * (i % 20) + 2, 60 * (i // 20) + 2, 20, 40, i / 60) for i in range(60)]
    kept = choose_boxes(many, SIZE)
    assert len(kept) == MOST_OBJECTS
    assert [round(p.score * 60) for p in kept if p.score] == list(range(59, 39, -1))


def test_overlap_of_nothing() -> None:
    assert overlaps(np.array([0, 0, 1, 1.0]), np.zeros((0, 4))).shape == (0,)


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("", []),
        ("A toaster.", ["toaster"]),
        ("Two people sitting on a bench in a park", ["two people", "bench", "park"]),
        ("a red mug, a laptop and some books on the desk", ["red mug", "laptop", "books", "desk"]),
        ("a white wall and the sky", []),
        ("A mug and a mug", ["mug"]),
        ("an extremely long and very tall old wooden brown cupboard", []),
    ],
)
def test_what_a_caption_names(text: str, phrases: list[str]) -> None:
    assert noun_phrases(text) == phrases


def test_word_limits_are_drawn_from_one_to_six_about_equally() -> None:
    drawn = [word_limit(0, f"frame-{i}", (i, 2, 30, 40)) for i in range(6000)]
    counts = np.bincount(drawn, minlength=MOST_WORDS + 1)
    assert counts[0] == 0
    assert counts[1:].min() > 900
    assert counts[1:].max() < 1100
    assert word_limit(0, "a", (1, 2, 3, 4)) == word_limit(0, "a", (1.0, 2.0, 3.0, 4.0))


def test_shares_of_scenes() -> None:
    assert scene_share({}, {"indoor"}) == 0.0
    assert scene_share({"indoor": 0.0, "sketch": 0.0}, {"indoor"}) == 0.0
    assert scene_share({"indoor": 2e-5, "sketch": 1e-5}, {"indoor"}) == pytest.approx(2 / 3)


def test_a_field_of_view() -> None:
    camera = camera_from_fov(60.0, (1000, 500))
    assert camera.fx == pytest.approx(500 / math.tan(math.radians(30)))
    assert (camera.fy, camera.cx, camera.cy) == (camera.fx, 499.5, 249.5)


def tilted(degrees: float, confidence: float) -> Gravity:
    angle = math.radians(degrees)
    return Gravity(np.array([math.sin(angle), math.cos(angle), 0], np.float32), confidence)


@pytest.mark.parametrize(
    ("opinions", "wanted", "confidence"),
    [
        ({"geocalib": tilted(0, 0.8)}, "geocalib", 0.8),
        ({"geocalib": tilted(0, 0.8), "plane": tilted(9, 0.6)}, "geocalib", 0.8),
        ({"geocalib": tilted(0, 0.8), "plane": tilted(11, 0.6)}, "geocalib", 0.8 * 8 / 14),
        ({"geocalib": tilted(0, 0.6), "plane": tilted(11, 0.8)}, "plane", 0.8 * 8 / 14),
        ({"a": tilted(0, 0.5), "b": tilted(90, 0.5)}, "a", 0.25),
        ({"a": tilted(0, 0.7), "b": tilted(40, 0.4), "c": tilted(45, 0.5)}, "c", 0.5 * 9 / 16),
    ],
)
def test_who_is_believed_and_how_far(
    opinions: dict[str, Gravity], wanted: str, confidence: float
) -> None:
    assert settle(opinions) == (wanted, pytest.approx(confidence))


def test_nobody_has_an_opinion() -> None:
    assert settle({}) is None
    assert settle({"a": tilted(0, 0.0)}) is None


def test_small_angles_are_exact() -> None:
    assert angle_deg(tilted(0, 1).down, tilted(0.01, 1).down) == pytest.approx(0.01, rel=1e-4)
    assert angle_deg(tilted(0, 1).down, tilted(180, 1).down) == pytest.approx(180)
