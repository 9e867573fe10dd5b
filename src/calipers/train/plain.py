"""Questions in one wording each with answers of a word or a number of metres, for tiny models.

What `calipers ask` says in hundreds of ways and ten units takes a small model millions of answers
to speak; said plainly, all that it has to learn is to look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.io.exports.mentions import harmless
from calipers.io.masks import decode_mask
from calipers.questions.facts import askable, survey
from calipers.questions.registry import TYPE_LIST, TYPES
from calipers.types import Scene, SceneObject

ASKED: Mapping[str, str] = MappingProxyType(
    {
        "point": "Where is {A}?",
        "depth": "How deep is {A}?",
        "height": "How tall is {A}?",
        "distance": "How far is {A} from {B}?",
        "left_predicate": "Is {A} left of {B}?",
        "right_predicate": "Is {A} right of {B}?",
        "farther": "Is {A} farther than {B}?",
        "nearer": "Is {A} nearer than {B}?",
        "tall_predicate": "Is {A} taller than {B}?",
        "short_predicate": "Is {A} shorter than {B}?",
    }
)
"""Type → its question. Those that the registry has not: `point` is where a thing is in the picture,
and `depth`, `farther` and `nearer` are of the things' `depth_center`."""
TOLD: Mapping[str, str] = MappingProxyType(
    {"farther_told": ASKED["farther"], "nearer_told": ASKED["nearer"]}
)
"""The same of what the DepthAPI said, which stands for the things: exercises in reading it, asked
only where they are wanted."""
TOOL = ("depth", "farther", "nearer")
"""Types that are answered by the DepthAPI where it is there."""
LEAST_M = 0.01
"""No length is written smaller."""
CLEARLY = 1.05
"""So many times as deep is clearly farther."""


Point = tuple[float, float]
Place = tuple[Point, int]


class Plain(NamedTuple):
    """A question, what is true, and how that is said.

    Attributes:
        truth: "yes" or "no", metres, or the point (x, y) as shares of the picture.
        points: of the things asked about, one on each, as shares of the picture.
        depths_mm: of the things asked about.
    """

    type: str
    question: str
    truth: str | float | Point
    points: tuple[Point, ...]
    depths_mm: tuple[int, ...]


def plain_questions(scene: Scene, types: Sequence[str] | None = None) -> list[Plain]:
    """All that can be asked plainly of a scene; what is not clearly so or not so is left out.

    Args:
        scene: lifted.
        types: of `ASKED` or `TOLD`; None takes all of the first.

    Raises:
        UsageError: another type.
    """
    types = list(types or ASKED)
    known = [*ASKED, *TOLD]
    unknown = sorted(set(types) - set(known))
    if unknown:
        raise UsageError(f"plain questions: wanted {', '.join(known)}, got {', '.join(unknown)}")
    places = {k: _place(scene, scene.objects[k]) for k in askable(scene)}
    single = [name for name in ("point", "depth") if name in types]
    paired = [name for name in ("farther", "nearer", *TOLD) if name in types]
    found = [_about_one(scene, name, k, places[k]) for name in single for k in places]
    found += [
        _about_two(scene, name, pair, places)
        for name in paired
        for pair in permutations(places, 2)
        if _differ(*(places[k][1] for k in pair))
    ]
    return found + _surveyed(scene, [name for name in types if name in TYPES], places)


def _about_one(scene: Scene, name: str, index: int, place: Place) -> Plain:
    point, depth_mm = place
    truth = point if name == "point" else depth_mm / 1000
    return Plain(name, _asked(scene, name, [index]), truth, (point,), (depth_mm,))


def _about_two(scene: Scene, name: str, pair: Sequence[int], places: Mapping[int, Place]) -> Plain:
    points, depths = zip(*(places[k] for k in pair))
    truth = "yes" if (depths[0] > depths[1]) == name.startswith("farther") else "no"
    if name in TOLD:
        calls = (_call(*places[k]) for k in pair)
        return Plain(name, TOLD[name].format(**dict(zip("AB", calls))), truth, points, depths)
    return Plain(name, _asked(scene, name, pair), truth, points, depths)


def _call(point: Point, depth_mm: int) -> str:
    """What is asked of the DepthAPI at a point, and what it says."""
    return f"Depth({_share(point[0])},{_share(point[1])})={depth_mm}"


def _differ(first_mm: int, second_mm: int) -> bool:
    return max(first_mm, second_mm) > CLEARLY * min(first_mm, second_mm)


def _asked(scene: Scene, name: str, chosen: Sequence[int]) -> str:
    names = (harmless(scene.objects[k].reference or "") for k in chosen)
    return ASKED[name].format(**dict(zip("AB", names)))


def _surveyed(scene: Scene, types: Sequence[str], places: Mapping[int, Place]) -> list[Plain]:
    """Measures and comparisons of the registry."""
    view = survey(scene)
    if not types or not view.objects:
        return []
    values, margins, may = view.by_type(np.array([TYPE_LIST.index(TYPES[name]) for name in types]))
    found = []
    for number, case in zip(*np.nonzero(may & (np.abs(values) > margins))):
        name, value = types[number], float(values[number, case])
        chosen = [view.objects[view.first[case]], view.objects[view.second[case]]]
        chosen = chosen[: TYPES[name].arity]
        said = "yes" if value > 0 else "no"
        truth = said if TYPES[name].shape == "predicate" else value
        points, depths = zip(*(places[k] for k in chosen))
        found.append(Plain(name, _asked(scene, name, chosen), truth, points, depths))
    return found


