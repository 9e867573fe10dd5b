"""What a model sees of a picture: padded, resized; and its points back in the original picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from calipers.errors import DataError
from calipers.tools.arguments import Point
from calipers.tools.results import ToolError


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where the picture lies in what the model sees, as shares of that.

    Attributes:
        left, top, width, height: of the picture in the canvas. Resizing changes none of them.
        scale: what the model counts to: 1, or 1000 for models that write thousandths.
    """

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.width <= 1 and 0 < self.height <= 1 and self.scale > 0):
            raise DataError(f"canvas: wanted sizes in (0, 1] and a positive scale, got {self}")

    @classmethod
    def square(cls, size_wh: tuple[int, int], centred: bool = True, scale: float = 1.0) -> Self:
        """A picture padded to a square, in the middle (LLaVA, Bunny) or at the top left.

        >>> Canvas.square((640, 480))
        Canvas(left=0.0, top=0.125, width=1.0, height=0.75, scale=1.0)
        """
        side = max(size_wh)
        spare_x, spare_y = ((side - size) // 2 / side if centred else 0.0 for size in size_wh)
        return cls(spare_x, spare_y, size_wh[0] / side, size_wh[1] / side, scale)

    def to_picture(self, x: float, y: float) -> Point:
        """Turn a point that the model wrote into one of the original picture.

        Raises:
            ToolError: ``outside_picture``, the point is in the padding or beyond.

        >>> Canvas.square((640, 480)).to_picture(0.5, 0.5)
        Point(x=0.5, y=0.5, pixels=False)
        """
        along = (x / self.scale - self.left) / self.width
        down = (y / self.scale - self.top) / self.height
        if not (-1e-6 <= along <= 1 + 1e-6 and -1e-6 <= down <= 1 + 1e-6):
            raise ToolError("outside_picture", f"({x:g}, {y:g}) is outside the picture")
        return Point(x=min(max(along, 0.0), 1.0), y=min(max(down, 0.0), 1.0))
