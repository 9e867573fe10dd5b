"""What the page of one scene draws, as plain values ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from calipers.geometry.frames import level_from_camera
from calipers.questions.facts import segments
from calipers.types import Doubles, Scene, SceneObject
from calipers.view.pictures import PICTURE_WIDTH, Files, depth_part, grid_part, jpeg_uri, packed

QUESTION_COLUMNS = ("type", "kind", "question", "answer", "object_index", "value", "unit", "label")
CORNER_SIGNS = np.array([[k >> axis & 1 for axis in range(3)] for k in range(8)]) - 0.5
"""(8, 3) half steps from a box's centre to its corners; bit i of k is the side along axis i."""


def box_corners(scene: Scene, item: SceneObject) -> Doubles | None:
    """Place the (8, 3) corners of an object's box in the camera frame, metres.

    The box is the one that questions compare: along the level frame's axes when gravity is known,
    else along the camera's. None for an object without a place in 3D.
    """
    matrix = _level(scene)
    if matrix is not None and item.center_level is not None and item.size_level is not None:
        level = item.center_level + CORNER_SIGNS * item.size_level
        return np.asarray((level - matrix[:3, 3]) @ matrix[:3, :3])
    if item.center_camera is None or item.size_camera is None:
        return None
    return np.asarray(item.center_camera + CORNER_SIGNS * item.size_camera, dtype=np.float64)


def scene_data(
    scene: Scene, questions: Sequence[Mapping[str, Any]], files: Files
) -> dict[str, Any]:
    """Gather all that is drawn of one scene.

    Args:
        scene: the scene.
        questions: rows with the columns of `QUESTION_COLUMNS`.
        files: its picture and depth, as far as they are still there.
    """
    camera = scene.camera
    matrix = _level(scene)
    source = None if files.rgb is None else jpeg_uri(files.rgb, PICTURE_WIDTH)
    return {
        "id": scene.id,
        "caption": scene.caption,
        "width": scene.width,
        "height": scene.height,
        "camera": {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy},
        "intrinsics_source": scene.intrinsics_source,
        "gravity_source": scene.gravity_source,
        "gravity_confidence": scene.gravity_confidence,
        "level_from_camera": None if matrix is None else matrix.ravel().tolist(),
        "support": matrix is not None and scene.support_plane is not None,
        "picture": {"source": source, "note": files.rgb_note},
        "depth": depth_part(files),
        "grid": grid_part(files),
        "objects": [_object(scene, item) for item in scene.objects],
        "questions": _questions(scene, questions),
    }


def _level(scene: Scene) -> Doubles | None:
    if scene.gravity is None:
        return None
    return level_from_camera(scene.gravity, scene.support_plane)


def _object(scene: Scene, item: SceneObject) -> dict[str, Any]:
    data: dict[str, Any] = {
        "caption": item.caption,
        "reference": item.reference,
        "reason": item.reference_reason,
        "role": item.role,
        "bbox": list(item.bbox),
        "segmentation": item.segmentation,
    }
    corners = box_corners(scene, item)
    size = item.size_camera if item.size_level is None else item.size_level
    if corners is None or size is None or item.center_camera is None:
        return data
    if item.cloud is None or item.cloud_origin is None:
        return data
    depth = float(item.center_camera[2]) if item.depth_center is None else item.depth_center
    return data | {
        "corners": _metres(corners),
        "size": _metres(size),
        "depth": depth,
        "cloud": packed(item.cloud.astype("<i2")),
        "cloud_origin": _metres(item.cloud_origin),
        "cloud_scale": item.cloud_scale,
    }


def _questions(scene: Scene, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    corners = [box_corners(scene, item) for item in scene.objects]
    centers = [None if box is None else _metres(box.mean(0)) for box in corners]
    measured = [(row["type"], row["object_index"]) for row in rows if row["value"] is not None]
    ends = iter(segments(scene, measured))
    found = []
    for row in rows:
        objects = list(row["object_index"])
        if row["value"] is None:
            segment = _joined([centers[k] for k in objects])
        else:
            known = next(ends)
            segment = None if known is None else _metres(known)
        kept = {name: row[name] for name in QUESTION_COLUMNS if name != "object_index"}
        found.append(kept | {"objects": objects, "segment": segment})
    return found


def _joined(centers: Sequence[list[float] | None]) -> list[list[float]] | None:
    """What a comparison draws: a line between the centres of the two boxes, as its fact has it."""
    known = [center for center in centers if center is not None]
    return known if len(known) == 2 else None


def _metres(values: ArrayLike) -> list[Any]:
    """Round to a tenth of a millimetre, which is finer than anything drawn."""
    rounded: list[Any] = np.asarray(values, dtype=np.float64).round(4).tolist()
    return rounded
