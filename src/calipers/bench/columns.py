"""Drafts of a SpatialBench-like set: what each scene offers to each column, and the balance.

=============  ===================================================================================
positional     "left", "behind", "above" and their opposites as options in random order, and who
               is nearest of three; of each answer and each letter as many as of the others
existence      pairs made of two scenes: each asks for what it has and for what the other has, so
               every question stands there once with yes and once with no
counting       as many of each count as there are, never zero (the published rule divides by it)
reach          pairs: who touches whom; the two questions differ in one thing only where possible
size           pairs: one question and the same with the opposite word or the two changed round
depth          depth at points of the picture, millimetres
=============  ===================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calipers.questions.facts import survey
from calipers.questions.registry import TYPE_LIST
from calipers.spatialqa import depths, things, touch
from calipers.spatialqa.finding import Finding, Look
from calipers.spatialqa.names import Names, a_or_an, plural

LETTERS = "ABCD"
_TYPE_ROW = {row.id: k for k, row in enumerate(TYPE_LIST)}


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before it has its place in a set.

    Attributes:
        family, cell: the cells of a family (its answers) are made equally frequent.
        facts: fields of the record beside the published ones.
        cells: how many cells the family has.
    """

    scene: str
    family: str
    cell: str
    question: str
    answer: str
    facts: dict[str, Any]
    cells: int = 1


