"""ZoeDepth, the depth model of the SpatialVLM paper: metres, no focal length.

Bhat et al. 2023, "ZoeDepth: Zero-shot Transfer by Combining Relative and Metric Depth"
(arXiv 2302.12288). Pictures are padded by reflection before and cut after, by int(3·√(side / 2))
pixels a side, as its authors do.
"""

from __future__ import annotations

from typing import Any, ClassVar

from calipers.experts.depth_pictures import resize
from calipers.experts.transformers_depth import TransformersDepth


class ZoeDepth(TransformersDepth):
    """A `DepthEstimator` that gives depth only and needs no camera."""

    model_class: ClassVar[str] = "ZoeDepthForDepthEstimation"

    @property
    def _batched(self) -> bool:
        """The two-headed checkpoint chooses one head, indoors or outdoors, for a whole batch."""
        return len(self.model.config.bin_configurations) == 1

    def _at_size(self, depth: Any, size_hw: tuple[int, int]) -> Any:
        """Resize to the padded picture and cut the padding off."""
        height, width = size_hw
        top, left = (_padding(side) if self.processor.do_pad else 0 for side in size_hw)
        padded = resize(depth, (height + 2 * top, width + 2 * left))
        return padded[top : top + height, left : left + width]


def _padding(side: int) -> int:
    return int(3 * (side / 2) ** 0.5)
