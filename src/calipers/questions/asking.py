"""All questions of scenes: the 43 types and, where a gripper is seen, those about the robot too.

A third of the questions of such a scene are about the robot, unless types are named that are all of
one sort; ``robot`` names all of `calipers.questions.robot`. Weights of types (a `mix` that is no
share) are those of the 43; with them the robot is asked about only when types name it.

Questions of several steps (`calipers.questions.multistep`) are a third sort, asked only when types
name them; ``multistep`` names all. They add three columns, `MULTISTEP_COLUMNS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from calipers.errors import UsageError
from calipers.questions.columns import CONCISE, Asked
from calipers.questions.multistep.asking import MultistepQuestion, ask_multistep
from calipers.questions.multistep.plans import MULTISTEP_TYPES
from calipers.questions.registry import Mix, names_of, weights
from calipers.questions.robot import GRIPPER, ROBOT_TYPES, ask_robot
from calipers.types import Question, Scene

ROBOT = "robot"
ROBOT_SHARE = 1 / 3
"""Of the questions of a scene with a gripper, those about the robot, beside others; and of any
scene those of several steps."""
MULTISTEP = "multistep"
MULTISTEP_COLUMNS = ("rationale", "steps", "given")
"""Columns that questions of several steps have beside those of the contract."""
_IDS = tuple(row.id for row in ROBOT_TYPES)


class Chosen(NamedTuple):
    """What to ask.

    Attributes:
        types: of the 43; None for all, empty for none.
        robot: ids of `ROBOT_TYPES`.
        share: of the questions of a scene, those about the robot; and those of several steps.
        named: whether types were named; then things are asked about without a gripper too.
        multistep: ids of `MULTISTEP_TYPES`.
    """

    types: tuple[str, ...] | None
    robot: tuple[str, ...]
    share: float
    named: bool
    multistep: tuple[str, ...] = ()


def choose(types: Iterable[str] | None = None, mix: Mix | None = None) -> Chosen:
    """Divide the types that are named between the two sorts.

    Raises:
        UsageError: an unknown type, a wrong mix, or nothing is left to ask.

    >>> choose(["distance", "holds"]).types, choose(["distance", "holds"]).robot
    (('distance',), ('holds',))
    """
    names = names_of(types)
    if names is None:
        chosen = Chosen(None, () if isinstance(mix, Mapping) else _IDS, ROBOT_SHARE, False)
    else:
        named = list(dict.fromkeys(names))
        robot = tuple(id for id in _IDS if ROBOT in named or id in named)
        steps = tuple(id for id in MULTISTEP_TYPES if MULTISTEP in named or id in named)
        others = (ROBOT, *_IDS, MULTISTEP, *MULTISTEP_TYPES)
        rest = tuple(name for name in named if name not in others)
        share = ROBOT_SHARE if rest else 1 / (bool(robot) + bool(steps) or 1)
        chosen = Chosen(rest, robot, share, True, steps)
    asked = chosen.robot or chosen.multistep
    if not weights(True, chosen.types, mix).any() and not asked:
        raise UsageError("types and mix leave no question to ask")
    return chosen


def ask(
    scene: Scene,
    count: int,
    seed: int,
    types: Iterable[str] | None = None,
    mix: Mix | None = None,
    concise: float = CONCISE,
) -> list[Question]:
    """Ask up to `count` different questions of a scene: what `calipers build` asks of it.

    A pure function of its arguments: the same on any machine and in any order. Fewer questions come
    back only when the scene holds no more (one object alone has a height, a width, an elevation).

    Args:
        types: ask only these types; "robot" stands for all that are about a robot, "multistep" for
            all of several steps, which come as `MultistepQuestion`.
        mix: share of qualitative questions (0.5), or a weight for each of the 43 types.
        concise: share of short answers.

    Raises:
        UsageError: an unknown type, or a number outside its range.
    """
    asked = AskedAll(count, seed, types, mix, concise)
    asked.add(scene)
    columns = (column.to_pylist() for column in asked.columns().values())
    return [_record(row) for row in zip(*columns)]


def _record(row: tuple[Any, ...]) -> Question:
    """A question of several steps has the further columns filled."""
    contract = len(Question.__dataclass_fields__)
    if row[contract:] and row[contract] is not None:
        return MultistepQuestion(*row)
    return Question(*row[:contract])


class AskedAll:
    """Questions of many scenes, as `Asked`, and of those with a gripper about the robot too.

    >>> AskedAll(count=200, seed=0).columns()["question"].to_pylist()
    []
    """

    def __init__(
        self,
        count: int,
        seed: int,
        types: Iterable[str] | None = None,
        mix: Mix | None = None,
        concise: float = CONCISE,
    ) -> None:
        """Take the arguments of `ask`; raise what it raises."""
        self.count, self.seed, self.concise, self.mix = count, seed, concise, mix
        self.chosen = choose(types, mix)
        self._asked = {count: Asked(count, seed, self.chosen.types, mix, concise)}
        self._others: list[Question] = []
        self._order: dict[str, int] = {}

    def add(self, scene: Scene) -> None:
        """Pick the questions of a scene: a pure function of the scene and the arguments."""
        self.add_all([scene])

    def add_all(self, scenes: Iterable[Scene]) -> None:
        """Pick the questions of several scenes."""
        rest: dict[int, list[Scene]] = {}
        for scene in scenes:
            self._order.setdefault(scene.id, len(self._order))
            found = [*self._of_robot(scene), *self._of_several_steps(scene)]
            self._others += found
            rest.setdefault(self.count - len(found), []).append(scene)
        for count, some in rest.items():
            if count not in self._asked:
                types = self.chosen.types
                self._asked[count] = Asked(count, self.seed, types, self.mix, self.concise)
            self._asked[count].add_all(some)

    def _of_robot(self, scene: Scene) -> list[Question]:
        seen = self.chosen.named or any(item.role == GRIPPER for item in scene.objects)
        if not self.chosen.robot or not seen:
            return []
        count = int(self.count * self.chosen.share)
        return ask_robot(scene, count, self.seed, self.chosen.robot, self.concise)

    def _of_several_steps(self, scene: Scene) -> list[Question]:
        if not self.chosen.multistep:
            return []
        count = int(self.count * self.chosen.share)
        return [*ask_multistep(scene, count, self.seed, self.chosen.multistep, self.concise)]

    def columns(self) -> dict[str, pa.Array]:
        """The columns of the contract, by name and in order, of all scenes added so far; with
        `MULTISTEP_COLUMNS` where types of several steps were named."""
        parts = [asked.columns() for asked in self._asked.values()]
        if self.chosen.multistep:
            parts = [part | _no_steps(len(part["id"])) for part in parts]
        if self._others:
            parts.append(_columns(self._others, parts[0]))
        if len(parts) == 1:
            return parts[0]
        joined = {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]}
        order = pa.array(list(self._order), pa.string())
        scenes = pc.index_in(joined["scene_id"], order)  # type: ignore[attr-defined, unused-ignore]
        rows = pa.array(np.argsort(scenes.to_numpy(), kind="stable"))
        return {name: column.take(rows) for name, column in joined.items()}


def _columns(questions: list[Question], like: Mapping[str, Any]) -> dict[str, pa.Array]:
    """Records as columns of the same names and types."""
    return {
        name: pa.array([getattr(question, name, None) for question in questions], column.type)
        for name, column in like.items()
    }


def _no_steps(count: int) -> dict[str, pa.Array]:
    return {name: pa.nulls(count, pa.string()) for name in MULTISTEP_COLUMNS}
