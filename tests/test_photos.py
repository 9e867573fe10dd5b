"""Three real photographs through the whole command, by tiny checkpoints of the real model classes.

The weights are random, so what the models see is nonsense; what is held here is that every adapter
is loaded by the same path as a hub id, that units and shapes fit together, and that nothing runs
again from the cache.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")
pytest.importorskip("transformers")
skimage_data = pytest.importorskip("skimage.data")

import calipers  # noqa: E402
import tiny_depth_models  # noqa: E402
import tiny_models  # noqa: E402
from calipers.cli import main  # noqa: E402

PHOTOS = ("astronaut.png", "coffee.png", "chelsea.png")
ROLES = {"filter", "tagger", "objects", "masks", "captions", "depth", "gravity"}
WORDS = "cup\nred lamp\n"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name in PHOTOS:
        shutil.copy(Path(skimage_data.__file__).parent / name, folder)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """Rows of an experts file, each model made once."""
    folder, made = tmp_path_factory.mktemp("models"), {}

    def row(entry: str, model: str, **options: Any) -> dict[str, Any]:
        if model not in made:
            maker = getattr(tiny_models, model, None) or getattr(tiny_depth_models, model)
            made[model] = str(maker(folder / model))
        return {"entry": entry, "id": made[model], "options": options}

    return row


def write(path: Path, rows: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(rows), "utf-8")
    return path


def record(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "run.json").read_text())
    return found


def pictures(found: dict[str, Any]) -> dict[str, int]:
    return {
        role: sum(done["pictures"] for done in experts.values())
        for role, experts in found["experts"].items()
    }


def build(photos: Path, out: Path, experts: Path, *more: str) -> dict[str, Any]:
    arguments = ["build", str(photos), "--out", str(out), "--experts", str(experts), "--quiet"]
    assert main([*arguments, "--device", "cpu", *more]) == 0
    return record(out)


def florence(tiny: Callable[..., dict[str, str]]) -> dict[str, Any]:
    """Florence-2 as tagger, proposer and captioner, and depth without a focal length."""
    return {
        "scene_share": 0,
        "assume_fov_deg": 60,
        "filter": tiny("clip", "clip"),
        "tagger": tiny("florence2-tags", "florence2"),
        "objects": tiny("florence2-objects", "florence2"),
        "masks": tiny("sam2-tiny", "sam2"),
        "captions": tiny("florence2", "florence2"),
        "depth": tiny("depth-anything2-indoor", "depth_anything"),
        "gravity": "normals",
    }


def test_photos_become_scenes(
    photos: Path, tiny: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    experts = write(tmp_path / "tiny.yaml", florence(tiny))
    cache = ("--cache", str(tmp_path / "cache"))
    found = build(photos, tmp_path / "one", experts, *cache)
    assert found["skipped"] == {}
    assert found["counts"]["scenes"] == 3
    assert found["counts"]["lifted_objects"] > 0
    assert set(found["experts"]) == ROLES - {"tagger"}  # Florence finds boxes without phrases
    assert set(pictures(found).values()) == {3}
    for scene in calipers.read_scenes(tmp_path / "one"):
        assert scene.intrinsics_source == "assumed_60deg"
        # Masks of random weights reach all borders, so nothing is sure enough to be asked.
        assert not any(item.whole for item in scene.objects if item.lifted)
        assert scene.camera.fx == pytest.approx(scene.width / 2 / np.tan(np.radians(30)))
        assert 0 < scene.depth_stats["min"] <= scene.depth_stats["max"] <= 20
        told = scene.extra["experts"]
        assert sum(told["filter"]["scores"].values()) == pytest.approx(1, abs=1e-3)
        assert "depth_anything@local-" in told["depth"]["expert"]
        for item in scene.objects:
            assert item.caption
            assert item.segmentation is None or item.segmentation["size"] == [
                scene.height,
                scene.width,
            ]
    assert found["counts"]["questions"] == 0
    again = build(photos, tmp_path / "two", experts, *cache)
    assert {r: n for r, n in pictures(again).items() if n} == {"gravity": 3}  # too cheap to keep
    assert rows(tmp_path / "two") == rows(tmp_path / "one")


def rows(out: Path) -> list[Any]:
    return [
        (scene.id, [(item.caption, item.bbox, item.depth_mean) for item in scene.objects])
        for scene in calipers.read_scenes(out)
    ]


def test_changing_the_captioner_runs_nothing_else(
    photos: Path, tiny: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    cache = ("--cache", str(tmp_path / "cache"))
    first = florence(tiny)
    build(photos, tmp_path / "one", write(tmp_path / "a.yaml", first), *cache)
    changed = first | {"captions": tiny("florence2", "florence2", beams=1)}
    found = build(photos, tmp_path / "two", write(tmp_path / "b.yaml", changed), *cache)
    kept = {"filter": 0, "objects": 0, "masks": 0, "captions": 3, "depth": 0, "gravity": 3}
    assert pictures(found) == kept


def test_phrases_and_moge(
    photos: Path, tiny: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    pytest.importorskip("moge")
    experts = {
        "scene_share": 0,
        "filter": tiny("siglip2", "siglip"),
        "objects": tiny("llmdet-tiny", "llmdet", threshold=0.0),
        "masks": tiny("sam", "sam"),
        "depth": tiny("moge2", "moge"),
        "gravity": "normals",
    }
    (tmp_path / "words.txt").write_text(WORDS)
    more = ("--vocabulary", str(tmp_path / "words.txt"), "--cache", "none")
    found = build(photos, tmp_path / "out", write(tmp_path / "tiny.yaml", experts), *more)
    assert found["counts"]["scenes"] == 3
    for scene in calipers.read_scenes(tmp_path / "out"):
        assert scene.intrinsics_source == "moge2"
        assert 0.2 < scene.camera.fx / scene.width < 5
        assert {item.caption for item in scene.objects} <= set(WORDS.split("\n"))


def test_the_papers_models(
    photos: Path, tiny: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    experts = {
        "base": "paper",
        "scene_share": 0,
        "filter": tiny("clip", "clip"),
        "objects": tiny("owlv2", "owlv2", threshold=0.0),
        "masks": tiny("sam2-base-plus", "sam2"),
        "captions": tiny("florence2-large", "florence2"),
        "depth": tiny("zoedepth", "zoedepth"),
    }
    found = build(photos, tmp_path / "out", write(tmp_path / "tiny.yaml", experts))
    assert found["counts"]["scenes"] == 3
    assert "tagger" not in found["experts"]  # OWLv2's boxes are class-agnostic
    assert {scene.intrinsics_source for scene in calipers.read_scenes(tmp_path / "out")} == {
        "assumed_60deg"
    }


@pytest.mark.parametrize("hushed", [True, False])
def test_models_load_without_a_word_under_the_command_alone(
    hushed: bool, tiny: Callable[..., dict[str, str]]
) -> None:
    """Elsewhere the progress bars of transformers stay as its user set them."""
    folder = tiny("clip", "clip")["id"]
    command = f"main(['experts', 'check', 'clip', '--source', {folder!r}])"
    library = f"try_out('clip', {folder!r}, 'cpu', None)"
    script = (
        "from calipers.cli import main; from calipers.experts.shelf import try_out; "
        f"{command if hushed else library}"
    )
    unset = {name: value for name, value in os.environ.items() if not name.startswith("TRANSF")}
    unset.pop("HF_HUB_DISABLE_PROGRESS_BARS", None)
    done = subprocess.run([sys.executable, "-c", script], env=unset, capture_output=True, text=True)
    assert done.returncode == 0
    assert ("it/s]" in done.stderr) is not hushed
    assert (done.stderr == "") is hushed
