"""A small run folder with known metres: boxes on a floor, seen by a camera that looks down 25°."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from calipers.geometry.frames import level_from_camera
from calipers.io.masks import encode_mask, mask_box
from calipers.io.questions import QUESTION_SCHEMA, questions_table
from calipers.io.run import Notes, RunFolder, RunSpec, write_part
from calipers.io.scenes import scenes_table
from calipers.questions.facts import measure
from calipers.samples.folder import write_frames
from calipers.types import Camera, Frame, Scene, SceneObject

WIDTH, HEIGHT = 320, 240
CAMERA = Camera(fx=280, fy=280, cx=159.5, cy=119.5, width=WIDTH, height=HEIGHT)
TILT = np.radians(25)
GRAVITY = np.array([0, np.cos(TILT), np.sin(TILT)])
CAMERA_HEIGHT = 1.5
PLANE = np.array([*-GRAVITY, CAMERA_HEIGHT])
MATRIX = level_from_camera(GRAVITY, PLANE)

# caption, centre (x right, y forward, z up; the floor is z = 0) and size in metres, colour
BOXES = (
    ("blue box", (-0.5, 2.4, 0.2), (0.4, 0.3, 0.4), (70, 110, 200)),
    ('crate of "<b>AT&T</b>" phones', (0.45, 2.7, 0.35), (0.5, 0.4, 0.7), (200, 150, 60)),
    ("tiny 🎲 </script><script>alert(1)</script>", (0.0, 1.9, 0.1), (0.2, 0.2, 0.2), (90, 170, 90)),
)


def _rays() -> np.ndarray:
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    camera = np.stack(
        [(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones_like(u)], -1
    )
    return camera @ MATRIX[:3, :3].T


def _hit(rays: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Depth at which each ray from the camera enters a box; infinity where it misses."""
    with np.errstate(divide="ignore"):
        t = (np.stack([low, high])[:, None, None] - MATRIX[:3, 3]) / rays
    enter, leave = t.min(0).max(-1), t.max(0).min(-1)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)


def make_frame(name: str = "three-boxes") -> tuple[Frame, np.ndarray]:
    """The frame, and (H, W) which box each pixel shows (-1: the floor)."""
    rays = _rays()
    floor = np.where(rays[..., 2] < -0.05, -MATRIX[2, 3] / rays[..., 2], np.inf)
    halves = [(np.array(c), np.array(s) / 2) for _, c, s, _ in BOXES]
    depths = np.stack([floor, *(_hit(rays, c - h, c + h) for c, h in halves)])
    nearest = depths.argmin(0) - 1
    depth_m = depths.min(0).astype(np.float32)
    colours = np.array([(205, 200, 190), *(colour for *_, colour in BOXES)])
    shade = np.clip(1.25 - depth_m[..., None] / 8, 0.4, 1)
    rgb = (colours[nearest + 1] * shade).astype(np.uint8)
    depth_m[~(depth_m < 12)] = np.nan
    frame = Frame(
        name, f"images/{name}.png", WIDTH, HEIGHT, rgb=rgb, depth_m=depth_m, camera=CAMERA
    )
    return frame, nearest


def _object(frame: Frame, mask: np.ndarray, box: tuple) -> SceneObject:
    caption, center, size, _ = box
    v, u = np.nonzero(mask)
    z = frame.depth_m[v, u]
    points = np.stack([(u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z], -1)
    points = points[:: max(1, len(points) // 400)][:512]
    rle = encode_mask(mask)
    middle = (np.array(center) - MATRIX[:3, 3]) @ MATRIX[:3, :3]
    return SceneObject(
        caption=caption, reference=f"the {caption}", bbox=mask_box(rle), segmentation=rle,
        pixels=len(u), center_camera=middle, size_camera=np.ptp(points, axis=0),
        center_level=center, size_level=size, depth_center=float(middle[2]),
        cloud=((points - points[0]) / 0.001).round().astype(np.int16),
        cloud_origin=points[0], cloud_scale=0.001,
    )  # fmt: skip


def make_scene(name: str = "three-boxes") -> Scene:
    """The scene of `make_frame`, its boxes exact."""
    frame, nearest = make_frame(name)
    names = ("valid", "min", "p5", "median", "p95", "max", "noise")
    return Scene(
        id=name, image=frame.image, depth_image=f"depth/{name}.png", width=WIDTH, height=HEIGHT,
        camera=CAMERA, intrinsics_source="given", gravity=GRAVITY, gravity_source="given",
        gravity_confidence=1.0, support_plane=PLANE,
        objects=[_object(frame, nearest == k, box) for k, box in enumerate(BOXES)],
        depth_stats=dict(zip(names, (1.0, 1.0, 1.2, 2.5, 6.0, 12.0, 0.001))),
    )  # fmt: skip


ASKED = (
    ("distance", (0, 1), "quantitative", "How far apart are they?"),
    ("height", (1,), "quantitative", "How tall is it?"),
    ("left_difference", (0, 2), "quantitative", "How far left?"),
    ("elevation", (2,), "quantitative", "How high above the floor?"),
    ("tall_predicate", (1, 0), "qualitative", "Is it taller?"),
)


def question_columns(scene: Scene) -> dict[str, list]:
    """Five questions, their answers from `measure`."""
    rows = []
    for place, (kind, objects, sort, text) in enumerate(ASKED):
        fact = measure(scene, kind, *objects)
        names = [scene.objects[k].reference for k in objects]
        answer = fact.label if fact.value is None else f"{fact.value:.2f} m"
        rows.append({
            "id": f"{scene.id}/{place}", "scene_id": scene.id, "image": scene.image,
            "depth_image": scene.depth_image, "type": kind, "kind": sort,
            "question": f"{text} {' and '.join(names)}", "answer": answer, "objects": names,
            "object_index": list(objects), "value": fact.value, "unit": fact.unit,
            "label": fact.label, "frame": fact.frame, "margin": fact.margin,
            "question_template": "q", "answer_template": "a", "seed": 0,
        })  # fmt: skip
    return {name: [row[name] for row in rows] for name in rows[0]}


def make_run(folder: Path, names: list[str], files: bool = True) -> Path:
    """A run over frames of these names in two shards, one record left out, and its input folder."""
    frames, out = folder / "frames", folder / "run <1>"
    if files:
        write_frames(frames, (make_frame(name)[0] for name in names), "three boxes")
    spec = RunSpec("build", "0.1.0", ("scenes", "qa"), {"seed": 0}, {"questions_per_scene": 5},
                   {"path": str(frames), "digest": "0"})  # fmt: skip
    lost = {"id": "bad", "stage": "read", "reason": "not_an_image", "detail": "<i>bad.png</i>"}
    with RunFolder(out, spec) as run:
        for index, part in enumerate((names[:1], names[1:])):
            scenes = [make_scene(name) for name in part]
            tables = [QUESTION_SCHEMA.empty_table()]
            tables += [questions_table(question_columns(scene)) for scene in scenes]
            notes = Notes(skipped=[lost] if index == 0 else [])
            write_part(out, "qa", index, pa.concat_tables(tables), Notes())
            write_part(out, "scenes", index, scenes_table(scenes), notes)
        run.finish(2, 1.5)
    return out


def page_data(report: Path, name: str) -> dict:
    """Read back one of the JSON scripts of a report."""
    text = report.read_text("utf-8")
    start = text.index(f'<script type="application/json" id="{name}">')
    start = text.index(">", start) + 1
    return json.loads(text[start : text.index("</script>", start)])
