"""A scripted language model: it answers questions of several steps through the coordinator.

It stands for a language model that plans perfectly, and thinks nothing. Of a question it knows what
was parsed (the kind, the names or numbers of the objects, the lengths that are stated); all else it
is told by tools. A kind's plan is a generator: it yields the calls of a turn, is sent their results
as the model is told them, and returns the answer. What can be compared at a glance it compares
itself; whatever has to be computed goes through the calculator, so that each number of an answer is
traced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import pairwise, permutations
from typing import Any

from calipers.chat import Message, Reply, ToolCall
from calipers.evals.multistep_score import HINTS
from calipers.questions.multistep.asking import MultistepQuestion
from calipers.questions.multistep.planner import problem_of, tool_calls
from calipers.questions.multistep.plans import Call, plan
from calipers.questions.multistep.solving import AHEAD, BETWEEN, EQUAL, LINE, NOT_BETWEEN, RIGHT
from calipers.reason import Reasoned, reason
from calipers.reason.coordinate import USUAL
from calipers.tools.chatting import Budget
from calipers.tools.session import Session

Calls = list[tuple[str, dict[str, Any]]]
Result = dict[str, Any]
Found = Mapping[Call, Result]
Way = Generator[Calls, list[Result], str]
BUDGET = Budget(USUAL.steps, 40, USUAL.seconds, USUAL.tokens, repeats=USUAL.repeats)
"""The usual one, with calls enough for the 24 ways over five things."""
SIDES = ("width", "depth", "height")
SHAPES = {"line": "in a line", "right": "right-angled", "right isosceles": "right-angled isosceles"}


def ask(question: MultistepQuestion, session: Session, names: Sequence[str | int]) -> Reasoned:
    """Let the script answer a question through the coordinator.

    Args:
        question: its text is what the coordinator is asked.
        session: where is measured.
        names: what to call the objects, A first: names, or places in the scene's list.
    """
    text = f"{question.question} {HINTS[question.type]}"
    return reason(session, text, Script(question, names), budget=BUDGET)


class Script:
    """A scripted language model for one question."""

    model = "a script that plays a perfect planner"

    def __init__(self, question: MultistepQuestion, names: Sequence[str | int]) -> None:
        self._way = _steps(question, names)
        self._answer = ""

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> Generator[str, None, Reply]:
        """A turn: what the last calls gave, and the next ones or the answer."""
        made: tuple[ToolCall, ...] = ()
        try:
            calls = self._way.send(_told(messages))  # type: ignore[arg-type]
            place = len(messages)
            made = tuple(
                ToolCall(f"c{place}-{k}", name, json.dumps(given))
                for k, (name, given) in enumerate(calls)
            )
        except StopIteration as end:
            self._answer = end.value or self._answer
        yield self._answer
        return Reply(self._answer, made, None, "stop", 0, 0)


def _told(messages: Sequence[Message]) -> list[Result] | None:
    """The results since the model's last turn; None before its first."""
    said = [k for k, message in enumerate(messages) if message["role"] == "assistant"]
    if not said:
        return None
    return [json.loads(m["content"]) for m in messages[said[-1] + 1 :] if m["role"] == "tool"]


def _steps(question: MultistepQuestion, names: Sequence[str | int]) -> Way:
    """Look which objects there are, measure, then what the kind wants."""
    yield [("locate", {})]
    told = yield [(call.name, call.arguments) for call in tool_calls(question, names)]
    failed = next((result["error"] for result in told if "error" in result), None)
    if failed is not None:
        return f"NO ANSWER: {failed}"
    found = dict(zip(plan(problem_of(question)), told, strict=True))
    given = {name: f"{length:.9g} m" for name, length in json.loads(question.given).items()}
    return (yield from WAYS[question.type](found, question.objects, given))


def _computed(*expressions: str) -> Calls:
    return [("calculate", {"expression": text}) for text in expressions]


def _said(result: Result, part: str = "value") -> str:
    """A length of a result as an answer says it."""
    value = result["value"] if part == "value" else result["values"][part]
    return f"{value:.3g} m"


def _size(found: Found, k: int) -> Result:
    return found[Call("size", (k,))]


def _order(text: Sequence[str]) -> str:
    return ", ".join(text)


