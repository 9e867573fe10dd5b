"""What an expert is: one small Protocol a role, batched, with the units of everything.

Pictures are (H, W, 3) uint8 RGB, upright; pictures of one batch may differ in size. Boxes are
(N, 4) float32 ``x1 y1 x2 y2`` in pixels of the picture, x2 and y2 exclusive, inside the picture.
Results come in the order of the input. The camera frame is OpenCV's: x right, y down, z forward.

An expert raises `Skip` for nothing: a picture that a model cannot take raises whatever the model
raises, and the caller finds out which picture it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calipers.errors import DataError
from calipers.types import Bools, Camera, Floats

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A box in which an object may be.

    Attributes:
        bbox_xyxy: pixels, inside the picture, x2 and y2 exclusive.
        phrase: what the model takes it for; None from a class-agnostic proposer.
        score: confidence in [0, 1]; None from a model that gives none.
        mask: (H, W), from models that find box and mask together.
    """

    bbox_xyxy: tuple[float, float, float, float]
    phrase: str | None = None
    score: float | None = None
    mask: Bools | None = None


@dataclass(frozen=True, slots=True)
class DepthMap:
    """Metric depth of one picture.

    Attributes:
        depth_m: (H, W) float32 distance along the optical axis, metres, NaN where invalid.
        camera: the model's own estimate of the intrinsics; None when it takes or needs none.
        normals: (H, W, 3) float32 unit vectors towards the camera, camera frame, NaN where unknown.
    """

    depth_m: Floats
    camera: Camera | None = None
    normals: Floats | None = None

    def __post_init__(self) -> None:
        if self.depth_m.ndim != 2 or self.depth_m.dtype != np.float32:
            raise DataError(
                f"depth: wanted float32 (H, W), got {self.depth_m.dtype} {self.depth_m.shape}"
            )
        if self.normals is not None and self.normals.shape != (*self.depth_m.shape, 3):
            raise DataError(f"normals: wanted {(*self.depth_m.shape, 3)}, got {self.normals.shape}")


@dataclass(frozen=True, slots=True)
class Gravity:
    """Which way is down in a picture.

    Attributes:
        down: (3,) float32 unit vector, camera frame.
        confidence: in [0, 1]; 0.5 for an expected error of about 5 degrees.
        camera: intrinsics estimated on the way; None when they were taken or not needed.
    """

    down: Floats
    confidence: float
    camera: Camera | None = None


class SceneFilter(Protocol):
    """Tells what kind of picture it is."""

    def score(self, images: Sequence[Image]) -> list[dict[str, float]]:
        """Score each picture: label → probability in [0, 1]."""
        ...


class Tagger(Protocol):
    """Names what can be seen, as phrases for an `ObjectProposer`."""

    def tag(self, images: Sequence[Image]) -> list[list[str]]:
        """Name the things in each picture: lower-case phrases without articles, all different."""
        ...


class ObjectProposer(Protocol):
    """Finds boxes of objects."""

    def propose(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[Proposal]]:
        """Find boxes in each picture, for its phrases; all objects where it has no phrases."""
        ...


class Segmenter(Protocol):
    """Cuts the object out of a box."""

    def segment(self, images: Sequence[Image], boxes_xyxy: Sequence[Floats]) -> list[Bools]:
        """Find one mask a box: (N, H, W) for the (N, 4) boxes of each picture."""
        ...


class Captioner(Protocol):
    """Says in a few words what is in a box."""

    def describe(
        self,
        images: Sequence[Image],
        boxes_xyxy: Sequence[Floats],
        words: Sequence[Sequence[int]],
    ) -> list[list[str | None]]:
        """Describe each box of each picture, in at most so many words where the model can.

        None for a box of which the model says nothing that can be used: its object stays without
        a caption, and is not asked about. "" takes the phrase that the object was found by.
        """
        ...


class DepthEstimator(Protocol):
    """Sees how far everything is."""

    def estimate(self, images: Sequence[Image], cameras: Sequence[Camera | None]) -> list[DepthMap]:
        """Estimate metric depth, with the camera where it is known."""
        ...


class GravityEstimator(Protocol):
    """Sees which way is down."""

    def down(
        self,
        images: Sequence[Image],
        cameras: Sequence[Camera | None],
        depths: Sequence[DepthMap | None],
    ) -> list[Gravity | None]:
        """Estimate gravity, with camera and depth where they are known; None: cannot tell."""
        ...


class TextSimilarity(Protocol):
    """Decides which captions can be taken for one another."""

    def alike(self, captions: Sequence[str]) -> Bools:
        """Row i, column j of the (N, N) result: caption i could also be said of object j."""
        ...
