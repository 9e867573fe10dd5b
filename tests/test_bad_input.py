"""Every kind of bad input through the command line: refused alone, with its reason."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import tiny_frames
from calipers import read_scenes
from calipers.cli import main
from calipers.types import Scene
from tiny_frames import BOXES, CAPTIONS, HEIGHT, INTRINSICS, WIDTH, Record, square

NAN = float("nan")


def nested(line: Record, **changes: Any) -> None:
    line["objects"] = {**line["objects"], **changes}


def with_file(line: Record, field: str, name: str) -> None:
    line[field] = name


# What is wrong, how the record says it, the reason it is refused for.
BAD_RECORDS: list[tuple[Callable[[Record], None], str]] = [
    (lambda r: with_file(r, "file_name", "rgb/none.png"), "missing_file"),
    (lambda r: r.pop("file_name"), "missing_file_name"),
    (lambda r: with_file(r, "file_name", "bad/cut.png"), "truncated_image"),
    (lambda r: with_file(r, "file_name", "bad/text.png"), "not_an_image"),
    (lambda r: with_file(r, "file_name", "bad/bomb.png"), "decompression_bomb"),
    (lambda r: with_file(r, "file_name", "../outside.png"), "path_outside_folder"),
    (lambda r: with_file(r, "file_name", "/etc/hostname"), "path_outside_folder"),
    (lambda r: with_file(r, "file_name", "bad/link.png"), "path_outside_folder"),
    (lambda r: with_file(r, "depth_file_name", "depth/none.png"), "missing_depth_file"),
    (lambda r: with_file(r, "depth_file_name", "bad/cut-depth.png"), "unreadable_depth"),
    (lambda r: with_file(r, "depth_file_name", "bad/small.png"), "depth_size_mismatch"),
    (lambda r: with_file(r, "depth_file_name", "rgb/0000.png"), "wrong_depth_format"),
    (lambda r: with_file(r, "depth_file_name", "bad/three.npy"), "wrong_depth_format"),
    (lambda r: r.update(depth_scale=0), "bad_depth_scale"),
    (lambda r: r.update(intrinsics=[[NAN, 0, 1], [0, 30, 1], [0, 0, 1]]), "bad_intrinsics"),
    (lambda r: r.update(intrinsics=[[30, 0], [0, 30]]), "bad_intrinsics"),
    (lambda r: r.update(gravity=[0, 9.81, 0]), "bad_gravity"),
    (lambda r: nested(r, bbox=[[0, 0, 40, 5], *BOXES[1:]]), "box_outside_image"),
    (lambda r: nested(r, bbox=[[0, 0, -3, 5], *BOXES[1:]]), "bad_box"),
    (lambda r: nested(r, bbox=BOXES[:2]), "unequal_lists"),
    (lambda r: nested(r, caption=[1, 2, 3]), "bad_object_caption"),
    (
        lambda r: nested(r, segmentation=[{"size": [5, 5], "counts": [25]}, *[None] * 2]),
        "mask_size_mismatch",
    ),
    (lambda r: r.update(objects=[1, 2]), "bad_objects"),
    (lambda r: r.update(id="f0000"), "duplicate_id"),
    (lambda r: r.pop("depth_file_name"), "no_depth"),
    (lambda r: r.pop("intrinsics"), "no_intrinsics"),
    (lambda r: r.pop("objects"), "no_objects"),
    (lambda r: with_file(r, "depth_file_name", "bad/zero.png"), "no_depth"),
]


def write_bad_files(folder: Path) -> None:
    bad = folder / "bad"
    bad.mkdir()
    whole = (folder / "rgb/0000.png").read_bytes()
    (bad / "cut.png").write_bytes(whole[: len(whole) // 2])
    depth = (folder / "depth/0000.png").read_bytes()
    (bad / "cut-depth.png").write_bytes(depth[: len(depth) // 2])
    (bad / "text.png").write_text("hello")
    (folder.parent / "outside.png").write_bytes(whole)
    (bad / "link.png").symlink_to(folder.parent / "outside.png")
    Image.new("1", (20_000, 20_000)).save(bad / "bomb.png")
    Image.fromarray(np.ones((4, 4), np.uint16)).save(bad / "small.png")
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)).save(bad / "zero.png")
    np.save(bad / "three.npy", np.ones((HEIGHT, WIDTH, 3), np.float32))


def spoil(number: int, line: Record) -> None:
    if 1 <= number <= len(BAD_RECORDS):
        BAD_RECORDS[number - 1][0](line)


@pytest.fixture(scope="module")
def bad_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    folder = tmp_path_factory.mktemp("bad")
    frames = tiny_frames.write_frames(folder / "frames", len(BAD_RECORDS) + 2, spoil)
    write_bad_files(frames)
    code = main(["build", str(frames), "--out", str(folder / "out"), "--workers", "1"])
    return folder / "out", code


def skipped(out: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (out / "skipped.jsonl").read_text("utf-8").splitlines()]


def test_each_bad_record_is_skipped_alone_with_its_reason(bad_run: tuple[Path, int]) -> None:
    out, code = bad_run
    assert code == 0
    assert [line["reason"] for line in skipped(out)] == [reason for _, reason in BAD_RECORDS]
    assert [scene.id for scene in read_scenes(out)] == ["f0000", f"f{len(BAD_RECORDS) + 1:04d}"]
    assert pq.read_table(out / "qa").num_rows == 40


def test_skipped_lines_say_who_where_and_what(bad_run: tuple[Path, int]) -> None:
    lines = skipped(bad_run[0])
    assert all(list(line) == ["id", "stage", "reason", "detail"] for line in lines)
    assert lines[0] == {
        "id": "f0001",
        "stage": "read",
        "reason": "missing_file",
        "detail": "no such file: rgb/none.png",
    }
    assert [line["stage"] for line in lines[-4:]] == ["depth", "intrinsics", "objects", "lift"]


def test_the_command_line_counts_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(number: int, line: Record) -> None:
        if number < 2:
            line["file_name"] = "none.png"
        else:
            nested(line, caption=["the sky", *CAPTIONS[1:]])

    frames = tiny_frames.write_frames(tmp_path / "frames", 3, change)
    assert main(["build", str(frames), "--out", str(tmp_path / "out"), "--workers", "1"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        "skipped   2 records (read: missing_file)",
        "not asked 1 object (background)",
        "scenes    1, objects 3",
    ]


def test_run_json_counts_the_reasons(bad_run: tuple[Path, int]) -> None:
    record = json.loads((bad_run[0] / "run.json").read_text())
    assert record["skipped"]["read"]["path_outside_folder"] == 3
    assert record["skipped"]["lift"] == {"no_depth": 1}
    assert record["counts"]["records"] == len(BAD_RECORDS) + 2
    assert record["counts"]["scenes"] == 2


def test_strict_fails_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = tiny_frames.write_frames(tmp_path / "frames", 2, spoil)
    arguments = ["build", str(frames), "--out", str(tmp_path / "out"), "--strict", "--quiet"]
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert told == f"calipers: 1 record was skipped; see {tmp_path}/out/skipped.jsonl\n"
    assert [scene.id for scene in read_scenes(tmp_path / "out")] == ["f0000"]
    assert (tmp_path / "out" / "report.html").exists()


def run_one(
    tmp_path: Path, change: Callable[[Record], Any] = lambda line: None
) -> tuple[Scene, list[dict[str, Any]]]:
    """Build one frame whose record and files `change` edits; give its scene and questions."""
    frames = tmp_path / "frames"
    tiny_frames.write_pixels(frames, 0)
    line = tiny_frames.record(0)
    change(line)
    tiny_frames.write_records(frames, [line])
    assert main(["build", str(frames), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert skipped(tmp_path / "out") == []
    (scene,) = read_scenes(tmp_path / "out")
    return scene, pq.read_table(tmp_path / "out" / "qa").to_pylist()


def test_no_objects_at_all(tmp_path: Path) -> None:
    scene, questions = run_one(tmp_path, lambda line: line.update(objects={"bbox": []}))
    assert (scene.objects, questions) == ([], [])


def test_one_object(tmp_path: Path) -> None:
    one = {"bbox": BOXES[:1], "caption": CAPTIONS[:1], "segmentation": [square(BOXES[0])]}
    scene, questions = run_one(tmp_path, lambda line: line.update(objects=one))
    assert [item.reference for item in scene.objects] == ["the red box"]
    assert {row["type"] for row in questions} <= {"height", "width", "elevation"}


def test_a_mask_with_no_depth_under_it(tmp_path: Path) -> None:
    def hole(line: Record) -> None:
        path = tmp_path / "frames" / line["depth_file_name"]
        depth = np.array(Image.open(path))
        x, y, w, h = BOXES[0]
        depth[y : y + h, x : x + w] = 0
        Image.fromarray(depth).save(path)

    scene, questions = run_one(tmp_path, hole)
    assert [item.lifted for item in scene.objects] == [False, True, True]
    assert "no_depth" in str(scene.objects[0].reference_reason)
    assert {index for row in questions for index in row["object_index"]} == {1, 2}


def test_an_object_without_a_mask(tmp_path: Path) -> None:
    masks = [None, square(BOXES[1]), square(BOXES[2])]
    scene, _ = run_one(tmp_path, lambda line: nested(line, segmentation=masks))
    assert [item.lifted for item in scene.objects] == [False, True, True]
    assert "no_mask" in str(scene.objects[0].reference_reason)


def test_a_picture_of_one_pixel(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    Image.new("RGB", (1, 1)).save(frames / "a.png")
    Image.fromarray(np.array([[1000]], np.uint16)).save(frames / "d.png")
    line = {"file_name": "a.png", "depth_file_name": "d.png", "intrinsics": np.eye(3).tolist()}
    objects = {"bbox": [[0, 0, 1, 1]], "caption": ["dot"], "segmentation": [square([0, 0, 1, 1])]}
    tiny_frames.write_records(frames, [{**line, "objects": objects}])
    assert main(["build", str(frames), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    (scene,) = read_scenes(tmp_path / "out")
    assert [item.lifted for item in scene.objects] == [False]


def test_twelve_megapixels(tmp_path: Path) -> None:
    def enlarge(line: Record) -> None:
        for field in ("file_name", "depth_file_name"):
            path = tmp_path / "frames" / line[field]
            with Image.open(path) as small:
                small.resize((4000, 3000), Image.Resampling.NEAREST).save(path, compress_level=1)
        line["intrinsics"] = [[3750, 0, 1999.5], [0, 3750, 1499.5], [0, 0, 1]]
        grown = [[125 * number for number in box] for box in BOXES]
        nested(line, bbox=grown, segmentation=[square(box) for box in grown])

    scene, questions = run_one(tmp_path, enlarge)
    assert (scene.width, scene.height) == (4000, 3000)
    assert [item.lifted for item in scene.objects] == [True, True, True]
    assert len(questions) == 20


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_pictures_of_every_mode(tmp_path: Path, mode: str) -> None:
    def convert(line: Record) -> None:
        path = tmp_path / "frames" / line["file_name"]
        if mode == "CMYK":
            line["file_name"] = "a.jpg"
        Image.open(path).convert(mode).save(tmp_path / "frames" / line["file_name"])

    scene, questions = run_one(tmp_path, convert)
    assert (scene.width, scene.height, len(questions)) == (WIDTH, HEIGHT, 20)


def turned(tmp_path: Path) -> Callable[[Record], None]:
    """Store the image on its side, with EXIF telling how to turn it upright (orientation 6)."""

    def turn(line: Record) -> None:
        picture = Image.open(tmp_path / "frames" / line["file_name"])
        exif = Image.Exif()
        exif[0x0112] = 6
        line["file_name"] = "turned.jpg"
        picture.save(tmp_path / "frames" / "turned.jpg", exif=exif)

    return turn


def test_a_picture_that_exif_turns_takes_everything_along(tmp_path: Path) -> None:
    scene, _ = run_one(tmp_path, turned(tmp_path))
    assert (scene.width, scene.height) == (HEIGHT, WIDTH)
    assert (scene.camera.cx, scene.camera.cy) == (11.5, 15.5)
    # A quarter turn clockwise: what was at the left is at the top, what was low is at the left.
    x, y, w, h = BOXES[0]
    assert scene.objects[0].bbox == (HEIGHT - y - h, x, h, w)
    assert scene.gravity is not None
    assert scene.gravity.tolist() == pytest.approx([-1, 0, 0], abs=1e-6)


def test_a_turned_picture_without_a_hint_is_refused(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    tiny_frames.write_pixels(frames, 0)
    line = tiny_frames.record(0)
    turned(tmp_path)(line)
    del line["depth_file_name"]
    tiny_frames.write_records(frames, [line])
    assert main(["build", str(frames), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert [row["reason"] for row in skipped(tmp_path / "out")] == ["exif_rotation"]


ODD_CAPTIONS = [
    "the \"big\" box, it's Anna's",
    "red\nbox\twith\r\nlines",
    "<script>alert(1)</script>",
    "🟥 box 🇩🇪 e\u0301 \u202eright to left",
    "x" * 10_000,
    "",
    " ",
    "null",
]


@pytest.mark.parametrize("caption", ODD_CAPTIONS, ids=range(len(ODD_CAPTIONS)))
def test_captions_of_every_kind(tmp_path: Path, caption: str) -> None:
    captions = [caption, *CAPTIONS[1:]]
    scene, questions = run_one(tmp_path, lambda line: nested(line, caption=captions))
    assert scene.objects[0].caption == caption
    reference = scene.objects[0].reference
    assert reference is None or "\n" not in reference
    assert all(len(row["question"]) < 1000 and "\n" not in row["question"] for row in questions)
    assert "<script>alert(1)" not in (tmp_path / "out" / "report.html").read_text("utf-8")


def usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that ends with code 2: one line."""
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("calipers: ")
    assert told.count("\n") == 1
    return told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "has no records"),
        (b"\n\n", "has no records"),
        (b'{"file_name": "a.png"}\n{"file_name": ', "line 2: not JSON"),
        (b"[1]\n", "wanted a JSON object, got list"),
        (b'\xff\xfe{"file_name": 1}', "line 1: not JSON"),
    ],
)
def test_a_metadata_file_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes, told: str
) -> None:
    (tmp_path / "metadata.jsonl").write_bytes(text)
    said = usage(["build", str(tmp_path), "--out", str(tmp_path / "out")], capsys)
    assert told in said
    assert not (tmp_path / "out").exists()


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no images" in usage(["build", str(tmp_path), "--out", str(tmp_path / "o")], capsys)
    missing = str(tmp_path / "none")
    assert "no such folder" in usage(["build", missing, "--out", str(tmp_path / "o")], capsys)


