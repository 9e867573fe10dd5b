"""The statistics of a LeRobot dataset, against numpy, and as LeRobot reads them."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from calipers.io.exports.lerobot import (
    DATA,
    DEPTH,
    EPISODES,
    IMAGE,
    STATS,
    Step,
    write_lerobot,
)
from calipers.io.exports.lerobot_stats import QUANTILES, Levels, sampled
from calipers.io.inputs.lerobot import INFO
from calipers.types import Camera, Frame

CAMERA = Camera(30.0, 31.0, 3.5, 2.5, 8, 6)
LENGTHS = (20, 1)


def step(rng, number):
    depth = rng.integers(500, 2000, (6, 8)) / np.float32(1000)
    depth[0, 0] = np.nan
    frame = Frame(
        f"f{number}", "", 8, 6, rgb=rng.integers(0, 255, (6, 8, 3), dtype=np.uint8),
        depth_m=depth.astype(np.float32), camera=CAMERA, gravity=np.array([0.0, 1.0, 0.0]),
    )  # fmt: skip
    return Step(frame, {}, rng.normal(size=7).tolist(), rng.normal(size=7).tolist())


@pytest.fixture(scope="module")
def steps():
    rng = np.random.default_rng(0)
    return [[step(rng, k) for k in range(length)] for length in LENGTHS]


@pytest.fixture(scope="module")
def dataset(steps, tmp_path_factory):
    root = tmp_path_factory.mktemp("stats") / "set"
    write_lerobot(root, zip(("Lift it.", "Touch it."), steps), fps=5, robot="Panda")
    return root


def by_hand(values, method="linear"):
    """Each statistic of (N, C) numbers."""
    values = np.asarray(values, np.float64)
    marks = {f"q{q:02d}": np.percentile(values, q, axis=0, method=method) for q in QUANTILES}
    return marks | {k: getattr(values, k)(axis=0) for k in ("min", "max", "mean", "std")}


def same(found, wanted, shape):
    assert set(found) == {*wanted, "count"}
    for name, value in wanted.items():
        got = np.array(found[name])
        assert got.shape == shape, name
        assert got.ravel() == pytest.approx(np.ravel(value), abs=1e-6), name


def test_colours_have_statistics_from_0_to_1_a_channel(dataset, steps):
    whole = json.loads((dataset / STATS).read_text())
    episodes = pq.read_table(dataset / EPISODES)
    rgb = [np.concatenate([s.frame.rgb.reshape(-1, 3) for s in some]) for some in steps]
    same(whole[IMAGE], by_hand(np.concatenate(rgb) / 255, "inverted_cdf"), (3, 1, 1))
    assert whole[IMAGE]["count"] == [21]
    for k, pixels in enumerate(rgb):
        found = {name: episodes[f"stats/{IMAGE}/{name}"][k].as_py() for name in whole[IMAGE]}
        same(found, by_hand(pixels / 255, "inverted_cdf"), (3, 1, 1))
        assert found["count"] == [LENGTHS[k]]


def test_depth_stays_in_the_unit_that_it_is_stored_in(dataset, steps):
    whole = json.loads((dataset / STATS).read_text())
    depth = [np.rint(1000 * np.nan_to_num(s.frame.depth_m)).ravel() for s in steps[0] + steps[1]]
    same(whole[DEPTH], by_hand(np.concatenate(depth)[:, None], "inverted_cdf"), (1, 1, 1))
    assert whole[DEPTH]["min"] == [[[0.0]]]


@pytest.mark.parametrize("name", ["action", "timestamp", "index", "task_index", "episode_index"])
def test_numbers_have_statistics_of_each_episode_and_of_all(dataset, name):
    whole, episodes = json.loads((dataset / STATS).read_text()), pq.read_table(dataset / EPISODES)
    rows = np.array(pq.read_table(dataset / DATA)[name].to_pylist()).reshape(sum(LENGTHS), -1)
    same(whole[name], by_hand(rows), rows.shape[1:])
    assert whole[name]["count"] == [21]
    for k, some in enumerate((rows[:20], rows[20:])):
        found = {stat: episodes[f"stats/{name}/{stat}"][k].as_py() for stat in whole[name]}
        same(found, by_hand(some), rows.shape[1:])


def test_every_feature_but_texts_has_its_statistics_in_both_places(dataset):
    features = json.loads((dataset / INFO).read_text())["features"]
    wanted = {name for name, row in features.items() if row["dtype"] != "string"}
    whole = json.loads((dataset / STATS).read_text())
    assert set(whole) == wanted
    stats = {"min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"}
    columns = {c for c in pq.read_schema(dataset / EPISODES).names if c.startswith("stats/")}
    assert columns == {f"stats/{name}/{stat}" for name in wanted for stat in stats}
    for name in wanted:  # what `lerobot` demands before it merges datasets
        for stat, value in whole[name].items():
            shape = np.atleast_1d(np.array(value)).shape
            assert stat != "count" or shape == (1,)
            assert "image" not in name or stat == "count" or shape in ((3, 1, 1), (1, 1, 1))


def test_of_a_long_episode_some_frames_are_looked_at(tmp_path):
    rng, root = np.random.default_rng(1), tmp_path / "set"
    long = [step(rng, k) for k in range(130)]
    write_lerobot(root, [("Lift it.", long)], fps=5, robot="Panda")
    whole = json.loads((root / STATS).read_text())
    seen = [round(k) for k in np.linspace(0, 129, 100)]
    assert sampled(130) == seen
    assert (whole[IMAGE]["count"], whole["action"]["count"]) == ([100], [130])
    mean = np.mean([long[k].frame.rgb for k in seen], axis=(0, 1, 2)) / 255
    assert np.ravel(whole[IMAGE]["mean"]) == pytest.approx(mean)


def test_large_pictures_are_thinned_out():
    pixels = np.random.default_rng(2).integers(0, 255, (200, 320, 3), dtype=np.uint8)
    levels = Levels(3, 256)
    levels.see(pixels)
    assert levels.counts.sum() == 3 * 100 * 160
    mean = pixels[::2, ::2].mean(axis=(0, 1)) / 255
    assert np.ravel(levels.stats(255)["mean"]) == pytest.approx(mean)


def test_an_episode_without_steps_has_no_statistics(tmp_path, steps):
    root = tmp_path / "set"
    write_lerobot(root, [("Lift it.", steps[0]), ("Wait.", [])], fps=5, robot="Panda")
    column = pq.read_table(root / EPISODES)[f"stats/{IMAGE}/mean"].to_pylist()
    assert np.shape(column[0]) == (3, 1, 1)
    assert column[1] is None
