"""Which problems of several steps a scene can be asked: objects, stated lengths, and no doubt.

What is left out, as with the 43 types: an answer that the doubt about its measures could change
(every number alone by `ALONE` standard deviations, and all together by up to `TOGETHER` in fixed
random directions), and false premises (a passage in which something stands, a box that is full,
a free space in mid-air).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from calipers.questions.grammar import head_noun
from calipers.questions.multistep.measures import Measures
from calipers.questions.multistep.plans import MULTISTEP_TYPES, Call, Found, Problem, plan
from calipers.questions.multistep.solving import Solution, obstacle, solve
from calipers.questions.robot import CONTAINERS
from calipers.types import Doubles

ALONE, TOGETHER, DRAWS = 2.0, 1.5, 24
VALUE_SHARE = 0.08
"""A length is asked when no doubt changes it by more than this share."""
TRIES, TESTED, KEPT = 300, 40, 8
"""So many choices of objects of a kind are tried in a scene, so many of them tested for doubt, and
so many kept, of each answer at first."""
SMALL_M = 0.60
"""Things with no longer side can be stacked."""
STANDING_M = 0.02
"""What stands on something is at most so far above it."""
CAMERA_M = 0.90
"""Nearer than this above the support surface a camera looks at a table, where no child stands."""
WALL_M = 0.01
HEIGHTS_M = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
REACHES_M = (0.3, 0.4, 0.5, 0.6, 0.7)
WIDTHS_M = (
    *(0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.12, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50),
    *(0.60, 0.70, 0.80, 0.90, 1.00, 1.20),
)
RADII_M = (0.05, 0.08, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50, 0.75, 1.00, 1.50, 2.00, 2.50, 3.0)


@dataclass(frozen=True, slots=True)
class Case:
    """A problem of a scene, with its measures and its answer.

    Attributes:
        rows: of its objects in `Measures`, A first.
        spot: where A would stand in a free space, as shares of the picture.
    """

    problem: Problem
    rows: tuple[int, ...]
    found: Mapping[Call, tuple[float, ...]]
    solution: Solution
    spot: tuple[float, float] | None = None


def find(view: Measures, type: str, rng: np.random.Generator) -> list[Case]:
    """Return up to `KEPT` problems of a kind that the scene can be asked, of many answers."""
    row = MULTISTEP_TYPES[type]
    scene = view.scene
    blind = row.needs_level and scene.gravity is None
    if blind or (row.needs_floor and scene.support_plane is None) or len(view) < row.least:
        return []
    kept: dict[str | None, list[Case]] = {}
    tested = 0
    seen: set[tuple[tuple[int, ...], frozenset[int]]] = set()
    for _ in range(TRIES):
        if tested == TESTED or len(kept) == KEPT:
            break
        count = int(rng.integers(row.least, min(row.most, len(view)) + 1))
        rows = tuple(rng.permutation(len(view))[:count].tolist())
        same = rows[: row.roles], frozenset(rows[row.roles :])
        if same in seen or _has_part(view, rows) or not _PREMISES[type](view, rows):
            continue
        seen.add(same)
        full = {label for label, pile in kept.items() if len(pile) >= KEPT}
        cases = _cases(view, type, rows, _GIVEN[type](view, rows, rng))
        wanted = [one for one in cases if one.solution.label not in full]
        tested += bool(wanted)
        case = next((one for one in wanted if _is_clear(view, one)), None)
        if case is not None:
            kept.setdefault(case.solution.label, []).append(case)
    return _in_turn(list(kept.values()))[:KEPT]


def _in_turn(piles: Sequence[list[Case]]) -> list[Case]:
    """One of each answer, then a second of each, and so on."""
    longest = max(map(len, piles), default=0)
    return [pile[n] for n in range(longest) for pile in piles if n < len(pile)]


def _cases(
    view: Measures, type: str, rows: tuple[int, ...], given: Iterator[dict[str, float]]
) -> Iterator[Case]:
    """The problem with each of the stated lengths, where it has an answer."""
    found: dict[Call, tuple[float, ...]] = {}
    for lengths in given:
        problem = Problem(type, len(rows), lengths)
        found = found or view.find(plan(problem), rows)
        solution = solve(problem, found)
        if not solution.open:
            spot = view.spot(*rows[1:]) if type == "free_space" else None
            yield Case(problem, rows, found, solution, spot)


def _is_clear(view: Measures, case: Case) -> bool:
    return is_steady(case.problem, case.found, view.doubts(case.found, case.rows), case.solution)


def is_steady(problem: Problem, found: Found, doubts: Found, solution: Solution) -> bool:
    """Whether the answer stays when the measures are off by what is in doubt about them.

    Args:
        doubts: standard deviation of each number of `found`.
    """
    numbers = np.array([value for call in found for value in found[call]])
    steps = np.array([value for call in found for value in doubts[call]])
    if not np.isfinite(numbers).all() or not np.isfinite(steps).all():
        return False
    tools = [(call, len(values)) for call, values in found.items()]
    for moved in numbers + _directions(len(numbers)) * steps:
        other = solve(problem, _put_back(tools, moved.tolist()))
        if other.label != solution.label:
            return False
        if solution.value is not None and (
            other.value is None or abs(other.value - solution.value) > VALUE_SHARE * solution.value
        ):
            return False
    return True


def _put_back(tools: Sequence[tuple[Call, int]], numbers: Sequence[float]) -> Found:
    found, start = {}, 0
    for call, count in tools:
        values = numbers[start : start + count]
        found[call] = values if call.tool == "locate" else [max(value, 0.0) for value in values]
        start += count
    return found


@lru_cache(maxsize=64)
def _directions(count: int) -> Doubles:
    """In which directions, in standard deviations, the numbers are moved: (2 N + `DRAWS`, N)."""
    alone = ALONE * np.eye(count)
    together = np.random.default_rng(count).uniform(-TOGETHER, TOGETHER, (DRAWS, count))
    return np.concatenate((alone, -alone, together))


Given = Callable[[Measures, tuple[int, ...], np.random.Generator], Iterator[dict[str, float]]]
Premise = Callable[[Measures, tuple[int, ...]], bool]


def _nothing(
    view: Measures, rows: tuple[int, ...], rng: np.random.Generator
) -> Iterator[dict[str, float]]:
    yield {}


def _walls(
    view: Measures, rows: tuple[int, ...], rng: np.random.Generator
) -> Iterator[dict[str, float]]:
    yield {"wall": _wall(view, rows[1])}


def _child(
    view: Measures, rows: tuple[int, ...], rng: np.random.Generator
) -> Iterator[dict[str, float]]:
    pairs = [(height, reach) for height in HEIGHTS_M for reach in REACHES_M]
    for k in rng.permutation(len(pairs))[:8].tolist():
        height, reach = pairs[k]
        yield {"height": height, "reach": reach}


def _robot(
    view: Measures, rows: tuple[int, ...], rng: np.random.Generator
) -> Iterator[dict[str, float]]:
    gap = view.find([Call("gap", (0, 1))], rows)[Call("gap", (0, 1))][0]
    near = [width for width in WIDTHS_M if 0.3 * gap <= width <= 2.0 * gap]
    for width in (near[k] for k in rng.permutation(len(near))):
        yield {"width": width, "spare": 0.05 if width >= 0.2 else 0.01}


def _radii(
    view: Measures, rows: tuple[int, ...], rng: np.random.Generator
) -> Iterator[dict[str, float]]:
    gaps = [view.find([Call("gap", (0, k))], rows) for k in range(1, len(rows))]
    values = sorted(values[0] for found in gaps for values in found.values())
    near = [r for r in RADII_M if 0.6 * values[0] <= r <= 1.5 * values[-1]]
    for radius in (near[k] for k in rng.permutation(len(near))):
        yield {"radius": radius}


def _has_part(view: Measures, rows: tuple[int, ...]) -> bool:
    """Whether one of the objects is said to be a part of another ("the seat of the chair")."""
    heads = {head_noun(view.names[k]) for k in rows}
    return any(head_noun(view.names[k].partition(" of the ")[2]) in heads for k in rows)


def _any(view: Measures, rows: tuple[int, ...]) -> bool:
    return True


def _low(view: Measures, k: int) -> float:
    return float(view.center[k, 2] - view.size[k, 2] / 2)


def is_container(view: Measures, k: int) -> bool:
    """Whether the object's noun is that of something open at the top."""
    words = view.scene.objects[view.objects[k]].caption.lower().split()
    return bool(words) and words[-1] in CONTAINERS


