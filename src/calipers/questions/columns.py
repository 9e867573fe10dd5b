"""Questions of one scene as columns, the fast path, and as records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from calipers.errors import UsageError
from calipers.questions.facts import Survey, survey
from calipers.questions.grammar import slot_values
from calipers.questions.registry import QUALITATIVE, TYPE_LIST, Mix, weights
from calipers.questions.sampling import Picks, generator, pick
from calipers.questions.writing import ZERO_OUTCOMES, Positions, book
from calipers.types import Doubles, Question, Scene
from calipers.units import is_fine, say_length

CONCISE = 0.5
"""Share of short answers ("1.2 m") beside whole sentences."""

_IDS = [row.id for row in TYPE_LIST]
_KINDS = [row.kind for row in TYPE_LIST]
_LABELS: list[tuple[str | None, ...]] = [row.labels or (None, None) for row in TYPE_LIST]
_IS_CHOICE = np.array([row.shape == "choice" for row in TYPE_LIST])
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
    named = None if types is None else tuple(types)
    given = tuple(mix.items()) if isinstance(mix, Mapping) else mix
    shares = _shares(scene.gravity is not None, named, given)
    rng, view, pages = generator(seed, scene.id), survey(scene), book()
    picks = pick(view, shares, pages.counts, count, rng)
    value, outcome = _resolve(view, picks)
    cases = _cases(view, picks)
    text = _write(picks, cases, value, outcome, rng.random((5, len(cases))), concise)
    return _assemble(scene, seed, picks, cases, value, outcome, text)


@lru_cache(maxsize=64)
def _shares(
    level: bool, types: tuple[str, ...] | None, mix: float | tuple[tuple[str, float], ...] | None
) -> Doubles:
    """The shares of types, remembered from scene to scene."""
    return weights(level, types, dict(mix) if isinstance(mix, tuple) else mix)


class _Case(NamedTuple):
    """One pair of objects or one object: names, positions, and slots for templates."""

    names: list[str]
    positions: list[int]
    slots: tuple[str, ...]
    turned: tuple[str, ...]
    """Slots with the second object first: B is the winner."""


def _cases(view: Survey, picks: Picks) -> list[_Case]:
    """What each question is about; questions of one case share it."""
    names = [view.scene.objects[k].reference or "" for k in view.objects]
    forms = [slot_values(name) for name in names]
    first, second, case = view.first.tolist(), view.second.tolist(), picks.case.tolist()
    made: dict[int, _Case] = {}
    for k in set(case):
        a, b = first[k], second[k]
        if a == b:
            made[k] = _Case([names[a]], [view.objects[a]], forms[a], forms[a])
        else:
            slots, turned = forms[a] + forms[b], forms[b] + forms[a]
            made[k] = _Case([names[a], names[b]], [view.objects[a], view.objects[b]], slots, turned)
    return [made[k] for k in case]


def _resolve(view: Survey, picks: Picks) -> tuple[Doubles, Positions]:
    """Exact values with the gaps filled in, and the position in `writing.outcomes` that holds."""
    value = picks.value.copy()
    gaps = np.flatnonzero(picks.type == _GAP)
    pairs = list(zip(*(rows[picks.case[gaps]].tolist() for rows in (view.first, view.second))))
    view.find_gaps(pairs)
    value[gaps] = [view.gap(a, b)[0] for a, b in pairs]
    states = (value > picks.margin).astype(np.intp) - (value < -picks.margin)
    return value, np.where(picks.type < QUALITATIVE, states, _HAS_ZERO[picks.type] & (value == 0))


def _write(
    picks: Picks,
    cases: list[_Case],
    value: Doubles,
    outcome: Positions,
    uniforms: Doubles,
    concise: float,
) -> dict[str, list[str]]:
    """The four columns of text; `uniforms` (5, K): length, template, and three to say a value."""
    pages = book()
    question = (pages.first[picks.type] + picks.template).tolist()
    group = (picks.type, outcome, (uniforms[0] >= concise).astype(np.intp))
    variant = (uniforms[1] * pages.answer_counts[group]).astype(np.intp)
    answer = (pages.answer_first[group] + variant).tolist()
    turned = (_IS_CHOICE[picks.type] & (outcome < 0)).tolist()
    slots = [case.turned if turn else case.slots for case, turn in zip(cases, turned)]
    measured = np.flatnonzero(picks.type >= QUALITATIVE)
    says = zip(measured.tolist(), value[measured].tolist(), uniforms[2:, measured].T.tolist())
    for k, metres, say in says:
        said = say_length(metres, say)
        slots[k] = (*slots[k], said)
        if is_fine(said):
            answer[k] = pages.plain[answer[k]]
    return {
        "question": [pages.questions[at].render(case.slots) for at, case in zip(question, cases)],
        "answer": [pages.answers[at].render(filled) for at, filled in zip(answer, slots)],
        "question_template": [pages.question_ids[at] for at in question],
        "answer_template": [pages.answer_ids[at] for at in answer],
    }


def _assemble(
    scene: Scene,
    seed: int,
    picks: Picks,
    cases: list[_Case],
    value: Doubles,
    outcome: Positions,
    text: dict[str, list[str]],
) -> dict[str, list[Any]]:
    """All columns in the order of the contract."""
    kinds, count = picks.type.tolist(), len(cases)
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
        "objects": [case.names for case in cases],
        "object_index": [case.positions for case in cases],
        "value": [v if m else None for v, m in zip(value.tolist(), measures)],
        "unit": ["m" if m else None for m in measures],
        "label": [_LABELS[kind][state] for kind, state in zip(kinds, outcome.tolist())],
        "frame": [scene.frame] * count,
        "margin": picks.margin.tolist(),
        "question_template": text["question_template"],
        "answer_template": text["answer_template"],
        "seed": [seed] * count,
    }
