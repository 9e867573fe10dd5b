"""A task folder for lmms-eval (``--include_path``): YAML, utils.py, questions, and the scoring.

The scoring is the sources of these modules, copied with their imports turned to the copy, so the
folder needs no installation of ours and scores as we do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from calipers.evals.cases import Case
from calipers.evals.harness.prompts import prompt, to_record, truth_text
from calipers.evals.rules import RULES, Rule
from calipers.evals.score import DEFAULT_RULES

SCORING = (
    "errors", "thoughts", "units", "types", "evals.asides", "evals.cases", "evals.extract",
    "evals.hours", "evals.options", "evals.places", "evals.responses",
    "evals.numerals", "evals.quantities", "evals.regions", "evals.relations", "evals.rules",
    "evals.score", "evals.wording", "evals.harness.prompts",
)  # fmt: skip
"""Modules that make up the scoring."""
PACKAGE = "calipers_scoring"

_IMPORT = re.compile(r"^(from|import) calipers\.(?:[\w.]*\.)?(\w+)", re.MULTILINE)
_YAML = """\
# Written by `calipers export --format lmms-eval`; run with
# python -m lmms_eval --include_path {home} --tasks {task} --log_samples --output_path out ...
task: {task}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {questions}}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.doc_to_visual
doc_to_text: !function utils.doc_to_text
doc_to_target: target
generation_kwargs: {{max_new_tokens: 256, temperature: 0, do_sample: false, until: []}}
process_results: !function utils.process_results
metric_list:
{metrics}
lmms_eval_specific_kwargs: {{default: {{pre_prompt: "", post_prompt: ""}}}}
metadata: {{version: 1.0, rules: {versions}}}
"""

Shown = tuple[Case, list[str]]
"""A case and the paths of its pictures in the folder."""


def write(shown: Iterable[Shown], folder: Path, home: Path, task: str) -> None:
    """Write the task.

    Args:
        shown: the questions.
        folder: where to write.
        home: where the folder will be in the end.
        task: its name in lmms-eval.
    """
    kinds: dict[str, None] = {}
    with (folder / "questions.jsonl").open("w", encoding="utf-8") as sink:
        for case, pictures in shown:
            kinds[case.kind] = None
            sink.write(f"{json.dumps(_row(case, pictures))}\n")
    names = dict.fromkeys(name for kind in kinds for name in DEFAULT_RULES[kind])
    rules = [RULES[name] for name in names]
    text = _YAML.format(
        home=home,
        task=task,
        questions=json.dumps(str(home / "questions.jsonl")),
        metrics="\n".join(_metrics(rules)),
        versions=json.dumps([one.key for one in rules]),
    )
    (folder / f"{task}.yaml").write_text(text, "utf-8")
    _write_scoring(folder)


def _row(case: Case, pictures: list[str]) -> dict[str, object]:
    """One line; the case is JSON in a text, because its truth has a type of its kind's."""
    record = json.dumps(to_record(case), ensure_ascii=False)
    return {"id": case.id, "prompt": prompt(case), "pictures": pictures,
            "target": truth_text(case), "case": record}  # fmt: skip


def _metrics(rules: list[Rule]) -> list[str]:
    lines = [(one.name, one.measure != "error") for one in rules]
    return [
        f"  - {{metric: {name}, aggregation: mean, higher_is_better: {str(better).lower()}}}"
        for name, better in [*lines, ("no-answer", False)]
    ]


def _write_scoring(folder: Path) -> None:
    package = folder / PACKAGE
    package.mkdir()
    ours = resources.files("calipers")
    (package / "__init__.py").write_text('"""Copied from Calipers; its licence is Apache-2.0."""\n')
    for name in SCORING:
        path = name.replace(".", "/")
        text = (ours / f"{path}.py").read_text("utf-8")
        flat = _IMPORT.sub(rf"\1 {PACKAGE}.\2", text)
        (package / f"{name.rpartition('.')[2]}.py").write_text(flat, "utf-8")
    utils = (ours / "evals" / "harness" / "lmms_utils.py").read_text("utf-8")
    (folder / "utils.py").write_text(utils, "utf-8")
