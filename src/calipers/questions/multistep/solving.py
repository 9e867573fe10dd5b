"""The definitions: from measures to the answer of each kind of question, in plain arithmetic.

=================  ==============================================================================
triangle_shape     of the centres; sides are equal within `EQUAL` of the longer, an angle is right
                   within `RIGHT` degrees, where the two longest sides are not equal; all three in a
                   line from a largest angle of `LINE` on
fits_in            sides sorted, each of A at most that of B less 2 · wall; where one is more, but
                   no `obstacle` says that A does not fit at a slant either, it is not asked
free_space         the smaller of A's width and depth is at most the gap between B and C
child_reach        gap to A at most reach, and bottom = up − height / 2 at most height
path_clearance     gap between A and B at least width + 2 · spare
stacking_order     footprint = width · depth, the largest at the bottom
stack_height       sum of the heights
shortest_tour      of the ways from A over all the others, each once, along the centres
viewpoint_side     in plan: angle from A→B to A→C, counter-clockwise; left from `AHEAD` to
                   180° − `AHEAD`, right the other way round, else in line: not asked
clock_direction    in plan: angle of A→B, clockwise from straight away from the viewer (12
                   o'clock), in steps of 30°
between            the angle at A's centre between the directions to those of B and C: yes from
                   `BETWEEN` on, no up to `NOT_BETWEEN`, not asked in between
nearest_to         of the others that whose centre is nearest to A's
count_within       of the others those whose gap to A is at most radius
=================  ==============================================================================

A label names objects by letters, A first: "B", "C,D", "B,A,C". Tolerances are stated in the
questions' documentation; what doubt about the measures could change is not asked
(`calipers.questions.multistep.finding`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, permutations
from math import acos, atan2, degrees, hypot, prod
from typing import Any

from calipers.questions.multistep.plans import Call, Found, Problem

LETTERS = "ABCDEFGH"
EQUAL = 0.10
RIGHT, LINE = 7.0, 160.0
BETWEEN, NOT_BETWEEN = 150.0, 120.0
AHEAD = 30.0
NONE = "none"


@dataclass(frozen=True, slots=True)
class Solution:
    """An exact answer.

    Attributes:
        label: the symbolic answer; None where the definition leaves it open, or for a length.
        value: metres; None where the answer is not one.
        numbers: what the arithmetic came to, by name, for the text.
    """

    label: str | None
    value: float | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether there is no answer."""
        return self.label is None and self.value is None


def letters(objects: Sequence[int]) -> str:
    """A label of objects.

    >>> letters([1, 0, 2]), letters([])
    ('B,A,C', 'none')
    """
    return ",".join(LETTERS[k] for k in objects) or NONE


def objects_of(label: str) -> list[int]:
    """The objects that a label names.

    >>> objects_of("B,A,C"), objects_of("none")
    ([1, 0, 2], [])
    """
    return [] if label == NONE else [LETTERS.index(letter) for letter in label.split(",")]


def _distance(found: Found, a: int, b: int) -> float:
    return found[Call("distance", (min(a, b), max(a, b)))][0]


def corner(opposite: float, one: float, other: float) -> float:
    """The angle in degrees between two sides of a triangle, by the law of cosines.

    >>> round(corner(5.0, 3.0, 4.0), 6)
    90.0
    """
    if one <= 0 or other <= 0:
        return 0.0
    cosine = (one * one + other * other - opposite * opposite) / (2 * one * other)
    return degrees(acos(max(-1.0, min(1.0, cosine))))


