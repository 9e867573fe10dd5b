"""Every tool against metres that were placed, and what it says when there is nothing to measure."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured_scenes import FAR, NEAR, RAMP, UPON, cubes, frame, ramp

from calipers.questions.facts import measure
from calipers.tools import TOOLS, Box, Mask, Point, Session, ToolError
from calipers.tools.readings import DepthMap, fit_plane

CUBES = cubes()
CENTRES_APART = math.hypot(0.8, 1.0)


def at(x: float, y: float) -> Point:
    return Point(x=x, y=y, pixels=True)


def test_depth_at_reads_the_pixel_that_holds_the_point() -> None:
    session = Session.of_frame(ramp())
    assert session.depth_at(0.5, 0.5).value == pytest.approx(4 / 3, abs=1e-6)
    assert session.depth_at(0.0, 0.0).value == pytest.approx(1.0, abs=1e-6)
    assert session.depth_at(1.0, 1.0).value == pytest.approx(256 / 129, abs=1e-6)
    assert session.depth_at(64, 32, pixels=True).value == pytest.approx(4 / 3, abs=1e-6)
    assert session.depth_at(64.49, 32, pixels=True).value == pytest.approx(4 / 3, abs=1e-6)
    assert session.depth_at(64.5, 32, pixels=True).value == pytest.approx(256 / 191, abs=1e-6)


@given(column=st.integers(0, 127), row=st.integers(0, 63))
def test_both_ways_to_point_name_the_same_pixel(column: int, row: int) -> None:
    session = Session.of_frame(ramp())
    by_pixel = session.depth_at(column, row, pixels=True)
    assert session.depth_at((column + 0.5) / 128, (row + 0.5) / 64) == by_pixel
    assert by_pixel.measured[0].pixel == [column, row]


def test_says_where_nothing_was_read_and_what_is_near() -> None:
    made = ramp()
    assert made.depth_m is not None
    made.depth_m[:, 60:70] = np.nan
    answer = Session.of_frame(made).depth_at(64, 32, pixels=True)
    assert (answer.value, answer.reason) == (None, "no_reading")
    assert answer.text == "no reading at pixel (64, 32); the nearest is 1.299 m at pixel (59, 32)"
    made.depth_m[:] = np.nan
    nowhere = Session.of_frame(made).depth_at(64, 32, pixels=True)
    assert nowhere.text == "no reading at pixel (64, 32)"


@pytest.mark.parametrize(("x", "y"), [(128, 0), (0, 64), (-0.51, 0)])
def test_a_point_beyond_the_picture_is_refused(x: float, y: float) -> None:
    with pytest.raises(ToolError) as caught:
        Session.of_frame(ramp()).depth_at(x, y, pixels=True)
    assert caught.value.code in ("outside_picture", "bad_arguments")


def test_noisy_depth_is_the_median_of_its_surface() -> None:
    made = ramp(noise=0.005)
    assert made.depth_m is not None
    made.depth_m[:, 64:] += 1.0
    session = Session.of_frame(made)
    truth = RAMP + (np.arange(128) >= 64)
    found = [session.depth_at(k, 32, pixels=True) for k in range(4, 124)]
    errors = np.abs([f.value - truth[k] for k, f in enumerate(found, start=4)])
    assert errors.max() < 0.012
    assert errors.mean() < 0.003 < 0.005 * 0.8  # below the mean error of single readings
    assert all(f.measured[0].readings > 5 for f in found)


def test_a_lone_reading_is_outvoted() -> None:
    made = ramp(noise=0.005)
    assert made.depth_m is not None
    made.depth_m[32, 64] = 9.0
    assert Session.of_frame(made).depth_at(64, 32, pixels=True).value == pytest.approx(4 / 3, 0.01)


def test_noise_and_exactness_are_told_apart() -> None:
    exact, noisy = DepthMap.of(ramp().depth_m), DepthMap.of(ramp(0.005).depth_m)
    assert exact.exact
    assert not noisy.exact
    assert 0.001 < noisy.noise < 0.01


def test_objects_are_measured_as_facts_measure_them() -> None:
    scene = CUBES.places.scene
    for tool in ("distance", "gap"):
        fact, found = measure(scene, tool, 0, 1), getattr(CUBES, tool)("red cube", 1)
        assert found.value == pytest.approx(fact.value, abs=1e-6)
        assert found.margin == pytest.approx(fact.margin, abs=1e-6)
        assert np.allclose(found.segment, fact.segment, atol=1e-5)


def test_distances_between_centres_points_and_masks() -> None:
    assert CUBES.distance("red cube", "blue cube").value == pytest.approx(CENTRES_APART, abs=0.01)
    mask = Mask(mask=dict(frame(NEAR, FAR).objects[1].rle))
    assert CUBES.distance("red cube", mask).value == pytest.approx(CENTRES_APART, abs=0.03)
    found = CUBES.locate("blue cube").measured[0].pixel
    face = CUBES.distance("red cube", at(*found))
    assert face.value == pytest.approx(math.dist((-0.4, 3.0, 0.1), (0.4, 3.9, 0.1)), abs=0.05)
    assert [m.kind for m in face.measured] == ["object", "point"]


def test_the_segment_is_as_long_as_the_value_and_lies_on_the_things() -> None:
    found = CUBES.distance(at(20, 200), at(300, 220))
    assert math.dist(*found.segment) == pytest.approx(found.value, abs=1e-4)
    assert found.segment_px == [[20.0, 200.0], [300.0, 220.0]]


def test_gap_and_touching() -> None:
    stacked = CUBES.gap("green cube", "red cube")
    assert 0 <= stacked.value < 0.01
    assert CUBES.touching("green cube", "red cube").label == "yes"
    apart = CUBES.touching("red cube", "blue cube")
    assert apart.label == "no"
    # From the near cube's right far corner to the far one's left near corner: 0.6 and 0.8 m.
    assert apart.value == pytest.approx(1.0, abs=0.06)
    assert CUBES.touching("red cube", "blue cube", tolerance=2.0).label == "yes"
    assert CUBES.touching("red cube", "blue cube", tolerance=apart.value - 1e-3).label == "unsure"


def test_size_of_a_cube() -> None:
    found = CUBES.size("blue cube")
    assert found.label == "whole"
    for side in ("width", "height", "depth"):
        assert found.values[side] == pytest.approx(0.2, abs=4 * found.values[f"{side}_margin"])
        assert 0.001 < found.values[f"{side}_margin"] < 0.01


def test_object_depth_has_four_numbers_in_order() -> None:
    found = CUBES.object_depth("blue cube")
    assert found.value == found.values["center"]
    assert found.values["p5"] <= found.values["mean"] <= found.values["p95"]
    box = Box(box=[0, 0, 1, 1])
    assert Session.of_frame(ramp()).object_depth(box).values == {
        "center": pytest.approx(4 / 3, abs=0.01),
        "mean": pytest.approx(RAMP.mean(), abs=1e-5),
        "p5": pytest.approx(1.0240, abs=0.005),
        "p95": pytest.approx(1.8963, abs=0.006),
    }


def test_nearer_with_ties() -> None:
    session = Session.of_frame(ramp())
    assert session.nearer(at(10, 10), at(90, 10)).label == "a"
    assert session.nearer(at(90, 10), at(10, 10)).label == "b"
    assert session.nearer(at(10, 10), at(10, 50)).label == "same"
    assert CUBES.nearer("blue cube", "red cube").label == "b"


def test_level_floor_upright_faces_and_lines() -> None:
    floor = CUBES.is_level(Box(box=[0.02, 0.85, 0.98, 1.0]))
    assert (floor.label, floor.value) == ("yes", pytest.approx(0, abs=0.1))
    # Seen from 10 degrees above, the middle of the cube's picture is on its upright near face.
    left, top, width, height = CUBES.locate("blue cube").measured[0].bbox
    inner = [left + 3, top + height * 0.6, left + width - 3, top + height - 2]
    face = CUBES.is_level(Box(box=inner, pixels=True))
    assert (face.label, face.value) == ("no", pytest.approx(90, abs=2))
    assert CUBES.is_level(at(20, 200), at(300, 220)).label == "yes"
    assert CUBES.is_level("red cube", "green cube").label == "no"
    flat = CUBES.is_level(at(20, 200), at(300, 220))
    assert CUBES.is_level(at(20, 200), at(300, 220), tolerance=flat.margin).label == "unsure"


def test_without_gravity_nothing_is_level() -> None:
    wall = np.full((64, 64), 2.0, np.float32) + np.random.default_rng(0).random((64, 64)) * 1.0
    made = replace(frame(NEAR), width=64, height=64, depth_m=wall.astype(np.float32), objects=[])
    made.camera = replace(made.camera, width=64, height=64)
    made.gravity = None
    assert Session.of_frame(made).is_level(Box(box=[0, 0, 1, 1])).reason == "no_level_frame"


def test_names_are_found_by_reference_caption_and_words() -> None:
    for name in ("the red cube", "red cube", "Red", 0):
        assert CUBES.locate(name).measured[0].index == 0
    assert CUBES.locate("zebra").reason == "unknown_object"
    assert CUBES.locate(7).reason == "unknown_object"
    assert CUBES.locate("the").reason == "unknown_object"
    with pytest.raises(ToolError, match="3 objects are 'cube'"):
        CUBES.locate("cube")
    assert [m.name for m in CUBES.locate().measured] == [
        "the red cube",
        "the blue cube",
        "the green cube",
    ]


def test_a_scene_measures_its_objects_and_no_points() -> None:
    session = Session.of_scene(CUBES.places.scene)
    assert session.distance(0, 1) == CUBES.distance(0, 1)
    assert session.object_depth(0).value == CUBES.object_depth(0).value
    assert session.depth_at(0.5, 0.5).reason == "no_depth_map"
    assert session.size(Box(box=[0, 0, 1, 1])).reason == "no_depth_map"


def test_without_intrinsics_depth_is_all_there_is() -> None:
    made = frame(NEAR, FAR, UPON)
    made.camera = None
    session = Session.of_frame(made)
    assert session.distance(0, 1).reason == "no_intrinsics"
    located = session.locate("blue cube")
    assert located.reason == "no_intrinsics"
    assert located.measured[0].bbox == CUBES.locate("blue cube").measured[0].bbox
    raw = session.object_depth("blue cube")
    assert raw.values["mean"] == pytest.approx(CUBES.object_depth("blue cube").values["mean"], 0.01)


def test_every_tool_speaks_json() -> None:
    cube, box = {"object": 1}, {"object": {"box": [0.1, 0.1, 0.9, 0.9]}}
    pair = {"a": "red cube", "b": {"x": 0.5, "y": 0.9}}
    asked = {
        "depth_at": {"x": 0.5, "y": 0.9},
        "object_depth": box,
        "size": cube,
        "is_level": {"a": {"box": [0.0, 0.85, 1.0, 1.0]}},
        "locate": cube,
        **dict.fromkeys(("nearer", "distance", "gap", "touching"), pair),
    }
    assert asked.keys() == TOOLS.keys()
    for name, arguments in asked.items():
        found = json.loads(CUBES.call(name, json.dumps(arguments)))
        assert found["tool"] == name
        assert found["value"] is not None


HOSTILE = [
    "",
    "null",
    "[]",
    "{",
    '{"x":0.5}',
    '{"x":"0.5","y":0.5}',
    '{"x":true,"y":0.5}',
    '{"x":NaN,"y":0.5}',
    '{"x":1e999,"y":0.5}',
    '{"x":-1,"y":0.5}',
    '{"x":0.5,"y":0.5,"z":1}',
    '{"x":[0.5],"y":{}}',
    "[" * 100_000,
    '{"x":' * 5000,
    '{"x":' + "9" * 5000 + ',"y":0.5}',
    '{"x":0.5,"y":0.5,"pixels":"yes"}',
    " " * 4_000_001,
    "\ud800",
    b"\xff\xfe",
]


@pytest.mark.parametrize("arguments", HOSTILE, ids=lambda a: repr(a[:24]))
def test_no_arguments_raise(arguments: str | bytes) -> None:
    found = json.loads(CUBES.call("depth_at", arguments))
    assert found["error"]["code"] == "bad_arguments"
    assert 0 < len(found["error"]["message"]) <= 500


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"mask": {"size": [480, 640], "counts": "zz"}}, "bad_mask"),
        ({"mask": {"size": [1, 1], "counts": "22"}}, "bad_mask"),
        ({"mask": [[0, 0, 1e300, 0, 0, 5]]}, "bad_mask"),
        ({"mask": []}, "bad_mask"),
        ({"mask": "x"}, "bad_arguments"),
        ({"box": [0.5, 0.5, 0.5, 0.9]}, "bad_arguments"),
        ({"box": [0.5, 0.5]}, "bad_arguments"),
        ({"box": [700, 0, 800, 10], "pixels": True}, "outside_picture"),
        ({"x": 0.5, "y": 0.5}, "bad_arguments"),
        (-1, "bad_arguments"),
        (1.5, "bad_arguments"),
        ("", "bad_arguments"),
    ],
)
def test_targets_that_are_none(target: object, code: str) -> None:
    found = json.loads(CUBES.call("size", {"object": target}))
    assert found["error"]["code"] == code


def test_tools_that_are_none() -> None:
    for name in ("", "call", "__init__", "places", "x" * 10_000):
        found = json.loads(CUBES.call(name, "{}"))
        assert found["error"]["code"] == "unknown_tool"
        assert len(found["error"]["message"]) < 300


def test_fit_plane_leaves_out_what_is_far_off_it() -> None:
    rng = np.random.default_rng(0)
    flat = np.column_stack((rng.random((200, 2)), np.zeros(200)))
    flat[:20, 2] = 1.0
    found = fit_plane(flat.astype(np.float32))
    assert found is not None
    assert abs(found.normal[2]) == pytest.approx(1.0, abs=1e-6)
    assert fit_plane(flat[:11].astype(np.float32)) is None
