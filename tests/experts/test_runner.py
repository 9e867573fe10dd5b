"""Pictures through an expert: memory that runs out, pictures that break it, results kept."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calipers.errors import MissingExtraError, RunError, Skip, UsageError
from calipers.experts.cache import Cache
from calipers.experts.runner import BATCH, Expert, is_out_of_memory, load_expert
from calipers.experts.table import Entry
from calipers.types import Frame
from known_experts import HEIGHT, WIDTH, picture


def entry(name: str = "Depth", role: str = "depth", **options: Any) -> Entry:
    return Entry(name=name, role=role, target=f"known_experts:{name}", options=options, needs="")


def frames(count: int) -> list[Frame]:
    return [Frame(f"f{n}", f"{n}.png", WIDTH, HEIGHT, rgb=picture(n)) for n in range(count)]


def nothing(count: int) -> list[None]:
    return [None] * count


def test_pictures_go_in_batches() -> None:
    expert = Expert(entry(), Cache(None))
    found = expert(frames(20), nothing(20))
    assert [result.depth_m[0, 0] for result in found] == [2.0] * 20
    assert expert.model().sizes == [BATCH, BATCH, 20 - 2 * BATCH]
    assert expert.counts == {"pictures": 20, "calls": 3, "cached": 0}


def test_out_of_memory_halves_the_batch_for_good() -> None:
    expert = Expert(entry(most=3), Cache(None))
    found = expert(frames(9), nothing(9))
    assert not any(isinstance(result, Skip) for result in found)
    assert expert.model().sizes == [8, 4, 2, 2, 2, 2, 1]
    assert expert.batch == 2


def test_one_picture_that_takes_too_much_memory_is_skipped() -> None:
    expert = Expert(entry(most=0), Cache(None), batch=2)
    found = expert(frames(2), nothing(2))
    assert [(r.reason, r.detail) for r in found] == [("expert_failed", "Depth: MemoryError")] * 2


def test_only_the_poisoned_picture_is_skipped() -> None:
    expert = Expert(entry(fails_on=5), Cache(None))
    found = expert(frames(10), nothing(10))
    assert [i for i, result in enumerate(found) if isinstance(result, Skip)] == [5]
    assert found[5].detail == "Depth: ValueError: this picture is poison"
    assert expert.model().sizes == [8, *[1] * 8, 2]
    assert expert.counts["failed"] == 1


class Short:
    """Forgets a result."""

    def estimate(self, images: list[Any], cameras: list[Any]) -> list[Any]:
        return []


def test_a_result_too_few_is_a_failure_not_a_shift() -> None:
    short = Entry(name="short", role="depth", target=f"{__name__}:Short", needs="")
    (found,) = Expert(short, Cache(None))(frames(1), nothing(1))
    assert found.detail == "short: DataError: 0 results for 1 pictures"


class TorchOom:
    """Has room for one picture; for two, torch raises its own error."""

    def estimate(self, images: list[Any], cameras: list[Any]) -> list[Any]:
        import torch

        if len(images) > 1:
            torch.empty(2**58, dtype=torch.uint8)
        return [np.float32(len(images)) for _ in images]


def test_a_real_out_of_memory_of_torch() -> None:
    torch = pytest.importorskip("torch")
    expert = Expert(
        Entry(name="oom", role="depth", target=f"{__name__}:TorchOom", needs=""), Cache(None)
    )
    assert expert(frames(5), nothing(5)) == [1.0] * 5
    assert expert.batch == 1
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"))


def test_what_is_out_of_memory_and_what_is_not() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(ValueError("not enough memory"))


def test_results_are_kept_by_picture_options_and_inputs(tmp_path: Path) -> None:
    boxes = [np.array([[1, 2, 9, 9]], np.float32)] * 3
    first = Expert(entry("Masks", "masks"), Cache(tmp_path))
    masks = first(frames(3), boxes)
    again = Expert(entry("Masks", "masks"), Cache(tmp_path))
    kept = again(frames(3), boxes)
    assert again.counts == {"cached": 3}
    for one, two in zip(masks, kept, strict=True):
        np.testing.assert_array_equal(one, two)
    again(frames(3), [box + 1 for box in boxes])
    assert again.counts == {"cached": 3, "pictures": 3, "calls": 1}
    other = Expert(entry("Masks", "masks", colour="red"), Cache(tmp_path))
    other(frames(3), boxes)
    assert other.counts["pictures"] == 3


@pytest.mark.parametrize("kept", ["text", {"depth": 1}, {"result": [1], "revision": None}])
def test_a_kept_result_of_another_kind_is_asked_for_again(kept: Any, tmp_path: Path) -> None:
    Expert(entry(), Cache(tmp_path))(frames(1), nothing(1))
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    Cache(tmp_path).put(path.parent.name + path.name, kept)
    expert = Expert(entry(), Cache(tmp_path))
    assert expert(frames(1), nothing(1))[0].depth_m[0, 0] == 2.0
    assert expert.counts == {"cached": 0, "pictures": 1, "calls": 1}


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    expert = Expert(entry(fails_on=0), Cache(tmp_path))
    assert isinstance(expert(frames(1), nothing(1))[0], Skip)
    assert isinstance(expert(frames(1), nothing(1))[0], Skip)
    assert expert.counts == {"cached": 0, "pictures": 2, "calls": 2, "failed": 2}


def test_the_model_is_loaded_when_it_is_needed(tmp_path: Path) -> None:
    lost = Entry(name="lost", role="depth", target="nowhere.at_all:Model", needs="")
    expert = Expert(lost, Cache(tmp_path))
    assert expert([], []) == []
    with pytest.raises(UsageError, match=r"lost: no such module: nowhere\.at_all"):
        expert(frames(1), nothing(1))


class Bad:
    """Cannot be loaded."""

    @classmethod
    def load(cls, source: str, *, revision: Any, device: Any, how: str) -> Bad:
        if how == "package":
            raise ImportError("No module named 'xformers'")
        raise KeyError("weights")


@pytest.mark.parametrize(
    ("target", "options", "kind", "told"),
    [
        (f"{__name__}:Nobody", {}, UsageError, "wanted module:Class"),
        (f"{__name__}:Bad", {}, UsageError, "cannot be loaded with {}: .*'how'"),
        (f"{__name__}:Bad", {"how": "package"}, MissingExtraError, "xformers"),
        (f"{__name__}:Bad", {"how": "keys"}, RunError, "could not be loaded: KeyError"),
    ],
)
def test_what_cannot_be_loaded_is_one_clear_line(
    target: str, options: dict[str, str], kind: type[Exception], told: str
) -> None:
    row = Entry(name="bad", role="depth", target=target, options=options)
    with pytest.raises(kind, match=told) as caught:
        load_expert(row)
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
