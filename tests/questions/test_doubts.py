"""What is not asked: sizes of what is cut off, and comparisons that a viewer would deny."""

from __future__ import annotations

import numpy as np
import pytest
from hand_scenes import five, scene_of

from calipers.errors import Skip
from calipers.questions import ask, measure
from calipers.questions.facts import Survey
from calipers.questions.registry import TYPE_LIST
from calipers.types import Scene

BOX, LAMP = 0, 1


def asked(scene: Scene, kind: str) -> bool:
    """Whether `kind` may be asked of box and lamp."""
    row = [t.id for t in TYPE_LIST].index(kind)
    return bool(Survey(scene, [BOX, LAMP], np.array([[0, 1]])).by_type()[2][row, 0])


def test_sizes_of_cut_objects_are_unknown():
    scene = scene_of(five())
    assert measure(scene, "height", BOX).value == pytest.approx(0.4)
    assert asked(scene, "tall_predicate")
    scene.objects[BOX].touches_border = True
    assert not asked(scene, "tall_predicate")
    assert not asked(scene, "above_predicate")
    assert asked(scene, "left_predicate")
    with pytest.raises(Skip, match="not_whole"):
        measure(scene, "height", BOX)
    assert all(BOX not in q.object_index for q in ask(scene, 100, 0, types=["width", "height"]))


@pytest.mark.parametrize(("hidden", "whole"), [(0.0, True), (0.25, True), (0.26, False)])
def test_a_quarter_of_the_outline_may_be_hidden(hidden, whole):
    scene = scene_of(five())
    scene.objects[BOX].hidden_share = hidden
    assert scene.objects[BOX].whole is whole
    assert asked(scene, "wide_predicate") is whole


@pytest.mark.parametrize(("apart", "cut", "told"), [
    (0.8, False, True), (0.8, True, True), (0.2, False, True), (0.2, True, False),
])  # fmt: skip
def test_where_a_cut_thing_has_its_middle_is_told_of_far_ones_only(apart, cut, told):
    """The box is seen 0.4 m wide: half of that may be missing, and its middle 0.1 m off."""
    (name, (x, *rest), size), lamp = five()[BOX], five()[LAMP]
    scene = scene_of([(name, (lamp[1][0] - apart, *rest), size), lamp])
    assert x == -0.5
    scene.objects[BOX].touches_border = cut
    assert asked(scene, "left_difference") == told
    assert asked(scene, "left_predicate")


def test_left_is_not_asked_when_the_picture_shows_it_right():
    """The box is 0.8 m left of the lamp; only its bbox is moved over to the right."""
    scene = scene_of(five())
    scene.objects[BOX].bbox, scene.objects[LAMP].bbox = (100, 0, 20, 20), (300, 0, 20, 20)
    assert asked(scene, "left_predicate")
    scene.objects[BOX].bbox = (500, 0, 20, 20)
    assert not asked(scene, "left_predicate")
    assert not asked(scene, "right_choice")
    assert asked(scene, "distance")


def test_above_is_not_asked_when_the_middle_is_lower():
    """A thin shelf with its bottom at 0.3 m beside a tall lamp from 0.2 to 1.0 m."""
    low = [("the plank", (-0.5, 2.0, 0.32), (0.4, 0.2, 0.04)), five()[LAMP]]
    high = [("the plank", (-0.5, 2.0, 0.72), (0.4, 0.2, 0.04)), five()[LAMP]]
    assert not asked(scene_of(low), "above_predicate")
    assert asked(scene_of(high), "above_predicate")


def test_depth_is_doubted_where_box_and_readings_disagree():
    """Camera frame: box and lamp are 0.6 m apart in depth; the lamp's readings are 0.7 m off."""
    scene = scene_of(five(), level=False)
    sure = measure(scene, "behind_predicate", LAMP, BOX)
    assert sure.label == "yes"
    for item in scene.objects:
        assert item.center_camera is not None
        item.depth_mean = float(item.center_camera[2])
    assert measure(scene, "behind_predicate", LAMP, BOX).margin == pytest.approx(sure.margin)
    scene.objects[LAMP].depth_mean = float(scene.objects[LAMP].center_camera[2]) - 0.7
    doubtful = measure(scene, "behind_predicate", LAMP, BOX)
    assert doubtful.margin == pytest.approx(0.7, rel=0.01)
    assert doubtful.label == "same"