def _place(scene: Scene, item: SceneObject) -> Place:
    """The point of a thing nearest to the middle of what is seen of it, in shares of the picture,
    and its `depth_center` in millimetres."""
    assert item.depth_center is not None
    left, top, wide, high = item.bbox
    at = np.array([left + (wide - 1) / 2, top + (high - 1) / 2])
    if item.segmentation is not None:
        rows, columns = np.nonzero(decode_mask(item.segmentation))
        pixels = np.stack([columns, rows], axis=1)
        at = pixels[np.argmin(((pixels - pixels.mean(0)) ** 2).sum(1))]
    x, y = (at + 0.5) / [scene.width, scene.height]
    return (float(x), float(y)), round(item.depth_center * 1000)


def tell(asked: Plain, noise: float = 1.0, tool: bool = False) -> str:
    """The answer in words.

    Args:
        asked: what is asked and true.
        noise: what a length is multiplied by.
        tool: say first what the DepthAPI is asked and says, where that answers it. Two depths are
            then compared digit by digit, and the word that holds comes before yes or no: at once
            is too much for a small model.

    >>> one = Plain("depth", "How deep is the can?", 1.5, ((0.25, 0.5),), (1500,))
    >>> tell(one), tell(one, 1.15), tell(one, tool=True)
    ('1.5 m', '1.7 m', 'Depth(0.25,0.50)=1500 mm')
    >>> tell(Plain("nearer", "", "no", ((0.25, 0.5), (0.75, 0.5)), (1480, 1210)), tool=True)
    'Depth(0.25,0.50)=1480 Depth(0.75,0.50)=1210 1=1 4>2 farther no'
    """
    if tool and asked.type in TOOL:
        calls = " ".join(map(_call, asked.points, asked.depths_mm))
        return f"{calls} mm" if asked.type == "depth" else f"{calls} {_compared(asked)}"
    if asked.type in TOLD:
        return _compared(asked)
    if isinstance(asked.truth, str):
        return asked.truth
    if isinstance(asked.truth, tuple):
        return f"({_share(asked.truth[0])}, {_share(asked.truth[1])})"
    return metres(asked.truth * noise)


def _compared(asked: Plain) -> str:
    """Two depths beside each other, what the first is by that, and then yes or no."""
    first, second = asked.depths_mm
    word = "farther" if first > second else "nearer"
    return f"{_digit_by_digit(first, second)} {word} {asked.truth}"


def _digit_by_digit(first: int, second: int) -> str:
    """The digits of two numbers side by side, up to the first that differ.

    >>> _digit_by_digit(1480, 1210), _digit_by_digit(980, 1210)
    ('1=1 4>2', '0<1')
    """
    size = max(len(str(first)), len(str(second)))
    said: list[str] = []
    for a, b in zip(str(first).zfill(size), str(second).zfill(size)):
        if a != b:
            return " ".join([*said, f"{a}{'<' if a < b else '>'}{b}"])
        said.append(f"{a}={b}")
    return " ".join(said)


def metres(length_m: float) -> str:
    """A length with two digits, whatever its size; at least `LEAST_M`.

    >>> metres(0.0561), metres(0.3), metres(1.44), metres(12.3)
    ('0.056 m', '0.30 m', '1.4 m', '12 m')
    """
    length_m = max(LEAST_M, length_m)
    return f"{length_m:.{max(0, 1 - math.floor(math.log10(length_m)))}f} m"


def _share(value: float) -> str:
    return f"{min(0.99, value):.2f}"


def draw(
    scene: Scene, count: int, rng: np.random.Generator, types: Sequence[str] | None = None
) -> list[Plain]:
    """So many plain questions of a scene, as many of each type as there are, in random order."""
    by_type: dict[str, list[Plain]] = {}
    for one in plain_questions(scene, types):
        by_type.setdefault(one.type, []).append(one)
    for some in by_type.values():
        order = rng.permutation(len(some))
        some[:] = [some[k] for k in order]
    chosen: list[Plain] = []
    while by_type and len(chosen) < count:
        for name in [str(n) for n in rng.permutation(list(by_type))]:
            chosen.append(by_type[name].pop())
            if not by_type[name]:
                del by_type[name]
    return chosen[:count]


def plain_case(asked: Plain, scene: Scene, number: int) -> Case:
    """A plain question as a case of an evaluation; points are not scored here."""
    kind = "yes-no" if isinstance(asked.truth, str) else "length"
    group = "qualitative" if kind == "yes-no" else "quantitative"
    return Case(
        id=f"{scene.id}/{number}",
        kind=kind,
        truth=asked.truth,
        question=asked.question,
        images=(scene.image,),
        tags=(group, asked.type),
        noun=asked.type,
        cluster=scene.id,
    )
