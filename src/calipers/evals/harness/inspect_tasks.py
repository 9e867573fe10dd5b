"""Tasks and scorer for inspect_ai; found by its entry point, so only imported where it is used.

``inspect eval calipers/questions -T data=run/ --model openai/gpt-5`` asks a model the questions of
a run; ``-T task=cv-bench -T data=CV-Bench/`` those of another benchmark, with the pictures in its
files or, by ``-T images=FOLDER/``, in a folder. ``-T blind=true`` asks without pictures.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, Content, ContentImage, ContentText
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState, generate

from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.evals.harness.prompts import from_record, prompt, to_record, truth_text
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
    data: str,
    task: str = "run",
    images: str | None = None,
    rules: str | None = None,
    blind: bool = False,
) -> Task:
    """The questions of a run, or of a benchmark's download, scored by named rules.

    Args:
        data: the run folder, or the download.
        task: one of `calipers.evals.tasks.table.TASKS`.
        images: the folder of the pictures (default: where the run found them, or `data`).
        rules: names of rules, with commas between (default: those of each kind).
        blind: show no pictures.

    Raises:
        UsageError: there are no such questions, or a picture is not there.
    """
    folder = None if blind else Path(images) if images else _pictures(task, Path(data))
    cases = benchmark(task).cases(data, pictures=not blind)
    if not cases:
        raise UsageError(f"{data}: holds no question")
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


def _sample(case: Case, folder: Path | None) -> Sample:
    content: list[Content] = [] if folder is None else _shown(case, folder)
    asked = [ChatMessageUser(content=[*content, ContentText(text=prompt(case))])]
    record = to_record(replace(case, images=()))  # the pictures stand in the message
    return Sample(id=case.id, input=list(asked), target=truth_text(case), metadata={"case": record})


def _shown(case: Case, folder: Path) -> list[Content]:
    """The pictures of a case.

    Raises:
        UsageError: there are none, or one is not there.
    """
    names = [name for name in case.images if name]
    if not names:
        raise UsageError(f"{case.id}: has no picture; -T blind=true asks without pictures")
    return [ContentImage(image=_place(case, folder, name)) for name in names]


def _place(case: Case, folder: Path, name: str) -> str:
    """A picture's data URL, address, or path."""
    if name.startswith(("data:", "http://", "https://")):
        return name
    if not (folder / name).is_file():
        raise UsageError(
            f"{case.id}: no picture at {folder / name}; give -T images=FOLDER, or -T blind=true"
        )
    return str(folder / name)


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