def _wall(view: Measures, k: int) -> float:
    return WALL_M if is_container(view, k) else 0.0


def _comparable(view: Measures, rows: tuple[int, ...]) -> bool:
    """Sides of like length, so that there is something to ask, and no answer that would change at
    a slant; and an empty box."""
    a, b = view.size[rows[0]], view.size[rows[1]]
    if not 0.3 <= a.max() / b.max() <= 2.0 or _at_a_slant(view, rows):
        return False
    if not is_container(view, rows[1]):
        return True
    boxes = [item for item in view.scene.objects if item.center_level is not None]
    inside = [
        item
        for item in boxes
        if (np.abs(item.center_level - view.center[rows[1]]) < b / 2 - 1e-6).all()
    ]
    return len(inside) <= 1


def _at_a_slant(view: Measures, rows: tuple[int, ...]) -> bool:
    """Whether A does not fit into B side by side, but perhaps from corner to corner."""
    need, room = view.size[list(rows)] - [[0.0], [2 * _wall(view, rows[1])]]
    if (np.sort(need) <= np.sort(room)).all():
        return False
    least, most = np.array([[-ALONE], [ALONE]]) * view.size_doubt[list(rows)]
    return obstacle((need + least).tolist(), (room + most).tolist()) is None


def _aside(view: Measures, rows: tuple[int, ...]) -> bool:
    """None of the others is above or below A, where left and right of it mean nothing."""
    first = rows[0]
    away = np.abs(view.center[list(rows[1:])] - view.center[first])[:, :2]
    return bool((away > view.size[first, :2] / 2).any(axis=1).all())


