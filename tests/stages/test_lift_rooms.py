"""How right the lift is on a few simulated frames; the figures of many are in `docs/benchmarks.md`.

Right of judged on seeds 0 to 7 when this was written: 99.7 % of the comparisons and 98.8 % of the
measures on exact frames, 99.4 % and 95.0 % with a depth camera's faults and fat masks. The bounds
lie below, so that they hold for any honest change and break for a real loss. In one frame no floor
is seen, only a ceiling: it has no level frame.
"""

from __future__ import annotations

import numpy as np
import pytest

from known_scenes import angle

pytest.importorskip("mujoco")
from benchmarks.accuracy import Scores, judge

from calipers.io.masks import decode_mask
from calipers.samples.faults import Faults, apply_faults
from calipers.samples.rooms import RoomFrame, generate
from calipers.stages.lift import lift

SEEDS = range(8)


@pytest.fixture(scope="module")
def rooms():
    return [generate(seed, colours=False) for seed in SEEDS]


def spoiled(room, seed):
    frame = apply_faults(room.frame, Faults(), np.random.default_rng(seed))
    return RoomFrame(frame, room.truth)


def scored(rooms):
    """Comparisons, measures, and degrees by which gravity is off where it is found."""
    scores, degrees = Scores(), []
    for room in rooms:
        scene = lift(room.frame, [decode_mask(item.rle) for item in room.frame.objects])
        judge(room, scene, scores)
        if scene.gravity is not None:
            degrees.append(angle(scene.gravity, room.truth.gravity))
    assert sum(scores.comparisons.judged.values()) > 250
    assert sum(scores.measures.judged.values()) > 400
    return scores.comparisons, scores.measures, degrees


def test_exact_frames(rooms):
    comparisons, measures, degrees = scored(rooms)
    assert comparisons.share >= 0.99, comparisons.errors
    assert measures.share >= 0.96, measures.errors
    assert np.median(degrees) < 0.1
    assert max(degrees) < 1.5
    assert len(degrees) == 7


def test_frames_with_the_faults_of_a_depth_camera(rooms):
    comparisons, measures, degrees = scored(spoiled(room, k) for k, room in enumerate(rooms))
    assert comparisons.share >= 0.97, comparisons.errors
    assert measures.share >= 0.92, measures.errors
    assert np.median(degrees) < 0.3
    assert max(degrees) < 1.5
    assert len(degrees) == 7


def test_a_foot_behind_something_is_no_bottom():
    """The foot of the orange floor lamp is behind a box: the rest of it ends 0.24 m too high."""
    room = generate(503, colours=False)
    scene = lift(room.frame, [decode_mask(item.rle) for item in room.frame.objects])
    lamp = next(k for k, item in enumerate(scene.objects) if item.caption == "orange floor lamp")
    assert not scene.objects[lamp].whole
    for item, true in zip(scene.objects, room.truth.objects):
        if item.lifted and item.whole:
            seen = item.center_level[2] - item.size_level[2] / 2
            assert seen == pytest.approx(true.center_level[2] - true.size_level[2] / 2, abs=0.02)
