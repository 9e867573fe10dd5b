"""What the templates of each kind are filled with: names, lists, stated lengths, and arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

from calipers.questions.families import FamilyType
from calipers.questions.multistep.finding import Case
from calipers.questions.multistep.plans import MULTISTEP_TYPES, Call, arguments
from calipers.questions.multistep.solving import (
    AHEAD,
    BETWEEN,
    EQUAL,
    LINE,
    NOT_BETWEEN,
    RIGHT,
    obstacle,
)

_YES_NO = ("yes", "no")
_SOME = ("none", "one", "several", "all")
_NAMES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # id               names in templates       outcomes
    "triangle_shape": (
        ("A", "B", "C", "P", "Q", "R"),
        ("equilateral", "isosceles", "right", "right_isosceles", "scalene", "line"),
    ),
    "fits_in": (("A", "K"), _YES_NO),
    "free_space": (("A", "B", "C", "T"), _YES_NO),
    "child_reach": (("A", "L", "H", "R", "Y"), _SOME),
    "path_clearance": (("A", "B", "W", "S"), _YES_NO),
    "stacking_order": (("L", "O", "P", "Q"), ("order",)),
    "stack_height": (("L",), ("value",)),
    "shortest_tour": (("A", "L", "O"), ("order",)),
    "viewpoint_side": (("A", "B", "C"), ("left", "right")),
    "clock_direction": (("A", "B", "H"), ("hour",)),
    "between": (("A", "B", "C"), _YES_NO),
    "nearest_to": (("A", "L", "W"), ("object",)),
    "count_within": (("A", "L", "R", "Y", "N"), _SOME),
}
FAMILY: tuple[FamilyType, ...] = tuple(
    FamilyType(id, MULTISTEP_TYPES[id].kind, *rest) for id, rest in _NAMES.items()
)
"""The kinds as rows of a family: what their templates may say, and what can be true."""

_NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven")


@dataclass(frozen=True, slots=True)
class Words:
    """A case ready to be said.

    Attributes:
        outcome: one of the row's outcomes.
        words: what each of the row's names says.
        maths: the arithmetic, a sentence each.
    """

    outcome: str
    words: tuple[str, ...]
    maths: tuple[str, ...]


def listed(names: Sequence[str]) -> str:
    """Names in a row.

    >>> listed(["the cup"]), listed(["the cup", "the fork", "the pan"])
    ('the cup', 'the cup, the fork and the pan')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def ordered(names: Sequence[str]) -> str:
    """Names one after another.

    >>> ordered(["the cup", "the fork", "the pan"])
    'the cup, then the fork and then the pan'
    """
    return " and then ".join(filter(None, [", then ".join(names[:-1]), names[-1]]))


def stated(length_m: float) -> str:
    """A round length that a question states.

    >>> stated(0.45), stated(1.2), stated(1.0), stated(0.03)
    ('45 cm', '1.2 m', '1 m', '3 cm')
    """
    if length_m < 0.995:
        return f"{round(100 * length_m):d} cm"
    return f"{length_m:g} m"


def metres(length_m: float) -> str:
    """A measure to the millimetre.

    >>> metres(0.4), metres(-0.0001)
    ('0.400 m', '0.000 m')
    """
    return f"{round(length_m, 3) + 0.0:.3f} m"


def told(call: Call, numbers: Sequence[float]) -> str:
    """The result of a call in words.

    >>> told(Call("size", (0,)), (0.1, 0.2, 0.3))
    'width 0.100 m, depth 0.200 m, height 0.300 m'
    """
    if len(numbers) == 1:
        return metres(numbers[0])
    names = {"size": ("width", "depth", "height"), "locate": ("right", "forward", "up")}
    return ", ".join(f"{name} {metres(n)}" for name, n in zip(names[call.tool], numbers))


def called(call: Call, names: Sequence[str]) -> str:
    """A call as text.

    >>> called(Call("gap", (1, 0)), ["the cup", "the fork"])
    'gap(the fork, the cup)'
    """
    return f"{call.tool}({', '.join(str(value) for value in arguments(call, names).values())})"


def word(case: Case, names: Sequence[str]) -> Words:
    """Fill in what a kind's templates say of a case; `names` are its objects', A first."""
    return _WORDERS[case.problem.type](case, names, case.solution.numbers)


Numbers = Mapping[str, Any]
Names = Sequence[str]


