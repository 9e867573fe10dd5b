"""The types of SpatialQA as one table, and the record of one question.

Ids and levels are those of the list of question types; a type may be asked in several ways (an
object's mean, nearest or farthest depth), which are the keys of its questions in the templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from calipers.errors import UsageError
from calipers.questions.registry import names_of
from calipers.types import Kind, Question

Level = Literal["low", "middle", "high"]
MEASURES = ("point_depth", "depth_map_range", "object_depth")


@dataclass(frozen=True, slots=True)
class SpatialType:
    """One row.

    Attributes:
        weight: how often it is asked, relative to the others.
        needs_map: asked only with the depth map at hand.
        needs_level: asked only of scenes with gravity.
        slots: the placeholders that its templates may use.
    """

    id: str
    level: Level
    weight: float
    needs_map: bool
    needs_level: bool
    slots: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """Quantitative when the answer is a measure."""
        return "quantitative" if self.id in MEASURES else "qualitative"


_ROWS: tuple[tuple[str, Level, float, bool, bool, str], ...] = (
    # id                 level     w  map    gravity slots
    ("point_depth", "low", 2, True, False, "P value"),
    ("depth_map_range", "low", 1, True, False, "P Q near far typical value"),
    ("object_from_depth", "low", 1, True, False, "box name other value"),
    ("object_depth", "middle", 3, False, False, "A what box value center mean near far"),
    ("nearer_point", "middle", 2, True, False, "P Q winner loser"),
    ("nearer_object", "middle", 3, False, False, "A B winner loser"),
    ("depth_order", "middle", 1, False, False, "list order first last"),
    ("counting", "high", 2, False, False, "name names count one"),
    ("existence", "high", 2, False, False, "name"),
    ("contact", "high", 2, False, False, "A B value"),
    ("reach", "high", 2, False, False, "A B value"),
    ("inside", "high", 1, False, True, "A B"),
    ("on_top_of", "high", 2, False, True, "A B"),
    ("locate", "high", 1, False, False, "A box"),
)
SPATIAL_TYPES: Mapping[str, SpatialType] = {
    name: SpatialType(name, level, weight, by_map, by_level, tuple(slots.split()))
    for name, level, weight, by_map, by_level, slots in _ROWS
}
"""The types by id; `ROBOT` stands for those of `calipers.questions.robot`."""
ROBOT = "robot_scene"


def spatial_types(names: Sequence[str] | None = None) -> list[SpatialType]:
    """The rows of the types named (of `ROBOT` there is none), in order; all without names.

    Raises:
        UsageError: an unknown type.
    """
    names = names_of(names)
    unknown = sorted(set(names or ()) - {*SPATIAL_TYPES, ROBOT})
    if unknown:
        known = ", ".join((*SPATIAL_TYPES, ROBOT))
        raise UsageError(f"unknown SpatialQA type {unknown[0]!r}; there are: {known}")
    return [row for row in SPATIAL_TYPES.values() if names is None or row.id in names]


@dataclass(frozen=True, slots=True)
class SpatialQuestion(Question):
    """A question of SpatialQA: the columns of every question, its level, and how it was answered.

    Attributes:
        level: "low", "middle" or "high".
        messages: the whole exchange where depth was asked for by ``Depth(x,y)``: ``role`` (user,
            assistant, tool) and ``content``; None where the answer came directly.
    """

    level: Level
    messages: list[dict[str, Any]] | None = None
