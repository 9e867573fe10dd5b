"""`calipers eval` on the command line."""

from __future__ import annotations

import json as as_json
import sys
from pathlib import Path


def evaluate(
    task: str,
    /,
    *,
    data: Path,
    answers: Path,
    blind: Path | None = None,
    rules: str | None = None,
    json: Path | None = None,
    every: bool = False,
    points: str | None = None,
    seed: int = 0,
) -> None:
    """Score a model's answers to a benchmark that you have downloaded, or to a run's questions.

    Example: calipers eval q-spatial --data Q-Spatial-Bench/ --answers answers.jsonl

    Args:
        task: run, spatialbench, spatialrgpt-bench, q-spatial, vsi-bench, cv-bench, blink,
            embspatial, 3dsrbench, mmsi-bench, mmsi-bench-circular, sat, sat-circular,
            robospatial-home or refspatial-bench.
        data: The download: a file or a folder.
        answers: JSON lines of {"id", "text"}.
        blind: The same of the model without pictures, to stand beside.
        rules: Names of rules, with commas between (default: those of each kind of question).
        json: Write everything to this file too.
        every: Show all rules of every part, not of the whole alone.
        points: How the model means coordinates that do not say it: share, thousandths, percent or
            pixels (default: share, as the questions ask for them).
        seed: Of the bootstrap.
    """
    from calipers.evals.answers import load_answers
    from calipers.evals.evaluate import evaluate as run
    from calipers.evals.report import as_text

    found = run(
        task,
        data,
        load_answers(answers),
        blind=None if blind is None else load_answers(blind),
        rules=None if rules is None else rules.split(","),
        points=points,
        seed=seed,
    )
    sys.stdout.write(f"{as_text(found, every)}\n")
    if json is not None:
        text = as_json.dumps(found.to_json(), indent=1)
        json.write_text(f"{text}\n", encoding="utf-8")
