"""Give every object a phrase that means it alone, or a reason why there is none.

A caption that fits one object stays: "the green soap box". Of two alike each gets a clause that is
true in the picture, three and more are told apart by their order:

=======  ======================================  ================================================
axis     two alike                               three or more
=======  ======================================  ================================================
across   on the left, on the right               leftmost, second … from the left, rightmost
away     closer to / farther from the camera     closest, second closest …, farthest
down     the upper, the lower                    –
=======  ======================================  ================================================

The first axis on which the object is clear of every other one alike is taken. Clear means:

- across and down: the centres of the image boxes are apart by at least half the mean of their
  sizes along the axis and by 5 pixels, and where both were lifted their 3D centres do not lie the
  other way round (in the frame questions are asked in);
- away: the farther centre is at least 10 % farther from the camera than the nearer one, and not
  in front of it along the viewing direction.

Objects that were not lifted, or have too long a caption, count as alike all the same: a second box
without depth makes "the box" ambiguous.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from calipers.experts.base import TextSimilarity
from calipers.stages.captions import Phrase, read_caption
from calipers.stages.similarity import NormalisedText
from calipers.types import ReferenceFrame, SceneObject

AMBIGUOUS = "ambiguous"
NOT_LIFTED = "not lifted"
CLEAR_OF_SIZE = 0.5
"""Image box centres are clear when they differ by this share of the mean box size."""
CLEAR_PX = 5.0
CLEAR_DISTANCE = 1.1
"""Distances from the camera are clear from this ratio on."""

_OWN_REASONS = (None, AMBIGUOUS, "background", "no_caption", "caption_too_long")
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip
_Words = tuple[str, str]  # before the noun, after the phrase


class _Place(NamedTuple):
    """Where an object is, in the picture and in space."""

    center_px: tuple[float, float]
    size_px: tuple[float, float]
    space: tuple[float, float, float] | None  # to the right, down, forward; None when not lifted
    square_distance: float  # from the camera


def _place(item: SceneObject, frame: ReferenceFrame) -> _Place:
    x, y, width, height = item.bbox
    space, square = None, 0.0
    if item.center_camera is not None:
        space = right, down, forward = item.center_camera.tolist()
        square = right * right + down * down + forward * forward
    if frame == "level" and item.center_level is not None:
        right, forward, up = item.center_level.tolist()
        space = right, -up, forward
    return _Place((x + width / 2, y + height / 2), (width, height), space, square)


_Order = Callable[[_Place, _Place], int]  # 1 when a is clearly before b, -1 after, 0 unclear


def _agrees(order: int, a: _Place, b: _Place, axis: int) -> int:
    """The order, or 0 when the 3D centres lie the other way round along an axis of space."""
    if a.space is None or b.space is None:
        return order
    return 0 if order * (b.space[axis] - a.space[axis]) < 0 else order


def _in_picture(a: _Place, b: _Place, axis: int) -> int:
    apart = b.center_px[axis] - a.center_px[axis]
    if abs(apart) < max(CLEAR_OF_SIZE * (a.size_px[axis] + b.size_px[axis]) / 2, CLEAR_PX):
        return 0
    return _agrees(1 if apart > 0 else -1, a, b, axis)


def _across(a: _Place, b: _Place) -> int:
    return _in_picture(a, b, 0)


def _down(a: _Place, b: _Place) -> int:
    return _in_picture(a, b, 1)


def _away(a: _Place, b: _Place) -> int:
    if a.space is None or b.space is None:
        return 0
    near, far = sorted((a.square_distance, b.square_distance))
    if far < CLEAR_DISTANCE**2 * near:
        return 0
    return _agrees(1 if b.square_distance == far else -1, a, b, 2)


_OF_TWO: tuple[tuple[_Order, _Words, _Words], ...] = (
    (_across, ("", "on the left"), ("", "on the right")),
    (_away, ("", "closer to the camera"), ("", "farther from the camera")),
    (_down, ("upper", ""), ("lower", "")),
)
_OF_MANY: tuple[tuple[_Order, _Words, _Words, _Words], ...] = (
    (_across, ("leftmost", ""), ("{}", "from the left"), ("rightmost", "")),
    (_away, ("closest", "to the camera"), ("{} closest", "to the camera"),
     ("farthest", "from the camera")),
)  # fmt: skip


def refer(
    objects: Sequence[SceneObject], frame: ReferenceFrame, similarity: TextSimilarity | None = None
) -> None:
    """Set ``reference``, or ``reference_reason``, of every object in place.

    Reasons: "background", "no_caption", "caption_too_long", "ambiguous"; "not lifted" where an
    object has no place in 3D and no reason yet. A reason that another step gave stays.

    Args:
        objects: all objects of one scene.
        frame: the frame in which the scene's questions are asked.
        similarity: which captions are alike; `NormalisedText` by default.
    """
    phrases = [read_caption(item.caption) for item in objects]
    named = [i for i, phrase in enumerate(phrases) if phrase.noun]
    alike = (similarity or NormalisedText()).alike([objects[i].caption for i in named])
    where = [_place(item, frame) for item in objects]
    others = {
        i: [where[j] for j, yes in zip(named, row) if yes and j != i]
        for i, row in zip(named, alike.tolist())
    }
    for i, (item, phrase) in enumerate(zip(objects, phrases)):
        item.reference = None
        if item.reference_reason in _OWN_REASONS:
            _refer_one(item, phrase, where[i], others.get(i, []))
    _drop_repeated(objects)


def _refer_one(item: SceneObject, phrase: Phrase, place: _Place, others: list[_Place]) -> None:
    item.reference_reason = phrase.problem if item.lifted else NOT_LIFTED
    if item.reference_reason is None:
        words = _telling_apart(place, others)
        if words is None:
            item.reference_reason = AMBIGUOUS
        else:
            item.reference = phrase.definite(*words)


def _telling_apart(place: _Place, others: list[_Place]) -> _Words | None:
    """The words that tell an object from the others its caption fits; None when none is clear."""
    if not others:
        return "", ""
    if len(others) == 1:
        for order, first, second in _OF_TWO:
            side = order(place, others[0])
            if side:
                return first if side > 0 else second
        return None
    for order, first, middle, last in _OF_MANY:
        rank = _rank(place, others, order)
        if rank is not None:
            return _of_many(rank, len(others), first, middle, last)
    return None


def _rank(place: _Place, others: list[_Place], order: _Order) -> int | None:
    """How many of the others come before it; None unless it is clear of every one."""
    rank = 0
    for other in others:
        side = order(place, other)
        if side == 0:
            return None
        rank += side < 0
    return rank


def _of_many(rank: int, last_rank: int, first: _Words, middle: _Words, last: _Words) -> _Words:
    if rank in (0, last_rank):
        return first if rank == 0 else last
    before, after = middle
    ordinal = _ORDINALS[rank] if rank < len(_ORDINALS) else f"{rank + 1}{_suffix(rank + 1)}"
    return before.format(ordinal), after


def _suffix(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _drop_repeated(objects: Sequence[SceneObject]) -> None:
    """A caption may itself say "ball on the left": a phrase made twice means nobody."""
    counts = Counter(item.reference.casefold() for item in objects if item.reference)
    for item in objects:
        if item.reference and counts[item.reference.casefold()] > 1:
            item.reference, item.reference_reason = None, AMBIGUOUS