Pair = tuple[Draft, Draft]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a scene offers: drafts and pairs by column, what is there, and how to tell what is not.

    Attributes:
        there: what kinds are called that are counted, and the positions of their things.
    """

    scene: str
    single: dict[str, list[Draft]]
    pairs: dict[str, list[Pair]]
    there: dict[str, tuple[int, ...]]
    names: Names


def offer(look: Look) -> Offer:
    """Look through a scene."""
    scene, found = look.scene.id, Names(look.scene, look.similarity)
    return Offer(
        scene=scene,
        single={
            "positional": list(_positional(look)),
            "counting": [_count(look, f) for f in things.counting(look) if f.object_index],
            "depth": [_depth(look, f) for f in depths.point_depth(look)],
        },
        pairs={"reach": _reach(look), "size": list(_sizes(look))},
        there={found.title(kind): places for kind, places in found.counted().items()},
        names=found,
    )


def _draft(look: Look, family: str, cell: str, question: str, answer: str, **facts: Any) -> Draft:
    return Draft(look.scene.id, family, cell, question, answer, facts, _CELLS.get(family, 1))


_PLACES = {
    "left_right_classify": ("to the left of", "to the right of"),
    "behind_front_classify": ("behind", "in front of"),
    "above_below_classify": ("above", "below"),
}


def _positional(look: Look) -> Iterator[Draft]:
    """Where A is seen from B, of two options that exclude each other; and who is nearest."""
    yield from (_nearest(look, found) for found in depths.depth_order(look))
    view = survey(look.scene)
    values, margins, asked = view.by_type(np.array([_TYPE_ROW[name] for name in _PLACES]))
    clear = asked & (np.abs(values) > margins)
    for case in look.rng.permutation(np.flatnonzero(view.first != view.second)).tolist():
        objects = [int(view.objects[side[case]]) for side in (view.first, view.second)]
        for row, (name, words) in enumerate(_PLACES.items()):
            if clear[row, case]:
                yield _place(look, name, words, objects, bool(values[row, case] > 0))


def _place(look: Look, name: str, words: tuple[str, str], objects: list[int], first: bool) -> Draft:
    a, b = (look.reference(k) for k in objects)
    true = words[0] if first else words[1]
    options = words[::-1] if look.rng.random() < 0.5 else words
    letter = LETTERS[options.index(true)]
    question = f"Where is {a}? {_listed([f'{option} {b}' for option in options])}"
    cell = f"{true} {letter}"
    return _draft(look, name, cell, question, letter, type=name, label=true, object_index=objects)


def _nearest(look: Look, found: Finding) -> Draft:
    objects = list(found.object_index)[:3]
    order = [letter for letter in (found.label or "").split(",") if letter in LETTERS[:3]]
    question = f"Which is nearest to the camera? {_listed([look.reference(k) for k in objects])}"
    facts = {"type": "depth_order", "label": found.label, "object_index": objects}
    return _draft(look, "nearest", order[0], question, order[0], **facts)


def _listed(options: Sequence[str]) -> str:
    return " ".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options))


def _count(look: Look, found: Finding) -> Draft:
    kind = found.slots["name"]
    question = f"How many {plural(kind)} are there? Answer with a number."
    count = found.label or ""
    facts = {"type": "counting", "label": count, "object_index": list(found.object_index)}
    return _draft(look, "counting", kind, question, count, **facts)


def _depth(look: Look, found: Finding) -> Draft:
    assert found.value is not None
    depth_mm = int(np.floor(found.value * 1000 + 0.5))
    question = f"What is the depth at {found.slots['P']}, in millimeters?"
    bin_ = f"{np.floor(np.log2(max(found.value, 0.01)) * 2) / 2:.1f}"  # half an octave
    return _draft(
        look, "depth", bin_, question, str(depth_mm), type="point_depth", value=found.value
    )


def _yes_no(look: Look, found: Finding, words: str) -> Draft:
    question = f"Is {found.slots['A']} {words} {found.slots['B']}? Answer yes or no."
    answer = (found.label or "").capitalize()
    facts = {"type": found.type, "label": found.label, "object_index": list(found.object_index)}
    return _draft(look, found.type, "", question, answer, **facts)


def _reach(look: Look) -> list[Pair]:
    """A yes and a no of one scene, about one thing where there is such a pair."""
    found = [*touch.reach(look), *touch.contact(look)]
    yes = [one for one in found if one.outcome == "yes"]
    no = [one for one in found if one.outcome == "no"]
    pairs: list[Pair] = []
    for one in yes:
        shared = [len({*other.object_index} & {*one.object_index}) for other in no]
        if no:
            other = no.pop(int(np.argmax(shared)))
            pairs.append((_yes_no(look, one, "touching"), _yes_no(look, other, "touching")))
    return pairs


_SIZES = {
    "big_predicate": ("bigger than", "smaller than"),
    "tall_predicate": ("taller than", "shorter than"),
    "wide_predicate": ("wider than", "narrower than"),
}


def _sizes(look: Look) -> Iterator[Pair]:
    """Is A bigger than B, and one of: is A smaller than B, is B bigger than A."""
    view = survey(look.scene)
    values, margins, asked = view.by_type(np.array([_TYPE_ROW[name] for name in _SIZES]))
    clear = asked & (np.abs(values) > margins)
    for case in look.rng.permutation(np.flatnonzero(view.first != view.second)).tolist():
        objects = [int(view.objects[side[case]]) for side in (view.first, view.second)]
        for row, (name, words) in enumerate(_SIZES.items()):
            if clear[row, case]:
                yield _size_pair(look, name, words, objects, bool(values[row, case] > 0))


def _size_pair(
    look: Look, name: str, words: tuple[str, str], objects: list[int], bigger: bool
) -> Pair:
    changed_round = bool(look.rng.random() < 0.5)
    second = (objects[::-1], words[0]) if changed_round else (objects, words[1])
    made = []
    for (a, b), word, true in ((objects, words[0], bigger), (*second, not bigger)):
        label = "yes" if true else "no"
        question = f"Is {look.reference(a)} {word} {look.reference(b)}? Answer yes or no."
        facts = {"type": name, "label": label, "object_index": [a, b]}
        made.append(_draft(look, name, str(bigger), question, label.capitalize(), **facts))
    return made[0], made[1]


_CELLS = {**dict.fromkeys(_PLACES, 4), **dict.fromkeys(_SIZES, 2), "nearest": 3}


def existence_pairs(offers: Sequence[Offer], count: int, rng: np.random.Generator) -> list[Pair]:
    """Pairs from two scenes each, so that every question has both answers; scenes in turn."""
    order = [(int(i), int(j)) for i, j in _two_of(len(offers), rng)]
    used: Counter[str] = Counter()
    asked: set[tuple[str, str]] = set()
    pairs: list[Pair] = []
    for i, j in order:
        if len(pairs) + 2 > count:
            break
        one, two = offers[i], offers[j]
        mine = _own(one, two, asked, used)
        theirs = _own(two, one, asked, used)
        if mine is None or theirs is None:
            continue
        for scene, there, absent in ((one, mine, theirs), (two, theirs, mine)):
            pairs.append((_exists(scene, there, True), _exists(scene, absent, False)))
            asked |= {(scene.scene, there), (scene.scene, absent)}
        used.update((mine, theirs))
    return pairs


def _two_of(count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs of different scenes so that every scene comes once before any comes again."""
    if count < 2:
        return []
    rounds = []
    for _ in range(4 * count):
        mixed = rng.permutation(count).tolist()
        rounds += list(zip(mixed[::2], mixed[1::2]))
    return rounds


def _own(here: Offer, other: Offer, asked: set[tuple[str, str]], used: Counter[str]) -> str | None:
    """The kind least used so far that is here and surely not there."""
    kinds = [
        kind
        for kind in sorted(here.there)
        if not {(here.scene, kind), (other.scene, kind)} & asked and other.names.is_absent(kind)
    ]
    return min(kinds, key=lambda kind: used[kind], default=None)


def _exists(scene: Offer, kind: str, there: bool) -> Draft:
    label = "yes" if there else "no"
    question = f"Is there {a_or_an(kind)} in the picture? Answer yes or no."
    facts = {"type": "existence", "label": label, "object_index": list(scene.there.get(kind, ()))}
    return Draft(scene.scene, "existence", kind, question, label.capitalize(), facts)
