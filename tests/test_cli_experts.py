"""`calipers experts`, and what the command line says when an expert is not there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import calipers
from calipers.cli import main
from calipers.experts.shelf import HEADER, rows, sample_depth, sample_picture, try_out
from calipers.experts.table import ENTRIES
from calipers.types import Camera
from chat_server import said, serving
from known_experts import picture, write_photos, write_yaml

Capture = pytest.CaptureFixture[str]


def complaint(arguments: list[str], code: int, capsys: Capture) -> str:
    """The one line that a command ends with."""
    assert main(arguments) == code
    told = capsys.readouterr().err.splitlines()
    lines = [line for line in told if line.startswith("calipers:")]
    assert len(lines) == 1
    assert "Traceback" not in "".join(told)
    return lines[0]


def test_list(capsys: Capture) -> None:
    assert main(["experts", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == list(HEADER)
    assert len(lines) == 1 + len(ENTRIES)
    depth_pro = next(line for line in lines if line.startswith("depth-pro "))
    assert "apple-amlr (research only)" in depth_pro
    assert "not fetched" in depth_pro
    sam3 = dict(zip(HEADER, next(row for row in rows() if row[0] == "sam3")))
    assert (sam3["gated"], sam3["licence"], sam3["id"]) == ("gated", "SAM License", "facebook/sam3")


def test_list_of_a_role(capsys: Capture) -> None:
    assert main(["experts", "list", "gravity"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["geocalib", "normals"]
    assert "wanted one of filter" in complaint(["experts", "list", "colour"], 2, capsys)


def test_check_runs_an_expert_on_the_drawn_room(capsys: Capture) -> None:
    assert main(["experts", "check", "normals"]) == 0
    told = capsys.readouterr().out
    assert "down is [-0.0, 1.0, -0.0], confidence" in told
    assert "to load" in told
    assert main(["experts", "check", "words"]) == 0
    assert "[[True, True], [True, True]]" in capsys.readouterr().out


def test_check_takes_a_picture(tmp_path: Path, capsys: Capture) -> None:
    PIL.Image.fromarray(picture(1)).save(tmp_path / "a.png")
    assert main(["experts", "check", "normals", "--image", str(tmp_path / "a.png")]) == 0
    (tmp_path / "b.png").write_bytes(b"no picture")
    wanted = complaint(
        ["experts", "check", "normals", "--image", str(tmp_path / "b.png")], 2, capsys
    )
    assert "not a PNG" in wanted


def test_check_of_what_is_not_there(capsys: Capture) -> None:
    assert "no expert 'moge9'" in complaint(["experts", "check", "moge9"], 2, capsys)


def test_check_without_weights_says_which_and_how(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("transformers")
    assert complaint(["experts", "check", "florence2-large"], 2, capsys) == (
        "calipers: no weights of florence-community/Florence-2-large on this disk: fetch them with "
        "'calipers experts pull florence2-large', or give a local folder as the id in "
        "--experts FILE.yaml"
    )
    told = complaint(["experts", "check", "clip", "--source", str(tmp_path)], 2, capsys)
    assert f"cannot load {tmp_path}: " in told
    missing = ["experts", "check", "clip", "--source", str(tmp_path / "none")]
    assert f"no such folder of weights: {tmp_path / 'none'}" in complaint(missing, 2, capsys)


def test_check_without_the_package(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    told = complaint(["experts", "check", "clip"], 1, capsys)
    assert told.endswith("needs an optional dependency: pip install 'calipers[models]'")


def test_pull_without_network(capsys: Capture) -> None:
    pytest.importorskip("huggingface_hub")
    told = complaint(["experts", "pull", "moge2-small"], 2, capsys)  # HF_HUB_OFFLINE is set
    assert "cannot fetch Ruicheng/moge-2-vits-normal: " in told
    assert "'hf download Ruicheng/moge-2-vits-normal'" in told
    assert "wanted a preset" in complaint(["experts", "pull"], 2, capsys)
    assert "got 'moge9'" in complaint(["experts", "pull", "moge9"], 2, capsys)


def test_a_named_preset_without_weights_ends_the_run(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("transformers")
    photos = write_photos(tmp_path / "photos", 1)
    arguments = ["build", str(photos), "--out", str(tmp_path / "out"), "--experts", "paper"]
    assert "no weights of openai/clip-vit-base-patch32" in complaint(arguments, 2, capsys)


def test_plain_photos_without_experts_say_how_to_get_them(tmp_path: Path, capsys: Capture) -> None:
    photos = write_photos(tmp_path / "photos", 2)
    assert main(["build", str(photos), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out.splitlines()
    line = next(line for line in told if line.startswith("experts   depth: "))
    assert line.startswith("experts   depth: none for 2 pictures (moge2 ")
    assert "skipped   2 records (depth: no_depth)" in told


def test_a_restricted_model_is_told_before_it_runs(tmp_path: Path, capsys: Capture) -> None:
    yaml = write_yaml(tmp_path / "some.yaml", depth="depth-pro")
    photos = write_photos(tmp_path / "photos", 1)
    main(["build", str(photos), "--out", str(tmp_path / "out"), "--experts", str(yaml)])
    assert "calipers: depth: depth-pro is apple-amlr (research only)" in capsys.readouterr().err


def test_the_summary_says_what_ran(tmp_path: Path, capsys: Capture) -> None:
    yaml = write_yaml(tmp_path / "all.yaml", {"masks": {"fails_on": 1}})
    photos = write_photos(tmp_path / "photos", 2)
    arguments = ["scenes", str(photos), "--experts", str(yaml), "--cache", str(tmp_path / "cache")]
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "experts   depth: Depth on 2 pictures" in told
    assert "experts   masks: Masks on 4 pictures, 1 failed" in told  # twice in a batch, then alone
    assert main([*arguments, "--out", str(tmp_path / "two")]) == 0
    assert "experts   depth: Depth on 0 pictures, 2 cached" in capsys.readouterr().out.splitlines()


def test_bad_options(tmp_path: Path, capsys: Capture) -> None:
    photos = write_photos(tmp_path / "photos", 1)
    base = ["build", str(photos), "--out", str(tmp_path / "out")]
    assert "wanted permissive, fast" in complaint([*base, "--experts", "quick"], 2, capsys)
    assert "cannot read" in complaint([*base, "--vocabulary", str(tmp_path / "no")], 2, capsys)
    assert not (tmp_path / "out").exists()


def test_the_drawn_room() -> None:
    room = sample_picture()
    assert room.shape == (480, 640, 3)
    assert room[300, 200].tolist() == [180, 40, 40]
    camera = Camera(320, 320, 319.5, 239.5, 640, 480)
    depth = sample_depth(camera).depth_m
    assert depth[100].max() == 4.0
    assert depth[479, 320] == pytest.approx(320 * 1.5 / 239.5)
    assert "down is" in try_out("normals").answer


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_endpoints_used_is_summed_and_told(
    workers: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """33 pictures are 2 shards; each picture is 1 question for tags and 2 boxes to name."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def answer(body: dict[str, Any]) -> Any:
        text = body["messages"][0]["content"][0]["text"]
        return said("cup\nlamp", (700, 10)) if "List the things" in text else said("mug", (900, 5))

    photos = write_photos(tmp_path / "photos", 33)
    with serving(answer) as server:
        options = {"base_url": server.url}
        paid = options | {"price_in": 2, "price_out": 10}
        yaml = write_yaml(
            tmp_path / "all.yaml",
            tagger={"entry": "endpoint-tags", "id": "m", "options": options},
            captions={"entry": "endpoint", "id": "m", "options": paid},
        )
        arguments = ["scenes", str(photos), "--experts", str(yaml), "--workers", workers]
        arguments += ["--cache", str(tmp_path / "cache"), "--out"]
        assert main([*arguments, str(tmp_path / "one")]) == 0
        told = capsys.readouterr().out.splitlines()
        assert main([*arguments, str(tmp_path / "two")]) == 0
    again = capsys.readouterr().out
    assert "used      tagger: 33 answers, 0 sent again, 23,100 tokens in, 330 out" in told
    # 66 captions: 59,400 tokens at 2 and 330 at 10 a million
    paid_for = "66 answers, 0 sent again, 59,400 tokens in, 330 out, cost 0.1221"
    assert f"used      captions: {paid_for}" in told
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    usage = record["experts"]["captions"]["endpoint"]["usage"]
    assert usage.pop("cost") == pytest.approx(0.1221, abs=1e-9)
    assert usage == {
        "answers": 66, "unstated": 0, "retries": 0, "tokens_in": 59400, "tokens_out": 330,
    }  # fmt: skip
    assert "used  " not in again  # all from the cache
    assert len(server.asked) == 99


