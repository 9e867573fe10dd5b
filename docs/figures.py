"""Draw the pictures of the documentation: ``make figures`` or ``python docs/figures.py``.

Each is a sample taken through the whole path, and some of the questions that were asked of it;
one shows what resizing does to packed depth. The robot needs the extra ``robots``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from calipers import Question, Scene, ask, read_scenes
from calipers.depth_codec import Depth, Picture, decode, encode, resize
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


def by_formula(packed: Picture) -> Depth:
    """Metres of any bytes by SpatialBot's formula, as a reader takes them that checks nothing."""
    red, green, blue = (packed[..., channel].astype(int) for channel in range(3))
    return ((red // 2 * 1024 + green // 8 * 32 + blue // 8) / 1000).astype(np.float32)


def off_m(depth: Depth, source: Depth) -> Depth:
    """How far each depth is from what `source` holds around it: from all nine readings there."""
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    around = [resize(np.roll(source, shift, (0, 1)), depth.shape[::-1]) for shift in shifts]
    return np.min(np.abs(np.stack(around) - depth), axis=0)


def panel(picture: Picture, title: str, note: str) -> Image.Image:
    """A picture of 580 pixels with its title above and what was counted below."""
    out = Image.new("RGB", (580, 700), "#ffffff")
    out.paste(Image.fromarray(picture).resize((580, 580), Image.Resampling.NEAREST), (0, 60))
    write = ImageDraw.Draw(out).text
    write((0, 14), title, "#16202b", ImageFont.load_default(26))
    write((0, 650), note, "#16202b", ImageFont.load_default(24))
    return out


def judged(depth: Depth, source: Depth, title: str) -> Image.Image:
    """A panel with white where depth is right, and dark red where it is 0.5 m off and more."""
    off = off_m(depth, source)
    red = np.clip(np.log(np.maximum(off, 0.005) / 0.005) / np.log(100), 0, 1)[..., None]
    shown = (1 - red) * np.float32([243, 245, 247]) + red * np.float32([153, 0, 13])
    note = f"{(off > 0.02).mean():.1%} more than 2 cm off, at most {off.max():.2f} m"
    return panel(shown.astype(np.uint8), title, note)


def draw_resizing(folder: Path) -> None:
    """Write ``images/resizing.jpg``: depth packed and resized in three orders."""
    options, _ = FIGURES["rooms"]
    write_sample("rooms", folder / "resizing", **options)
    source = np.load(next((folder / "resizing").rglob("*.npy")))
    size, bicubic = (384, 384), Image.Resampling.BICUBIC
    packed = encode(source, "spatialbot")
    after = np.asarray(Image.fromarray(packed).resize(size, bicubic))
    blended = np.asarray(Image.fromarray(source).resize(size, bicubic))
    kept = resize(source, size, "edge")
    panels = [
        panel(encode(kept, "spatialbot"), "Depth packed into three bytes",
              "by encode(depth_m, 'spatialbot')"),
        judged(by_formula(after), source, "Packed, then resized (bicubic)"),
        judged(decode(encode(blended, "spatialbot"), "spatialbot"), source,
               "Resized in metres (bicubic), then packed"),
        judged(decode(encode(kept, "spatialbot"), "spatialbot"), source,
               "resize(depth_m, ..., 'edge'), then packed"),
    ]  # fmt: skip
    figure = Image.new("RGB", (1200, 1400), "#ffffff")
    for place, each in zip(((0, 0), (620, 0), (0, 700), (620, 700)), panels, strict=True):
        figure.paste(each, place)
    figure.save(IMAGES / "resizing.jpg", quality=85, optimize=True)


# Run of the robot (seed, robot, task, how it is told) → a moment, and the questions to show.
ROBOT: dict[tuple[int, str, str, str], tuple[int, dict[str, int]]] = {
    (3, "Panda", "pick_place", "name"): (100, {"holds": 0, "gripper_gap": 1, "in_container": 2}),
    (8, "UR5e", "lift", "illusion"): (20, {"gripper_contact": 0, "pick_real": 0}),
}


def draw_robot() -> None:
    """Write ``images/robot.jpg``: two moments of the simulated robot, measured from RGB-D alone."""
    from calipers.io.masks import decode_mask
    from calipers.questions.robot import ask_robot
    from calipers.samples.robot import Run
    from calipers.stages.lift import lift
    from calipers.stages.refer import refer

    figures = []
    for given, (step, types) in ROBOT.items():
        frame = Run(*given).look(step).frame
        frame.extra = {}
        scene = lift(frame, [decode_mask(item.rle) for item in frame.objects])
        refer(scene.objects, scene.frame)
        asked = [ask_robot(scene, 1, seed, [name], 0.0) for name, seed in types.items()]
        figures.append(scene_figure(scene, frame.rgb, [one for some in asked for one in some]))
    out = Image.new("RGB", (max(f.width for f in figures), sum(f.height for f in figures)), "white")
    top = 0
    for figure in figures:
        out.paste(figure, (0, top))
        top += figure.height
    out.save(IMAGES / "robot.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        for each in FIGURES:
            draw(each, Path(scratch))
        draw_resizing(Path(scratch))
    draw_robot()
