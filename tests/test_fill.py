"""Which expert runs for which absence, through whole runs; the experts are `known_experts`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import calipers
from calipers import pipeline
from calipers.errors import MissingWeightsError, UsageError
from calipers.types import Scene
from known_experts import write_photos, write_yaml
from tiny_frames import Record, write_frames

GIVEN = ("depth", "intrinsics", "objects", "masks", "captions", "gravity")


def drop(line: Record, *fields: str) -> None:
    """Take away what `fields` name from a whole record of `tiny_frames`."""
    inside = {"masks": "segmentation", "captions": "caption"}
    for field in fields:
        if field in inside:
            line.get("objects", {}).pop(inside[field], None)
        else:
            line.pop("depth_file_name" if field == "depth" else field, None)


def run(frames: Path, out: Path, experts: Path | None, **options: Any) -> dict[str, Any]:
    named = None if experts is None else str(experts)
    return pipeline.scenes(frames, out, experts=named, cache="none", **options)


def ran(record: dict[str, Any]) -> dict[str, int]:
    """Role → pictures that its experts ran on."""
    return {
        role: sum(done["pictures"] for done in experts.values())
        for role, experts in record["experts"].items()
    }


@pytest.mark.parametrize(
    ("absent", "wanted"),
    [
        ((), ()),
        (("masks",), ("masks",)),
        (("captions",), ("captions",)),
        (("masks", "captions"), ("masks", "captions")),
        (("gravity",), ("gravity",)),
        (("depth",), ("depth",)),
        (("depth", "intrinsics"), ("depth",)),
        (("depth", "gravity"), ("depth", "gravity")),
        (("intrinsics",), ("gravity",)),
        (("objects",), ("tagger", "objects", "masks", "captions")),
        (("objects", "depth"), ("filter", "depth", "tagger", "objects", "masks", "captions")),
        (GIVEN, ("filter", "depth", "tagger", "objects", "masks", "captions", "gravity")),
    ],
    ids=lambda value: "+".join(value) or "nothing",
)
def test_an_expert_runs_for_what_is_absent_and_for_nothing_else(
    absent: tuple[str, ...], wanted: tuple[str, ...], tmp_path: Path
) -> None:
    frames = write_frames(tmp_path / "frames", 2, lambda number, line: drop(line, *absent))
    record = run(frames, tmp_path / "out", write_yaml(tmp_path / "all.yaml"))
    assert ran(record) == dict.fromkeys(wanted, 2)
    assert record["counts"]["scenes"] == 2
    assert record["skipped"] == {}


def scene_without(tmp_path: Path, *absent: str, **changes: Any) -> Scene:
    frames = write_frames(tmp_path / "frames", 1, lambda number, line: drop(line, *absent))
    run(frames, tmp_path / "out", write_yaml(tmp_path / "some.yaml", **changes))
    (scene,) = calipers.read_scenes(tmp_path / "out")
    return scene


def test_what_is_given_stays(tmp_path: Path) -> None:
    given = scene_without(tmp_path)
    assert [item.caption for item in given.objects] == ["red box", "green jar", "blue tin"]
    assert (given.intrinsics_source, given.gravity_source) == ("given", "given")
    assert given.gravity_confidence == 1.0
    assert given.extra == {}


def test_one_box_without_a_caption_gets_one_and_the_others_keep_theirs(tmp_path: Path) -> None:
    def forget(number: int, line: Record) -> None:
        line["objects"]["caption"] = ["red box", None, "blue tin"]

    frames = write_frames(tmp_path / "frames", 1, forget)
    run(frames, tmp_path / "out", write_yaml(tmp_path / "all.yaml"))
    (scene,) = calipers.read_scenes(tmp_path / "out")
    assert [item.caption for item in scene.objects] == ["red box", "cup a", "blue tin"]
    assert scene.extra == {"experts": {"captions": {"expert": "Captions@1"}}}


def test_a_plain_photo_becomes_a_whole_scene(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 1)
    record = calipers.build(photos, tmp_path / "out", experts=write_yaml(tmp_path / "all.yaml"))
    (scene,) = calipers.read_scenes(tmp_path / "out")
    assert record["counts"]["questions"] > 0
    assert (scene.intrinsics_source, scene.camera.fx) == ("Depth", 40.0)
    assert (scene.gravity_source, scene.gravity_confidence) == ("Down", 0.8)
    assert scene.depth_stats["median"] == 2.0
    assert [item.caption for item in scene.objects] == ["cup a", "cup b"]
    assert [item.bbox for item in scene.objects] == [(2, 8, 12, 18), (18, 8, 12, 18)]
    assert [item.score for item in scene.objects] == [0.9, 0.8]
    assert [item.depth_mean for item in scene.objects] == [2.0, 2.0]
    told = scene.extra["experts"]
    assert told["filter"]["scores"]["an iphone photo of an indoor scene"] == 0.75
    assert told["tagger"]["tags"] == ["cup", "lamp"]
    assert told["gravity"]["opinions"] == {"Down": {"degrees_off": 0.0, "confidence": 0.8}}


@pytest.mark.parametrize(
    ("changes", "source", "focal"),
    [
        ({}, "Depth", 40.0),
        ({"depth": {"class": "known_experts:Depth", "options": {"camera": False}}}, "Down", 50.0),
        (
            {
                "depth": {"class": "known_experts:Depth", "options": {"camera": False}},
                "gravity": None,
                "assume_fov_deg": 90,
            },
            "assumed_90deg",
            16.0,
        ),
        ({"depth": {"class": "known_experts:Depth", "camera": True}}, "Down", 50.0),
    ],
)
def test_intrinsics_come_from_the_first_who_knows(
    changes: dict[str, Any], source: str, focal: float, tmp_path: Path
) -> None:
    scene = scene_without(tmp_path, "depth", "intrinsics", **changes)
    assert (scene.intrinsics_source, scene.camera.fx) == (source, pytest.approx(focal))


def test_nobody_knows_the_intrinsics(tmp_path: Path) -> None:
    depth = {"class": "known_experts:Depth", "options": {"camera": False}}
    yaml = write_yaml(tmp_path / "some.yaml", depth=depth, gravity=None)
    frames = write_photos(tmp_path / "photos", 1)
    record = run(frames, tmp_path / "out", yaml)
    assert record["skipped"] == {"intrinsics": {"no_intrinsics": 1}}


def test_a_picture_that_is_no_scene_is_left_out_with_its_scores(tmp_path: Path) -> None:
    yaml = write_yaml(tmp_path / "all.yaml", {"filter": {"share": 0.25}})
    record = run(write_photos(tmp_path / "photos", 2), tmp_path / "out", yaml)
    assert record["skipped"] == {"filter": {"not_a_scene": 2}}
    assert ran(record) == {"filter": 2}
    line = json.loads((tmp_path / "out" / "skipped.jsonl").read_text().splitlines()[0])
    assert line["detail"] == "scene share 0.25; most like 'a close up shot of a single object'"


def test_a_vocabulary_takes_the_place_of_the_tagger(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# things\nblue  mug\n\ntable\nblue mug\n")
    yaml = write_yaml(tmp_path / "all.yaml", captions=None)
    photos = write_photos(tmp_path / "photos", 1)
    record = run(photos, tmp_path / "out", yaml, vocabulary=tmp_path / "words.txt")
    (scene,) = calipers.read_scenes(tmp_path / "out")
    assert "tagger" not in record["experts"]
    assert [item.caption for item in scene.objects] == ["blue mug", "table"]


def test_the_caption_of_a_picture_names_what_to_look_for(tmp_path: Path) -> None:
    def describe(number: int, line: Record) -> None:
        drop(line, "objects")
        line["caption"] = "A toaster on the kitchen table."

    yaml = write_yaml(tmp_path / "all.yaml", captions=None, tagger=None)
    run(write_frames(tmp_path / "frames", 1, describe), tmp_path / "out", yaml)
    (scene,) = calipers.read_scenes(tmp_path / "out")
    assert [item.caption for item in scene.objects] == ["toaster", "kitchen table"]


def test_nothing_to_look_for(tmp_path: Path) -> None:
    yaml = write_yaml(tmp_path / "all.yaml", {"tagger": {"tags": []}})
    record = run(write_photos(tmp_path / "photos", 1), tmp_path / "out", yaml)
    assert record["skipped"] == {"objects": {"no_objects": 1}}


def test_a_poisoned_picture_is_left_out_alone(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 12)
    yaml = write_yaml(tmp_path / "all.yaml", {"depth": {"fails_on": 5}})
    record = run(photos, tmp_path / "out", yaml)
    assert record["counts"]["scenes"] == 11
    lines = (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "id": "p05.png",
            "stage": "depth",
            "reason": "expert_failed",
            "detail": "Depth: ValueError: this picture is poison",
        }
    ]
    assert [scene.id for scene in calipers.read_scenes(tmp_path / "out")] == [
        f"p{number:02d}.png" for number in range(12) if number != 5
    ]


def test_a_new_captioner_runs_alone(tmp_path: Path) -> None:
    photos, cache = write_photos(tmp_path / "photos", 3), tmp_path / "cache"
    first = write_yaml(tmp_path / "first.yaml")
    record = pipeline.scenes(photos, tmp_path / "a", experts=first, cache=cache)
    assert ran(record) == dict.fromkeys(record["experts"], 3)
    again = pipeline.scenes(photos, tmp_path / "b", experts=first, cache=cache)
    assert set(ran(again).values()) == {0}
    other = write_yaml(tmp_path / "other.yaml", {"captions": {"what": "bowl"}})
    changed = pipeline.scenes(photos, tmp_path / "c", experts=other, cache=cache)
    assert ran(changed) == {role: 3 if role == "captions" else 0 for role in changed["experts"]}
    done = changed["experts"]["depth"]["Depth"]
    assert (done["cached"], done["calls"], done["revision"]) == (3, 0, "1")
    a, b, c = (list(calipers.read_scenes(tmp_path / name)) for name in "abc")
    assert [s.objects[0].caption for s in c] == ["bowl a"] * 3
    assert [s.objects[0].cloud.tolist() for s in a] == [s.objects[0].cloud.tolist() for s in b]


def test_workers_give_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    photos, yaml = write_photos(tmp_path / "photos", 40), write_yaml(tmp_path / "all.yaml")
    alone = run(photos, tmp_path / "one", yaml)
    both = run(photos, tmp_path / "two", yaml, workers=2)
    assert both["counts"] == alone["counts"]
    assert ran(both) == ran(alone)
    parts = [sorted((tmp_path / name / "scenes").iterdir()) for name in ("one", "two")]
    rows = [[calipers.read_scenes(part) for part in some] for some in parts]
    for one, two in zip(*rows, strict=True):
        assert [scene.id for scene in one] == [scene.id for scene in two]


def test_a_folder_that_lacks_nothing_asks_nobody(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames", 1)
    yaml = write_yaml(tmp_path / "bad.yaml", depth={"class": "nowhere:Nobody"})
    assert ran(run(frames, tmp_path / "out", yaml)) == {}


def test_weights_that_are_named_and_not_there_end_the_run(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    photos = write_photos(tmp_path / "photos", 1)
    with pytest.raises(MissingWeightsError, match="calipers experts pull siglip2"):
        pipeline.scenes(photos, tmp_path / "out", experts="fast")


def test_without_a_name_what_is_not_there_is_counted(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames", 2, lambda number, line: drop(line, "masks"))
    record = run(frames, tmp_path / "out", None)
    assert record["counts"]["scenes"] == 2
    assert record["counts"]["lifted_objects"] == 0
    assert record["unreferenced"] == {"not lifted: no_mask": 6}
    lacking = record["experts"]["masks"]["lacking"]
    assert lacking["pictures"] == 2
    assert lacking["why"].startswith("sam2-small ")


def test_other_experts_are_another_run(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames", 1)
    run(frames, tmp_path / "out", write_yaml(tmp_path / "a.yaml"))
    other = write_yaml(tmp_path / "b.yaml", {"depth": {"camera": False}}, masks=None)
    with pytest.raises(UsageError) as caught:
        run(frames, tmp_path / "out", other)
    assert (
        "with other options (experts (depth (Depth (options (camera None, now False))), "
        "masks Masks, now None)); give --overwrite"
    ) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"), [("", "has no phrases"), ("# nothing\n", "has no phrases"), (None, "No such")]
)
def test_a_vocabulary_that_cannot_be_used(text: str | None, told: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "words.txt").write_text(text)
    frames = write_frames(tmp_path / "frames", 1)
    with pytest.raises(UsageError, match=told):
        pipeline.build(frames, tmp_path / "out", vocabulary=tmp_path / "words.txt")
