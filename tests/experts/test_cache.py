"""Results on disk come back to the last bit, or not at all."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calipers.experts import cache as cache_module
from calipers.experts.base import DepthMap, Gravity, Proposal
from calipers.experts.cache import ABSENT, Cache, cache_folder, key_of, picture_hash
from calipers.types import Camera

CAMERA = Camera(500.25, 501.5, 319.5, 239.5, 640, 480)


def awkward_depth() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Every kind of float32: NaN, infinity, the smallest, zero of both signs, neighbours of 1."""
    one = np.float32(1)
    values = [np.nan, np.inf, 1e-45, 0.0, -0.0, one, np.nextafter(one, np.float32(2)), 3.4e38]
    return np.array(values, np.float32).reshape(2, 4)


@pytest.mark.parametrize("result", [None, [], ["a cup", "é\n"], {"a label": 0.1}, [[1, 2.5]]])
def test_plain_results(result: Any, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("ab" * 20, result)
    assert cache.get("ab" * 20) == result


def test_depth_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    depth = awkward_depth()
    normals = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    Cache(tmp_path).put("cd" * 20, DepthMap(depth, CAMERA, normals))
    found = Cache(tmp_path).get("cd" * 20)
    assert found.depth_m.tobytes() == depth.tobytes()
    assert found.normals.tobytes() == normals.tobytes()
    assert (found.camera, found.depth_m.dtype) == (CAMERA, np.float32)
    found.depth_m[0, 0] = 1  # may be written to, as a fresh one may


def test_masks_proposals_and_gravity(tmp_path: Path) -> None:
    mask = np.eye(5, dtype=bool)
    result = [Proposal((1.5, 2.0, 3.0, 4.25), "cup", 0.1, mask), Proposal((0.0, 0.0, 1.0, 1.0))]
    cache = Cache(tmp_path)
    cache.put("ef" * 20, [result, Gravity(np.float32([0, 1, 0]), 0.3, CAMERA), mask[None]])
    (first, second), gravity, masks = cache.get("ef" * 20)
    assert (first.bbox_xyxy, first.phrase, first.score) == ((1.5, 2.0, 3.0, 4.25), "cup", 0.1)
    np.testing.assert_array_equal(first.mask, mask)
    assert second == result[1]
    assert (gravity.down.tolist(), gravity.confidence, gravity.camera) == ([0, 1, 0], 0.3, CAMERA)
    np.testing.assert_array_equal(masks, mask[None])


@pytest.mark.parametrize(
    "harm", [lambda b: b[:-3], lambda b: b"", lambda b: b[:40] + b"x" + b[41:]]
)
def test_a_harmed_file_counts_as_absent(harm: Any, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("ab" * 20, DepthMap(np.ones((9, 9), np.float32)))
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    path.write_bytes(harm(path.read_bytes()))
    assert cache.get("ab" * 20) is ABSENT


def test_absent_and_no_folder(tmp_path: Path) -> None:
    assert Cache(tmp_path).get("00" * 20) is ABSENT
    nowhere = Cache(None)
    nowhere.put("00" * 20, 1)
    assert nowhere.get("00" * 20) is ABSENT


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        Cache(tmp_path).put("ab" * 20, object())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_keys_tell_inputs_apart() -> None:
    boxes = np.array([[1, 2, 3, 4]], np.float32)
    keys = [
        key_of("masks", {"id": "a"}, "r1", "p", [boxes]),
        key_of("masks", {"id": "b"}, "r1", "p", [boxes]),
        key_of("masks", {"id": "a"}, "r2", "p", [boxes]),
        key_of("masks", {"id": "a"}, "r1", "q", [boxes]),
        key_of("masks", {"id": "a"}, "r1", "p", [boxes + 1]),
        key_of("masks", {"id": "a"}, "r1", "p", [boxes.astype(np.float64)]),
        key_of("masks", {"id": "a"}, "r1", "p", [CAMERA]),
        key_of("masks", {"id": "a"}, "r1", "p", [None]),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of("masks", {"id": "a"}, "r1", "p", [boxes.copy()]) == keys[0]


def test_pictures_are_named_by_pixels_and_shape() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert picture_hash(picture) == picture_hash(picture.copy())
    assert picture_hash(picture) != picture_hash(picture.reshape(4, 2, 3))
    flipped = picture[:, ::-1]
    assert picture_hash(flipped) == picture_hash(np.ascontiguousarray(flipped))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CALIPERS_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("CALIPERS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "calipers"


def test_keys_tell_formats_and_versions_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    now = key_of("depth", "p")
    monkeypatch.setattr(cache_module, "FORMAT", cache_module.FORMAT + 1)
    other_format = key_of("depth", "p")
    monkeypatch.undo()
    monkeypatch.setattr(cache_module, "_version", lambda: "0.0.0")
    assert len({now, other_format, key_of("depth", "p")}) == 3


def test_the_source_of_an_adapter_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    written = tmp_path / "adapter_of_mine.py"
    found = []
    for source in ("class Mine: ...", "class Mine: pass"):
        written.write_text(source)
        cache_module.source_digest.cache_clear()
        found.append(cache_module.source_digest("adapter_of_mine:Mine"))
    assert found[0] != found[1]
    nobody = cache_module.source_digest("no_such_module.inside:Mine")
    assert nobody == blake2b(digest_size=8).hexdigest()


def test_what_an_adapter_is_built_on_counts_and_the_table_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    real = cache_module._source
    monkeypatch.setattr(cache_module, "_source", lambda m: asked.append(m) or real(m))
    cache_module.source_digest.cache_clear()
    cache_module.source_digest("calipers.experts.sam2:Sam2")
    names = {name.removeprefix("calipers.experts.") for name in asked}
    assert names == {"sam2", "sam", "squares", "hub_expert", "torch_runtime", "base"}


@pytest.mark.parametrize(
    "written",
    [
        {"array": ["<f4", [2, 2], 0]},  # no bytes behind it
        {"record": ["DepthMap", {"depth": 1}]},
        {"record": ["DepthMap", {"depth_m": {"array": ["<f8", [0, 0], 0]}}]},
        {"record": ["Nobody", {}]},
        {"tuple": 1},
        {"record": ["Camera", []]},
    ],
)
def test_a_whole_file_of_another_shape_counts_as_absent(written: Any, tmp_path: Path) -> None:
    head = json.dumps({"tree": written, "bytes": 0}).encode()
    check = blake2b(head, digest_size=8).hexdigest().encode()
    path = tmp_path / "ab" / ("ab" * 19)
    path.parent.mkdir()
    path.write_bytes(b"calipers-expert-1\n" + check + b"\n" + head + b"\n")
    assert Cache(tmp_path).get("ab" * 20) is ABSENT
