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

from calipers.stages.captions import Phrase, read_caption
from calipers.stages.similarity import NormalisedText, Similarity
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
_Order = Callable[[SceneObject, SceneObject, ReferenceFrame], int]
_Words = tuple[str, str]  # before the noun, after the phrase


def _in_picture(a: SceneObject, b: SceneObject, axis: int) -> int:
    """1 when a's image box lies clearly before b's along x (0) or y (1), -1 after, 0 unclear."""
    size_a, size_b = a.bbox[2 + axis], b.bbox[2 + axis]
    apart = (b.bbox[axis] + size_b / 2) - (a.bbox[axis] + size_a / 2)
    if abs(apart) < max(CLEAR_OF_SIZE * (size_a + size_b) / 2, CLEAR_PX):
        return 0
    return 1 if apart > 0 else -1


def _in_space(a: SceneObject, b: SceneObject, axis: int, frame: ReferenceFrame) -> float:
    """How much farther along an axis b's 3D centre is than a's; 0 when one is unknown."""
    center_a = a.center_level if frame == "level" else a.center_camera
    center_b = b.center_level if frame == "level" else b.center_camera
    if center_a is None or center_b is None:
        return 0.0
    return float(center_b[axis]) - float(center_a[axis])


def _across(a: SceneObject, b: SceneObject, frame: ReferenceFrame) -> int:
    order = _in_picture(a, b, 0)
    return 0 if order * _in_space(a, b, 0, frame) < 0 else order


def _down(a: SceneObject, b: SceneObject, frame: ReferenceFrame) -> int:
    order = _in_picture(a, b, 1)
    lower = -_in_space(a, b, 2, frame) if frame == "level" else _in_space(a, b, 1, frame)
    return 0 if order * lower < 0 else order


def _away(a: SceneObject, b: SceneObject, frame: ReferenceFrame) -> int:
    if a.center_camera is None or b.center_camera is None:
        return 0
    square_a = float(a.center_camera @ a.center_camera)
    square_b = float(b.center_camera @ b.center_camera)
    if max(square_a, square_b) < CLEAR_DISTANCE**2 * min(square_a, square_b):
        return 0
    order = 1 if square_b > square_a else -1
    return 0 if order * _in_space(a, b, 1 if frame == "level" else 2, frame) < 0 else order


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
    objects: Sequence[SceneObject], frame: ReferenceFrame, similarity: Similarity | None = None
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
    named = [place for place, phrase in enumerate(phrases) if phrase.noun]
    alike = (similarity or NormalisedText()).alike([objects[place].caption for place in named])
    fits = {
        place: [objects[other] for other, yes in zip(named, row) if yes and other != place]
        for place, row in zip(named, alike.tolist())
    }
    for place, (item, phrase) in enumerate(zip(objects, phrases)):
        item.reference = None
        if item.reference_reason in _OWN_REASONS:
            _refer_one(item, phrase, fits.get(place, []), frame)
    _drop_repeated(objects)


def _refer_one(
    item: SceneObject, phrase: Phrase, others: list[SceneObject], frame: ReferenceFrame
) -> None:
    item.reference_reason = phrase.problem if item.lifted else NOT_LIFTED
    if item.reference_reason is None:
        words = _telling_apart(item, others, frame)
        if words is None:
            item.reference_reason = AMBIGUOUS
        else:
            item.reference = phrase.definite(*words)


def _telling_apart(
    item: SceneObject, others: list[SceneObject], frame: ReferenceFrame
) -> _Words | None:
    """The words that tell an object from the others its caption fits; None when none is clear."""
    if not others:
        return "", ""
    if len(others) == 1:
        for order, first, second in _OF_TWO:
            side = order(item, others[0], frame)
            if side:
                return first if side > 0 else second
        return None
    for order, first, middle, last in _OF_MANY:
        rank = _rank(item, others, order, frame)
        if rank is not None:
            return _of_many(rank, len(others), first, middle, last)
    return None


def _rank(
    item: SceneObject, others: list[SceneObject], order: _Order, frame: ReferenceFrame
) -> int | None:
    """How many of the others come before it; None unless it is clear of every one."""
    sides = [order(item, other, frame) for other in others]
    return None if 0 in sides else sides.count(-1)


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
