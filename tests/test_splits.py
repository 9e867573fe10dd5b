"""Splits: no picture, nor a copy of one, on two sides."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from calipers.errors import UsageError
from calipers.io.scenes import scenes_table, write_scenes
from calipers.splits import (
    ALIKE,
    alike_groups,
    difference_hash,
    picture_hash,
    read_hashes,
    split,
    write_hashes,
)
from calipers.stream import QuestionStream
from questions.hand_scenes import TABLE, scene_of

HALVES = {"train": 0.5, "test": 0.5}


def picture(seed: int, size_wh: tuple[int, int] = (320, 240)) -> Image.Image:
    """A smooth picture of coloured patches, different for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size_wh, Image.Resampling.BICUBIC)


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality)
    return Image.open(sink)


def bits_apart(one: bytes, two: bytes) -> int:
    return (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).bit_count()


def write_run(folder: Path, images: list[str], parts: int = 2) -> Path:
    """A run folder with one scene for each name, in so many parts; pictures in ``frames``."""
    (folder / "scenes").mkdir(parents=True)
    scenes = [replace(scene_of(TABLE, name=f"s{k:03d}"), image=n) for k, n in enumerate(images)]
    for k in range(parts):
        with (folder / "scenes" / f"part-{k:05d}.parquet").open("wb") as sink:
            write_scenes(scenes_table(scenes[k::parts]), sink)
    options = {"input": str(folder.parent / "frames")}
    (folder / "run.json").write_text(json.dumps({"options": options}))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures p00 to p59; q00 to q19 are smaller JPEG copies of the first 20."""
    folder = tmp_path_factory.mktemp("whole")
    frames = folder / "frames"
    frames.mkdir()
    for k in range(60):
        picture(k, (160, 120)).save(frames / f"p{k:02d}.png", compress_level=1)
    for k in range(20):
        picture(k, (160, 120)).resize((100, 75)).save(frames / f"q{k:02d}.jpg", quality=50)
    return write_run(folder / "run", sorted(path.name for path in frames.iterdir()))


@pytest.fixture
def run(whole: Path) -> Iterator[Path]:
    """The run without splits."""
    yield whole
    shutil.rmtree(whole / "splits", ignore_errors=True)


def rows_of(run: Path) -> dict[str, dict[str, Any]]:
    """The rows of all parts by picture."""
    parts = sorted((run / "splits").glob("*.parquet"))
    return {row["image"]: row for part in parts for row in pq.read_table(part).to_pylist()}


def test_the_hash_of_a_ramp_is_known() -> None:
    ramp = Image.fromarray(np.tile(np.arange(0, 90, dtype=np.uint8) * 2, (90, 1)))
    assert difference_hash(ramp).hex() == "ff" * 8 + "00" * 8
    assert difference_hash(ramp.transpose(Image.Transpose.ROTATE_270)).hex() == "00" * 8 + "ff" * 8
    assert difference_hash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).hex() == "00" * 16


def test_copies_are_near_and_others_far() -> None:
    hashes = [difference_hash(picture(k)) for k in range(40)]
    for k, own in enumerate(hashes):
        smaller = picture(k).resize((160, 120))
        for copy in (smaller, recompressed(picture(k), 30), picture(k).convert("L")):
            assert bits_apart(own, difference_hash(copy)) <= ALIKE
    apart = [bits_apart(a, b) for n, a in enumerate(hashes) for b in hashes[:n]]
    assert min(apart) > 2 * ALIKE


def test_a_picture_is_hashed_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned: 90° clockwise makes it upright
    picture(3).save(tmp_path / "up.png")
    turned = picture(3).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "turned.png", exif=exif)
    assert picture_hash(tmp_path / "turned.png") == picture_hash(tmp_path / "up.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert picture_hash(tmp_path / "broken.png") is None


def near_by_brute_force(hashes: np.ndarray, alike: int) -> list[int]:
    groups = list(range(len(hashes)))
    for i in range(len(hashes)):
        for j in range(i):
            if np.bitwise_count(hashes[i] ^ hashes[j]).sum() <= alike:
                old, new = groups[i], groups[j]
                groups = [new if g == old else g for g in groups]
    order = {g: n for n, g in enumerate(dict.fromkeys(groups))}
    return [order[g] for g in groups]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(0, 7))
def test_groups_are_those_of_comparing_all_with_all(seed: int, flips: int) -> None:
    """Up to 7 bits every pair is found: eight bands cannot all be hit."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (12, 16), dtype=np.uint8)
    copies = np.unpackbits(base[rng.integers(0, 12, 12)], axis=1)
    for row in copies:
        row[rng.choice(128, flips, replace=False)] ^= 1
    hashes = np.concatenate((base, np.packbits(copies, axis=1)))
    assert alike_groups(hashes, 7).tolist() == near_by_brute_force(hashes, 7)


