"""How models write a box: the one place where pixels of the picture become another unit, and back.

Inside Calipers a box counts pixels from the picture's border: (0, 0, width, height) is all of it.

============  ==========================================  =====================================
notation      numbers                                     what it is read by
============  ==========================================  =====================================
pixels        x1 y1 x2 y2, pixels of the picture          ms-swift, which converts for its model
thousand      x1 y1 x2 y2, 0 … 1000 of width and height   Qwen2-VL, Qwen3-VL, InternVL
qwen3-vl      the same as ``{"bbox_2d": […]}``           Qwen3-VL, as its own cookbooks write
hundred       x1 y1 x2 y2, 0 … 100 of width and height    calipers-nano
resized       x1 y1 x2 y2, pixels after `smart_resize`    Qwen2.5-VL
share         x1 y1 x2 y2, 0 … 1, three decimals          LLaVA
paligemma     y1 x1 y2 x2, ``<loc0000>`` … ``<loc1023>``  PaliGemma: loc / 1024 of the side
florence-2    x1 y1 x2 y2, ``<loc_0>`` … ``<loc_999>``    Florence-2: (loc + ½) / 1000 of the side
============  ==========================================  =====================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from calipers.errors import DataError

Size = tuple[int, int]
Box = tuple[float, float, float, float]

QWEN_FACTOR = 28
"""Sides of Qwen2.5-VL's pictures are multiples of it: patches of 14 pixels, two by two."""
QWEN_MIN_PIXELS = 56 * 56
QWEN_MAX_PIXELS = 28 * 28 * 16384
"""Limits in the ``preprocessor_config.json`` that Qwen2.5-VL is published with; where training sets
others, they have to be given here too."""


def smart_resize(
    size_wh: Size, min_pixels: int = QWEN_MIN_PIXELS, max_pixels: int = QWEN_MAX_PIXELS
) -> Size:
    """The size (width, height) to which Qwen2.5-VL's processor resizes a picture.

    Both sides become the nearest multiples of 28; when that is more or less than the pixels
    allowed, both are scaled by one factor first and rounded down or up.

    Raises:
        DataError: one side is more than 200 times the other, which the processor refuses.

    >>> smart_resize((640, 480))
    (644, 476)
    """
    width, height = size_wh
    if max(size_wh) > 200 * min(size_wh):
        raise DataError(f"{width}x{height}: a side of more than 200 times the other")
    sides = [round(side / QWEN_FACTOR) for side in size_wh]
    pixels = sides[0] * sides[1] * QWEN_FACTOR**2
    if pixels > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        sides = [max(1, math.floor(side / shrink / QWEN_FACTOR)) for side in size_wh]
    elif pixels < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        sides = [math.ceil(side * grow / QWEN_FACTOR) for side in size_wh]
    return sides[0] * QWEN_FACTOR, sides[1] * QWEN_FACTOR