def _one_is_nearest(view: Measures, rows: tuple[int, ...]) -> bool:
    """Whose centre is the nearest has the smallest gap too: of a table and the cup at its end
    nobody would say that the chair beside it is nearer."""
    calls = [Call("gap", (0, k)) for k in range(1, len(rows))]
    gaps = [gap for (gap,) in view.find(calls, rows).values()]
    away = np.linalg.norm(view.center[list(rows[1:])] - view.center[rows[0]], axis=1)
    return gaps[int(away.argmin())] <= min(gaps)


def _beside(view: Measures, rows: tuple[int, ...]) -> bool:
    """A lies somewhere along the way from B to C, else nobody would ask."""
    a, b, c = view.center[list(rows)]
    along = float((a - b) @ (c - b)) / max(float((c - b) @ (c - b)), 1e-12)
    return 0.1 <= along <= 0.9


def _small(view: Measures, rows: tuple[int, ...]) -> bool:
    """Things that a person could stack: small, and no parts of others ("seat of the chair")."""
    parts = any(" of the " in view.names[k] for k in rows)
    return not parts and bool(view.size[list(rows)].max() <= SMALL_M)


def _roomy(view: Measures, rows: tuple[int, ...]) -> bool:
    """A child can stand there: the camera is well above the surface, which A stands on."""
    high = view.level_from_camera[2, 3] >= CAMERA_M
    return bool(high and abs(_low(view, rows[0])) <= STANDING_M)


def _passage(view: Measures, rows: tuple[int, ...]) -> bool:
    """Both stand on the support surface, and nothing stands between them."""
    a, b = rows
    standing = max(abs(_low(view, a)), abs(_low(view, b))) <= STANDING_M
    return standing and _is_free(view, a, b, ())


def _free_place(view: Measures, rows: tuple[int, ...]) -> bool:
    """B and C stand on one surface at one height, and nothing but perhaps A is between them or
    where A would stand; the place between them is in the picture."""
    thing, a, b = rows
    same = abs(_low(view, a) - _low(view, b)) <= STANDING_M
    if not same or not _stands(view, a) or not _stands(view, b):
        return False
    gap = float(np.linalg.norm(np.diff(view.segment(a, b), axis=0)))
    like = 0.3 <= min(view.size[thing, :2]) / max(gap, 1e-6) <= 2.5
    below = _low(view, thing) + view.size[thing, 2] <= _low(view, a) + STANDING_M
    over = np.abs(view.center[thing] - view.center[a])[:2] <= view.size[thing, :2] / 2
    carries = bool(below and over.all())
    seen = all(0 <= share <= 1 for share in view.spot(a, b))
    clear = like and seen and not carries and _is_free(view, a, b, (view.objects[thing],))
    return clear and _can_stand(view, thing, a, b)


