"""One still picture of a scene: masks, boxes, and a few questions with their answers below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from calipers.io.masks import decode_mask
from calipers.types import Camera, Doubles, Question, Scene, SceneObject
from calipers.view.colours import colour, ink_on
from calipers.view.scene_data import box_corners

WIDTH = 1200
MARGIN = 36
FILL_OPACITY = 90
PAPER, INK, SOFT, ACCENT = "#ffffff", "#16202b", "#566373", "#0f766e"
NEAR_M = 0.02
_EDGES = [(k, k | bit) for k in range(8) for bit in (1, 2, 4) if not k & bit]

Rectangle = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def scene_figure(
    scene: Scene, rgb: NDArray[np.uint8], questions: Sequence[Question]
) -> Image.Image:
    """Draw a scene and some of its questions.

    Args:
        scene: the objects that `questions` speak of get mask, box and name; without questions all
            that were lifted do.
        rgb: (H, W, 3) uint8, the scene's picture, upright.
        questions: written below the picture, one or two lines each; three or four look best.

    Returns:
        An RGB picture 1200 pixels wide.
    """
    lifted = [k for k, item in enumerate(scene.objects) if item.lifted]
    named = sorted({k for q in questions for k in q.object_index}) or lifted
    picture = _picture(scene, rgb, named)
    lines = [(_wrapped(q.question, 26), _wrapped(q.answer, 28)) for q in questions]
    heights = [34 * len(ask) + 38 * len(answer) + 26 for ask, answer in lines]
    below = sum(heights) + (2 * MARGIN - 26 if lines else 0)
    figure = Image.new("RGB", (WIDTH, picture.height + below), PAPER)
    figure.paste(picture, (0, 0))
    draw = ImageDraw.Draw(figure)
    y = picture.height + MARGIN
    for (ask, answer), height in zip(lines, heights):
        draw.rectangle((MARGIN, y + 2, MARGIN + 5, y + height - 30), fill=ACCENT)
        _write(draw, MARGIN + 24, y, ask, 26, 34, SOFT)
        _write(draw, MARGIN + 24, y + 34 * len(ask), answer, 28, 38, INK)
        y += height
    return figure


def _picture(scene: Scene, rgb: NDArray[np.uint8], named: Sequence[int]) -> Image.Image:
    """The picture at twice the figure's size with everything drawn over it, then halved."""
    scale = 2 * WIDTH / scene.width
    size = (2 * WIDTH, round(scene.height * scale))
    base = Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    for k in named:
        _tint(base, scene.objects[k], colour(k))
    draw = ImageDraw.Draw(base)
    for k in named:
        corners = box_corners(scene, scene.objects[k])
        if corners is not None:
            _draw_box(draw, scene.camera, corners, scale, colour(k))
    taken: list[Rectangle] = []
    for k in named:
        taken.append(_draw_tag(draw, scene.objects[k], scale, k, taken))
    return base.convert("RGB").resize((WIDTH, size[1] // 2), Image.Resampling.BOX)


def _tint(base: Image.Image, item: SceneObject, tone: str) -> None:
    if item.segmentation is None:
        return
    mask = Image.fromarray(np.ascontiguousarray(decode_mask(item.segmentation)))
    alpha = mask.convert("L").resize(base.size, Image.Resampling.BILINEAR)
    layer = Image.new("RGBA", base.size, tone)
    layer.putalpha(alpha.point([v * FILL_OPACITY // 255 for v in range(256)]))
    base.alpha_composite(layer)


def _draw_box(
    draw: ImageDraw.ImageDraw, camera: Camera, corners: Doubles, scale: float, tone: str
) -> None:
    """Draw the edges of a box; an edge that reaches behind the camera is left out."""
    flat = corners[:, :2] / np.maximum(corners[:, 2:], NEAR_M)
    pixels = (flat * [camera.fx, camera.fy] + [camera.cx + 0.5, camera.cy + 0.5]) * scale
    for a, b in _EDGES:
        if min(corners[a, 2], corners[b, 2]) > NEAR_M:
            draw.line([*pixels[a].tolist(), *pixels[b].tolist()], fill=tone, width=6)


def _draw_tag(
    draw: ImageDraw.ImageDraw,
    item: SceneObject,
    scale: float,
    number: int,
    taken: Sequence[Rectangle],
) -> Rectangle:
    """Write a name over the top of the object's 2D box, in the picture and beside other names."""
    x, y, width, _ = item.bbox
    font = _font(42)
    text = _shortened(item.reference or item.caption, 40)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    wide, high = right - left + 40, bottom - top + 28
    at_x = max(min((x + width / 2) * scale - wide / 2, 2 * WIDTH - wide - 8), 8)
    at_y = max(y * scale - high - 10, 8)
    for _ in taken:
        lows = [t[3] for t in taken if _meet(t, (at_x, at_y, at_x + wide, at_y + high))]
        at_y = max([at_y, *(low + 6 for low in lows)])
    tag = (at_x, at_y, at_x + wide, at_y + high)
    draw.rounded_rectangle(tag, high / 2, fill=colour(number))
    draw.text((at_x + 20 - left, at_y + 14 - top), text, font=font, fill=ink_on(colour(number)))
    return tag


def _meet(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _shortened(text: str, length: int) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= length else f"{plain[: length - 1]}…"


def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _wrapped(text: str, size: int) -> list[str]:
    """Break a text into lines that fit the figure's width; a word too long for one is cut."""
    font, room = _font(size), WIDTH - 2 * MARGIN - 24
    lines = [""]
    for word in _shortened(text, 300).split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _write(
    draw: ImageDraw.ImageDraw, x: int, y: int, lines: list[str], size: int, step: int, ink: str
) -> None:
    for k, line in enumerate(lines):
        draw.text((x, y + k * step), line, font=_font(size), fill=ink)
