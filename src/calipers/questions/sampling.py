"""Which questions to ask of a scene: types by weight, cases and templates without repetition.

The number of questions of each type follows its weight as closely as whole numbers allow: with
count · share = 6.4 it is 6 or 7 (systematic sampling), so even one scene has the paper's mix. A
type that has nothing to ask gives its share to the others of its kind, and a kind that has nothing
to the other kind.

Inside a type the cases (ordered pairs or single objects) come in random order, each once before any
comes twice, and a case that comes again has the next question template. So no two questions of a
scene are the same, and a type holds cases · templates of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from calipers.errors import UsageError
from calipers.geometry.relations import Indices
from calipers.questions.facts import Surveys
from calipers.questions.registry import QUALITATIVE
from calipers.types import Bools, Doubles

MORE_DRAWS = 5
"""Random numbers that each question has for its writing."""


class Picks(NamedTuple):
    """What to ask of S scenes, one after another and in order; arrays of one length K.

    Attributes:
        scene: which of the scenes.
        type, case, template: positions in the table of types, in the surveys' cases and among the
            type's question templates.
        value, margin: sign · quantity and its margin; gaps are yet to be found.
        uniforms: (`MORE_DRAWS`, K) random numbers that are left to whoever writes.
    """

    scene: Indices
    type: Indices
    case: Indices
    template: Indices
    value: Doubles
    margin: Doubles
    uniforms: Doubles


def generator(seed: int, scene_id: str) -> np.random.Generator:
    """The generator of one scene: PCG64 seeded by BLAKE2b of the seed and the scene's id.

    Raises:
        UsageError: the seed is no whole number from 0 to below 2**63.

    >>> generator(7, "a").random() == generator(7, "a").random() != generator(8, "a").random()
    True
    """
    if not _whole(seed) or not 0 <= seed < 2**63:
        raise UsageError(f"seed: wanted a whole number from 0 to below 2**63, got {seed!r}")
    digest = blake2b(f"{seed}\x00{scene_id}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def pick(
    view: Surveys,
    shares: Doubles,
    templates: Indices,
    count: int,
    rngs: Sequence[np.random.Generator],
) -> Picks:
    """Choose up to `count` questions a scene; fewer only when it holds no more different ones.

    A scene's own generator decides, so its questions do not depend on the others.

    Args:
        shares: (S, 43) share of each type in each scene, from `registry.weights`.
        templates: (43,) how many question templates each type has.
        rngs: the generators of the scenes.

    Raises:
        UsageError: the count is no whole number.
    """
    if not _whole(count):
        raise UsageError(f"wanted a whole number of questions, got {count!r}")
    bounds = view.bounds.tolist()
    allowed = [view.allowed[:, start:stop] for start, stop in pairwise(bounds)]
    counts = [np.count_nonzero(part, axis=1) for part in allowed]
    cases = np.array(counts, np.intp).reshape(shares.shape)
    chances = np.array([rng.random(4) for rng in rngs]).reshape(-1, 4)
    wanted = allot(shares, cases * templates, count, chances, QUALITATIVE)
    draws = _Draws()
    for part, share, most, rng in zip(allowed, shares, wanted.sum(1).tolist(), rngs):
        draws.add(part[share > 0], most, rng)
    cell = np.repeat(np.arange(wanted.size), wanted.ravel())
    turn = np.arange(len(cell)) - np.repeat(wanted.cumsum() - wanted.ravel(), wanted.ravel())
    scene, type = np.divmod(cell, len(templates))
    again, place = np.divmod(turn, np.maximum(cases, 1)[scene, type])
    row = (np.cumsum(shares > 0, axis=1) - 1)[scene, type]
    case, key = draws.read(scene, row, place)
    first = (key * 2.0**20) % 1.0 * templates[type]
    template = (first.astype(np.intp) + again) % templates[type]
    order, uniforms = draws.rest(wanted.sum(1))
    type, case = type[order], (view.bounds[scene] + case)[order]
    return Picks(scene, type, case, template[order], *view.read(type, case), uniforms)


def _whole(number: object) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


class _Draws:
    """What the generators of scenes give, put together."""

    def __init__(self) -> None:
        self.keys, self.order = [np.empty(0)], [np.empty(0, np.intp)]
        self.places, self.uniforms = [np.empty(0, np.intp)], [np.empty((MORE_DRAWS, 0))]
        self.widths: list[int] = []

    def add(self, allowed: Bools, count: int, rng: np.random.Generator) -> None:
        """Draw for a scene: an order of the cases of each type (T, M), those that may not be asked
        last, then an order of its `count` questions, and what is left to others."""
        keys = rng.random(allowed.shape)
        np.putmask(keys, ~allowed, 2.0)
        self.keys.append(keys.ravel())
        self.order.append(keys.argsort(axis=1).ravel())
        self.widths.append(allowed.shape[1])
        self.places.append(rng.random(count).argsort())
        self.uniforms.append(rng.random((MORE_DRAWS, count)))

    def read(self, scene: Indices, row: Indices, place: Indices) -> tuple[Indices, Doubles]:
        """Return the cases (K,) at these places in the orders of the scenes' rows, counted within
        the scene, and their keys."""
        starts = np.cumsum([len(keys) for keys in self.keys])
        start = starts[scene] + row * np.array(self.widths, np.intp)[scene]
        case = np.concatenate(self.order)[start + place]
        return case, np.concatenate(self.keys)[start + case]

    def rest(self, counts: Indices) -> tuple[Indices, Doubles]:
        """Return the order of all questions, so many of each scene, and `Picks.uniforms`."""
        start = np.repeat(counts.cumsum() - counts, counts)
        return np.concatenate(self.places) + start, np.concatenate(self.uniforms, axis=1)


def allot(shares: Doubles, room: Indices, count: int, uniforms: Doubles, split: int) -> Indices:
    """Deal `count` questions of each of S scenes to types by their shares (S, T), at most `room`
    (S, T) to each.

    Types before `split` are one kind, the rest the other; each kind gets its own sum of shares and
    what the other cannot use. `uniforms` (S, 4) lie in [0, 1).

    >>> shares, room = np.array([[0.4, 0.1, 0.5]]), np.array([[100, 100, 3]])
    >>> allot(shares, room, 10, np.full((1, 4), 0.5), 2).tolist()
    [[6, 1, 3]]
    """
    chances, places = shares[:, :split], room[:, :split]
    share = chances.cumsum(1)[:, -1] if split else np.zeros(len(shares))
    half = np.minimum(count, (count * share + uniforms[:, 0]).astype(np.intp))
    low = _deal(chances, places, half, uniforms[:, 1])
    high = _deal(shares[:, split:], room[:, split:], count - low.sum(1), uniforms[:, 2])
    left = count - low.sum(1) - high.sum(1)
    low += _deal(chances, places - low, left, uniforms[:, 3])
    return np.concatenate((low, high), axis=1)


def _deal(shares: Doubles, room: Indices, count: Indices, uniform: Doubles) -> Indices:
    """Systematic sampling, repeated for what did not fit until every room is full."""
    dealt = np.zeros(shares.shape, np.intp)
    while shares.size:
        reach = np.where(dealt < room, shares, 0.0).cumsum(1)
        open = (count > 0) & (reach[:, -1] > 0)
        if not open.any():
            break
        upto = reach / np.where(open, reach[:, -1], 1.0)[:, None]
        mark = (upto * count[:, None] + uniform[:, None]).astype(np.intp)
        mark = np.minimum(mark, count[:, None]) * open[:, None]
        taken = np.minimum(np.diff(mark, axis=1, prepend=0), room - dealt)
        dealt += taken
        count = count - taken.sum(1)
    return dealt
