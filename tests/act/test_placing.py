"""A pick and place in simulation, from depth and masks alone; the physics judges."""

from __future__ import annotations

import pytest

from calipers.errors import UsageError

pytest.importorskip("robosuite")

from calipers.act.grips import Rig
from calipers.act.placing import Placer
from calipers.act.simulating import place
from calipers.samples.robot import Run
from calipers.samples.robot_outcome import achieved


@pytest.fixture(scope="module")
def placed():
    return place(500, "size", size_wh=(160, 120))


def test_the_tallest_cup_ends_up_in_the_bin(placed):
    assert placed.run.job.instruction == "Pick up the tallest red cup and place it in the gray bin."
    assert placed.done
    assert placed.log.told
    assert list(dict.fromkeys(placed.log.stages)) == [
        "approach", "turn", "descend", "close", "lift", "carry", "lower", "release", "retreat",
    ]  # fmt: skip


def test_the_first_moment_is_not_done(placed):
    placed.run.world.restore(placed.log.positions[0])
    assert not achieved(placed.run.world, placed.run.job)


def test_a_cup_is_carried_over_a_photo_that_stands_in_the_way():
    """The photo is 12 cm high and stands between the cup and the bin, whose rim is at 6 cm."""
    placed = place(7, "illusion")
    assert placed.done
    assert placed.log.tries == 1


def test_what_is_no_placing_is_refused():
    run = Run(1, "Panda", "touch", "name", size_wh=(64, 48), scripted=False)
    placer = Placer(run.world, Rig(run.view.world_from_camera, run.view.at), run.now)
    with pytest.raises(UsageError, match="wanted to put something in or on"):
        placer.run("touch the red cup")
