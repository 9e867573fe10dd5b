"""Low and middle level: depth at points, of the whole map, and of objects.

What is told, and when (metres; sigma: standard deviation of a reading):

==================  ==============================================================================
point               its neighbours within `FLAT_PX` pixels have readings that agree within
                    `FLAT_SHARE` or three sigma, so that a pixel more or less does not matter
nearest, farthest   a point whose reading is the 1st or the 99th percentile of all, to `TIE_SHARE`
which is nearer     differences up to the margin (noise, or `TIE_SHARE`) are "about the same", those
                    from `CLEAR` times it on are told, between them nothing is asked; of objects
                    mean, 5th percentile and median-like centre must agree
a region's object   the object is what most of its box shows, and no other object's box is alike
==================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from calipers.spatialqa.finding import TIE_SHARE, Call, Finding, Look, Spot, compare, tie_margin
from calipers.spatialqa.names import a_or_an, are_apart, colourless
from calipers.types import SceneObject

MOST_POINTS = 24
MOST_TIES = 2
"""Two points of one wall are a tie; so many are asked of a scene."""
REGION_SHARE, REGION_OVERLAP = 0.5, 0.5
_TRIES = 4
_LETTERS = {"near": "P", "far": "Q"}
"""What the templates call the places of the two ends."""


def points(look: Look) -> list[Spot]:
    """Up to `MOST_POINTS` points spread at random over the flat parts of the depth map."""
    rows, columns = np.nonzero(look.flat)
    if not len(rows):
        return []
    chosen = look.rng.choice(len(rows), min(MOST_POINTS, len(rows)), replace=False)
    spots = (look.spot(float(columns[k]), float(rows[k])) for k in chosen)
    return [spot for spot in spots if spot is not None]


def point_depth(look: Look) -> Iterator[Finding]:
    """Depth at points."""
    for spot in points(look):
        yield Finding(
            "point_depth", "depth", "value", {"P": spot.text}, {"value": spot.depth_m},
            frozenset({"value"}), value=spot.depth_m, margin=spot.sigma_m, calls=(spot.call(),),
        )  # fmt: skip


def depth_map_range(look: Look) -> Iterator[Finding]:
    """Nearest, farthest and typical depth, and where."""
    if look.depth_m is None or not (look.depth_m > 0).any():
        return
    readings = look.depth_m[look.depth_m > 0]
    low, typical, high = (float(v) for v in np.percentile(readings, (1, 50, 99)))
    near, far = _spot_at(look, low), _spot_at(look, high)
    if high < 1.1 * low:
        return
    ends = {name: spot for name, spot in (("near", near), ("far", far)) if spot is not None}
    slots = {letter: ends[name].text for name, letter in _LETTERS.items() if name in ends}
    lengths = {name: spot.depth_m for name, spot in ends.items()} | {"typical": typical}
    for ask, value in lengths.items():
        yield _range(ask, slots, {"value": value}, value, look.sigma_m(value))
    if len(ends) == 2:
        yield _range("all", slots, lengths, typical, look.sigma_m(typical))


def _range(
    ask: str, slots: dict[str, str], lengths: dict[str, float], value: float, margin: float
) -> Finding:
    depths = frozenset(lengths)
    return Finding("depth_map_range", ask, ask, slots, lengths, depths, value=value, margin=margin)


def _spot_at(look: Look, depth_m: float) -> Spot | None:
    """The flat point whose reading is nearest to a depth; None when it is off by `TIE_SHARE`."""
    assert look.depth_m is not None
    off = np.where(look.flat, np.abs(look.depth_m - depth_m), np.inf)
    row, column = np.unravel_index(int(off.argmin()), off.shape)
    spot = look.spot(float(column), float(row)) if np.isfinite(off[row, column]) else None
    fits = spot is not None and abs(spot.depth_m - depth_m) <= TIE_SHARE * depth_m
    return spot if fits else None


def object_from_depth(look: Look) -> Iterator[Finding]:
    """What stands in a region, told by its shape; colours cannot be told and are left out."""
    boxes = dict(enumerate(item.bbox for item in look.scene.objects))
    for k in look.named:
        item, mask = look.scene.objects[k], look.mask(k)
        name, box = colourless(item.caption), item.bbox
        if mask is None or not name or item.depth_mean is None:
            continue
        others = (other for j, other in boxes.items() if j != k)
        alone = all(_overlap(box, other) < REGION_OVERLAP for other in others)
        if mask.sum() < REGION_SHARE * box[2] * box[3] or not alone:
            continue
        yield Finding(
            "object_from_depth", "what", "name", {"box": look.box_text(k), "name": a_or_an(name)},
            {"value": item.depth_mean}, frozenset({"value"}), (k,), label=name,
        )  # fmt: skip


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(wide, 0.0) * max(high, 0.0)
    return both / (a[2] * a[3] + b[2] * b[3] - both) if both else 0.0


def object_depth(look: Look) -> Iterator[Finding]:
    """An object's four depths, each alone, and all together.

    With a depth map the centre is where DepthAPI would look, see `Look.object_spot`.
    """
    for k in look.named:
        item, spot = look.scene.objects[k], look.object_spot(k)
        depths = {
            "center": item.depth_center if spot is None else spot.depth_m,
            "mean": item.depth_mean, "near": item.depth_p5, "far": item.depth_p95,
        }  # fmt: skip
        known = {name: depth for name, depth in depths.items() if depth is not None}
        if len(known) < len(depths):
            continue
        slots = {"A": look.reference(k), "box": look.box_text(k)}
        calls = () if spot is None else (spot.call(look.lead(k)),)
        for ask, depth in known.items():
            by_tool = calls if ask == "center" else ()
            yield _of_object(ask, slots, {"value": depth}, k, depth, look, by_tool)
        yield _of_object("all", slots, known, k, known["mean"], look)


def _of_object(
    ask: str,
    slots: dict[str, str],
    lengths: dict[str, float],
    k: int,
    depth: float,
    look: Look,
    calls: tuple[Call, ...] = (),
) -> Finding:
    return Finding(
        "object_depth", ask, ask, slots, lengths,
        frozenset(lengths), (k,), depth, None, look.sigma_m(depth), calls,
    )  # fmt: skip


def nearer_point(look: Look) -> Iterator[Finding]:
    """Which of two points is nearer."""
    spots, ties = points(look), 0
    for a, b in zip(spots[::2], spots[1::2]):
        margin = tie_margin(min(a.depth_m, b.depth_m), a.sigma_m, b.sigma_m)
        order = compare(b.depth_m - a.depth_m, margin)
        ties += order == 0
        if order is None or a.text == b.text or (order == 0 and ties > MOST_TIES):
            continue
        winner, loser = (a, b) if order >= 0 else (b, a)
        slots = {"P": a.text, "Q": b.text, "winner": winner.text, "loser": loser.text}
        yield Finding(
            "nearer_point", "nearer", "same" if order == 0 else "winner", slots,
            label=_ab(order), margin=margin, calls=(a.call(), b.call()),
        )  # fmt: skip


def _ab(order: int) -> str:
    return ("same", "A", "B")[order]


def _order(a: SceneObject, b: SceneObject, margin: float) -> int | None:
    """1 when a is nearer by its mean, its 5th percentile and its centre, -1, 0 for a tie."""
    means, nears = (a.depth_mean, b.depth_mean), (a.depth_p5, b.depth_p5)
    pairs = (means, nears, (a.depth_center, b.depth_center))
    found = {compare((two or 0.0) - (one or 0.0), margin) for one, two in pairs}
    return found.pop() if len(found) == 1 else None


def nearer_object(look: Look) -> Iterator[Finding]:
    """Which of two objects is nearer to the camera."""
    objects = look.scene.objects
    for i, j in _pairs(look):
        a, b = objects[i], objects[j]
        if a.depth_mean is None or b.depth_mean is None:
            continue
        margin = _margin(look, (i, j))
        order = _order(a, b, margin)
        if order is None:
            continue
        first, second = (i, j) if order >= 0 else (j, i)
        slots = {"A": look.reference(i), "B": look.reference(j)}
        slots |= {"winner": look.reference(first), "loser": look.reference(second)}
        yield Finding(
            "nearer_object", "nearer", "same" if order == 0 else "winner", slots,
            object_index=(i, j), label=_ab(order), margin=margin,
            calls=_calls(look, (i, j), margin, order),
        )  # fmt: skip


def _margin(look: Look, chosen: Sequence[int]) -> float:
    means = [look.scene.objects[k].depth_mean or 0.0 for k in chosen]
    sigmas = sorted(look.sigma_m(mean) for mean in means)[-2:]
    return tie_margin(min(means), sigmas[0], sigmas[1])


def _calls(look: Look, chosen: Sequence[int], margin: float, order: int = 1) -> tuple[Call, ...]:
    """A call for each object, when what they tell agrees with the order; none else."""
    spots = [look.object_spot(k) for k in chosen]
    found = [spot for spot in spots if spot is not None]
    if len(found) < len(chosen):
        return ()
    steps = [compare(b.depth_m - a.depth_m, margin) for a, b in pairwise(found)]
    if any(step != order for step in steps):
        return ()
    return tuple(spot.call(look.lead(k)) for spot, k in zip(found, chosen))


def depth_order(look: Look) -> Iterator[Finding]:
    """Three to five objects from near to far; label: their letters in the order of the question."""
    if len(look.named) < 3:
        return
    seen: set[frozenset[int]] = set()
    for _ in range(_TRIES):
        count = min(int(look.rng.integers(3, 6)), len(look.named))
        chosen = look.rng.permutation(look.named)[:count].tolist()
        if frozenset(chosen) in seen:
            continue
        seen.add(frozenset(chosen))
        objects = look.scene.objects
        ranked = sorted(chosen, key=lambda k: objects[k].depth_mean or np.inf)
        margin = _margin(look, chosen)
        orders = [_order(objects[a], objects[b], margin) for a, b in pairwise(ranked)]
        if any(order != 1 for order in orders):
            continue
        names = [look.reference(k) for k in ranked]
        letters = ",".join("ABCDE"[chosen.index(k)] for k in ranked)
        asked = listing([look.reference(k) for k in chosen])
        slots = {"list": asked, "order": listing(names, "then")}
        slots |= {"first": names[0], "last": names[-1]}
        calls = _calls(look, ranked, margin)
        yield Finding(
            "depth_order", "order", "order", slots, object_index=tuple(chosen), label=letters,
            margin=margin, calls=calls,
        )  # fmt: skip


def listing(names: Sequence[str], last: str = "and") -> str:
    """Names as a list in a sentence.

    >>> listing(["the cup", "the box", "the lamp"], "then")
    'the cup, the box, then the lamp'
    """
    return ", ".join(names[:-1]) + (f", {last} " if len(names) > 2 else f" {last} ") + names[-1]


def _pairs(look: Look) -> list[tuple[int, int]]:
    """Pairs of named objects in random order, each once, at most 40; no thing with its own part."""
    chosen = look.rng.permutation(look.named).tolist()
    said = [item.caption for item in look.scene.objects]
    every = [(a, b) for n, a in enumerate(chosen) for b in chosen[n + 1 :]]
    every = [(a, b) for a, b in every if are_apart(said[a], said[b])]
    return [every[k] for k in look.rng.permutation(len(every))[:40]]
