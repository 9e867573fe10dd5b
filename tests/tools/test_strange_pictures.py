"""Pictures nobody would take: every tool answers in JSON, and nothing raises."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from calipers.io.masks import encode_mask
from calipers.tools import TOOLS, Session, ToolError
from calipers.types import Camera, Frame, FrameObject

SIZE = (40, 48)
EXTREMES = [0.0, -1.0, np.nan, np.inf, -np.inf, 1e-38, 1e-5, 1e-3, 1.0, 2.0, 1e4, 1e9, 3e38]
FOCAL = st.sampled_from([1.0, 40.0, 1e6])
NUMBER = st.floats(0, 1)
POINT = st.fixed_dictionaries({"x": NUMBER, "y": NUMBER})
BOX = st.tuples(NUMBER, NUMBER, NUMBER, NUMBER).map(
    lambda b: {"box": [min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])]}
)
NAME = st.sampled_from(["thing", "thing 0", "0", "the", "", "no"])
THING = st.one_of(NAME, st.integers(-1, 4), BOX)
TARGET = st.one_of(THING, POINT)
PAIR = st.fixed_dictionaries({"a": TARGET, "b": TARGET})
ASKED: dict[str, st.SearchStrategy[Any]] = {
    "depth_at": POINT,
    "object_depth": st.fixed_dictionaries({"object": THING}),
    "size": st.fixed_dictionaries({"object": THING}),
    "locate": st.fixed_dictionaries({"object": TARGET}),
    "is_level": st.one_of(PAIR, st.fixed_dictionaries({"a": TARGET})),
    **dict.fromkeys(("nearer", "distance", "gap", "touching"), PAIR),
}


@st.composite
def depths(draw: st.DrawFn) -> np.ndarray:
    """Flat, noisy, or made of extremes."""
    kind = draw(st.sampled_from(["extremes", "mixed", "noise", "constant"]))
    if kind == "constant":
        return np.full(SIZE, draw(st.sampled_from(EXTREMES)), np.float32)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    noise = rng.uniform(0.5, 3, SIZE).astype(np.float32)
    if kind == "noise":
        return noise
    extreme = rng.choice(np.float32(EXTREMES), SIZE)
    return extreme if kind == "extremes" else np.where(rng.random(SIZE) < 0.1, extreme, noise)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    height, width = SIZE
    objects = []
    for k in range(draw(st.integers(0, 3))):
        mask = draw(arrays.arrays(np.bool_, SIZE, fill=st.just(draw(st.booleans()))))
        rle = encode_mask(mask) if draw(st.booleans()) and mask.any() else None
        objects.append(FrameObject((0.0, 0.0, 20.0, 20.0), f"thing {k}", rle))
    made = Frame("strange", "s.png", width, height, depth_m=draw(depths()), objects=objects)
    if draw(st.booleans()):
        centre = draw(st.sampled_from([0.0, 20.0, -9e5, 9e5]))
        made.camera = Camera(draw(FOCAL), draw(FOCAL), centre, centre, width, height)
    gravity = draw(st.sampled_from([None, [0, 1, 0], [0, 0, 1], [0, 0, -1], [1, 0, 0]]))
    if gravity is not None:
        made.gravity, made.gravity_source = np.float32(gravity), "given"
    return made


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_answers(tool: str) -> None:
    @settings(
        max_examples=100, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(frame=frames(), data=st.data())
    def ask(frame: Frame, data: st.DataObject) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            session = Session.of_frame(frame)
            for _ in range(2):
                asked = data.draw(ASKED[tool])
                found = json.loads(session.call(tool, json.dumps(asked)))
                if "error" not in found:
                    answered = found["value"] is not None or found["label"] or found["measured"]
                    assert bool(answered) or found["reason"], found
                    assert found["text"]

    ask()


@pytest.mark.parametrize(
    ("focal", "centre"), [(1e-300, 0.0), (0.9, 0.0), (1e7, 0.0), (40.0, 1e300), (40.0, -1e9)]
)
def test_intrinsics_of_no_camera_are_refused(focal: float, centre: float) -> None:
    height, width = SIZE
    made = Frame("strange", "s.png", width, height, depth_m=np.ones(SIZE, np.float32))
    made.camera = Camera(focal, 40.0, centre, 0.0, width, height)
    with pytest.raises(ToolError, match="intrinsics: wanted focal lengths"):
        Session.of_frame(made)


def test_depth_of_nothing_is_no_reading() -> None:
    height, width = SIZE
    for value in (0.0, -1.0, 1e-5, 1e5, np.inf, np.nan):
        made = Frame("s", "s.png", width, height, depth_m=np.full(SIZE, value, np.float32))
        assert Session.of_frame(made).depth_at(0.5, 0.5).reason == "no_reading"
