"""Every kind of input gives the same frames; shards start anywhere; bad records go alone."""

from __future__ import annotations

import csv
import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from calipers.errors import UsageError
from calipers.io.frames import Skipped, read_shard
from calipers.io.inputs.listings import LineIndex
from calipers.io.inputs.sources import open_frames
from calipers.io.masks import decode_mask
from calipers.types import Frame

W, H = 8, 6
MATRIX = [[10.0, 0.0, 3.5], [0.0, 11.0, 2.5], [0.0, 0.0, 1.0]]
DEPTH_MM = np.arange(W * H, dtype=np.uint16).reshape(H, W) * 10
POLYGON = [[2.0, 1.0, 5.0, 1.0, 5.0, 3.0, 2.0, 3.0]]
COUNT = 70
"""More than two strides of an index."""


def rgb(number: int) -> np.ndarray:
    return np.full((H, W, 3), number, np.uint8)


def encoded(array: np.ndarray, kind: str = "PNG") -> bytes:
    sink = io.BytesIO()
    Image.fromarray(array).save(sink, kind)
    return sink.getvalue()


def objects() -> dict:
    return {"bbox": [[2.0, 1.0, 3.0, 2.0]], "caption": ["a box"], "segmentation": [POLYGON]}


def fields(number: int) -> dict:
    """The record of a frame without its files."""
    return {
        "id": f"n{number}",
        "depth_scale": 0.0001,
        "intrinsics": MATRIX,
        "gravity": [0.0, 0.6, 0.8],
        "objects": objects(),
        "caption": f"a bin, {number}",
        "weather": {"sun": True},
    }


def write_files(folder: Path) -> None:
    for number in range(COUNT):
        path = folder / "rgb" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(rgb(number)))
    (folder / "d.png").write_bytes(encoded(DEPTH_MM))


def named(number: int) -> dict:
    return {"file_name": f"rgb/{number}.png", "depth_file_name": "d.png", **fields(number)}


def as_jsonl(root: Path) -> Path:
    write_files(root)
    lines = [json.dumps(named(number)) for number in range(COUNT)]
    lines.insert(5, "")
    (root / "list.jsonl").write_text("\n".join(lines), encoding="utf-8-sig")
    return root / "list.jsonl"


def as_csv(root: Path) -> Path:
    write_files(root)
    with (root / "list.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, [*named(0), "empty"])
        writer.writeheader()
        for number in range(COUNT):
            row = {
                k: json.dumps(v) if isinstance(v, list | dict) else v
                for k, v in named(number).items()
            }
            writer.writerow(row | {"weather": "line\nbreak", "empty": ""})
    return root / "list.csv"


def as_listing(root: Path) -> Path:
    write_files(root)
    table = pa.Table.from_pylist([named(number) for number in range(COUNT)])
    pq.write_table(table, root / "list.parquet", row_group_size=20)
    return root / "list.parquet"


def cells(number: int) -> dict:
    """A row of a data set, as `datasets` writes it from an image folder."""
    depth = {"bytes": encoded(DEPTH_MM), "path": "d.png"}
    return {
        "image": {"bytes": encoded(rgb(number)), "path": f"{number}.png"},
        "depth": depth,
    } | fields(number)


def as_data_set(root: Path) -> Path:
    (root / "data").mkdir()
    for part, numbers in enumerate((range(50), range(50, COUNT))):
        table = pa.Table.from_pylist([cells(number) for number in numbers])
        pq.write_table(table, root / "data" / f"train-{part}.parquet", row_group_size=20)
    return root


def as_list_of_objects(root: Path) -> Path:
    rows = []
    for number in range(COUNT):
        row = cells(number)
        row["objects"] = [{name: values[0] for name, values in row["objects"].items()}]
        row["intrinsics"] = [number for line in MATRIX for number in line]
        row["image"] = row["image"]["bytes"]
        rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), root / "one.parquet")
    return root / "one.parquet"


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def as_tars(root: Path) -> Path:
    for part, numbers in enumerate((range(50), range(50, COUNT))):
        with tarfile.open(root / f"train-{part}.tar", "w") as tar:
            for number in numbers:
                npy = io.BytesIO()
                np.save(npy, DEPTH_MM.astype(np.float32))
                add(tar, f"./x/{number:04d}.json", json.dumps(fields(number)).encode())
                add(tar, f"./x/{number:04d}.depth.npy", npy.getvalue())
                add(tar, f"./x/{number:04d}.PNG", encoded(rgb(number)))
                add(tar, f"./x/{number:04d}.cls", b"3")
    return root