def _triangle(problem: Problem, found: Found) -> Solution:
    """Shape by sides and the largest angle; `apex` is where the equal sides or the right angle
    meet, of a scalene triangle its largest angle."""
    opposite = {k: _distance(found, *(set(range(3)) - {k})) for k in range(3)}
    by_length = sorted(opposite, key=lambda k: opposite[k])
    sides = [opposite[k] for k in by_length]
    largest = corner(sides[2], sides[0], sides[1])
    low = (sides[1] - sides[0]) / sides[1] if sides[1] else 0.0
    high = (sides[2] - sides[1]) / sides[2] if sides[2] else 0.0
    right, isosceles = abs(largest - 90.0) <= RIGHT and high > EQUAL, min(low, high) <= EQUAL
    apex = by_length[2] if right or low <= high or not isosceles else by_length[0]
    if largest >= LINE:
        label, apex = "line", by_length[2]
    elif (sides[2] - sides[0]) <= EQUAL * sides[2]:
        label = "equilateral"
    elif right:
        label = "right isosceles" if low <= EQUAL else "right"
    else:
        label = "isosceles" if isosceles else "scalene"
    unlike = {"low": low, "high": high, "all": (sides[2] - sides[0]) / sides[2] if sides[2] else 0}
    order: dict[str, Any] = {"sides": sides, "apex": apex, "largest": largest, "opposite": opposite}
    return Solution(label, numbers=order | unlike)


def _fits(problem: Problem, found: Found) -> Solution:
    need = sorted(found[Call("size", (0,))], reverse=True)
    room = [side - 2 * problem.given["wall"] for side in found[Call("size", (1,))]]
    room.sort(reverse=True)
    over = [a - b for a, b in zip(need, room)]
    worst = max(range(3), key=lambda k: over[k])
    label = "yes" if over[worst] <= 0 else "no"
    return Solution(label, numbers={"need": need, "room": room, "worst": worst})


def obstacle(need: Sequence[float], room: Sequence[float]) -> tuple[str, float, float] | None:
    """What keeps a box out of another however it is turned, and how much of it both have.

    Of a body that lies in another each of these is at most as much (widths, diameters and, by
    Hadwiger, the intrinsic volumes of convex bodies), so any that is more is a proof. None is no
    proof that it fits.

    Args:
        need, room: sides of both, metres.

    >>> obstacle([0.5, 0.1, 0.1], [0.4, 0.4, 0.4]) is None  # it fits from corner to corner
    True
    >>> obstacle([0.4, 0.3, 0.1], [0.3, 0.3, 0.2])
    ('diagonal', 0.5099019513592785, 0.469041575982343)
    """
    room = [max(side, 0.0) for side in room]
    for name, measure in _OBSTACLES.items():
        a, b = measure(need), measure(room)
        if a > b:
            return name, a, b
    return None


_OBSTACLES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "shortest side": min,
    "diagonal": lambda sides: hypot(*sides),
    "sum of sides": sum,
    "surface": lambda sides: 2 * (sides[0] * sides[1] + sides[1] * sides[2] + sides[2] * sides[0]),
    "volume": prod,
}


def _room(problem: Problem, found: Found) -> Solution:
    width, depth, _ = found[Call("size", (0,))]
    gap = found[Call("gap", (1, 2))][0]
    need = min(width, depth)
    numbers = {"width": width, "depth": depth, "need": need, "gap": gap, "left": gap - need}
    return Solution("yes" if need <= gap else "no", numbers=numbers)


def _reach(problem: Problem, found: Found) -> Solution:
    rows: list[dict[str, Any]] = []
    for k in range(1, problem.count):
        gap = found[Call("gap", (0, k))][0]
        bottom = found[Call("locate", (k,))][2] - found[Call("size", (k,))][2] / 2
        near, low = gap <= problem.given["reach"], bottom <= problem.given["height"]
        rows.append({"object": k, "gap": gap, "bottom": bottom, "near": near, "low": low})
    reached: list[int] = [row["object"] for row in rows if row["near"] and row["low"]]
    return Solution(letters(reached), numbers={"rows": rows, "objects": reached})


def _clearance(problem: Problem, found: Found) -> Solution:
    gap = found[Call("gap", (0, 1))][0]
    need = problem.given["width"] + 2 * problem.given["spare"]
    label = "yes" if gap >= need else "no"
    return Solution(label, numbers={"gap": gap, "need": need, "left": gap - need})


def _stack(problem: Problem, found: Found) -> Solution:
    sizes = [found[Call("size", (k,))] for k in range(problem.count)]
    areas = [width * depth for width, depth, _ in sizes]
    order = sorted(range(problem.count), key=lambda k: -areas[k])
    return Solution(letters(order), numbers={"areas": areas, "order": order, "sizes": sizes})


