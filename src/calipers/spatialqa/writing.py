"""Findings into text, last of all: templates, depths in words, and DepthAPI as an exchange.

Template ids count from one: ``object_depth.mean.q03``, ``object_depth.mean.2``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from calipers.errors import DataError
from calipers.questions.grammar import Template, compile_template, slot_values
from calipers.spatialqa.finding import Finding, Look
from calipers.spatialqa.table import SPATIAL_TYPES, SpatialQuestion
from calipers.units import say_length

DIRECTLY = "Answer directly from depth map."
"""SpatialBot's words for a question that must be answered without DepthAPI."""
LEAST_QUESTIONS, LEAST_ANSWERS = 10, 5
_LEVEL_TYPES = ("inside", "on_top_of")


@dataclass(frozen=True, slots=True)
class Wordings:
    """The templates of one type: way of asking → questions, outcome → answers, and words."""

    questions: Mapping[str, Sequence[str]]
    answers: Mapping[str, Sequence[str]]
    words: Mapping[str, Sequence[str]]


def make_wordings(type: str, raw: Mapping[str, Any]) -> Wordings:
    """Check one type's templates as the YAML file holds them.

    Raises:
        DataError: too few of them, or a malformed one.
    """
    found = Wordings(raw.get("questions", {}), raw.get("answers", {}), raw.get("words", {}))
    different = {text for texts in found.questions.values() for text in texts}
    if len(different) < LEAST_QUESTIONS:
        raise DataError(f"{type}: wanted {LEAST_QUESTIONS} questions, got {len(different)}")
    for outcome, texts in found.answers.items():
        if len(set(texts)) < LEAST_ANSWERS:
            raise DataError(f"{type}.{outcome}: wanted {LEAST_ANSWERS} answers, got {len(texts)}")
    for text in (*different, *(text for texts in found.answers.values() for text in texts)):
        _compiled(text, SPATIAL_TYPES[type].slots)
    return found


@cache
def wordings() -> Mapping[str, Wordings]:
    """The package's own templates, read once."""
    folder = resources.files("calipers.spatialqa") / "templates"
    raw: dict[str, Any] = {}
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            raw |= yaml.safe_load(file.read_text("utf-8"))
    return {type: make_wordings(type, raw.get(type, {})) for type in SPATIAL_TYPES}


@lru_cache(maxsize=4096)
def _compiled(text: str, slots: tuple[str, ...]) -> Template:
    return compile_template(text, [slot for slot in slots if slot != "value"])


def _fill(text: str, type: str, slots: Mapping[str, str]) -> str:
    names = SPATIAL_TYPES[type].slots
    flat = [form for name in names if name != "value" for form in slot_values(slots.get(name, ""))]
    return _compiled(text, names).render([*flat, slots.get("value", "")])


def say_depth(depth_m: float, uniform: float) -> str:
    """A depth as it is read off, in millimetres, metres or centimetres; under 0.6 % off.

    >>> [say_depth(1.52, u) for u in (0.1, 0.6, 0.9)], say_depth(0.0421, 0.6)
    (['1520 mm', '1.52 m', '152 cm'], '42 mm')
    """
    if uniform < 0.4 or depth_m < 0.1:
        return f"{int(np.floor(depth_m * 1000 + 0.5))} mm"
    if uniform < 0.75 and depth_m >= 1.0:
        return f"{depth_m:.2f} m"
    return f"{depth_m * 100:.0f} cm" if depth_m >= 1.0 else f"{depth_m * 100:.1f} cm"


def write(look: Look, finding: Finding, number: int, seed: int, by_tool: bool) -> SpatialQuestion:
    """The record of one finding.

    Args:
        number: of the question in its scene; part of its id.
        by_tool: answer it by DepthAPI; the finding has calls.
    """
    scene, row, rng = look.scene, SPATIAL_TYPES[finding.type], look.rng
    book = wordings()[finding.type]
    asks, answers = book.questions[finding.ask], book.answers[finding.outcome]
    slots = {**finding.slots, **_lengths(finding, rng)}
    words = book.words.get(finding.ask)
    if words:
        slots["what"] = words[int(rng.integers(len(words)))]
    q, a = int(rng.integers(len(asks))), int(rng.integers(len(answers)))
    question = _fill(asks[q], row.id, slots)
    if finding.calls and not by_tool:
        question = f"{question} {DIRECTLY}"
    answer = _fill(answers[a], row.id, slots)
    return SpatialQuestion(
        id=f"{scene.id}-spatialqa-{number:03d}",
        scene_id=scene.id,
        image=scene.image,
        depth_image=scene.depth_image,
        type=row.id,
        kind=row.kind,
        question=question,
        answer=answer,
        objects=look.references(finding.object_index),
        object_index=list(finding.object_index),
        value=finding.value,
        unit=None if finding.value is None else "m",
        label=finding.label,
        frame="level" if row.id in _LEVEL_TYPES else "camera",
        margin=finding.margin,
        question_template=f"{row.id}.{finding.ask}.q{q + 1:02d}",
        answer_template=f"{row.id}.{finding.outcome}.{a + 1}",
        seed=seed,
        level=row.level,
        messages=exchange(finding, question, answer) if by_tool else None,
    )


def _lengths(finding: Finding, rng: np.random.Generator) -> dict[str, str]:
    """The lengths of a finding in words, all depths of it in one way."""
    uniform, others = float(rng.random()), rng.random(3)
    said = {}
    for name, length in finding.lengths.items():
        if name in finding.depths or finding.type == "object_from_depth":
            said[name] = say_depth(length, uniform)
        else:  # metric, two digits or three
            said[name] = say_length(length, (0.5, 0.2 + 0.8 * others[1], others[2]))
    return said


def exchange(finding: Finding, question: str, answer: str) -> list[dict[str, Any]]:
    """The question, each call of DepthAPI with what it was told, and the answer.

    >>> from calipers.spatialqa.finding import Call
    >>> found = Finding("point_depth", "depth", "value", calls=(Call("", "0.51", "0.40", 1520),))
    >>> for turn in exchange(found, "How deep is (0.51, 0.40)?", "1.52 m."):
    ...     print(turn["role"], "|", turn["content"])
    user | How deep is (0.51, 0.40)?
    assistant | Depth(0.51,0.40)
    tool | Depth(0.51,0.40)=1520
    assistant | 1.52 m.
    """
    turns = [{"role": "user", "content": question}]
    for call in finding.calls:
        turns.append({"role": "assistant", "content": f"{call.lead} {call.text}".strip()})
        turns.append({"role": "tool", "content": f"{call.text}={call.depth_mm}"})
    return [*turns, {"role": "assistant", "content": answer}]
