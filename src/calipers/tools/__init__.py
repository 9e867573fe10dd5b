"""Measuring tools over a picture with depth or a scene: for Python, HTTP, MCP and models."""

from calipers.tools.arguments import Box, Mask, Point
from calipers.tools.results import Measurement, ToolError
from calipers.tools.session import Session
from calipers.tools.table import TOOLS, openai_tools

__all__ = [
    "TOOLS",
    "Box",
    "Mask",
    "Measurement",
    "Point",
    "Session",
    "ToolError",
    "openai_tools",
]