def test_the_pictures_of_annotations_may_be_anywhere(tmp_path: Path, capsys: Capture) -> None:
    photos = write_photos(tmp_path / "elsewhere" / "pictures", 1)
    coco = {
        "images": [{"id": 7, "file_name": "p00.png", "width": 48, "height": 36}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [2, 8, 12, 18]}],
        "categories": [{"id": 3, "name": "teapot"}],
    }
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "coco.json").write_text(json.dumps(coco))
    yaml = write_yaml(tmp_path / "all.yaml", captions=None)
    arguments = ["build", str(tmp_path / "lists" / "coco.json"), "--experts", str(yaml)]
    arguments += ["--out", str(tmp_path / "out"), "--quiet"]
    assert main([*arguments, "--images", str(photos)]) == 0
    (scene,) = calipers.read_scenes(tmp_path / "out")
    assert scene.image == "p00.png"
    assert [(item.caption, item.bbox) for item in scene.objects] == [("teapot", (2, 8, 12, 18))]
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["pictures"] == str(photos)
    assert record["arguments"]["given"]["images"] == str(photos)
    told = complaint([*arguments, "--images", str(tmp_path / "nowhere")], 2, capsys)
    assert f"no such folder of images: {tmp_path / 'nowhere'}" in told


def test_an_object_that_the_endpoint_does_not_name_is_left_out_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    photos = write_photos(tmp_path / "photos", 1)
    with serving([said("Sorry."), said("I cannot tell."), said("mug")]) as server:
        options = {"base_url": server.url, "concurrency": 1}
        endpoint = {"entry": "endpoint", "id": "m", "options": options}
        yaml = write_yaml(tmp_path / "all.yaml", captions=endpoint)
        arguments = ["scenes", str(photos), "--experts", str(yaml), "--cache", "none"]
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    (scene,) = calipers.read_scenes(tmp_path / "out")
    assert [item.reference for item in scene.objects] == [None, "the mug"]
    assert [item.reference_reason for item in scene.objects] == ["no_caption", None]
    assert scene.extra["experts"]["captions"]["unnamed"] == 1
    assert "not asked 1 object (no_caption)" in capsys.readouterr().out
    assert len(server.asked) == 3
