"""The records that travel through Calipers: Frame → Scene → Fact → Question.

Frames of reference (see ``docs/conventions.md``): the *camera frame* is OpenCV's (x right, y down,
z forward, metres); the *level frame* has z up, y forward (the viewing direction projected on the
horizontal) and x to the viewer's right. Integer pixel coordinates name pixel centres.

Wrong data cannot be built: every constructor checks shapes and ranges and raises `DataError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from calipers.errors import DataError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
ReferenceFrame = Literal["camera", "level"]
Kind = Literal["qualitative", "quantitative"]


class Rle(TypedDict):
    """A COCO run-length mask: ``size`` is [height, width], ``counts`` the compressed string."""

    size: list[int]
    counts: str


def _vector(name: str, value: Any, length: int) -> Floats:
    array = np.asarray(value, dtype=np.float32)
    if array.shape != (length,):
        raise DataError(f"{name}: wanted {length} numbers, got shape {array.shape}")
    if not all(map(isfinite, array.tolist())):
        raise DataError(f"{name}: wanted finite numbers, got {array.tolist()}")
    return array


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera without distortion; (cx, cy) counts from the centre of the top-left pixel.

    >>> Camera(fx=500, fy=500, cx=319.5, cy=239.5, width=640, height=480).matrix[0].tolist()
    [500.0, 0.0, 319.5]
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy)
        if not all(map(isfinite, numbers)) or self.fx <= 0 or self.fy <= 0:
            raise DataError(f"camera: wanted finite numbers and positive focals, got {numbers}")
        if self.width < 1 or self.height < 1:
            raise DataError(
                f"camera: wanted a size of at least 1x1, got {self.width}x{self.height}"
            )

    @classmethod
    def from_matrix(cls, matrix: Any, size_wh: tuple[int, int]) -> Camera:
        """Take fx, fy, cx, cy from a 3x3 intrinsic matrix in pixels; skew must be zero."""
        k = np.asarray(matrix, dtype=np.float64)
        if k.shape != (3, 3):
            raise DataError(f"intrinsics: wanted shape (3, 3), got {k.shape}")
        (fx, skew, cx), (low, fy, cy), (left, right, one) = k.tolist()
        if not all(abs(zero) <= 1e-6 for zero in (skew, low, left, right, one - 1)):
            raise DataError(f"intrinsics: wanted [[fx,0,cx],[0,fy,cy],[0,0,1]], got {k.tolist()}")
        return cls(fx, fy, cx, cy, *size_wh)

    @property
    def matrix(self) -> Doubles:
        """The 3x3 intrinsic matrix, pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)


@dataclass(slots=True)
class FrameObject:
    """One object as it came with a frame; absent parts are None until an expert fills them.

    Attributes:
        bbox_xywh: x, y, width, height in pixels.
        rle: its mask, of the image's size.
        role: "gripper", "hand" or None.
        phrase: what it was looked for or taken as; its caption when nobody gives a better one.
    """

    bbox_xywh: tuple[float, float, float, float]
    caption: str | None = None
    rle: Rle | None = None
    score: float | None = None
    role: str | None = None
    phrase: str | None = None


@dataclass(slots=True)
class Frame:
    """One picture with whatever came with it; None means "not given".

    Attributes:
        id: stable and unique in a run.
        image: path relative to the input folder, POSIX.
        rgb: (H, W, 3) uint8, upright (EXIF rotation applied); None where pixels are not wanted.
        depth_m: (H, W) float32 z-depth in metres, NaN where there is no reading.
        normals: (H, W, 3) float32 unit vectors towards the camera, camera frame, NaN where unknown.
        gravity: unit vector, down, camera frame.
        gravity_source: who told it; set without `gravity` when those asked are in doubt.
        gravity_confidence: in [0, 1]; None for one that was given.
        objects: None when objects were not given at all; an empty list when there are none.
        extra: fields of the record that Calipers does not know, passed through.
        filled: role of an expert → what it was and told, for each that filled something in.
        pixels_hash: names the picture by its pixels; None until an expert's cache asks.
    """

    id: str
    image: str
    width: int
    height: int
    rgb: NDArray[np.uint8] | None = None
    depth_image: str | None = None
    depth_m: Floats | None = None
    camera: Camera | None = None
    intrinsics_source: str | None = None
    gravity: Floats | None = None
    gravity_source: str | None = None
    objects: list[FrameObject] | None = None
    caption: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    normals: Floats | None = None
    gravity_confidence: float | None = None
    filled: dict[str, dict[str, Any]] = field(default_factory=dict)
    pixels_hash: str | None = None

    def __post_init__(self) -> None:
        if self.depth_m is not None and self.depth_m.shape != (self.height, self.width):
            raise DataError(
                f"depth: wanted shape {(self.height, self.width)}, got {self.depth_m.shape}"
            )
        if self.gravity is not None:
            self.gravity = _vector("gravity", self.gravity, 3)