def _stack_height(problem: Problem, found: Found) -> Solution:
    heights = [found[Call("size", (k,))][2] for k in range(problem.count)]
    return Solution(None, sum(heights), {"heights": heights})


def _tour(problem: Problem, found: Found) -> Solution:
    ways = []
    for rest in permutations(range(1, problem.count)):
        way = (0, *rest)
        ways.append((sum(_distance(found, a, b) for a, b in pairwise(way)), way))
    ways.sort()
    (total, way), (second, other) = ways[:2]
    legs = [_distance(found, a, b) for a, b in pairwise(way)]
    numbers = {"order": list(way), "legs": legs, "second": second, "other": list(other)}
    return Solution(letters(way), total, numbers)


def _viewpoint(problem: Problem, found: Found) -> Solution:
    (ax, ay), (bx, by), (cx, cy) = (found[Call("locate", (k,))][:2] for k in range(3))
    facing, seen = (bx - ax, by - ay), (cx - ax, cy - ay)
    cross = facing[0] * seen[1] - facing[1] * seen[0]
    angle = degrees(atan2(cross, facing[0] * seen[0] + facing[1] * seen[1]))
    aside = AHEAD <= abs(angle) <= 180 - AHEAD
    label = ("left" if angle > 0 else "right") if aside else None
    return Solution(label, numbers={"angle": angle, "facing": facing, "seen": seen})


def _clock(problem: Problem, found: Found) -> Solution:
    (ax, ay), (bx, by) = (found[Call("locate", (k,))][:2] for k in range(2))
    right, forward = bx - ax, by - ay
    angle = degrees(atan2(right, forward)) % 360
    hour = round(angle / 30) % 12 or 12
    return Solution(str(hour), numbers={"right": right, "forward": forward, "angle": angle})


def _between(problem: Problem, found: Found) -> Solution:
    a, b, c = (found[Call("locate", (k,))] for k in range(3))
    one, other = ([end - start for start, end in zip(a, place)] for place in (b, c))
    along = sum(x * y for x, y in zip(one, other))
    angle = degrees(acos(max(-1.0, min(1.0, along / max(hypot(*one) * hypot(*other), 1e-12)))))
    label = "yes" if angle >= BETWEEN else "no" if angle <= NOT_BETWEEN else None
    return Solution(label, numbers={"angle": angle, "one": one, "other": other, "along": along})


def _nearest(problem: Problem, found: Found) -> Solution:
    distances = {k: _distance(found, 0, k) for k in range(1, problem.count)}
    order = sorted(distances, key=lambda k: distances[k])
    return Solution(letters(order[:1]), numbers={"order": order, "distances": distances})


def _count(problem: Problem, found: Found) -> Solution:
    gaps = {k: found[Call("gap", (0, k))][0] for k in range(1, problem.count)}
    inside = [k for k, gap in gaps.items() if gap <= problem.given["radius"]]
    return Solution(str(len(inside)), numbers={"gaps": gaps, "objects": inside})


SOLVERS: Mapping[str, Callable[[Problem, Found], Solution]] = {
    "triangle_shape": _triangle,
    "fits_in": _fits,
    "free_space": _room,
    "child_reach": _reach,
    "path_clearance": _clearance,
    "stacking_order": _stack,
    "stack_height": _stack_height,
    "shortest_tour": _tour,
    "viewpoint_side": _viewpoint,
    "clock_direction": _clock,
    "between": _between,
    "nearest_to": _nearest,
    "count_within": _count,
}


def solve(problem: Problem, found: Found) -> Solution:
    """Answer a problem from what its `plans.plan` found.

    >>> from calipers.questions.multistep.plans import plan
    >>> cans = Problem("triangle_shape", 3)
    >>> solve(cans, dict(zip(plan(cans), [(0.40,), (0.48,), (0.41,)]))).label
    'isosceles'
    """
    return SOLVERS[problem.type](problem, found)