def _triangle(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    sides = sorted(found.values(), key=lambda result: result["value"])
    a, b, c = (side["id"] for side in sides)
    low, high, most, angle = yield _computed(
        f"({b} - {a}) / {b}",
        f"({c} - {b}) / {c}",
        f"({c} - {a}) / {c}",
        f"acos(max(-1, ({a}^2 + {b}^2 - {c}^2) / (2 * {a} * {b}))) to deg",
    )
    legs, tops = low["value"] <= EQUAL, high["value"] <= EQUAL
    if angle["value"] >= LINE:
        shape = "line"
    elif most["value"] <= EQUAL:
        shape = "equilateral"
    elif abs(angle["value"] - 90) <= RIGHT and not tops:
        shape = "right isosceles" if legs else "right"
    else:
        shape = "isosceles" if legs or tops else "scalene"
    return f"{SHAPES.get(shape, shape)}: its largest angle is {angle['value']:.0f} degrees"


def _fits(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    need, room = (
        sorted(SIDES, key=lambda side: -_size(found, k)["values"][side]) for k in range(2)
    )
    a, b = (_size(found, k)["id"] for k in range(2))
    over = yield _computed(*(f"{a}.{one} - {b}.{two}" for one, two in zip(need, room)))
    walls = 2 * float(given["wall"].split()[0])
    worst = max(range(3), key=lambda k: over[k]["value"])
    verdict = "yes" if over[worst]["value"] <= -walls else "no"
    one, two = _said(_size(found, 0), need[worst]), _said(_size(found, 1), room[worst])
    return f"{verdict}: a side of {one} for one of {two}"


def _enough(gap: Result, need: str) -> Way:
    """Whether a gap is as wide as what is needed."""
    (needed,) = yield _computed(need)
    (short,) = yield _computed(f"{needed['id']} - {gap['id']}")
    verdict = "yes" if short["value"] <= 0 else "no"
    return f"{verdict}: it needs {_said(needed)}, and there are {_said(gap)}"


def _room(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    thing = _size(found, 0)["id"]
    return (yield from _enough(found[Call("gap", (1, 2))], f"min({thing}.width, {thing}.depth)"))


def _clearance(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    need = f"{given['width']} + 2 * {given['spare']}"
    return (yield from _enough(found[Call("gap", (0, 1))], need))


def _reach(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    reached = []
    for k in range(1, len(names)):
        place, size = found[Call("locate", (k,))]["id"], _size(found, k)["id"]
        over = yield _computed(
            f"{found[Call('gap', (0, k))]['id']} - {given['reach']}",
            f"{place}.up - {size}.height / 2 - {given['height']}",
        )
        if all(result["value"] <= 0 for result in over):
            reached.append(names[k])
    return _order(reached) or "none"


def _stack(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    ids = [_size(found, k)["id"] for k in range(len(names))]
    areas = yield _computed(*(f"{one}.width * {one}.depth" for one in ids))
    return _order([names[k] for k in sorted(range(len(names)), key=lambda k: -areas[k]["value"])])


def _height(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    heights = (f"{_size(found, k)['id']}.height" for k in range(len(names)))
    (total,) = yield _computed(" + ".join(heights))
    return _said(total)


def _tour(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    ways = [(0, *rest) for rest in permutations(range(1, len(names)))]
    ids = {frozenset(call.objects): result["id"] for call, result in found.items()}
    totals = yield _computed(
        *(" + ".join(ids[frozenset(leg)] for leg in pairwise(way)) for way in ways)
    )
    best = min(range(len(ways)), key=lambda k: totals[k]["value"])
    return f"{_order([names[k] for k in ways[best]])}; {_said(totals[best])} in all"


def _offset(found: Found, start: int, end: int, part: str) -> str:
    """From one place to another along an axis, for the calculator."""
    one, other = (found[Call("locate", (k,))]["id"] for k in (start, end))
    return f"({other}.{part} - {one}.{part})"


def _viewpoint(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    (fx, fy), (sx, sy) = (
        [_offset(found, 0, k, part) for part in ("right", "forward")] for k in (1, 2)
    )
    (angle,) = yield _computed(
        f"atan2({fx} * {sy} - {fy} * {sx}, {fx} * {sx} + {fy} * {sy}) to deg"
    )
    if not AHEAD <= abs(angle["value"]) <= 180 - AHEAD:
        return "NO ANSWER: it is in line"
    side = "left" if angle["value"] > 0 else "right"
    return f"{side}, {abs(angle['value']):.0f} degrees from straight ahead"


def _clock(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    """An hour is a third of a quarter turn, acos(0)."""
    right, forward = (_offset(found, 0, 1, part) for part in ("right", "forward"))
    (hour,) = yield _computed(f"round(atan2({right}, {forward}) / (acos(0) / 3))")
    if hour["value"] <= 0:
        (hour,) = yield _computed(f"{hour['id']} + 12")
    return f"{hour['value']:.0f} o'clock"


def _between(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    one, two = ([_offset(found, 0, k, part) for part in ("right", "forward", "up")] for k in (1, 2))
    far = yield _computed(*(f"hypot({', '.join(way)})" for way in (one, two)))
    (along,) = yield _computed(" + ".join(f"{a} * {b}" for a, b in zip(one, two)))
    (angle,) = yield _computed(
        f"acos(max(-1, min(1, {along['id']} / ({far[0]['id']} * {far[1]['id']})))) to deg"
    )
    if NOT_BETWEEN < angle["value"] < BETWEEN:
        return "NO ANSWER: it is neither between nor aside"
    verdict = "yes" if angle["value"] >= BETWEEN else "no"
    return f"{verdict}: there is an angle of {angle['value']:.0f} degrees"


def _nearest(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    nearest = min(found, key=lambda call: found[call]["value"])
    yield _computed(f"min({', '.join(result['id'] for result in found.values())})")
    return f"{names[nearest.objects[1]]}, at {_said(found[nearest])}"


def _count(found: Found, names: Sequence[str], given: Mapping[str, str]) -> Way:
    near = (f"{result['id']} <= {given['radius']}" for result in found.values())
    (count,) = yield _computed(f"count({', '.join(near)})")
    return f"{count['value']:.0f}"


WAYS: Mapping[str, Callable[[Found, Sequence[str], Mapping[str, str]], Way]] = {
    "triangle_shape": _triangle,
    "fits_in": _fits,
    "free_space": _room,
    "child_reach": _reach,
    "path_clearance": _clearance,
    "stacking_order": _stack,
    "stack_height": _height,
    "shortest_tour": _tour,
    "viewpoint_side": _viewpoint,
    "clock_direction": _clock,
    "between": _between,
    "nearest_to": _nearest,
    "count_within": _count,
}