@dataclass(frozen=True, slots=True)
class Notation:
    """How a box is counted and written.

    A side of the picture has `steps` steps (a function of the sides' pixels); coordinate c, in
    steps, is written as ``floor(c + ½ - shift)``, at most `last`, and read as ``number + shift``.

    Attributes:
        steps: picture's size → steps along the width and the height.
        text: one number → its text.
        joined: what stands before, between and after the numbers.
        point_joined: the same of a point's two numbers; None where it is as of a box.
        last: the largest number, less than steps where a side has a token fewer than edges.
        shift: 0.5 where a number names the middle of a step.
        y_first: whether y comes before x.
        pattern: finds one number in a text.
    """

    steps: Callable[[Size], Size]
    text: Callable[[int], str] = str
    joined: tuple[str, str, str] = ("[", ", ", "]")
    point_joined: tuple[str, str, str] | None = None
    last: int | None = None
    shift: float = 0.0
    y_first: bool = False
    pattern: str = r"\d+"

    def numbers(self, box_xyxy: Box, size_wh: Size) -> list[int]:
        """The four whole numbers of a box, in this notation's order."""
        steps = self.steps(size_wh)
        found = []
        for k, value in enumerate(box_xyxy):
            number = math.floor(value * steps[k % 2] / size_wh[k % 2] + 0.5 - self.shift)
            found.append(max(0, min(number, steps[k % 2] if self.last is None else self.last)))
        return [found[k] for k in (1, 0, 3, 2)] if self.y_first else found

    def box(self, numbers: list[int], size_wh: Size) -> Box:
        """The box, in pixels of the picture, that four numbers name."""
        steps = self.steps(size_wh)
        ordered = [numbers[k] for k in (1, 0, 3, 2)] if self.y_first else numbers
        sides = (size_wh[0] / steps[0], size_wh[1] / steps[1]) * 2
        x1, y1, x2, y2 = ((n + self.shift) * side for n, side in zip(ordered, sides))
        return x1, y1, x2, y2

    def write(self, box_xyxy: Box, size_wh: Size) -> str:
        """The box as the model writes it.

        >>> NOTATIONS["thousand"].write((64, 48, 320, 480), (640, 480))
        '[100, 100, 500, 1000]'
        """
        return self._written(self.numbers(box_xyxy, size_wh), self.joined)

    def point(self, x: float, y: float) -> str:
        """A point as the model writes it, with half of a box's numbers.

        Args:
            x, y: shares of the picture's width and height; of notations that count thousandths or
                tokens, whose numbers the picture's size does not change.

        >>> NOTATIONS["qwen3-vl"].point(0.25, 0.5), NOTATIONS["paligemma"].point(0.25, 0.5)
        ('{"point_2d": [250, 500]}', '<loc0512><loc0256>')
        """
        return self._written(
            self.numbers((x, y, x, y), (1, 1))[:2], self.point_joined or self.joined
        )

    def _written(self, numbers: list[int], joined: tuple[str, str, str]) -> str:
        before, between, after = joined
        return before + between.join(map(self.text, numbers)) + after

    def read(self, text: str, size_wh: Size) -> Box:
        """The first box of a text, in pixels of the picture.

        Raises:
            DataError: there are not four numbers of this notation.
        """
        found = re.findall(self.pattern, text)[:4]
        if len(found) < 4:
            raise DataError(f"no box in {text!r}")
        return self.box([int(number.replace(".", "")) for number in found], size_wh)


def _thousand(size_wh: Size) -> Size:
    return 1000, 1000


def _hundred(size_wh: Size) -> Size:
    return 100, 100


def _share(number: int) -> str:
    return f"{number // 1000}.{number % 1000:03d}"


NOTATIONS: dict[str, Notation] = {
    "pixels": Notation(steps=lambda size_wh: size_wh),
    "thousand": Notation(steps=_thousand),
    "qwen3-vl": Notation(
        steps=_thousand,
        joined=('{"bbox_2d": [', ", ", "]}"),
        point_joined=('{"point_2d": [', ", ", "]}"),
        pattern=r"(?<![\w.])\d+",
    ),
    "hundred": Notation(steps=_hundred),
    "resized": Notation(steps=smart_resize),
    "share": Notation(steps=_thousand, text=_share, pattern=r"\d\.\d{3}"),
    "paligemma": Notation(
        steps=lambda size_wh: (1024, 1024),
        text="<loc{:04d}>".format,
        joined=("", "", ""),
        last=1023,
        y_first=True,
        pattern=r"<loc(\d{4})>",
    ),
    "florence-2": Notation(
        steps=_thousand,
        text="<loc_{}>".format,
        joined=("", "", ""),
        last=999,
        shift=0.5,
        pattern=r"<loc_(\d+)>",
    ),
}


def resized_notation(min_pixels: int, max_pixels: int) -> Notation:
    """The notation "resized" for a Qwen2.5-VL that is trained with other limits of pixels."""
    return Notation(steps=lambda size_wh: smart_resize(size_wh, min_pixels, max_pixels))


def corners(bbox_xywh: tuple[float, ...], size_wh: Size) -> Box:
    """x1, y1, x2, y2 of a box, cut at the picture's border.

    >>> corners((600, 10, 50.5, 20), (640, 480))
    (600, 10, 640, 30)
    """
    x, y, w, h = bbox_xywh
    return max(0, x), max(0, y), min(x + w, size_wh[0]), min(y + h, size_wh[1])
