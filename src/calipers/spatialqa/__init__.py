"""SpatialBot's three levels of depth questions (arXiv 2406.13642): SpatialQA."""

from calipers.spatialqa.asking import spatial_qa

__all__ = ["spatial_qa"]
