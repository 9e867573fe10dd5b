"""Experts that need no weights and whose answers can be told from the picture: for the machinery.

Each says what a person can check: depth is 2 m everywhere, a mask fills its box, a caption is the
number of words it was allowed. The lowest pixel value of a picture names it, see `write_photos`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import PIL.Image

from calipers.experts.base import DepthMap, Gravity, Image, Proposal
from calipers.experts.image_text import OTHERS, SCENES
from calipers.types import Bools, Camera, Floats

WIDTH, HEIGHT = 48, 36
PHRASES = ("cup", "lamp")


class Known:
    """Takes what every adapter takes; raises on the picture named `fails_on`."""

    def __init__(self, fails_on: int | None = None, most: int = 1000, **said: Any) -> None:
        self.fails_on, self.most, self.said = fails_on, most, said
        self.revision = "1"
        self.sizes: list[int] = []

    @classmethod
    def load(
        cls,
        source: str,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> Self:
        return cls(**options)

    def look(self, images: Sequence[Image]) -> None:
        self.sizes.append(len(images))
        if len(images) > self.most:
            raise MemoryError
        for image in images:
            if number_of(image) == self.fails_on:
                raise ValueError("this picture is poison")


class Filter(Known):
    def score(self, images: Sequence[Image]) -> list[dict[str, float]]:
        self.look(images)
        share = self.said.get("share", 0.75)
        return [{SCENES[0]: share, OTHERS[0]: 1 - share} for _ in images]


class Tagger(Known):
    def tag(self, images: Sequence[Image]) -> list[list[str]]:
        self.look(images)
        return [list(self.said.get("tags", PHRASES)) for _ in images]


class Objects(Known):
    """A box for each phrase, from left to right; one for "thing" without phrases."""

    def propose(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Proposal]]:
        self.look(images)
        return [
            [
                Proposal((2.0 + 16 * i, 8.0, 14.0 + 16 * i, 26.0), word, 0.9 - 0.1 * i)
                for i, word in enumerate(words or ["thing"])
            ]
            for words in phrases
        ]


class Masks(Known):
    def segment(self, images: Sequence[Image], boxes_xyxy: Sequence[Floats]) -> list[Bools]:
        self.look(images)
        found = []
        for image, boxes in zip(images, boxes_xyxy):
            masks = np.zeros((len(boxes), *image.shape[:2]), bool)
            for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int)):
                mask[y1:y2, x1:x2] = True
            found.append(masks)
        return found


class Captions(Known):
    def describe(
        self,
        images: Sequence[Image],
        boxes_xyxy: Sequence[Floats],
        words: Sequence[Sequence[int]],
    ) -> list[list[str]]:
        self.look(images)
        what = self.said.get("what", "cup")
        return [
            [f"{what} {'abcdefgh'[i]}" for i, _ in enumerate(limits)]
            for boxes, limits in zip(boxes_xyxy, words, strict=True)
        ]


class Depth(Known):
    """A wall 2 m away; sees the camera unless `camera` is False."""

    def estimate(self, images: Sequence[Image], cameras: Sequence[Camera | None]) -> list[DepthMap]:
        self.look(images)
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> DepthMap:
        height, width = image.shape[:2]
        camera = Camera(40.0, 40.0, (width - 1) / 2, (height - 1) / 2, width, height)
        depth = np.full((height, width), 2.0, np.float32)
        return DepthMap(depth, camera if self.said.get("camera", True) else None)


class Down(Known):
    """Down the picture, with confidence 0.8; sees a camera of 50 px where none is known."""

    def down(
        self,
        images: Sequence[Image],
        cameras: Sequence[Camera | None],
        depths: Sequence[DepthMap | None],
    ) -> list[Gravity | None]:
        self.look(images)
        down = np.array([0, 1, 0], np.float32)
        return [
            Gravity(down, 0.8, None if known else _camera(image))
            for image, known in zip(images, cameras)
        ]


def _camera(image: Image) -> Camera:
    height, width = image.shape[:2]
    return Camera(50.0, 50.0, (width - 1) / 2, (height - 1) / 2, width, height)


def number_of(image: Image) -> int:
    """Which picture of `write_photos` it is."""
    return int(image.min())


def picture(number: int) -> Image:
    """A picture that `number_of` tells from others."""
    noise = np.random.default_rng(number).integers(number, 256, (HEIGHT, WIDTH, 3))
    noise[0, 0] = number
    return noise.astype(np.uint8)


def write_photos(folder: Path, count: int) -> Path:
    """A folder of bare photos, ``p00.png`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        PIL.Image.fromarray(picture(number)).save(folder / f"p{number:02d}.png")
    return folder


ROLES = {
    "filter": "Filter", "tagger": "Tagger", "objects": "Objects", "masks": "Masks",
    "captions": "Captions", "depth": "Depth", "gravity": "Down",
}  # fmt: skip


def write_yaml(path: Path, options: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A file that takes the experts of this module; `changes` replace whole rows, None removes."""
    import yaml

    rows: dict[str, Any] = {
        role: {"class": f"known_experts:{name}", "options": (options or {}).get(role, {})}
        for role, name in ROLES.items()
    }
    rows["objects"]["phrases"] = True
    path.write_text(yaml.safe_dump(rows | changes), "utf-8")
    return path