KINDS: dict[str, Callable[[Path], Path]] = {
    "jsonl": as_jsonl,
    "csv": as_csv,
    "listing": as_listing,
    "data set": as_data_set,
    "list of objects": as_list_of_objects,
    "tars": as_tars,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_frames(tmp_path: Path, kind: str) -> None:
    source = open_frames(KINDS[kind](tmp_path))
    assert len(source) == COUNT
    shards = [pickle.loads(pickle.dumps(shard)) for shard in source.shards(32)]
    assert [shard.count for shard in shards] == [32, 32, 6]
    frames = [frame for shard in shards for frame in read_shard(shard, pixels=True)]
    assert [frame.id for frame in frames] == [f"n{number}" for number in range(COUNT)]
    for number in (0, 31, 32, 49, 50, 69):
        frame = frames[number]
        assert frame.rgb.tolist() == rgb(number).tolist()
        assert frame.depth_m[0, 1] == pytest.approx(0.001, rel=1e-6)
        assert frame.camera.matrix.tolist() == MATRIX
        assert frame.gravity.tolist() == np.float32([0, 0.6, 0.8]).tolist()
        (item,) = frame.objects
        assert (item.caption, item.bbox_xywh) == ("a box", (2, 1, 3, 2))
        assert decode_mask(item.rle).sum() == 6
        assert frame.caption == f"a bin, {number}"
        assert set(frame.extra) == {"weather"}


@pytest.mark.parametrize("kind", KINDS)
def test_shards_of_any_size_start_anywhere(tmp_path: Path, kind: str) -> None:
    source = open_frames(KINDS[kind](tmp_path))
    for size in (7, 33):
        shards = list(source.shards(size, limit=60))
        for shard in reversed(shards):
            wanted = range(shard.first_record, shard.first_record + shard.count)
            assert [frame.id for frame in read_shard(shard)] == [f"n{number}" for number in wanted]
        assert sum(shard.count for shard in shards) == 60


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_changes_with_the_records(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for name in ("first", "again", "other"):
        (tmp_path / name).mkdir()
        if name == "other":
            monkeypatch.setitem(globals(), "POLYGON", [[2.0, 1.0, 6.0, 1.0, 5.0, 3.0, 2.0, 3.0]])
        digests.append(open_frames(KINDS[kind](tmp_path / name)).digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_folder_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    for name, make, target in (
        ("a", as_jsonl, "metadata.jsonl"),
        ("b", as_csv, "metadata.csv"),
        ("c", as_listing, "metadata.parquet"),
    ):
        (tmp_path / name).mkdir()
        made = make(tmp_path / name)
        made.rename(made.with_name(target))
        assert [f.id for f in read(tmp_path / name)][:2] == ["n0", "n1"]
    (tmp_path / "d" / "rgb").mkdir(parents=True)
    (tmp_path / "d" / "rgb" / "1.png").write_bytes(encoded(rgb(1)))
    assert [f.id for f in read(tmp_path / "d")] == ["rgb~1.png"]


def read(path: Path, **options: bool) -> list[Frame | Skipped]:
    return [f for shard in open_frames(path).shards(32) for f in read_shard(shard, **options)]


@pytest.mark.parametrize("pattern", ["train-*.tar", "train-{0..1}.tar", "train-1.tar"])
def test_a_pattern_names_some_files(tmp_path: Path, pattern: str) -> None:
    as_tars(tmp_path)
    ids = [frame.id for frame in read(tmp_path / pattern)]
    first = 50 if pattern == "train-1.tar" else 0
    assert ids == [f"n{number}" for number in range(first, COUNT)]


def test_repeated_ids_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path)
    rows = [named(number) for number in (0, 1, 0, 2, 1)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "l.parquet")
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name in ("l.parquet", "l.jsonl"):
        found = read(tmp_path / name)
        assert [isinstance(f, Skipped) and f.reason for f in found] == [
            *(False, False, "duplicate_id", False, "duplicate_id")
        ]


def test_bad_cells_are_refused_alone(tmp_path: Path) -> None:
    rows = [cells(number) for number in range(8)]
    rows[0]["image"]["bytes"] = None
    rows[1]["image"]["bytes"] = b"no picture"
    rows[2]["image"]["bytes"] = rows[2]["image"]["bytes"][:-20]
    rows[3]["depth"]["bytes"] = b"no depth"
    rows[4]["depth"]["bytes"] = encoded(DEPTH_MM[:3])
    rows[5]["intrinsics"] = [[1.0]]
    rows[6]["objects"]["bbox"] = [[0.0, 0.0, 99.0, 1.0]]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    found = read(tmp_path / "x.parquet")
    assert [f.reason for f in found[:7]] == [
        *("missing_file", "not_an_image", "truncated_image", "unreadable_depth"),
        *("depth_size_mismatch", "bad_intrinsics", "box_outside_image"),
    ]
    assert found[0].id == "n0"
    assert isinstance(found[7], Frame)


def test_images_that_are_only_paths_are_files(tmp_path: Path) -> None:
    write_files(tmp_path)
    rows = [{"image": {"bytes": None, "path": f"rgb/{k}.png"}, "id": k} for k in range(3)]
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("id", pa.int64())]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "x.parquet")
    assert [(f.id, f.image) for f in read(tmp_path / "x.parquet")] == [
        *(("0", "rgb/0.png"), ("1", "rgb/1.png"), ("2", "rgb/2.png"))
    ]


