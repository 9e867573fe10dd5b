"""A depth expert that some pictures end: for tests of what becomes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import known_experts
from calipers.experts.base import DepthMap, Image
from calipers.types import Camera
from engine.poisons import touch


class Depth(known_experts.Depth):
    """Does to picture k what ``said["poison"][k]`` names (see `engine.poisons.touch`)."""

    def estimate(self, images: Sequence[Image], cameras: Sequence[Camera | None]) -> list[DepthMap]:
        for image in images:
            what = self.said.get("poison", {}).get(known_experts.number_of(image))
            if what is not None:
                touch(what, Path("/"))
        return super().estimate(images, cameras)
