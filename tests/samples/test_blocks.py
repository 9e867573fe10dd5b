"""Blocks, balls and cans: what their pictures and depth hold, against geometry worked out here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

from calipers.errors import UsageError
from calipers.io.masks import decode_mask
from calipers.samples import blocks, write_sample
from calipers.samples.blocks import generate, pairs
from calipers.stages.lift import lift


def test_a_seed_is_a_frame() -> None:
    first, again, other = generate(5), generate(5), generate(6)
    assert np.array_equal(first.rgb, again.rgb)
    assert np.array_equal(first.depth_m, again.depth_m)
    assert not np.array_equal(first.depth_m, other.depth_m)


def test_scenes_of_two_scales_have_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "SCALES", (0.5, 0.5))
    small = generate(3)
    monkeypatch.setattr(blocks, "SCALES", (2.0, 2.0))
    large = generate(3)
    assert np.array_equal(small.rgb, large.rgb)
    np.testing.assert_allclose(large.depth_m, 4 * small.depth_m, rtol=1e-6)


def test_the_floor_is_level_and_everything_else_is_above_it() -> None:
    frame = generate(8)
    camera, gravity = frame.camera, frame.gravity
    v, u = np.indices(frame.depth_m.shape)
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], 2)
    down = (rays * frame.depth_m[..., None]) @ gravity
    floor = down.max()
    assert np.linalg.norm(gravity) == pytest.approx(1, abs=1e-6)
    assert (np.abs(down - floor) < 1e-4 * floor).mean() > 0.3
    things = np.any([decode_mask(item.rle) for item in frame.objects], axis=0)
    assert (down[things] < floor * (1 + 1e-5)).all()


def test_things_of_a_scene_differ_in_colour_and_are_of_the_part() -> None:
    for part in ("train", "test"):
        allowed = {f"{hue} {shape}" for hue, shape in pairs(part)}
        for seed in range(4):
            captions = [item.caption for item in generate(seed, part).objects]
            assert len(captions) >= 3
            assert set(captions) <= allowed
            assert len({caption.split()[0] for caption in captions}) == len(captions)
    with pytest.raises(UsageError, match="wanted train or test, got 'val'"):
        pairs("val")


def test_it_is_written_as_a_sample(tmp_path: Path) -> None:
    write_sample("blocks", tmp_path / "b", count=2, seed=4, part="test")
    assert len((tmp_path / "b" / "metadata.jsonl").read_text("utf-8").splitlines()) == 2
    assert 'part "test", seeds 4 to 5' in (tmp_path / "b" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("seed", range(100, 112))
def test_small_things_are_lifted_down_to_the_floor(seed: int) -> None:
    """Some have fewer than a hundred pixels, and of some the top alone is seen."""
    frame = generate(seed)
    scene = lift(frame, [decode_mask(item.rle) for item in frame.objects])
    whole = [item for item in scene.objects if item.whole and item.lifted]
    assert whole
    for item in whole:
        bottom = item.center_level[2] - item.size_level[2] / 2
        assert bottom == pytest.approx(0, abs=1e-3), item.caption