@dataclass(slots=True)
class SceneObject:
    """One object of a scene. What was lifted to 3D is None when `center_camera` is None.

    Attributes:
        caption: the phrase that came with the object.
        reference: the definite phrase questions use ("the green ball on the left"); None when the
            object cannot be referred to or was not lifted, and `reference_reason` says why.
        bbox: x, y, width, height in pixels.
        pixels: pixels of the mask that carry cleaned depth.
        center_camera, size_camera: (3,) box in the camera frame, metres.
        center_level, size_level: (3,) box in the level frame; None without one.
        depth_center, depth_mean, depth_p5, depth_p95: z-depth in metres over the cleaned mask.
        touches_border: the mask reaches the picture's border.
        hidden_share: part of the outline, or of its lowest row where that is more, beyond which
            something nearer is seen.
        cloud: (N, 3) int16, N at most 512; metres in the camera frame = origin + scale * cloud.
    """

    caption: str
    bbox: tuple[float, float, float, float]
    reference: str | None = None
    reference_reason: str | None = None
    role: str | None = None
    segmentation: Rle | None = None
    score: float | None = None
    pixels: int = 0
    center_camera: Floats | None = None
    size_camera: Floats | None = None
    center_level: Floats | None = None
    size_level: Floats | None = None
    depth_center: float | None = None
    depth_mean: float | None = None
    depth_p5: float | None = None
    depth_p95: float | None = None
    touches_border: bool = False
    hidden_share: float = 0.0
    cloud: NDArray[np.int16] | None = None
    cloud_origin: Floats | None = None
    cloud_scale: float | None = None

    def __post_init__(self) -> None:
        for name in ("center_camera", "size_camera", "center_level", "size_level", "cloud_origin"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, _vector(name, value, 3))
        if self.cloud is not None and (
            self.cloud.dtype != np.int16 or self.cloud.shape[1:] != (3,)
        ):
            raise DataError(
                f"cloud: wanted int16 (N, 3), got {self.cloud.dtype} {self.cloud.shape}"
            )
        if (self.center_camera is None) != (self.cloud is None):
            raise DataError("an object has both a box and a cloud, or neither")

    @property
    def whole(self) -> bool:
        """Whether the object is seen to its ends, so that its size and its bottom are known."""
        return not self.touches_border and self.hidden_share <= 0.25

    @property
    def lifted(self) -> bool:
        """Whether the object has a place in 3D."""
        return self.center_camera is not None

    def points(self) -> Floats:
        """(N, 3) float32 cleaned points in the camera frame, metres."""
        if self.cloud is None or self.cloud_origin is None or self.cloud_scale is None:
            raise DataError(f"object {self.caption!r} was not lifted and has no points")
        return self.cloud_origin + self.cloud * np.float32(self.cloud_scale)


class DepthStats(TypedDict):
    """Of a scene's depth map: share of valid pixels, percentiles in metres, and noise.

    ``noise`` is the standard deviation of one reading at one metre, in metres (it grows with the
    square of distance), estimated from the depth itself; near-tie margins follow from it.
    """

    valid: float
    min: float
    p5: float
    median: float
    p95: float
    max: float
    noise: float


@dataclass(slots=True)
class Scene:
    """A metric, object-centred scene: all that questions need.

    Attributes:
        gravity: unit vector, down, camera frame; None without a level frame.
        support_plane: (4,) unit normal n (up) and offset d in the camera frame, n·x + d = 0 on the
            surface and height above it = n·x + d; None when none was found.
        objects: in the order of the input.
    """

    id: str
    image: str
    width: int
    height: int
    camera: Camera
    intrinsics_source: str
    objects: list[SceneObject]
    depth_stats: DepthStats
    depth_image: str | None = None
    gravity: Floats | None = None
    gravity_source: str | None = None
    gravity_confidence: float | None = None
    support_plane: Floats | None = None
    caption: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.gravity is not None:
            self.gravity = _vector("gravity", self.gravity, 3)
        if self.support_plane is not None:
            self.support_plane = _vector("support_plane", self.support_plane, 4)

    @property
    def frame(self) -> ReferenceFrame:
        """The frame in which boxes are compared: "level" when gravity is known, else "camera"."""
        return "camera" if self.gravity is None else "level"


@dataclass(frozen=True, slots=True)
class Fact:
    """One exact spatial statement about one or two objects of a scene.

    Attributes:
        value: the measure, metres, before any rounding; None where the answer is not a measure.
        label: the exact symbolic answer ("yes", "no", "A", "left", …, "same"); None for measures.
        margin: differences below it are ties, metres (cubic metres for big/small).
        segment: (2, 3) end points of what was measured, camera frame, metres; None if none fits.
    """

    type: str
    object_index: tuple[int, ...]
    frame: ReferenceFrame
    value: float | None
    unit: str | None
    label: str | None
    margin: float
    segment: Floats | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One record of ``qa/part-*.parquet``; the columns are those of the contract."""

    id: str
    scene_id: str
    image: str
    depth_image: str | None
    type: str
    kind: Kind
    question: str
    answer: str
    objects: list[str]
    object_index: list[int]
    value: float | None
    unit: str | None
    label: str | None
    frame: ReferenceFrame
    margin: float
    question_template: str
    answer_template: str
    seed: int
