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
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calipers.questions.facts import Survey
from calipers.questions.registry import QUALITATIVE
from calipers.types import Doubles


class Picks(NamedTuple):
    """What to ask, in order; arrays of one length K.

    Attributes:
        type, case, template: positions in the table of types, in the survey's cases and among the
            type's question templates.
        value, margin: sign · quantity and its margin.
    """

    type: NDArray[np.intp]
    case: NDArray[np.intp]
    template: NDArray[np.intp]
    value: Doubles
    margin: Doubles


def generator(seed: int, scene_id: str) -> np.random.Generator:
    """The generator of one scene: PCG64 seeded by BLAKE2b of the seed and the scene's id.

    >>> generator(7, "a").random() == generator(7, "a").random() != generator(8, "a").random()
    True
    """
    digest = blake2b(f"{seed}\x00{scene_id}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def pick(
    view: Survey,
    shares: Doubles,
    templates: NDArray[np.intp],
    count: int,
    rng: np.random.Generator,
) -> Picks:
    """Choose up to `count` questions; fewer only when the scene holds no more different ones.

    Args:
        shares: (43,) share of each type, from `registry.weights`.
        templates: (43,) how many question templates each type has.
    """
    asked = np.flatnonzero(shares > 0)
    value, margin, allowed = view.by_type(asked)
    cases, templates = allowed.sum(1), templates[asked]
    split = int(np.searchsorted(asked, QUALITATIVE))
    wanted = allot(shares[asked], cases * templates, count, rng.random(4).tolist(), split)
    row = np.repeat(np.arange(len(asked)), wanted)
    turn = np.arange(len(row)) - np.repeat(wanted.cumsum() - wanted, wanted)
    keys = rng.random(allowed.shape)
    np.putmask(keys, ~allowed, 2.0)
    again, place = np.divmod(turn, np.maximum(cases, 1)[row])
    case = keys.argsort(axis=1)[row, place]
    first = (keys[row, case] * 2.0**20) % 1.0 * templates[row]
    template = (first.astype(np.intp) + again) % templates[row]
    order = rng.random(len(row)).argsort()
    row, case, template = row[order], case[order], template[order]
    return Picks(asked[row], case, template, value[row, case], margin[row, case])


def allot(
    shares: Doubles,
    room: NDArray[np.intp],
    count: int,
    uniforms: Sequence[float],
    split: int,
) -> NDArray[np.intp]:
    """Deal `count` questions to types by their shares, at most `room` to each.

    Types before `split` are one kind, the rest the other; each kind gets its own sum of shares and
    what the other cannot use. `uniforms` are four numbers in [0, 1).

    >>> allot(np.array([0.4, 0.1, 0.5]), np.array([100, 100, 3]), 10, [0.5] * 4, 2).tolist()
    [6, 1, 3]
    """
    chances, places = shares.tolist(), room.tolist()
    half = min(count, int(count * sum(chances[:split]) + uniforms[0]))
    low = _deal(chances[:split], places[:split], half, uniforms[1])
    high = _deal(chances[split:], places[split:], count - sum(low), uniforms[2])
    left = [place - dealt for place, dealt in zip(places, low)]
    more = _deal(chances[:split], left, count - sum(low) - sum(high), uniforms[3])
    return np.array([a + b for a, b in zip(low, more)] + high, dtype=np.intp)


def _deal(shares: list[float], room: list[int], count: int, uniform: float) -> list[int]:
    """Systematic sampling, repeated for what did not fit until every room is full.

    Plain lists: the loop is over a few types and faster than arrays of their size.
    """
    dealt = [0] * len(shares)
    while count > 0:
        reach = list(accumulate(s if d < r else 0.0 for s, d, r in zip(shares, dealt, room)))
        if not reach or reach[-1] <= 0:
            break
        mark = refused = 0
        for k, upto in enumerate(reach):
            last, mark = mark, min(count, int(upto / reach[-1] * count + uniform))
            taken = min(mark - last, room[k] - dealt[k])
            dealt[k] += taken
            refused += mark - last - taken
        count = refused
    return dealt
