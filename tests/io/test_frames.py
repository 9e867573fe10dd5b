"""Folders of frames: every field, every absence, every kind of bad record."""

import json
import pickle
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import calipers.io
from calipers.errors import UsageError
from calipers.io.frames import FrameFolder, Shard, Skipped, read_shard, record_id
from calipers.io.masks import decode_mask, encode_mask
from calipers.io.records import REASONS
from calipers.types import Frame

W, H = 8, 6
MATRIX = [[10.0, 0, 3.5], [0, 11.0, 2.5], [0, 0, 1]]
DEPTH_MM = np.arange(W * H, dtype=np.uint16).reshape(H, W) * 10
MASK = np.zeros((H, W), dtype=bool)
MASK[1:3, 2:5] = True
GOOD = {"file_name": "good.png", "id": "good"}


def _write(root, *lines):
    """Write images a.png, good.png and depth d.png (8 x 6) and the metadata."""
    picture = Image.fromarray(np.arange(W * H * 3, dtype=np.uint8).reshape(H, W, 3))
    for name in ("a.png", "good.png"):
        picture.save(root / name)
    Image.fromarray(DEPTH_MM).save(root / "d.png")
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (root / "metadata.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return root


def _read(root, size=100, **options):
    folder = FrameFolder.open(root)
    return [item for shard in folder.shards(size) for item in folder.read_shard(shard, **options)]


def _one(root, line, **options):
    """Read one record; the good one behind it must come through whatever happens to the first."""
    first, last = _read(_write(root, line, GOOD), **options)
    assert isinstance(last, Frame)
    assert last.id == "good"
    return first


def _objects(**lists):
    return {"file_name": "a.png", "objects": {"bbox": [[0, 0, 2, 2]], "caption": ["x"], **lists}}


def test_every_field_arrives(tmp_path):
    line = {
        "file_name": "./a.png",
        "id": "first",
        "depth_file_name": "d.png",
        "depth_scale": 0.0001,
        "intrinsics": MATRIX,
        "gravity": [0, 0.6, 0.8],
        "objects": {
            "bbox": [[2, 1, 3, 2], [0, 0, 8, 6]],
            "caption": ['a "green"\n<b>box</b> \U0001f4e6', None],
            "segmentation": [encode_mask(MASK), None],
            "score": [0.5, None],
            "role": [None, "gripper"],
            "category": [3, 4],
        },
        "caption": "a bin",
        "weather": {"sun": True},
    }
    frame = _one(tmp_path, line, pixels=True)
    assert (frame.id, frame.image, frame.depth_image) == ("first", "a.png", "d.png")
    assert (frame.width, frame.height, frame.caption) == (W, H, "a bin")
    assert frame.rgb[0, 1].tolist() == [3, 4, 5]
    assert frame.depth_m[0, 1] == np.float32(0.001)
    assert np.isnan(frame.depth_m[0, 0])
    assert frame.camera.matrix.tolist() == MATRIX
    assert (frame.intrinsics_source, frame.gravity_source) == ("given", "given")
    assert frame.gravity.tolist() == np.float32([0, 0.6, 0.8]).tolist()
    first, second = frame.objects
    assert first.bbox_xywh == (2, 1, 3, 2)
    assert first.caption == 'a "green"\n<b>box</b> \U0001f4e6'
    assert np.array_equal(decode_mask(first.rle), MASK)
    assert (first.score, first.role) == (0.5, None)
    assert (second.caption, second.rle, second.score, second.role) == (None, None, None, "gripper")
    assert frame.extra == {"weather": {"sun": True}, "objects": {"category": [3, 4]}}


@pytest.mark.parametrize("given", [{}, dict.fromkeys(("id", "depth_file_name", "objects"))])
def test_every_field_may_be_absent_or_null(tmp_path, given):
    frame = _one(tmp_path, {"file_name": "a.png", **given})
    assert frame.id == "a.png"
    assert frame.rgb is None
    for name in ("depth_m", "depth_image", "camera", "intrinsics_source", "gravity", "objects"):
        assert getattr(frame, name) is None
    assert frame.extra == {}


@pytest.mark.parametrize("objects", [{}, {"bbox": [], "caption": []}])
def test_no_objects_is_not_the_same_as_objects_not_given(tmp_path, objects):
    assert _one(tmp_path, {"file_name": "a.png", "objects": objects}).objects == []


def test_a_box_not_given_is_the_one_of_the_mask(tmp_path):
    line = {"file_name": "a.png", "objects": {"segmentation": [encode_mask(MASK)]}}
    assert _one(tmp_path, line).objects[0].bbox_xywh == (2, 1, 3, 2)


def test_a_box_within_a_pixel_of_the_border_is_cut(tmp_path):
    frame = _one(tmp_path, _objects(bbox=[[-1, -0.5, 10, 7.5]]))
    assert frame.objects[0].bbox_xywh == (0, 0, W, H)


def test_gravity_is_made_of_length_one(tmp_path):
    frame = _one(tmp_path, {"file_name": "a.png", "gravity": [0, 1.009, 0]})
    assert frame.gravity.tolist() == [0, 1, 0]


def test_depth_as_npy_is_metres(tmp_path):
    np.save(tmp_path / "d.npy", np.full((H, W), 1.25, dtype=np.float32))
    frame = _one(tmp_path, {"file_name": "a.png", "depth_file_name": "d.npy"})
    assert frame.depth_m.tolist() == [[1.25] * W] * H


NAN, INF = float("nan"), float("inf")
BAD = [
    ({"id": "x"}, "missing_file_name"),
    ({"file_name": None}, "bad_file_name"),
    ({"file_name": ""}, "bad_file_name"),
    ({"file_name": "a\0.png"}, "bad_file_name"),
    ({"file_name": ["a.png"]}, "bad_file_name"),
    ({"file_name": "a.png", "depth_file_name": 3}, "bad_file_name"),
    ({"file_name": "a.png", "id": ""}, "bad_id"),
    ({"file_name": "a.png", "id": True}, "bad_id"),
    ({"file_name": "a.png", "id": 1.5}, "bad_id"),
    ({"file_name": "a.png", "id": "good"}, "duplicate_id"),
    ({"file_name": "../a.png"}, "path_outside_folder"),
    ({"file_name": "/etc/passwd"}, "path_outside_folder"),
    ({"file_name": "link.png"}, "path_outside_folder"),
    ({"file_name": "a.png", "depth_file_name": "../d.png"}, "path_outside_folder"),
    ({"file_name": "none.png"}, "missing_file"),
    ({"file_name": "a.png", "depth_file_name": "none.png"}, "missing_depth_file"),
    ({"file_name": "metadata.jsonl"}, "not_an_image"),
    ({"file_name": "cut.png"}, "truncated_image"),
    ({"file_name": "float.tif"}, "unsupported_image_mode"),
    ({"file_name": "a.png", "depth_file_name": "metadata.jsonl"}, "unreadable_depth"),
    ({"file_name": "a.png", "depth_file_name": "good.png"}, "wrong_depth_format"),
    ({"file_name": "a.png", "depth_file_name": "other.png"}, "depth_size_mismatch"),
    ({"file_name": "a.png", "depth_scale": 0}, "bad_depth_scale"),
    ({"file_name": "a.png", "depth_scale": -0.001}, "bad_depth_scale"),
    ({"file_name": "a.png", "depth_scale": NAN}, "bad_depth_scale"),
    ({"file_name": "a.png", "depth_scale": "0.001"}, "bad_depth_scale"),
    ({"file_name": "a.png", "intrinsics": [[NAN, 0, 1], [0, 9, 1], [0, 0, 1]]}, "bad_intrinsics"),
    ({"file_name": "a.png", "intrinsics": [[INF, 0, 1], [0, 9, 1], [0, 0, 1]]}, "bad_intrinsics"),
    ({"file_name": "a.png", "intrinsics": [[0, 0, 1], [0, 9, 1], [0, 0, 1]]}, "bad_intrinsics"),
    ({"file_name": "a.png", "intrinsics": [[9, 0, 1], [0, 9, 1], [0, 0, 0]]}, "bad_intrinsics"),
    ({"file_name": "a.png", "intrinsics": [[9, 0], [0, 9]]}, "bad_intrinsics"),
    ({"file_name": "a.png", "intrinsics": [9, 9, 1, 1]}, "bad_intrinsics"),
    ({"file_name": "a.png", "gravity": [0, 1]}, "bad_gravity"),
    ({"file_name": "a.png", "gravity": [0, 9.81, 0]}, "bad_gravity"),
    ({"file_name": "a.png", "gravity": [0, NAN, 0]}, "bad_gravity"),
    ({"file_name": "a.png", "gravity": [0, 0, 0]}, "bad_gravity"),
    ({"file_name": "a.png", "caption": 3}, "bad_caption"),
    ({"file_name": "a.png", "objects": [1]}, "bad_objects"),
    ({"file_name": "a.png", "objects": {"bbox": 3}}, "bad_objects"),
    (_objects(caption=["x", "y"]), "unequal_lists"),
    (_objects(score=[]), "unequal_lists"),
    ({"file_name": "a.png", "objects": {"caption": ["x"]}}, "missing_box"),
    (_objects(bbox=[[0, 0, 2]]), "bad_box"),
    (_objects(bbox=[[0, 0, 0, 2]]), "bad_box"),
    (_objects(bbox=[[0, 0, -2, 2]]), "bad_box"),
    (_objects(bbox=[[0, NAN, 2, 2]]), "bad_box"),
    (_objects(bbox=[["0", 0, 2, 2]]), "bad_box"),
    (_objects(bbox=[[5, 0, 5, 2]]), "box_outside_image"),
    (_objects(bbox=[[100, 100, 5, 2]]), "box_outside_image"),
    (_objects(bbox=[[8.25, 0, 0.5, 2]]), "box_outside_image"),
    (_objects(bbox=[[-2, 0, 5, 2]]), "box_outside_image"),
    (_objects(caption=[7]), "bad_object_caption"),
    (_objects(score=[NAN]), "bad_score"),
    (_objects(score=["high"]), "bad_score"),
    (_objects(role=[1]), "bad_role"),
    (_objects(segmentation=["polygon"]), "bad_segmentation"),
    (_objects(segmentation=[[[0, 0, 1, 1]]]), "bad_polygon"),
    (_objects(segmentation=[[[0, 0, 9.5, 0, 9.5, 5]]]), "mask_outside_image"),
    (_objects(segmentation=[{"size": [H, W], "counts": [1, 2]}]), "bad_rle"),
    (_objects(segmentation=[{"size": [W, H], "counts": [40, 8]}]), "mask_size_mismatch"),
    (_objects(segmentation=[{"size": [H, W], "counts": [48]}]), "empty_mask"),
    (_objects(segmentation=[[]]), "empty_mask"),
    ({"file_name": "turned.jpg", "intrinsics": MATRIX}, "exif_rotation"),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_record_is_refused_alone(tmp_path, line, reason):
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (H, W, 3), dtype=np.uint8))
    noise.save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:150])
    Image.fromarray(DEPTH_MM.astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(DEPTH_MM.T.copy()).save(tmp_path / "other.png")
    _save_turned(tmp_path / "turned.jpg", 6)
    _write(tmp_path, GOOD, line, {"file_name": "good.png", "id": "last"})
    first, bad, last = _read(tmp_path)
    assert (first.id, last.id) == ("good", "last")
    assert isinstance(bad, Skipped)
    assert (bad.stage, bad.reason) == ("read", reason)
    assert bad.detail
    assert "\n" not in bad.detail


def test_the_table_of_reasons_holds_every_reason_and_no_other():
    source = "".join(
        (Path(calipers.io.__file__).parent / f"{name}.py").read_text()
        for name in ("frames", "images", "depth", "masks", "records", "inputs/tars")
    )
    raised = set(re.findall(r'Skip\(\s*"(\w+)"', source))
    raised |= set(re.findall(r': "((?:bad|duplicate)_\w+)"', source))
    raised |= {"duplicate_id", "missing_file", "missing_depth_file"}
    assert raised == set(REASONS)


def _save_turned(path, orientation, size=(W, H)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=exif)


def test_geometry_of_the_stored_picture_is_turned_with_it(tmp_path):
    _save_turned(tmp_path / "t.jpg", 6)  # stored 8 x 6, upright 6 x 8: a quarter turn clockwise
    line = {
        "file_name": "t.jpg",
        "depth_file_name": "d.png",
        "intrinsics": [[10, 0, 3], [0, 11, 2], [0, 0, 1]],
        "gravity": [1, 0, 0],
        "objects": {"bbox": [[2, 1, 3, 2]], "caption": ["x"], "segmentation": [encode_mask(MASK)]},
    }
    frame = _one(tmp_path, line, pixels=True)
    assert (frame.width, frame.height) == (6, 8)
    assert frame.rgb.shape == (8, 6, 3)
    # The stored top-left corner comes to the top right.
    assert np.array_equal(np.nan_to_num(frame.depth_m), np.rot90(DEPTH_MM, -1) / np.float32(1000))
    camera = frame.camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (11, 10, 6 - 1 - 2, 3)
    assert (camera.width, camera.height) == (6, 8)
    assert frame.gravity.tolist() == [0, 1, 0]
    (item,) = frame.objects
    assert item.bbox_xywh == (6 - 1 - 2, 2, 2, 3)
    assert np.array_equal(decode_mask(item.rle), np.rot90(MASK, -1))


def test_geometry_of_the_upright_picture_stays(tmp_path):
    _save_turned(tmp_path / "t.jpg", 8, (H, W))  # stored 6 x 8, upright 8 x 6, as the depth is
    frame = _one(
        tmp_path,
        {"file_name": "t.jpg", "depth_file_name": "d.png", "intrinsics": MATRIX},
    )
    assert (frame.width, frame.height) == (W, H)
    assert frame.depth_m[0, 1] == np.float32(0.01)
    assert frame.camera.matrix.tolist() == MATRIX


def test_a_mask_tells_as_well_which_picture_is_meant(tmp_path):
    _save_turned(tmp_path / "t.jpg", 6)
    objects = {"bbox": [[2, 1, 3, 2]], "segmentation": [encode_mask(MASK)]}
    frame = _one(tmp_path, {"file_name": "t.jpg", "objects": objects})
    assert frame.objects[0].bbox_xywh == (3, 2, 2, 3)


def test_a_picture_without_geometry_is_just_turned(tmp_path):
    _save_turned(tmp_path / "t.jpg", 6)
    frame = _one(tmp_path, {"file_name": "t.jpg", "caption": "a room"}, pixels=True)
    assert (frame.width, frame.height, frame.rgb.shape) == (6, 8, (8, 6, 3))


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_geometry_of_a_half_turn_cannot_be_told_and_is_refused(tmp_path, orientation):
    _save_turned(tmp_path / "t.jpg", orientation)
    skipped = _one(tmp_path, {"file_name": "t.jpg", "depth_file_name": "d.png"})
    assert skipped.reason == "exif_rotation"


def test_depth_that_fits_neither_way_round_is_of_another_size(tmp_path):
    _save_turned(tmp_path / "t.jpg", 6, (20, 10))
    skipped = _one(tmp_path, {"file_name": "t.jpg", "depth_file_name": "d.png"})
    assert skipped.reason == "depth_size_mismatch"


@pytest.mark.parametrize("given", [None, MATRIX])
def test_intrinsics_come_from_exif_only_when_not_given(tmp_path, given):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 50
    Image.new("RGB", (W, H)).save(tmp_path / "e.jpg", exif=exif)
    frame = _one(tmp_path, {"file_name": "e.jpg", "intrinsics": given})
    if given is None:
        assert frame.intrinsics_source == "exif"
        assert frame.camera.fx == pytest.approx(50 * 10 / 43.26662)  # the diagonal is 10 px
        assert (frame.camera.cx, frame.camera.cy) == (3.5, 2.5)
    else:
        assert (frame.intrinsics_source, frame.camera.fx) == ("given", 10)


def test_bare_images_are_found_in_the_order_of_their_numbers(tmp_path):
    for name in ("img10.png", "img2.PNG", "b/c/1.jpeg", "b/1.tif", ".hidden.png", ".git/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 2)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.webp").write_bytes(b"RIFF")
    frames = _read(tmp_path)
    assert [item.id for item in frames] == [
        "b~1.tif",
        "b~c~1.jpeg",
        "broken.webp",
        "img2.PNG",
        "img10.png",
    ]
    assert frames[1].image == "b/c/1.jpeg"
    assert frames[2].reason == "not_an_image"


def test_a_bare_name_that_is_no_text_is_refused_alone(tmp_path):
    _write(tmp_path)
    (tmp_path / "metadata.jsonl").unlink()
    (tmp_path / b"\xff.png".decode("utf-8", "surrogateescape")).write_bytes(b"")
    bad = next(item for item in _read(tmp_path) if isinstance(item, Skipped))
    assert (bad.id, bad.reason) == ("%FF.png", "bad_file_name")
    json.dumps(bad.detail).encode("utf-8")


def test_ids_of_files_are_file_names_and_never_meet():
    names = ["a.png", "a.jpg", "x/a.png", "x~a.png", "x%2Fa.png", "x a.png", "x_a.png", "é.png"]
    names += ["long" * 80 + ".png", "long" * 80 + "-2.png"]
    ids = [record_id({"file_name": name}, 0) for name in names]
    assert len(set(ids)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_.~%-]{1,200}", name) for name in ids)
    assert ids[:3] == ["a.png", "a.jpg", "x~a.png"]
    assert record_id({"file_name": "./x//a.png"}, 0) == "x~a.png"
    assert record_id({"file_name": "a.png", "id": 7}, 0) == "7"
    assert record_id({}, 4) == "record-5"


def test_a_second_record_with_an_id_is_refused_in_any_shard(tmp_path):
    lines = [{"file_name": "a.png", "id": name} for name in ("p", "q", "p", "r", "q", "p")]
    for size in (1, 2, 100):
        items = _read(_write(tmp_path, *lines), size)
        assert [isinstance(item, Skipped) and item.reason for item in items] == [
            False,
            False,
            "duplicate_id",
            False,
            "duplicate_id",
            "duplicate_id",
        ]
        assert [item.id for item in items] == ["p", "q", "p", "r", "q", "p"]


def test_shards_cover_the_folder_once(tmp_path):
    lines = [{"file_name": "a.png", "id": str(n)} for n in range(10)]
    root = _write(tmp_path, *lines[:4], "", "   ", *lines[4:])
    folder = FrameFolder.open(root)
    assert len(folder) == 10
    shards = list(folder.shards(4))
    assert [(s.index, s.first_record, s.count) for s in shards] == [(0, 0, 4), (1, 4, 4), (2, 8, 2)]
    assert [f.id for s in shards for f in read_shard(s)] == [str(n) for n in range(10)]
    assert [f.id for s in folder.shards(4, limit=5) for f in read_shard(s)] == list("01234")
    assert list(folder.shards(4, limit=0)) == []
    assert len(list(folder.shards(100, limit=100))) == 1


def test_a_shard_travels_to_another_process_and_is_small(tmp_path):
    root = _write(tmp_path, *({"file_name": "a.png", "id": str(n)} for n in range(1000)))
    shard = list(FrameFolder.open(root).shards(10))[7]
    sent = pickle.dumps(shard)
    assert len(sent) < 400
    assert isinstance(pickle.loads(sent), Shard)
    assert [f.id for f in read_shard(pickle.loads(sent))] == [str(n) for n in range(70, 80)]


def test_the_metadata_are_never_held_in_memory(tmp_path):
    line = json.dumps({**GOOD, "id": "%d", "note": "x" * 20_000})
    root = _write(tmp_path, *(line.replace("%d", str(n)) for n in range(500)))
    FrameFolder.open(root)  # whatever is loaded once is loaded now
    tracemalloc.start()
    try:
        items = read_shard(next(FrameFolder.open(root).shards(500)))
        assert sum(isinstance(item, Frame) for item in items) == 500
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000  # of 10 MB on disk


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path):
    root = _write(tmp_path)
    text = '\ufeff{"file_name": "a.png"}\r\n{"file_name": "good.png"}\r\n'
    (root / "metadata.jsonl").write_text(text, encoding="utf-8", newline="")
    assert [frame.id for frame in _read(root)] == ["a.png", "good.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"file_name": "a.png"}\n{"file_name": \n', "line 2: not JSON"),
        (b'\n\n{"file_name": "a.png"} extra\n', "line 3: not JSON"),
        (b'{"file_name": "a.png"}\n[1, 2]\n', "line 2: wanted a JSON object, got list"),
        (b'{"file_name": "\xff.png"}\n', "line 1: not JSON"),
        ('{"file_name": "a.png"}'.encode("utf-16"), "line 1: not JSON"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b"\n \n", "has no records"),
        (b"", "has no records"),
    ],
)
def test_metadata_that_cannot_be_read_is_one_clear_line(tmp_path, content, message):
    root = _write(tmp_path)
    (root / "metadata.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        FrameFolder.open(root)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_folder_that_is_none_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "dir" / "metadata.jsonl").mkdir(parents=True)
    (tmp_path / "outer" / "train").mkdir(parents=True)
    (tmp_path / "outer" / "train" / "metadata.jsonl").write_text("{}")
    for name, message in {
        "none": "no such folder",
        "file": "not a folder",
        "empty": "no images and no metadata.jsonl",
        "dir": "Is a directory",
        "outer": "has its own metadata.jsonl",
    }.items():
        with pytest.raises(UsageError, match=message):
            FrameFolder.open(tmp_path / name)
