"""Questions of several steps, answered by a perfect planner over the measuring tools.

    python -m benchmarks.multistep [--frames 60] [--first-seed 4000] [--questions 26] [--details]
                                   [--coordinator]

Simulated rooms and table-tops are lifted and asked (`calipers.questions.multistep`), of each kind
the same number a frame at most. The planner plays the language model: it makes the calls of the
question's plan through `calipers.tools`, as JSON, and computes from nothing but their results.
Truth is the simulator's: boxes of whole objects, also the sides that no camera sees, and the gaps
between solids, put into the same definitions (`multistep.solving`).

What is asked is decided on the frame with exact depth; the same questions are then answered from
the depth of a camera with all its faults. Labels (names, sides, hours, counts, orders) have to be
equal, lengths within 10 %; no answer is wrong. What the faulty frames would be asked themselves is
judged too.

With `--coordinator` the same questions go to `calipers.reason`, in words: a scripted language model
(`benchmarks.multistep_script`) looks which objects there are, measures, computes by the calculator
and answers, and what the coordinator lets stand is judged by the rules of the test set
(`calipers.evals.multistep_score`). Where the frame with faults is asked the questions of the exact
one, objects are called by their numbers: their names may differ.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks import one_thread
from benchmarks.accuracy import truth_boxes
from benchmarks.contact import wilson
from benchmarks.multistep_script import ask
from calipers.evals.multistep_score import is_right as reads_right
from calipers.io.masks import decode_mask
from calipers.questions.multistep.asking import MultistepQuestion, ask_multistep
from calipers.questions.multistep.planner import conclude, problem_of, tool_calls
from calipers.questions.multistep.plans import MULTISTEP_TYPES, Call, plan
from calipers.questions.multistep.solving import Solution, solve
from calipers.samples.faults import Faults, apply_faults
from calipers.samples.rooms import RoomFrame, RoomTruth, generate
from calipers.stages.lift import lift
from calipers.stages.refer import refer
from calipers.tools.session import Session
from calipers.types import Frame, Scene

WITHIN = 0.10
CONDITIONS = (
    "exact depth",
    "a camera's faults, the same questions",
    "a camera's faults, what would be asked of them",
)


def lifted(frame: Frame) -> Scene:
    masks = [item.rle and decode_mask(item.rle) for item in frame.objects or ()]
    scene = lift(frame, masks)
    refer(scene.objects, scene.frame)
    return scene


def answered(question: MultistepQuestion, session: Session) -> Solution | None:
    """What the planner answers: objects are called by their places in the list, for the names of
    the same things may differ from one lifting to another."""
    results = [
        json.loads(session.call(name, json.dumps(arguments)))
        for name, arguments in tool_calls(question, question.object_index)
    ]
    return conclude(question, results)


def true_answer(question: MultistepQuestion, scene: Scene, truth: RoomTruth) -> Solution:
    """What the simulator says; heights are above the surface that the scene stands on."""
    problem, objects = problem_of(question), question.object_index
    center, size = truth_boxes(scene, truth)

    def value(call: Call) -> tuple[float, ...]:
        rows = [objects[k] for k in call.objects]
        if call.tool == "distance":
            return (float(np.linalg.norm(center[rows[0]] - center[rows[1]])),)
        if call.tool == "gap":
            return (float(truth.gaps[rows[0], rows[1]]),)
        return tuple((size if call.tool == "size" else center)[rows[0]].tolist())

    return solve(problem, {call: value(call) for call in plan(problem)})


def is_right(said: Solution | None, true: Solution) -> bool:
    if said is None or said.label != true.label:
        return False
    if true.value is None:
        return said.value is None
    return said.value is not None and abs(said.value - true.value) <= WITHIN * true.value


class Table:
    """Right and judged answers by condition and kind, and the wrong ones."""

    def __init__(self) -> None:
        self.right: Counter[tuple[str, str]] = Counter()
        self.judged: Counter[tuple[str, str]] = Counter()
        self.labels: dict[str, Counter[str]] = {}
        self.wrong: list[str] = []
        self.numbers = self.untraced = self.calls = 0

    def add(
        self,
        condition: str,
        question: MultistepQuestion,
        right: bool,
        told: str,
        true: Solution,
    ) -> None:
        self.right[condition, question.type] += right
        self.judged[condition, question.type] += 1
        if condition == CONDITIONS[0]:
            label = question.label or "length"
            self.labels.setdefault(question.type, Counter())[label] += 1
        if not right:
            self.wrong.append(
                f"{condition}: {question.scene_id} {question.type} {question.objects} "
                f"{question.given}: {told} for {true.label} {true.value}"
            )

    def line(self, condition: str) -> str:
        right = sum(n for (name, _), n in self.right.items() if name == condition)
        judged = sum(n for (name, _), n in self.judged.items() if name == condition)
        low, high = (100 * end for end in wilson(right, judged))
        share = 100 * right / max(judged, 1)
        kinds = len({kind for name, kind in self.judged if name == condition})
        each = (
            f"{kind} {self.right[condition, kind]}/{self.judged[condition, kind]}"
            for kind in MULTISTEP_TYPES
            if self.judged[condition, kind]
        )
        return (
            f"multistep, {condition}: {share:.2f} % of {judged} questions of {kinds} kinds "
            f"({low:.2f} to {high:.2f})\n   {', '.join(each)}"
        )


def by_plan(question: MultistepQuestion, session: Session, true: Solution) -> tuple[bool, str]:
    """Whether the planner over the tools is right, and what it says."""
    said = answered(question, session)
    return is_right(said, true), "nothing" if said is None else f"{said.label} {said.value}"


def by_coordinator(
    question: MultistepQuestion, session: Session, true: Solution, own: bool, table: Table
) -> tuple[bool, str]:
    """Whether the coordinator's answer is right, and what it says; its numbers are counted."""
    found = ask(question, session, question.objects if own else question.object_index)
    loose = [result for result in found.results if result.value.get("untraced")]
    table.numbers += len(found.numbers)
    table.untraced += sum(not number.good for number in found.numbers) + len(loose)
    table.calls += len(found.results)
    facts = {"type": question.type, "objects": question.objects}
    facts |= {"label": true.label, "value": true.value}
    return found.answered and reads_right(facts, found.text) is True, str(found)