def _triangle(case: Case, names: Names, found: Numbers) -> Words:
    label, apex = case.solution.label or "", found["apex"]
    low, middle, high = found["sides"]
    alike, least = f"{EQUAL:.0%}", min(found["low"], found["high"])
    two = (low, middle) if found["low"] <= found["high"] else (middle, high)
    lines = [
        f"Longest and shortest side, {metres(high)} and {metres(low)}, differ by "
        f"{found['all']:.1%} of the longer."
    ]
    if label in ("equilateral",):
        lines.append(f"That is within {alike}, so all three are equal.")
    elif label != "line":
        limit = f"within {alike}" if least <= EQUAL else f"more than {alike}"
        lines.append(
            f"The two most alike, {metres(two[1])} and {metres(two[0])}, differ by {least:.1%}, "
            f"{limit}."
        )
    if label != "equilateral":
        lines.append(
            f"The largest angle, opposite the longest side, is arccos(({low:.3f}² + {middle:.3f}² "
            f"− {high:.3f}²) / (2 · {low:.3f} · {middle:.3f})) = {found['largest']:.1f}°, "
            f"{_angle(label, found['largest'])}."
        )
    corners = [apex, *(k for k in range(3) if k != apex)]
    words = (*names, *(names[k] for k in corners))
    return Words(label.replace(" ", "_"), words, tuple(lines))


def _angle(label: str, angle: float) -> str:
    """What the largest angle says of a triangle."""
    if label == "line":
        return f"and from {LINE:g}° on they are in a line"
    if "right" in label:
        return f"within {RIGHT:g}° of 90°"
    near = abs(angle - 90) <= RIGHT
    return "but the two longest sides are equal" if near else f"not within {RIGHT:g}° of 90°"


def _fits(case: Case, names: Names, found: Numbers) -> Words:
    wall, worst = case.problem.given["wall"], found["worst"]
    place = names[1] if wall else f"a box as big as {names[1]}"
    need, room = ([f"{side:.3f}" for side in found[key]] for key in ("need", "room"))
    kept_out = obstacle(found["need"], found["room"])
    inside = f" less {stated(wall)} for each wall" if wall else ""
    if case.solution.label == "yes":
        result = ", ".join(f"{a} ≤ {b}" for a, b in zip(need, room)) + ": every side fits."
    else:
        which = ("longest", "second longest", "shortest")[worst]
        result = f"The {which} side is too long: {need[worst]} m > {room[worst]} m."
        if kept_out and worst < 2:
            result += f" {_slant(*kept_out)}"
    lines = (
        f"From the longest to the shortest, the sides of {names[0]} are {', '.join(need)} m, those "
        f"of {names[1]}{inside} {', '.join(room)} m.",
        result,
    )
    return Words(case.solution.label or "", (names[0], place), lines)


def _slant(name: str, need: float, room: float) -> str:
    """Why turning does not help."""
    unit = {"surface": "m²", "volume": "m³"}.get(name, "m")
    return f"At a slant it does not fit either: {name} {need:.4g} {unit} > {room:.4g} {unit}."


def _room(case: Case, names: Names, found: Numbers) -> Words:
    need, gap, yes = found["need"], found["gap"], case.solution.label == "yes"
    sign = "≤" if yes else ">"
    over = f"{metres(abs(found['left']))} {'to spare' if yes else 'too little'}"
    where = "({:.2f}, {:.2f})".format(*case.spot) if case.spot else ""
    lines = (
        f"The smaller side of its footprint is min({metres(found['width'])}, "
        f"{metres(found['depth'])}) = {metres(need)}.",
        f"{metres(need)} {sign} {metres(gap)}: {over}.",
        *((f"The middle between them is at {where} of the picture.",) if yes else ()),
    )
    return Words(case.solution.label or "", (*names, where), lines)


def _reach(case: Case, names: Names, found: Numbers) -> Words:
    height, reach = (case.problem.given[name] for name in ("height", "reach"))
    lines = []
    for row in found["rows"]:
        k = row["object"]
        up, tall = case.found[Call("locate", (k,))][2], case.found[Call("size", (k,))][2]
        near, low = ("≤" if row[name] else ">" for name in ("near", "low"))
        verdict = "within reach" if row["near"] and row["low"] else "out of reach"
        lines.append(
            f"{names[k]}: {metres(row['gap'])} {near} {metres(reach)} away, bottom at {up:.3f} − "
            f"{tall:.3f} / 2 = {metres(row['bottom'])} {low} {metres(height)}, so {verdict}."
        )
    reached = [names[k] for k in found["objects"]]
    outcome = _how_many(len(reached), len(names) - 1)
    words = (names[0], listed(names[1:]), stated(height), stated(reach), listed(reached))
    return Words(outcome, words, tuple(line[:1].upper() + line[1:] for line in lines))


def _how_many(count: int, among: int) -> str:
    if count == among:
        return "all"
    return ("none", "one")[count] if count < 2 else "several"


def _clearance(case: Case, names: Names, found: Numbers) -> Words:
    width, spare = (case.problem.given[name] for name in ("width", "spare"))
    yes = case.solution.label == "yes"
    over = f"{metres(abs(found['left']))} {'to spare' if yes else 'too little'}"
    lines = (
        f"Needed are {metres(width)} + 2 · {metres(spare)} = {metres(found['need'])}.",
        f"{metres(found['gap'])} {'≥' if yes else '<'} {metres(found['need'])}: {over}.",
    )
    words = (*names, stated(width), stated(spare))
    return Words(case.solution.label or "", words, lines)


