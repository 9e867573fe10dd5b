"""Questions of one scene as columns, the fast path, and as records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from calipers.errors import UsageError
from calipers.questions.facts import Survey, survey
from calipers.questions.grammar import slot_values
from calipers.questions.registry import QUALITATIVE, TYPE_LIST, Mix, weights
from calipers.questions.sampling import Picks, generator, pick
from calipers.questions.writing import ZERO_OUTCOMES, book
from calipers.types import Question, Scene
from calipers.units import say_length

CONCISE = 0.5
"""Share of short answers ("1.2 m") beside whole sentences."""

_IDS = [row.id for row in TYPE_LIST]
_KINDS = [row.kind for row in TYPE_LIST]
_LABELS: list[tuple[str | None, ...]] = [row.labels or (None, None) for row in TYPE_LIST]
_GAP = _IDS.index("gap")
_HAS_ZERO = np.array([row.id in ZERO_OUTCOMES for row in TYPE_LIST])


def ask(
    scene: Scene,
    count: int,
    seed: int,
    types: Iterable[str] | None = None,
    mix: Mix | None = None,
    concise: float = CONCISE,
) -> list[Question]:
    """Ask up to `count` different questions of a scene; arguments are those of `ask_columns`."""
    columns = ask_columns(scene, count, seed, types, mix, concise)
    columns["objects"] = [list(names) for names in columns["objects"]]
    columns["object_index"] = [list(positions) for positions in columns["object_index"]]
    return [Question(*row) for row in zip(*columns.values())]


def ask_columns(
    scene: Scene,
    count: int,
    seed: int,
    types: Iterable[str] | None = None,
    mix: Mix | None = None,
    concise: float = CONCISE,
) -> dict[str, list[Any]]:
    """Ask up to `count` different questions of a scene; the columns of the contract, by name.

    A pure function of its arguments: the same on any machine and in any order. Fewer questions come
    back only when the scene holds no more (one object alone has a height, a width, an elevation).

    Args:
        types: ask only these types.
        mix: share of qualitative questions (0.5), or a weight for each type.
        concise: share of short answers.

    Raises:
        UsageError: an unknown type, or a number outside its range.
    """
    if count < 0 or not 0.0 <= concise <= 1.0:
        raise UsageError(
            f"wanted a count of 0 or more and concise in [0, 1], got {count}, {concise}"
        )
    shares = weights(scene.gravity is not None, types, mix)
    rng, view, pages = generator(seed, scene.id), survey(scene), book()
    picks = pick(view, shares, pages.counts, count, rng)
    value, outcome = _resolve(view, picks)
    cases = {case: _Case(view, case) for case in set(picks.case.tolist())}
    rows = [cases[case] for case in picks.case.tolist()]
    uniforms = rng.random((len(rows), 5)).tolist()
    text = _write(picks, rows, value, outcome, uniforms, concise)
    return _assemble(scene, seed, picks, rows, value, outcome, text)


class _Case:
    """One pair of objects or one object: what its questions and answers are filled with.

    Attributes:
        slots: the forms of A (and B), to be followed by the text of a value.
        by_outcome: the forms of A, B, winner and loser for a tie, A winning and B winning.
    """

    __slots__ = ("by_outcome", "names", "positions", "slots")

    def __init__(self, view: Survey, case: int) -> None:
        chosen = (view.first[case], view.second[case])[: 1 + (case < view.pair_count)]
        self.positions = [view.objects[k] for k in chosen]
        self.names = [view.scene.objects[k].reference or "" for k in self.positions]
        first, second = slot_values(self.names[0]), slot_values(self.names[-1])
        self.slots = (first + second)[: 8 * len(chosen)]
        tie = (*first, *second, *first, *second, "")
        self.by_outcome = (tie, tie, (*first, *second, *second, *first, ""))


def _resolve(view: Survey, picks: Picks) -> tuple[list[float], list[int]]:
    """Exact values with the gaps filled in, and which of `writing.outcomes` holds."""
    value = picks.value.copy()
    for k in np.flatnonzero(picks.type == _GAP):
        case = picks.case[k]
        value[k] = view.gap(int(view.first[case]), int(view.second[case]))[0]
    states = (value > picks.margin).astype(int) - (value < -picks.margin)
    outcome = np.where(picks.type < QUALITATIVE, states, _HAS_ZERO[picks.type] & (value == 0))
    return value.tolist(), outcome.tolist()


def _write(
    picks: Picks,
    rows: list[_Case],
    value: list[float],
    outcome: list[int],
    uniforms: list[list[float]],
    concise: float,
) -> dict[str, list[str]]:
    """The four columns of text."""
    entries = book().entries
    columns: list[tuple[str, str, str, str]] = []
    chosen = zip(picks.type.tolist(), picks.template.tolist(), rows, value, outcome, uniforms)
    for kind, template, case, metres, state, (length, variant, *say) in chosen:
        entry = entries[kind]
        question_id, question = entry.questions[template]
        choices = entry.answers[state][length >= concise]
        answer_id, answer = choices[int(variant * len(choices))]
        if kind < QUALITATIVE:
            slots = case.by_outcome[state]
        else:
            slots = (*case.slots, say_length(metres, say))
        columns.append((question.render(slots), answer.render(slots), question_id, answer_id))
    names = ("question", "answer", "question_template", "answer_template")
    return dict(zip(names, map(list, zip(*columns)))) if columns else {name: [] for name in names}


def _assemble(
    scene: Scene,
    seed: int,
    picks: Picks,
    rows: list[_Case],
    value: list[float],
    outcome: list[int],
    text: dict[str, list[str]],
) -> dict[str, list[Any]]:
    """All columns in the order of the contract."""
    kinds, count = picks.type.tolist(), len(rows)
    measures = [kind >= QUALITATIVE for kind in kinds]
    return {
        "id": [f"{scene.id}#{k}" for k in range(count)],
        "scene_id": [scene.id] * count,
        "image": [scene.image] * count,
        "depth_image": [scene.depth_image] * count,
        "type": [_IDS[kind] for kind in kinds],
        "kind": [_KINDS[kind] for kind in kinds],
        "question": text["question"],
        "answer": text["answer"],
        "objects": [case.names for case in rows],
        "object_index": [case.positions for case in rows],
        "value": [v if m else None for v, m in zip(value, measures)],
        "unit": ["m" if m else None for m in measures],
        "label": [_LABELS[kind][state] for kind, state in zip(kinds, outcome)],
        "frame": [scene.frame] * count,
        "margin": picks.margin.tolist(),
        "question_template": text["question_template"],
        "answer_template": text["answer_template"],
        "seed": [seed] * count,
    }
