"""Depth Anything V2, the checkpoints trained for metres (Hypersim indoors, Virtual KITTI outdoors).

Yang et al. 2024, "Depth Anything V2" (arXiv 2406.09414). The network answers metres by itself,
between 0 and its largest depth (20 indoors, 80 outdoors), and takes no focal length: pictures of an
unusual field of view come out at the wrong scale.
"""

from __future__ import annotations

from typing import Any, ClassVar

from calipers.errors import UsageError
from calipers.experts.transformers_depth import TransformersDepth


class DepthAnything(TransformersDepth):
    """A `DepthEstimator` that gives depth only; loads the "...-Metric-...-hf" checkpoints.

    A checkpoint of relative depth is refused with `UsageError`.
    """

    model_class: ClassVar[str] = "DepthAnythingForDepthEstimation"

    @classmethod
    def _model(cls, source: str, revision: str | None, device: str) -> Any:
        model = super()._model(source, revision, device)
        if model.config.depth_estimation_type != "metric":
            raise UsageError(f"{source} gives relative depth: wanted a 'Metric' checkpoint")
        return model
