"""What the first page of a report says of the whole run, as plain values ready for JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from calipers.io.files import readable
from calipers.stats import ANSWERS, Counts

EXAMPLES = 3
DETAIL_LENGTH = 240
KINDS = ("qualitative", "quantitative")

Rows = list[tuple[str, Any]]


def count_questions(run_folder: Path) -> dict[str, Counter[str]]:
    """Count the questions of each type, for each kind, over all parts of ``qa``."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for part in sorted((run_folder / "qa").glob("part-*.parquet")):
        table = pq.read_table(readable(part), columns=["kind", "type"])
        groups = table.group_by(["kind", "type"]).aggregate([([], "count_all")])
        for row in groups.to_pylist():
            counts[row["kind"]][row["type"]] += row["count_all"]
    return counts


def answer_charts(run_folder: Path) -> list[tuple[str, Rows]]:
    """How often each answer was given, and how long the lengths are: titles and bars."""
    counts = Counts()
    for part in sorted((run_folder / "qa").glob("part-*.parquet")):
        counts.add_answers(pq.read_table(readable(part), columns=list(ANSWERS)))
    answers: Counter[str] = Counter()
    for labels in counts.labels.values():
        answers.update(labels)
    pairs = [label for pair in counts.balance() for label in pair.split("/")]
    rows: Rows = [(label, answers.pop(label)) for label in pairs if label in answers]
    return [
        ("Answers", [*rows, *answers.most_common()]),
        ("Lengths in metres", list(counts.bars()) if counts.lengths else []),
    ]


def gather_skipped(path: Path) -> list[dict[str, Any]]:
    """Group ``skipped.jsonl`` by stage and reason, most frequent first, with a few examples."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], list[dict[str, str]]] = {}
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            key = (record["stage"], record["reason"])
            counts[key] += 1
            if counts[key] <= EXAMPLES:
                detail = _short(record.get("detail") or "")
                examples.setdefault(key, []).append({"id": record["id"], "detail": detail})
    return [
        {"stage": key[0], "reason": key[1], "count": count, "examples": examples[key]}
        for key, count in counts.most_common()
    ]


def run_facts(run: Mapping[str, Any]) -> Rows:
    """List what ``run.json`` records, one name and one text each."""
    arguments = run.get("arguments", {})
    facts = [
        ("Calipers", run.get("calipers")),
        ("Command", run.get("command")),
        ("Status", run.get("status")),
        ("Input", run.get("options", {}).get("input")),
        ("Seed", run.get("seed")),
        ("Arguments given", _listed(arguments.get("given"))),
        ("Arguments by default", _listed(arguments.get("defaulted"))),
        ("Experts", _listed(run.get("experts")) or "none: everything came with the frames"),
        ("Counts", _listed(run.get("counts"))),
        ("Objects not asked about", _listed(run.get("unreferenced"))),
        ("Seconds", _listed(run.get("seconds"))),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def shown_text(shown: int, total: int) -> str:
    """Say how many of the scenes have a page.

    >>> shown_text(24, 200), shown_text(1, 1)
    ('24 of 200 scenes shown', '1 of 1 scene shown')
    """
    return f"{shown:,} of {total:,} {'scene' if total == 1 else 'scenes'} shown"


def _listed(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in (values or {}).items())


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= DETAIL_LENGTH else f"{text[:DETAIL_LENGTH]}…"
