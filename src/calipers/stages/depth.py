"""Depth for pictures that came without, and the camera where nothing told it.

Intrinsics are taken from the first of: given, EXIF, the depth expert's own, a gravity expert's
(GeoCalib), and an assumed field of view when the preset says so. `Frame.intrinsics_source` records
which: "given", "exif", the expert's name, or "assumed_60deg".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from calipers.experts.base import DepthMap, Gravity
from calipers.stages.filling import Ask, Outcome, take, wanted_shape
from calipers.types import Camera, Frame


def fill_depth(frames: Sequence[Frame], ask: Ask, name: str) -> list[Outcome]:
    """Give each frame depth, and normals and a camera where the expert has them."""

    def use(frame: Frame, found: DepthMap) -> None:
        wanted_shape("depth", found.depth_m.shape, (frame.height, frame.width))
        frame.depth_m = found.depth_m
        frame.normals = found.normals
        if frame.camera is None and found.camera is not None:
            set_camera(frame, found.camera, name)
        frame.filled["depth"] = {"expert": ask.signature}

    return take(frames, ask(frames, [frame.camera for frame in frames]), use)


def fill_camera(frames: Sequence[Frame], ask: Ask, name: str) -> list[Outcome]:
    """Give each frame the camera that an expert for gravity sees in it, where it sees one."""

    def use(frame: Frame, found: Gravity | None) -> None:
        if found is not None and found.camera is not None:
            set_camera(frame, found.camera, name)
            frame.filled["intrinsics"] = {"expert": ask.signature}

    nothing = [None for _ in frames]
    return take(frames, ask(frames, nothing, nothing), use)


def set_camera(frame: Frame, camera: Camera, source: str) -> None:
    """Take a camera that somebody estimated.

    Raises:
        Skip: ``expert_failed`` when it is not of the picture's size.
    """
    wanted_shape("camera", (camera.height, camera.width), (frame.height, frame.width))
    frame.camera, frame.intrinsics_source = camera, source


def assume_camera(frame: Frame, fov_deg: float) -> None:
    """Assume a horizontal field of view."""
    frame.camera = camera_from_fov(fov_deg, (frame.width, frame.height))
    frame.intrinsics_source = f"assumed_{fov_deg:g}deg"


def camera_from_fov(fov_deg: float, size_wh: tuple[int, int]) -> Camera:
    """Make the camera of a horizontal field of view, its centre in the middle of the picture.

    >>> camera_from_fov(90.0, (640, 480))
    Camera(fx=320.0, fy=320.0, cx=319.5, cy=239.5, width=640, height=480)
    """
    width, height = size_wh
    focal = round(width / 2 / math.tan(math.radians(fov_deg) / 2), 9)
    return Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