def test_bad_members_are_refused_alone(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        add(tar, "a.jpg", b"no picture")
        add(tar, "b.png", encoded(rgb(1)))
        add(tar, "b.json", b"{")
        add(tar, "c.json", b"{}")
        add(tar, "d.png", encoded(rgb(2)))
        add(tar, "d.json", b"[1]")
        add(tar, "e.png", encoded(rgb(3)))
        add(tar, "e.txt", b" a caption\n")
        add(tar, "f.png", encoded(rgb(4)))
    path = tmp_path / "t.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"IEND")])
    *bad, e, f = read(path)
    assert [(s.id, s.reason) for s in (*bad, f)] == [
        ("t.tar~a.jpg", "not_an_image"),
        ("t.tar~b.png", "bad_json"),
        ("record-3", "missing_file_name"),
        ("t.tar~d.png", "bad_json"),
        ("t.tar~f.png", "truncated_image"),
    ]
    assert (e.image, e.caption) == ("t.tar/e.png", "a caption")


def test_a_file_that_goes_away_is_not_the_end(tmp_path: Path) -> None:
    source = open_frames(as_data_set(tmp_path))
    (tmp_path / "data" / "train-1.parquet").write_bytes(b"PAR1")
    first, last = list(source.shards(50))
    assert len([f for f in read_shard(first) if isinstance(f, Frame)]) == 50
    assert [f.reason for f in read_shard(last)] == ["unreadable_file"] * 20


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("x.parquet", b"PAR1", "not a readable Parquet file"),
        ("x.tar", b"no tar", "not a readable tar"),
        ("x.csv", b"path\na.png\n", "wanted a column file_name, got path"),
        ("x.csv", b"file_name\n", "has no records"),
        ("x.csv", b'file_name\n"' + b"a" * 200_000, "at byte 10 cannot be read"),
        ("x.jsonl", b"{}\n[]\n", "line 2: wanted a JSON object, got list"),
        ("x.jsonl", b"\n", "has no records"),
        ("x.json", b"[]", r"byte 0: wanted one of \{, got \["),
        ("x.json", b'{"images": [', "got the end|Expecting value"),
        ("x.json", b'{"images": []}', "has no images"),
        ("x.json", b'{"images": [{"id": "a"}]}', "wanted a whole number id, got 'a'"),
        ("x.txt", b"", "wanted a folder, .jsonl"),
        ("y/run.json", b"{}", "is a run, not frames"),
    ],
)
def test_what_cannot_be_read_at_all_is_one_line(
    tmp_path: Path, name: str, data: bytes, text: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=text):
        open_frames(path if path.parent == tmp_path else path.parent)


def test_a_table_without_pictures_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(UsageError, match="wanted a column image or file_name, got text"):
        open_frames(tmp_path)


@pytest.mark.parametrize("name", ["none", "none-*.tar", "x-{1..2}.parquet"])
def test_nothing_is_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no such folder or file"):
        open_frames(tmp_path / name)


def test_an_index_holds_a_start_for_32_records(tmp_path: Path) -> None:
    index = open_frames(as_jsonl(tmp_path)).index
    assert isinstance(index, LineIndex)
    assert len(index.starts) == 3