def test_bare_images_are_skipped_until_there_are_experts(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    Image.new("RGB", (8, 6)).save(frames / "a.png")
    Image.new("RGB", (8, 6)).save(frames / "b.jpg")
    assert main(["build", str(frames), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    found = {row["id"]: row["reason"] for row in skipped(tmp_path / "out")}
    assert found == {"a.png": "no_depth", "b.jpg": "no_depth"}
    assert "no depth was given and moge2" in skipped(tmp_path / "out")[0]["detail"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB; needs the right to mount one."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(
    tmp_path: Path, small_disk: Path
) -> None:
    frames = tiny_frames.write_frames(tmp_path / "frames", 96)
    command = [sys.executable, "-m", "calipers", "build", str(frames), "--quiet"]
    command += ["--out", str(small_disk / "out"), "--workers", "2"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 1
    assert first.stderr == (
        "calipers: the disk is full; make room, and the same command goes on where it stopped\n"
    )
    assert not list(small_disk.rglob("*.tmp"))
    grow = ["mount", "-o", "remount,size=20m", str(small_disk)]
    subprocess.run(grow, check=True)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (0, "")
    assert len(list(read_scenes(small_disk / "out"))) == 96


def test_two_runs_into_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = tiny_frames.write_frames(tmp_path / "frames", 1)
    out = tmp_path / "out"
    out.mkdir()
    command = ["build", str(frames), "--out", str(out), "--quiet"]
    with (out / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(command) == 1
    told = capsys.readouterr().err
    assert told == f"calipers: {out}: another run is at work in this folder\n"
    assert main(command) == 0


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = tiny_frames.write_frames(tmp_path / "frames", 1)
    place = tmp_path / "frames" / "metadata.jsonl" / "out"
    assert "cannot be written" in usage(["build", str(frames), "--out", str(place)], capsys)


def test_passed_through_fields_may_hold_anything(tmp_path: Path) -> None:
    odd = {"nan": NAN, "big": 1e308, "nothing": None, "text": "a\u0000b 📷", "list": [{"x": []}]}
    scene, _ = run_one(tmp_path, lambda line: line.update(odd))
    assert scene.extra == odd | {"nan": None}


def test_intrinsics_stay_as_given(tmp_path: Path) -> None:
    scene, _ = run_one(tmp_path)
    assert scene.camera.matrix.tolist() == INTRINSICS
    assert scene.intrinsics_source == "given"
