"""Draw the pictures of the documentation: ``make figures`` or ``python docs/figures.py``.

Each is a sample taken through the whole path, and some of the questions that were asked of it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from calipers import Question, Scene, ask, read_scenes
from calipers.samples import write_sample
from calipers.verbs import build
from calipers.view.figure import scene_figure

IMAGES = Path(__file__).parent / "images"

# Sample → its options, and the questions to show: type and seed of each.
FIGURES: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "arc2017": ({}, {"distance": 1, "left_difference": 4, "width": 1}),
    "rooms": (
        {"count": 1, "seed": 8},
        {"height": 3, "gap": 6, "tall_choice": 2, "elevation": 1},
    ),
}


def chosen(scene: Scene, types: dict[str, int]) -> list[Question]:
    """One question of each type, answered in a sentence."""
    return [ask(scene, 1, seed, types=[name], concise=0.0)[0] for name, seed in types.items()]


def draw(name: str, folder: Path) -> None:
    """Write ``images/NAME.jpg``."""
    options, types = FIGURES[name]
    frames, run = folder / name, folder / f"{name}-run"
    write_sample(name, frames, **options)
    build(frames, run, questions_per_scene=0)
    scene = next(read_scenes(run))
    with Image.open(frames / scene.image) as picture:
        rgb = np.asarray(picture.convert("RGB"))
    IMAGES.mkdir(exist_ok=True)
    figure = scene_figure(scene, rgb, chosen(scene, types))
    figure.save(IMAGES / f"{name}.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for each in FIGURES:
            draw(each, Path(scratch))
