"""docs/study.md out of the result files of recipes/miniature_study.py, and its plot as an SVG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

COLUMNS = (
    ("yes or no right", "qualitative", "exact"),
    ("in 50-200 %", "quantitative", "within-50-200"),
    ("in 90-110 %", "quantitative", "within-90-110"),
    ("gives a length", "quantitative", "gives-number"),
)
"""Heading, tag and rule of what the table shows."""
GENERAL = "general questions right"
NOT_RUN = "not run"
_BAR, _LEFT, _WIDE = 16, 150, 400


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Arm → its result file."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}


def find(rows: Sequence[dict[str, Any]], tag: str, rule: str) -> dict[str, Any] | None:
    """The row of a tag and a rule of any version."""
    return next((r for r in rows if r["tag"] == tag and r["rule"].partition("@")[0] == rule), None)


def count(row: dict[str, Any]) -> int:
    """How many answers a row judges, those that could not be read included."""
    return sum(row[name] for name in ("right", "wrong", "partly", "no_answer"))


def cell(row: dict[str, Any] | None) -> str:
    """A share in percent with its interval, where it has one, and the number of questions.

    >>> cell({"mean": 0.5, "low": 0.4, "high": 0.6, "right": 5, "wrong": 4, "partly": 0,
    ...       "no_answer": 1})
    '50.0 (40.0 to 60.0; n = 10)'
    >>> cell({"mean": 0.5, "low": None, "high": None, "right": 1, "wrong": 1, "partly": 0,
    ...       "no_answer": 0})
    '50.0 (n = 2)'
    """
    if row is None or row["mean"] is None:
        return "-"
    between = "" if row["low"] is None else f"{100 * row['low']:.1f} to {100 * row['high']:.1f}; "
    return f"{100 * row['mean']:.1f} ({between}n = {count(row)})"


def table(results: dict[str, dict[str, Any]], arms: Sequence[Any]) -> str:
    """All arms, those of a question together; arms without a result are said to be not run."""
    lines = []
    for asks, some in groupby(arms, key=lambda arm: arm.asks):
        lines += [
            f"\n## {asks[0].upper()}{asks[1:]}\n",
            _line(["arm", *(c[0] for c in COLUMNS), GENERAL]),
        ]
        lines.append("|---" * (len(COLUMNS) + 2) + "|")
        for arm in some:
            found = results.get(arm.name)
            cells = (
                [*_cells(found["rows"]), cell(find(found["general"], "all", "exact"))]
                if found
                else [NOT_RUN, *[""] * len(COLUMNS)]
            )
            lines.append(_line([arm.name, *cells]))
    return "\n".join(lines)


def _cells(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [cell(find(rows, tag, rule)) for _, tag, rule in COLUMNS]


def real(results: dict[str, dict[str, Any]]) -> str:
    """What arms say of photographs, the same questions of each."""
    lines = [_line(["photograph", "arm", *(c[0] for c in COLUMNS)])]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for name, found in results.items():
        for photograph, rows in found.get("real", {}).items():
            lines.append(_line([photograph, name, *_cells(rows)]))
    return "\n".join([*lines[:2], *sorted(lines[2:])])


def where(results: dict[str, dict[str, Any]]) -> str:
    """How far off points are, arm by arm."""
    heads = ["arm", "off in the median, hundredths of the picture", "no point", "questions"]
    lines = [_line(heads), "|---" * len(heads) + "|"]
    for name, found in sorted(results.items()):
        if "where" in found:
            off = found["where"]
            cells = [name, f"{off['median']:.1f}", str(off["no_point"]), str(off["questions"])]
            lines.append(_line(cells))
    return "\n".join(lines)


def by_type(results: dict[str, dict[str, Any]], arms: Sequence[str]) -> str:
    """Each type of question on its own."""
    arms = [arm for arm in arms if arm in results]
    if not arms:
        return NOT_RUN
    tags = [
        (row["tag"], row["rule"].partition("@")[0])
        for row in results[arms[0]]["rows"]
        if row["tag"] not in ("all", "qualitative", "quantitative")
        and row["rule"].partition("@")[0] in ("exact", "within-50-200")
    ]
    lines = [_line(["type", *arms]), "|---" * (len(arms) + 1) + "|"]
    for tag, rule in tags:
        lines.append(_line([tag, *(cell(find(results[arm]["rows"], tag, rule)) for arm in arms)]))
    return "\n".join(lines)


def plot(results: dict[str, dict[str, Any]], arms: Sequence[str]) -> str:
    """Bars with intervals, an arm a row: qualitative right, and lengths in 50 to 200 %."""
    shown = [
        (arm, colour, row)
        for arm in arms
        for (_, tag, rule), colour in zip(COLUMNS, ("#4477aa", "#ee7733"))
        if arm in results
        and (row := find(results[arm]["rows"], tag, rule)) is not None
        and row["mean"] is not None
    ]
    bars = [_bar(k, *one) for k, one in enumerate(shown)]
    high = 26 + _BAR * len(shown)
    legend = (
        f'<text x="{_LEFT}" y="12" fill="#4477aa">yes or no right, %</text>'
        f'<text x="{_LEFT + 140}" y="12" fill="#ee7733">lengths in 50-200 %, %</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDE + 20}" height="{high}" '
        f'font-family="sans-serif" font-size="11">{legend}{"".join(bars)}</svg>\n'
    )


def _bar(place: int, arm: str, colour: str, row: dict[str, Any]) -> str:
    top = 20 + _BAR * place
    mean = _LEFT + _WIDE * row["mean"]
    name = f'<text x="4" y="{top + 10}">{arm}</text>' if colour == "#4477aa" else ""
    return (
        f'{name}<rect x="{_LEFT}" y="{top}" width="{mean - _LEFT:.1f}" height="{_BAR - 4}" '
        f'fill="{colour}"/>{_whisker(row, top + _BAR / 2 - 2)}'
    )


def _whisker(row: dict[str, Any], middle: float) -> str:
    """The interval's line; none where there is no interval."""
    if row["low"] is None:
        return ""
    low, high = (_LEFT + _WIDE * row[name] for name in ("low", "high"))
    return f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#222"/>'


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_report(results: Path, report: Path, arms: Sequence[Any]) -> None:
    """Put what the result files say behind the marker of a report, and draw its plot beside it."""
    found = read_results(results)
    text = report.read_text("utf-8") if report.exists() else "# The study in miniature\n"
    head = text.partition(MARKER)[0]
    names = [arm.name for arm in arms]
    parts = [head + MARKER]
    if found:
        picture = report.parent / "images" / "study.svg"
        picture.parent.mkdir(exist_ok=True)
        picture.write_text(plot(found, names), encoding="utf-8")
        parts.append("![](images/study.svg)")
    parts.append(table(found, arms))
    first = [arm.name for arm in arms if arm.seed == 0]
    parts += ["\n## Each type\n", by_type(found, [*first, "scripted"])]
    parts += ["\n## Where things are\n", where(found)]
    parts += ["\n## Photographs\n", real(found), "\n## Cost\n", cost(found)]
    report.write_text("\n".join(parts) + "\n", encoding="utf-8")


MARKER = "<!-- from the result files, by recipes/miniature_study.py --report -->\n"


def cost(results: dict[str, dict[str, Any]]) -> str:
    """Processor time and tokens of each arm."""
    lines = [_line(["arm", "seed", "steps", "tokens", "training, CPU s", "questions, CPU s"])]
    lines.append("|---" * 6 + "|")
    for name, found in sorted(results.items()):
        if "train_cpu_s" in found:
            arm, size = found["arm"], found["size"]
            later = ("longer", "finer") if arm["tool"] else ("both",)
            steps = size["steps"] + sum(size[name] for name in later)
            cells = [name, arm["seed"], steps * arm["trained"], f"{found['tokens']:,}"]
            lines.append(
                _line([*map(str, cells), str(found["train_cpu_s"]), str(found["test_cpu_s"])])
            )
    return "\n".join(lines)
