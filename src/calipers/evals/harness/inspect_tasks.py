"""Tasks and scorer for inspect_ai; found by its entry point, so only imported where it is used.

``inspect eval calipers/questions -T data=run/ --model openai/gpt-5`` asks a model the questions of
a run; ``-T task=cv-bench -T data=CV-Bench/ -T images=CV-Bench/`` those of another benchmark, its
pictures in a folder.
"""

from __future__ import annotations

from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, Content, ContentImage, ContentText
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState, generate

from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.evals.harness.prompts import from_record, prompt, to_record
from calipers.evals.rules import rule
from calipers.evals.score import DEFAULT_RULES, score
from calipers.evals.tasks.table import task as benchmark
from calipers.io.exports.export import finished, pictures_root

_REASONS = {
    "empty": "no_response",
    "missing": "no_response",
    "refusal": "refusal",
    "unread": "invalid_response_format",
}
"""Why nothing was read → inspect_ai's word for it."""


@task
def questions(
    data: str, task: str = "run", images: str | None = None, rules: str | None = None
) -> Task:
    """The questions of a run, or of a benchmark's download, scored by named rules.

    Args:
        data: the run folder, or the download.
        task: one of `calipers.evals.tasks.table.TASKS`.
        images: the folder of the pictures (default: where the run found them, or `data`).
        rules: names of rules, with commas between (default: those of each kind).
    """
    folder = Path(images) if images else _pictures(task, Path(data))
    cases = [case for case in benchmark(task).cases(data) if case.kind != "points"]
    if not cases:
        raise UsageError(f"{data}: holds no question that is answered with words")
    names = rules.split(",") if rules else None
    return Task(
        dataset=MemoryDataset([_sample(case, folder) for case in cases], name=task),
        solver=generate(),
        scorer=named_rules(names or _names(cases)),
        name=task,
    )


def _pictures(task: str, data: Path) -> Path:
    if task == "run":
        return pictures_root(data, finished(data))
    return data if data.is_dir() else data.parent


def _names(cases: list[Case]) -> list[str]:
    kinds = dict.fromkeys(case.kind for case in cases)
    return list(dict.fromkeys(name for kind in kinds for name in DEFAULT_RULES[kind]))


def _sample(case: Case, folder: Path) -> Sample:
    content: list[Content] = [
        ContentImage(image=str(folder / name)) for name in case.images if name
    ]
    asked = [ChatMessageUser(content=[*content, ContentText(text=prompt(case))])]
    return Sample(
        id=case.id, input=list(asked), target=str(case.truth), metadata={"case": to_record(case)}
    )


@scorer(metrics={"*": [mean(), stderr()]})
def named_rules(rules: list[str]) -> Scorer:
    """The points by every rule; NaN, which inspect_ai calls unscored, where one says nothing.

    Args:
        rules: their names.
    """
    keys = [rule(name).key for name in rules]

    async def judge(state: TaskState, target: Target) -> Score:
        """Score one answer; the truth is that of the case in its metadata."""
        case = from_record(state.metadata["case"])
        fitting = [name for name in rules if case.kind in rule(name).kinds]
        if not fitting or case.truth is None:
            return Score.unscored(reason="no truth" if fitting else "no rule for this question")
        text = state.output.completion
        found = score([case], {case.id: text}, fitting)
        points = {key: float(found.points[key][0]) for key in keys if key in found.points}
        said = found.said[0]
        return Score(
            value={**dict.fromkeys(keys, float("nan")), **points},
            answer=None if said is None else str(said),
            explanation=text,
            reason=_REASONS.get(found.status[0]),
        )

    return judge
