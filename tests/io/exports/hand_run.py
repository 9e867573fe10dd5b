"""A finished run written by hand: two pictures, four questions, boxes with round numbers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from calipers.io.masks import encode_mask
from calipers.io.questions import QUESTION_SCHEMA, questions_table
from calipers.io.run import Notes, write_part
from calipers.io.scenes import scenes_table
from calipers.types import Camera, Scene, SceneObject

SIZES = {"a/one.jpg": (640, 480), "two.png": (1000, 500)}
QUESTIONS = [
    ("one", "left_predicate", "Is the box on the left left of the lamp?", "Yes.", (1, 0)),
    (
        "one",
        "distance",
        "How far is the lamp off the box?",
        "The lamp is 2 m off the box.",
        [0, 2],
    ),
    ("one", "height", "The lamp: how high?", "About 40 cm.", (0,)),
    ("two", "width", "How wide is the sign <image>?", "The sign <image> is 1 m wide.", (0,)),
]


def pixels(size_wh: tuple[int, int]) -> np.ndarray:
    width, height = size_wh
    return np.linspace(0, 255, height * width * 3).astype(np.uint8).reshape(height, width, 3)


def _object(name: str | None, bbox: tuple[float, ...], mask: np.ndarray | None) -> SceneObject:
    return SceneObject(
        caption=name or "wall",
        bbox=bbox,
        reference=name,
        segmentation=None if mask is None else encode_mask(mask),
    )


def _scene(name: str, image: str, objects: list[SceneObject]) -> Scene:
    width, height = SIZES[image]
    stats = {"valid": 1.0, "min": 1.0, "p5": 1.0, "median": 2.0, "p95": 3.0, "max": 3.0}
    return Scene(
        id=name,
        image=image,
        width=width,
        height=height,
        camera=Camera(500, 500, 1, 1, width, height),
        intrinsics_source="given",
        objects=objects,
        depth_stats={**stats, "noise": 0.0},
    )


def scenes() -> list[Scene]:
    mask = np.zeros((480, 640), bool)
    mask[100:201, 300:321] = True
    one = [
        _object("the lamp", (64, 48, 256, 432), mask),
        _object("the box on the left", (0, 0, 32, 24), None),
        _object("the box", (320, 240, 320.5, 240), None),
    ]
    two = [
        _object("the sign <image>", (100, 50, 400, 450), None),
        _object(None, (0, 0, 9, 9), None),
    ]
    return [_scene("one", "a/one.jpg", one), _scene("two", "two.png", two)]


def write_run(folder: Path) -> Path:
    """Pictures in ``folder/frames``, the run in ``folder/run``."""
    for name, size_wh in SIZES.items():
        path = folder / "frames" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(size_wh)).save(path)
    columns = {name: [None] * len(QUESTIONS) for name in QUESTION_SCHEMA.names}
    numbers: Counter[str] = Counter()
    for k, (scene, kind, question, answer, index) in enumerate(QUESTIONS):
        row = {"id": f"{scene}#{numbers[scene]}", "scene_id": scene, "type": kind}
        row |= {"question": question, "answer": answer, "object_index": index}
        numbers[scene] += 1
        for name, value in row.items():
            columns[name][k] = value
    write_part(folder / "run", "qa", 0, questions_table(columns), Notes())
    write_part(folder / "run", "scenes", 0, scenes_table(scenes()), Notes())
    record = {"status": "complete", "options": {"input": str(folder / "frames")}}
    (folder / "run" / "run.json").write_text(json.dumps(record))
    return folder / "run"