def _stands(view: Measures, k: int) -> bool:
    """Whether something is known to be right below."""
    low, middle = _low(view, k), view.center[k]
    if abs(low) <= STANDING_M:
        return True
    for n, item in enumerate(view.scene.objects):
        if n == view.objects[k] or item.center_level is None or item.size_level is None:
            continue
        top = item.center_level[2] + item.size_level[2] / 2
        over = np.abs(item.center_level - middle)[:2] <= item.size_level[:2] / 2
        if abs(top - low) <= STANDING_M and over.all():
            return True
    return False


def _can_stand(view: Measures, thing: int, a: int, b: int) -> bool:
    """Whether A's whole footprint, between B and C with its smaller side along the gap, is on what
    they stand on, and no other thing is in A's way."""
    place, along = view.between(a, b)
    sides = np.stack((along, [-along[1], along[0]])) * (np.sort(view.size[thing, :2]) / 2)[:, None]
    base, reach = max(_low(view, a), _low(view, b)), np.abs(sides).sum(0)
    on_something = abs(base) <= STANDING_M
    for n, item in enumerate(view.scene.objects):
        if n in (view.objects[k] for k in (thing, a, b)) or item.center_level is None:
            continue
        assert item.size_level is not None
        offset, half = item.center_level - [*place[:2], 0.0], item.size_level / 2
        top, low = offset[2] + half[2], offset[2] - half[2]
        if abs(top - base) <= STANDING_M:
            on_something |= bool((np.abs(offset[:2]) + reach <= half[:2]).all())
        elif top > base and low < base + view.size[thing, 2] and _meet(sides, offset, half):
            return False
    return on_something


def _meet(sides: Doubles, offset: Doubles, half: Doubles) -> bool:
    """Whether two rectangles overlap, by the axes of both (separating axis theorem).

    Args:
        sides: (2, 2) from the middle of the first to the middles of its sides.
        offset: from there to the middle of the second, which lies along the axes; x and y count.
        half: half the sides of the second.
    """
    apart = np.abs(offset[:2]) >= half[:2] + np.abs(sides).sum(0)
    across = np.abs(sides @ offset[:2]) >= (sides**2).sum(1) + np.abs(sides) @ half[:2]
    return not (apart.any() or across.any())


def _is_free(view: Measures, a: int, b: int, ignored: tuple[int, ...]) -> bool:
    """Whether the gap between two rows is level, and nothing else stands around its middle."""
    turn = view.level_from_camera
    ends = view.segment(a, b).astype(np.float64) @ turn[:3, :3].T + turn[:3, 3]
    across = float(np.linalg.norm(ends[1, :2] - ends[0, :2]))
    if across < 0.02 or abs(ends[1, 2] - ends[0, 2]) > 0.2 * across:
        return False
    middle, base = ends.mean(0)[:2], max(_low(view, a), _low(view, b))
    high = max(float(view.center[k, 2] + view.size[k, 2] / 2) for k in (a, b))
    for n, item in enumerate(view.scene.objects):
        if n in (view.objects[a], view.objects[b], *ignored) or item.center_level is None:
            continue
        assert item.size_level is not None
        half = item.size_level / 2
        top, low = item.center_level[2] + half[2], item.center_level[2] - half[2]
        beside = np.maximum(np.abs(item.center_level[:2] - middle) - half[:2], 0.0)
        if top > base + STANDING_M and low < high and np.linalg.norm(beside) < across / 2:
            return False
    return True


_GIVEN: Mapping[str, Given] = dict.fromkeys(MULTISTEP_TYPES, _nothing) | {
    "fits_in": _walls,
    "child_reach": _child,
    "path_clearance": _robot,
    "count_within": _radii,
}
_PREMISES: Mapping[str, Premise] = dict.fromkeys(MULTISTEP_TYPES, _any) | {
    "fits_in": _comparable,
    "free_space": _free_place,
    "child_reach": _roomy,
    "path_clearance": _passage,
    "viewpoint_side": _aside,
    "clock_direction": _aside,
    "nearest_to": _one_is_nearest,
    "between": _beside,
    "stacking_order": _small,
    "stack_height": _small,
}
