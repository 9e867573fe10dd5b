"""What `write_frames` writes, read back with json, Pillow and numpy alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calipers.errors import DataError, UsageError
from calipers.samples.folder import depth_to_millimetres, write_frames
from calipers.types import Camera, Frame, FrameObject


def a_frame(frame_id: str = "one", **given) -> Frame:
    rgb = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    return Frame(frame_id, "", 6, 4, **{"rgb": rgb, **given})


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_no_frames_give_an_empty_table_and_a_readme(tmp_path):
    write_frames(tmp_path / "out", [], "nothing")
    assert records(tmp_path / "out") == []
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["README.md", "metadata.jsonl"]


def test_a_bare_frame_has_only_its_name(tmp_path):
    write_frames(tmp_path, [a_frame()], "bare")
    assert records(tmp_path) == [{"file_name": "images/one.png", "id": "one"}]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "images/one.png")), a_frame().rgb)
    assert not (tmp_path / "depth").exists()


def test_every_given_field_is_written(tmp_path):
    rle = {"size": [4, 6], "counts": "03d0"}
    frame = a_frame(
        camera=Camera(5, 6, 2.5, 1.5, 6, 4),
        gravity=[0, 1, 0],
        depth_m=np.full((4, 6), 1.5, np.float32),
        objects=[
            FrameObject((1, 2, 3, 1), "red box", rle, 0.5, "gripper"),
            FrameObject((0, 0, 1, 1), "cup"),
        ],
        caption="a table",
        extra={"site": "lab", "id": "hidden"},
    )
    write_frames(tmp_path, [frame], "full")
    assert records(tmp_path) == [
        {
            "site": "lab",
            "id": "one",
            "file_name": "images/one.png",
            "depth_file_name": "depth/one.png",
            "depth_scale": 0.001,
            "intrinsics": [[5, 0, 2.5], [0, 6, 1.5], [0, 0, 1]],
            "gravity": [0, 1, 0],
            "objects": {
                "bbox": [[1, 2, 3, 1], [0, 0, 1, 1]],
                "caption": ["red box", "cup"],
                "segmentation": [rle, None],
                "score": [0.5, None],
                "role": ["gripper", None],
            },
            "caption": "a table",
        }
    ]


def test_an_empty_list_of_objects_is_not_the_same_as_no_list(tmp_path):
    write_frames(tmp_path, [a_frame("none"), a_frame("empty", objects=[])], "")
    none, empty = records(tmp_path)
    assert "objects" not in none
    assert empty["objects"] == {"bbox": [], "caption": []}


def test_png_depth_is_whole_millimetres_with_zero_for_no_reading(tmp_path):
    depth_m = np.full((4, 6), 65.535, np.float32)
    depth_m[0, :4] = [0.0014, np.nan, np.inf, 1.2346]
    write_frames(tmp_path, [a_frame(depth_m=depth_m)], "")
    picture = Image.open(tmp_path / "depth/one.png")
    assert picture.mode == "I;16"
    assert np.asarray(picture)[0].tolist() == [1, 0, 0, 1235, 65535, 65535]


def test_npy_depth_is_exact(tmp_path):
    depth_m = np.full((4, 6), 79.123456, np.float32)
    depth_m[0, 0] = np.nan
    write_frames(tmp_path, [a_frame(depth_m=depth_m)], "", depth="npy")
    assert records(tmp_path)[0]["depth_scale"] == 1.0
    read = np.load(tmp_path / "depth/one.npy")
    assert read.dtype == np.float32
    assert read[0, 0] == 0
    assert np.array_equal(read.ravel()[1:], depth_m.ravel()[1:])


@pytest.mark.parametrize("metres", [65.6, -0.1])
def test_depth_that_sixteen_bits_cannot_hold_is_refused_not_wrapped(metres):
    with pytest.raises(DataError, match=r"wanted 0 to 65.535 m.*npy"):
        depth_to_millimetres(np.full((1, 1), metres, np.float32))


def test_frames_may_be_a_generator_and_are_taken_one_by_one(tmp_path):
    seen = []

    def stream() -> Iterator[Frame]:
        for i in range(3):
            seen.append(len(list(tmp_path.glob("images/*"))))
            yield a_frame(f"f{i}")

    write_frames(tmp_path, stream(), "")
    assert seen == [0, 1, 2]
    assert [r["id"] for r in records(tmp_path)] == ["f0", "f1", "f2"]


def test_a_failing_stream_leaves_no_metadata(tmp_path):
    with pytest.raises(DataError, match="has no pixels"):
        write_frames(tmp_path, [a_frame("a"), a_frame("b", rgb=None)], "")
    assert not (tmp_path / "metadata.jsonl").exists()


def test_jpeg_pictures_stay_close(tmp_path):
    grey = np.full((4, 6, 3), 100, np.uint8)
    write_frames(tmp_path, [a_frame(rgb=grey)], "", image_format="jpeg")
    assert records(tmp_path)[0]["file_name"] == "images/one.jpg"
    assert abs(np.asarray(Image.open(tmp_path / "images/one.jpg")).astype(int) - 100).max() <= 1


def test_ids_become_safe_distinct_file_names(tmp_path):
    write_frames(tmp_path / "a", [a_frame("room/1"), a_frame("../x")], "")
    assert [r["file_name"] for r in records(tmp_path / "a")] == [
        "images/room_1.png",
        "images/_._x.png",
    ]
    assert [r["id"] for r in records(tmp_path / "a")] == ["room/1", "../x"]
    with pytest.raises(DataError, match="'room_1' is empty or taken"):
        write_frames(tmp_path / "b", [a_frame("room/1"), a_frame("room_1")], "")


def test_a_used_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UsageError, match="wanted a new or empty folder"):
        write_frames(tmp_path, [a_frame()], "theirs")
    with pytest.raises(UsageError, match="wanted a new or empty folder"):
        write_frames(tmp_path / "README.md", [a_frame()], "theirs")
    assert (tmp_path / "README.md").read_text() == "mine"


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match="got exr, png"):
        write_frames(tmp_path, [a_frame()], "", depth="exr")


def test_hugging_face_reads_the_names_in_the_table(tmp_path):
    """ImageFolder resolves ``file_name`` against the folder of ``metadata.jsonl``."""
    write_frames(tmp_path, [a_frame(depth_m=np.ones((4, 6), np.float32))], "")
    (record,) = records(tmp_path)
    for field in ("file_name", "depth_file_name"):
        assert not Path(record[field]).is_absolute()
        assert (tmp_path / record[field]).is_file()