def judge(
    made: RoomFrame, faulty: Frame, questions: int, table: Table, coordinator: bool = False
) -> None:
    scene = lifted(made.frame)
    asked = ask_multistep(scene, questions, 0)
    other = lifted(faulty)
    theirs = ask_multistep(other, questions, 0)
    for condition, lifting, some in zip(CONDITIONS, (scene, other, other), (asked, asked, theirs)):
        session, own = Session.of_scene(lifting), condition != CONDITIONS[1]
        for question in distinct(some):
            true = true_answer(question, lifting, made.truth)
            if coordinator:
                right, said = by_coordinator(question, session, true, own, table)
            else:
                right, said = by_plan(question, session, true)
            table.add(condition, question, right, said, true)


def distinct(asked: Sequence[MultistepQuestion]) -> Iterator[MultistepQuestion]:
    """Each problem once, in whatever words it comes first."""
    seen = set()
    for question in asked:
        key = (question.type, tuple(question.object_index), question.given)
        if key not in seen:
            seen.add(key)
            yield question


def rooms(frames: int, first: int) -> Iterator[tuple[RoomFrame, Frame]]:
    for seed in range(first, first + frames):
        made = generate(seed, colours=False)
        yield made, apply_faults(made.frame, Faults(), np.random.default_rng([seed, 2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--first-seed", type=int, default=4000)
    parser.add_argument("--questions", type=int, default=26)
    parser.add_argument("--details", action="store_true")
    parser.add_argument("--coordinator", action="store_true", help="ask calipers.reason")
    given = parser.parse_args()
    one_thread()
    table = Table()
    for made, faulty in rooms(given.frames, given.first_seed):
        judge(made, faulty, given.questions, table, given.coordinator)
    for condition in CONDITIONS:
        print(table.line(condition))
    if given.coordinator:
        print(
            f"multistep, coordinator: {table.calls} tool calls, {table.numbers} numbers in "
            f"answers, {table.untraced} untraced"
        )
    if given.details:
        for kind, labels in table.labels.items():
            print(f"   {kind}: {dict(labels.most_common(12))}")
        print("\n".join(table.wrong))


if __name__ == "__main__":
    main()
