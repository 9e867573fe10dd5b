"""What the tools give back: one form for every tool, and one for what went wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Len
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

from calipers.errors import CalipersError

Number = Annotated[FiniteFloat, AfterValidator(lambda value: round(value, 6))]
"""Metres are told to a micrometre."""
Vector = Annotated[list[Number], Len(3, 3)]
Pixel = Annotated[list[Number], Len(2, 2)]
Kind = Literal["point", "object", "box", "mask"]
Label = Literal["yes", "no", "unsure", "a", "b", "same", "whole", "at least"]

REASONS = {
    "no_reading": "the depth map has no reading there",
    "no_depth_map": "a scene without its depth map is open: only its objects can be measured",
    "no_intrinsics": "the picture came without intrinsics: only depth can be read",
    "no_level_frame": "the direction of gravity is not known",
    "not_lifted": "the object has no place in space",
    "not_flat": "the surface is not flat",
    "same_place": "both ends are the same point",
    "out_of_range": "depth, intrinsics or masks lead to numbers that are none",
    "unknown_object": "no object has that name",
}
"""Why a tool has no value to give: an answer of its own, never 0."""


class Measured(BaseModel):
    """One thing that was measured, and from what.

    Attributes:
        name: the object's name, None for what was pointed at.
        index: its place in the picture's list of objects.
        pixel: x, y of the pixel that was read, or the middle of what was.
        at: the same as shares of the picture's width and height.
        bbox: x, y, width, height in pixels; None for a point.
        readings: how many readings of the depth map were used.
        depth: metres along the camera's axis.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    name: str | None = None
    index: int | None = None
    pixel: Pixel | None = None
    at: Pixel | None = None
    bbox: Annotated[list[Number], Len(4, 4)] | None = None
    readings: int | None = None
    depth: Number | None = None


class Measurement(BaseModel):
    """What a tool found.

    Attributes:
        value: the measure; None where there is none, and `reason` says why, or `label` answers.
        margin: how far off the value may be: one standard deviation, in its unit.
        label: the answer where it is not a measure.
        values: further numbers in the same unit, by name.
        reason: one of `REASONS` where there is no value to give.
        text: all of this in one sentence.
        measured: what was measured, in the order of the arguments.
        segment: two end points of what was measured, camera frame (x right, y down, z forward),
            metres.
        segment_px: the same end points in the picture, pixels.
        frame: whose axes were used: "level" knows what is up.
    """

    model_config = ConfigDict(extra="forbid")

    tool: str
    value: Number | None = None
    unit: Literal["m", "degrees"] | None = None
    margin: Number | None = None
    label: Label | None = None
    values: dict[str, Number | None] = Field(default_factory=dict)
    reason: str | None = None
    text: str
    measured: list[Measured] = Field(default_factory=list)
    segment: Annotated[list[Vector], Len(2, 2)] | None = None
    segment_px: Annotated[list[Pixel], Len(2, 2)] | None = None
    frame: Literal["camera", "level"] | None = None


class Fault(BaseModel):
    """What was wrong with a request: a stable word, and a sentence."""

    code: str
    message: str


class Problem(BaseModel):
    """The JSON form of an error, of every face of the tools."""

    error: Fault


class ToolError(CalipersError):
    """A tool cannot be called like that.

    Attributes:
        code: a stable word: ``bad_arguments``, ``unknown_tool``, ``outside_picture``,
            ``ambiguous_object``, ``bad_mask``, ``no_depth``, ``bad_intrinsics``, or
            one of the service's (`calipers.tools.guard.STATUS`).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[ToolError], tuple[str, str]]:
        return type(self), (self.code, str(self))

    @property
    def problem(self) -> Problem:
        """The error as JSON."""
        return Problem(error=Fault(code=self.code, message=str(self)))


class NoAnswer(CalipersError):  # noqa: N818 - not a failure: an answer of its own
    """There is nothing to measure there, for one of `REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    def __reduce__(self) -> tuple[type[NoAnswer], tuple[str, str]]:
        return type(self), (self.reason, str(self))