def test_no_hashes_make_no_groups() -> None:
    assert alike_groups(np.empty((0, 16), np.uint8)).tolist() == []


def test_a_copy_goes_where_its_picture_goes(run: Path) -> None:
    found = split(run, HALVES)
    rows = rows_of(run)
    assert len(rows) == 80
    for k in range(20):
        assert rows[f"q{k:02d}.jpg"]["group"] == f"p{k:02d}.png"
        assert rows[f"q{k:02d}.jpg"]["split"] == rows[f"p{k:02d}.png"]["split"]
    assert found["pictures_that_look_like_others"] == 40
    assert found["pictures_not_read"] == 0
    assert sum(found["scenes"].values()) == 80
    assert sum(found["groups"].values()) == 60
    assert 15 <= found["groups"]["train"] <= 45  # 30 expected, 3.9 standard deviations
    assert json.loads((run / "splits" / "splits.json").read_text()) == found


def test_rows_stand_beside_those_of_the_scenes(run: Path) -> None:
    split(run, HALVES)
    for part in sorted((run / "scenes").glob("*.parquet")):
        scenes = pq.read_table(part).column("id").to_pylist()
        splits = pq.read_table(run / "splits" / part.name).column("scene_id").to_pylist()
        assert scenes == splits


def test_shares_are_met_and_other_pictures_move_nothing(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    many, fewer = [f"a{k:04d}.png" for k in range(1200)], [f"a{k:04d}.png" for k in range(1000)]
    found = split(write_run(tmp_path / "many", many), threads=1)
    split(write_run(tmp_path / "fewer", fewer), threads=1)
    assert found["pictures_not_read"] == 1200
    assert abs(found["scenes"]["train"] / 1200 - 0.9) < 0.03  # 3.5 standard deviations
    assert abs(found["scenes"]["test"] / 1200 - 0.05) < 0.02
    both = rows_of(tmp_path / "many"), rows_of(tmp_path / "fewer")
    assert all(both[0][name]["split"] == both[1][name]["split"] for name in fewer)


def test_pictures_of_a_benchmark_and_their_copies_are_left_out(run: Path, tmp_path: Path) -> None:
    bench = tmp_path / "bench"
    bench.mkdir()
    recompressed(picture(5), 60).save(bench / "x.jpg")  # p05.png and q05.jpg are copies
    recompressed(picture(40), 60).save(bench / "y.jpg")
    (bench / "notes.txt").write_text("no picture")
    listed = tmp_path / "bench.txt"
    assert write_hashes(bench, listed) == 2
    assert [line.split(" ", 1)[1] for line in listed.read_text().splitlines()] == ["x.jpg", "y.jpg"]
    found = split(run, HALVES, exclude=[listed])
    gone = {name for name, row in rows_of(run).items() if row["split"] == "excluded"}
    assert gone == {"p05.png", "q05.jpg", "p40.png"}
    assert found["scenes"]["excluded"] == 3


def test_a_stream_takes_one_split(run: Path) -> None:
    with pytest.raises(UsageError, match="run calipers split first"):
        list(QuestionStream(run, split="train"))
    split(run, HALVES)
    rows = rows_of(run)
    streamed: dict[str, set[str]] = {
        name: {sample["image"] for sample in QuestionStream(run, split=name)} for name in HALVES
    }
    for name, images in streamed.items():
        assert images == {image for image, row in rows.items() if row["split"] == name}
    assert len(streamed["train"] | streamed["test"]) == 80
    with pytest.raises(UsageError, match="there is no 'val'; there are"):
        QuestionStream(run, split="val")


def test_splits_of_other_scenes_are_not_taken(run: Path) -> None:
    split(run, HALVES)
    one, two = sorted((run / "splits").glob("*.parquet"))
    shutil.copy(two, one)
    with pytest.raises(UsageError, match="its splits are of other scenes"):
        list(QuestionStream(run, split="train"))


@pytest.mark.parametrize("shares", [{"train": 0.9}, {"a": 1.5, "b": -0.5}, {"excluded": 1.0}, {}])
def test_shares_that_do_not_add_up_are_refused(run: Path, shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="shares: wanted"):
        split(run, shares)


def test_what_is_no_list_of_hashes_is_refused(tmp_path: Path, run: Path) -> None:
    (tmp_path / "list.txt").write_text("00" * 16 + " fine.png\n\n0123 short.png\n")
    with pytest.raises(UsageError, match="line 3 does not begin with 32 digits"):
        read_hashes(tmp_path / "list.txt")
    with pytest.raises(UsageError, match="not a list of hashes"):
        read_hashes(tmp_path / "none.txt")
    with pytest.raises(UsageError, match="no pictures found"):
        write_hashes(run / "scenes", tmp_path / "out.txt")


def test_a_run_whose_pictures_are_gone_asks_for_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give the folder of images"):
        split(write_run(tmp_path / "run", ["a.png", "b.png"]), HALVES)