def _stack(case: Case, names: Names, found: Numbers) -> Words:
    order = found["order"]
    areas = [
        f"{names[k]} {found['sizes'][k][0]:.3f} · {found['sizes'][k][1]:.3f} = "
        f"{found['areas'][k]:.4f} m²"
        for k in range(len(names))
    ]
    falling = " > ".join(f"{found['areas'][k]:.4f}" for k in order)
    lines = (f"Footprints, width times depth: {', '.join(areas)}.", f"{falling} m².")
    said = [names[k] for k in order]
    return Words("order", (listed(names), ordered(said), said[0], said[-1]), lines)


def _stack_height(case: Case, names: Names, found: Numbers) -> Words:
    total = " + ".join(f"{height:.3f}" for height in found["heights"])
    return Words("value", (listed(names),), (f"{total} = {metres(case.solution.value or 0.0)}.",))


def _tour(case: Case, names: Names, found: Numbers) -> Words:
    legs = " + ".join(f"{leg:.3f}" for leg in found["legs"])
    other = listed([names[k] for k in found["other"][1:]])
    lines = (
        f"The shortest way: {legs} = {metres(case.solution.value or 0.0)}.",
        f"The next best, over {other} in this order, has {metres(found['second'])}.",
    )
    said = ordered([names[k] for k in found["order"][1:]])
    return Words("order", (names[0], listed(names[1:]), said), lines)


def _viewpoint(case: Case, names: Names, found: Numbers) -> Words:
    (x, y), (u, v), angle = found["facing"], found["seen"], found["angle"]
    cross, turn = x * v - y * u, "counter-clockwise" if angle > 0 else "clockwise"
    lines = (
        f"From {names[0]} to {names[1]} it is {metres(x)} right and {metres(y)} forward, to "
        f"{names[2]} {metres(u)} right and {metres(v)} forward.",
        f"{x:.3f} · {v:.3f} − {y:.3f} · {u:.3f} = {cross:.4f} {'>' if cross > 0 else '<'} 0: "
        f"{abs(angle):.0f}° {turn} as seen from above, between {AHEAD:g}° and {180 - AHEAD:g}°.",
    )
    return Words(case.solution.label or "", tuple(names), lines)


def _clock(case: Case, names: Names, found: Numbers) -> Words:
    right, forward, angle = found["right"], found["forward"], found["angle"]
    turned = f"{angle:.0f}°" if angle <= 180 else f"{angle - 360:.0f}°, or {angle:.0f}°"
    lines = (
        f"From {names[0]} to {names[1]} it is {metres(right)} right and {metres(forward)} forward.",
        f"Clockwise from straight ahead that is atan2({right:.3f}, {forward:.3f}) = {turned}, "
        f"and {angle:.0f}° / 30° = {angle / 30:.1f}.",
    )
    return Words("hour", (*names, f"{case.solution.label} o'clock"), lines)


def _between(case: Case, names: Names, found: Numbers) -> Words:
    one, other, yes = found["one"], found["other"], case.solution.label == "yes"
    limit = f"at least {BETWEEN:g}°" if yes else f"at most {NOT_BETWEEN:g}°"
    lines = (
        f"From {names[0]} to {names[1]} it is ({_triple(one)}) m, to {names[2]} "
        f"({_triple(other)}) m.",
        f"The angle between the two is arccos({found['along']:.4f} / ({hypot(*one):.3f} · "
        f"{hypot(*other):.3f})) = {found['angle']:.0f}°, {limit}.",
    )
    return Words(case.solution.label or "", tuple(names), lines)


def _triple(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:.3f}" for number in numbers)


def _nearest(case: Case, names: Names, found: Numbers) -> Words:
    order, distances = found["order"], found["distances"]
    line = " < ".join(f"{distances[k]:.3f}" for k in order)
    words = (names[0], listed(names[1:]), names[order[0]])
    return Words("object", words, (f"{line} m.",))


def _count(case: Case, names: Names, found: Numbers) -> Words:
    radius, gaps = case.problem.given["radius"], found["gaps"]
    parts = [f"{gap:.3f} {'≤' if gap <= radius else '>'} {radius:.3f}" for gap in gaps.values()]
    near = [names[k] for k in found["objects"]]
    lines = (f"{', '.join(parts)}: {len(near)} of {len(gaps)}.",)
    words = (names[0], listed(names[1:]), stated(radius), listed(near), _NUMBERS[len(near)])
    return Words(_how_many(len(near), len(gaps)), words, lines)


_WORDERS: Mapping[str, Callable[[Case, Names, Numbers], Words]] = {
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
