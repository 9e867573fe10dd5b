"""What is true of the objects of a scene: every comparison and measure, exactly, with its margin.

A `Survey` holds all quantities of a scene at once, one column for each *case*: an ordered pair of
objects, or one object alone. `measure` reads one fact from it; `questions.sampling` reads many.

Quantities (metres; comparison frame: x right, y forward, z up, see `geometry.relations`)::

    left      x of B − x of A, centres           wide      width of A − width of B
    above     bottom of A − bottom of B          big       volume of A − volume of B (cubic metres)
    behind    y of A − y of B, centres           height    extent along z
    tall      height of A − height of B          width     extent along x
    distance  between centres                    elevation bottom above the support surface
    vertical_distance, horizontal_distance       between centres, along z and in the x-y plane
    gap       between the closest points of the two clouds
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from calipers.errors import Skip, UsageError
from calipers.geometry import relations
from calipers.geometry.frames import level_from_camera
from calipers.geometry.relations import Indices, Spread
from calipers.questions.registry import TYPE_LIST, QuestionType, question_type
from calipers.types import Doubles, Fact, Floats, Scene, SceneObject

QUANTITIES = (
    "left", "above", "behind", "tall", "wide", "big",
    "distance", "gap", "vertical_distance", "horizontal_distance",
    "height", "width", "elevation",
)  # fmt: skip
_PAIRED = 10
"""Quantities before this position belong to pairs, the others to one object."""
_ROW = {name: k for k, name in enumerate(QUANTITIES)}
_WHOLE = ("above", "tall", "wide", "big", "height", "width", "elevation")
"""Quantities that are only known of objects seen to their ends."""
_WHOLE_ROWS = [_ROW[name] for name in _WHOLE]
_LEVEL_ROWS = [_ROW[t.quantity] for t in TYPE_LIST if t.needs_level]

ALL_TYPES = np.arange(len(TYPE_LIST))
_TYPE_ROW = np.array([_ROW[t.quantity] for t in TYPE_LIST])
_TYPE_SIGN = np.array([[float(t.sign)] for t in TYPE_LIST])


PREMISE_DOUBTS = 5.0
"""A length is asked for when it is at least so many times the doubt about it: it is known to a
fifth of it, and a false premise ("how far above") is unlikely."""
TIE_DOUBTS, TIE_SHARE = 1.5, 0.05
"""Two are called about the same when the doubt is at most so many times the margin of a tie, and
the margin at most this share of what is compared: else it would hide a clear difference."""
_FRONTS = np.array([[name == "behind"] for name in QUANTITIES])
"""Whose hidden backs are no reason against a tie: what is seen of the two is equally far."""
_COMPARED = np.array([[t.shape != "measure"] for t in TYPE_LIST])


class Survey:
    """All quantities of chosen objects of a scene.

    Attributes:
        objects: (N,) positions of the objects in ``scene.objects``.
        first, second: (M,) rows into `objects` of each case; for one object alone both are equal.
        value, margin: (13, M), rows as `QUANTITIES`; NaN where a quantity does not apply or cannot
            be known in this scene. Gaps are placeholders (0): they cost time; call `gap`.
        fine: (13, M) whether the margin is a small share of what is compared, so that a tie is one.
        doubt: (13, M) how far the values are off, a standard deviation (`geometry.relations`).
    """

    def __init__(self, scene: Scene, objects: Sequence[int], pairs: NDArray[np.intp]) -> None:
        """Survey `objects` (positions in the scene, all lifted) and `pairs` (P, 2) of rows."""
        self.scene = scene
        self.objects = list(objects)
        alone = np.arange(len(self.objects))
        self.pair_count = len(pairs)
        self.first: Indices = np.concatenate((pairs[:, 0], alone))
        self.second: Indices = np.concatenate((pairs[:, 1], alone))
        self._take_boxes()
        self.value: Doubles = np.full((len(QUANTITIES), len(self.first)), np.nan)
        self.margin: Doubles = self.value.copy()
        self.doubt: Doubles = self.value.copy()
        self.fine = np.zeros(self.value.shape, dtype=bool)
        self._fill_pairs(pairs[:, 0], pairs[:, 1])
        self._fill_alone()
        self._forget_unknown()
        self._find_misleading()
        self._contacts: dict[tuple[int, int], tuple[float, Floats]] = {}

    def _take_boxes(self) -> None:
        scene = self.scene
        chosen = [scene.objects[k] for k in self.objects]
        self.in_camera = np.array([o.center_camera for o in chosen], np.float64).reshape(-1, 3)
        if scene.gravity is not None:
            self.frame_from_camera = level_from_camera(scene.gravity, scene.support_plane)
            self.center = np.array([o.center_level for o in chosen], np.float64).reshape(-1, 3)
            self.size = np.array([o.size_level for o in chosen], np.float64).reshape(-1, 3)
        else:
            self.frame_from_camera = np.eye(4)
            self.frame_from_camera[:3, :3] = relations.CAMERA_AXES
            self.center = self.in_camera @ relations.CAMERA_AXES.T
            size = np.array([o.size_camera for o in chosen], np.float64).reshape(-1, 3)
            self.size = size[:, [0, 2, 1]]
        focal = (scene.camera.fx * scene.camera.fy) ** 0.5
        noise, axes = scene.depth_stats["noise"], self.frame_from_camera[:3, :3]
        self.spread = relations.spread(self.in_camera, axes, focal, noise)
        if scene.gravity is None:
            self._doubt_depth(chosen)
        self.extent = relations.extent_doubt(self.size, self.in_camera[:, 2], focal, noise)
        side = np.maximum(self.spread.side, self.extent / 2**0.5)
        self.doubted = self.spread._replace(side=side)

    def _doubt_depth(self, chosen: Sequence[SceneObject]) -> None:
        """Where box and readings disagree about how far an object is, trust neither by so much."""
        mean = np.array([np.nan if o.depth_mean is None else o.depth_mean for o in chosen])
        doubt = np.nan_to_num(self.in_camera[:, 2] - mean)
        self.spread.side[:, 1] = np.hypot(self.spread.side[:, 1], 2**0.5 * doubt)

    def _fill_pairs(self, a: Indices, b: Indices) -> None:
        """Rows left … horizontal_distance of the first P cases."""
        x, y, z = self.center.T
        width, depth, height = self.size.T
        ranked = np.array((-x, z - height / 2, y, height, width, self.size.prod(1)))
        pairs = np.s_[:_PAIRED, : self.pair_count]
        value, margin, doubt = self.value[pairs], self.margin[pairs], self.doubt[pairs]
        value[:6] = ranked.take(a, axis=1) - ranked.take(b, axis=1)
        offset = self.center.take(b, axis=0) - self.center.take(a, axis=0)
        dx, dy, dz = offset.T
        flat = dx * dx + dy * dy
        value[6], value[7], value[8] = np.sqrt(flat + dz * dz), 0.0, np.abs(dz)
        value[9] = np.sqrt(flat)
        ranges = np.array((width, height, np.maximum(width, depth), height, width, ranked[5]))
        compared = np.maximum(ranges.take(a, axis=1), ranges.take(b, axis=1))
        self._fill_margins(margin, self.spread, offset, a, b)
        self.fine[:6, : self.pair_count] = margin[:6] <= TIE_SHARE * compared
        self._fill_margins(doubt, self.doubted, offset, a, b)
        doubt[1] = margin[1]  # bottoms are seen, or stand on what is
        apart, unsure = relations.box_gap(offset, self.size, self.extent, a, b)
        doubt[7] = np.where((apart > 0) & (apart < PREMISE_DOUBTS * unsure), np.inf, 0.0)

    def _fill_margins(
        self, margin: Doubles, spread: Spread, offset: Doubles, a: Indices, b: Indices
    ) -> None:
        """Margins of the pairs' rows (10, P), from how uncertain sides and points are."""
        side_x, side_y, side_z = spread.side.T
        root = 2**0.5
        sigma = np.array(
            (
                side_x / root,
                side_z,
                side_y / root,
                side_z * root,
                side_x * root,
                relations.volume_spread(self.size, spread.side),
                spread.point,
                side_z / root,
            )
        )
        margins = relations.pair_margin(sigma, a, b)
        margin[:6], margin[7], margin[8] = margins[:6], margins[6], margins[7]
        margin[6] = relations.distance_margin(offset, spread.side, a, b)
        margin[9] = relations.distance_margin(offset[:, :2], spread.side[:, :2], a, b)

    def _fill_alone(self) -> None:
        """Rows height, width and elevation of the last N cases."""
        alone = slice(self.pair_count, None)
        self.value[10, alone] = self.size[:, 2]
        self.value[11, alone] = self.size[:, 0]
        self.value[12, alone] = self.center[:, 2] - self.size[:, 2] / 2
        for margin, spread in ((self.margin, self.spread), (self.doubt, self.doubted)):
            side = relations.MARGIN_SIGMAS * spread.side
            margin[10, alone] = 2**0.5 * side[:, 2]
            margin[11, alone] = 2**0.5 * side[:, 0]
            margin[12, alone] = side[:, 2]

    def _forget_unknown(self) -> None:
        if self.scene.gravity is None:
            self.value[_LEVEL_ROWS] = np.nan
        elif self.scene.support_plane is None:
            self.value[_ROW["elevation"]] = np.nan
        cut = np.array([not self.scene.objects[k].whole for k in self.objects], dtype=bool)
        if cut.any():
            unsure = cut[self.first] | cut[self.second]
            self.value[np.ix_(_WHOLE_ROWS, unsure)] = np.nan
        row = _ROW["elevation"]
        on_it = np.abs(self.value[row]) <= self.margin[row]
        self.value[row, on_it] = self.doubt[row, on_it] = 0.0

    def _find_misleading(self) -> None:
        """Mark comparisons that are true as defined and that a viewer would deny.

        "Left of" by the boxes' centres while the picture shows it right (things at different
        distances), and "above" by the bottoms while the middle is lower.
        """
        self.misleading = np.zeros(self.value.shape, dtype=bool)
        boxes = np.array([self.scene.objects[k].bbox for k in self.objects]).reshape(-1, 4)
        across = boxes[:, 0] + boxes[:, 2] / 2
        up = self.center[:, 2]
        shown = (across[self.second] - across[self.first], up[self.first] - up[self.second])
        for name, seen in zip(("left", "above"), shown, strict=True):
            row = _ROW[name]
            self.misleading[row] = self.value[row] * seen < 0

    def by_type(self, types: Indices = ALL_TYPES) -> tuple[Doubles, Doubles, NDArray[np.bool_]]:
        """Return sign · quantity, margin and "may be asked", each (T, M), of T of the 43 types.

        A comparison may be asked when the difference is above the doubt about it, or is a tie that
        is hardly in doubt, and is not `misleading`. A measure may be asked when it is
        `PREMISE_DOUBTS` times the doubt: A is clearly left of B, the two centres are clearly apart.
        An elevation may also be 0; a gap is asked where the boxes overlap or are clearly apart.
        """
        size, doubt = np.abs(self.value), self.doubt
        tie = self.fine & (size <= self.margin)
        tie &= (doubt <= TIE_DOUBTS * self.margin) | _FRONTS
        compared = (tie | (size >= doubt)) & ~self.misleading
        rows = _TYPE_ROW[types]
        value = self.value[rows] * _TYPE_SIGN[types]
        measured = (value >= PREMISE_DOUBTS * doubt[rows]) & ~self.misleading[rows]
        asked = np.where(_COMPARED[types], compared[rows], measured)
        return value, self.margin[rows], asked

    def gap(self, a: int, b: int) -> tuple[float, Floats]:
        """Return the gap between the clouds in rows a and b of `objects`, and its end points.

        Clouds within the margin touch: the gap is 0. The end points are (2, 3), camera frame, the
        first on a.
        """
        key = (a, b) if a < b else (b, a)
        if key not in self._contacts:
            self.find_gaps([key])
        distance, ends = self._contacts[key]
        return distance, ends if a < b else ends[::-1]

    def find_gaps(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Find many gaps at once, for `gap` to return."""
        wanted = sorted({(min(pair), max(pair)) for pair in pairs} - self._contacts.keys())
        if not wanted:
            return
        rows = sorted({row for pair in wanted for row in pair})
        points = {row: self.scene.objects[self.objects[row]].points() for row in rows}
        clouds = relations.Clouds.of(list(points.values()), self.frame_from_camera[:3, :3])
        place = {row: k for k, row in enumerate(rows)}
        at = np.array([(place[a], place[b]) for a, b in wanted], dtype=np.intp)
        limits = relations.pair_margin(self.spread.point[rows], at[:, 0], at[:, 1]).tolist()
        closest = relations.closest_points(clouds, at).tolist()
        for (a, b), (i, j), limit in zip(wanted, closest, limits):
            ends = points[a][i % len(points[a])], points[b][j % len(points[b])]
            distance = math.dist(*(end.tolist() for end in ends))
            self._contacts[a, b] = (0.0 if distance <= limit else distance), np.array(ends)


def askable(scene: Scene) -> list[int]:
    """Positions of the objects that questions can name: lifted, with a reference of their own."""
    seen = Counter(o.reference for o in scene.objects)
    return [
        k
        for k, o in enumerate(scene.objects)
        if o.reference and seen[o.reference] < 2 and _placed(scene, o)
    ]


def _placed(scene: Scene, item: SceneObject) -> bool:
    """Whether an object has a box in the scene's frame of comparison."""
    return item.lifted and (scene.gravity is None or item.center_level is not None)


def survey(scene: Scene, limit: int = 1024) -> Survey:
    """Survey all objects that can be named and all their ordered pairs.

    With more than `limit` pairs an even selection of them is taken, so that a scene of a hundred
    objects costs no more than one of 32.
    """
    objects = askable(scene)
    return Survey(scene, objects, _ordered_pairs(len(objects), limit))


@lru_cache(maxsize=64)
def _ordered_pairs(count: int, limit: int) -> Indices:
    """All (P, 2) ordered pairs of so many objects, or an even selection of `limit`."""
    first, second = np.divmod(np.arange(count * count), max(count, 1))
    pairs = np.stack((first, second), axis=1)[first != second]
    if len(pairs) > limit:
        pairs = pairs[np.linspace(0, len(pairs) - 1, limit).astype(np.intp)]
    return np.asarray(pairs)


def measure(scene: Scene, type: str, *object_index: int) -> Fact:
    """Return one exact fact about one or two objects (positions in ``scene.objects``).

    A difference is signed: ``left_difference`` is negative when A is on the right of B (questions
    are only asked when it is clearly positive).

    Raises:
        UsageError: an unknown type, a wrong number of objects or a position outside the scene.
        Skip: ``no_level_frame``, ``no_support_plane``, ``not_lifted`` or ``not_whole``: this scene
            cannot tell.
    """
    row = question_type(type)
    _check_objects(scene, row, object_index)
    _check_knowable(scene, row, object_index)
    pair = np.array([[0, 1]] if row.arity == 2 else np.empty((0, 2)), dtype=np.intp)
    all_of = Survey(scene, object_index, pair)
    values, margins, _ = all_of.by_type(np.array([TYPE_LIST.index(row)]))
    value, margin = float(values[0, 0]), float(margins[0, 0])
    if row.id == "gap":
        value = all_of.gap(0, 1)[0]
    labels = row.labels
    return Fact(
        type=row.id,
        object_index=tuple(object_index),
        frame=scene.frame,
        value=value if labels is None else None,
        unit="m" if labels is None else None,
        label=None if labels is None else labels[tie_state(value, margin)],
        margin=margin,
        segment=_segment(all_of, row, 0, row.arity - 1),
    )


def segments(scene: Scene, asked: Sequence[tuple[str, Sequence[int]]]) -> list[Floats | None]:
    """Return the segments of many facts at once: of each type and objects, what `measure` gives.

    None where the scene cannot tell, and for a type that is unknown.
    """
    knowable = [_knowable_row(scene, type, chosen) for type, chosen in asked]
    known = [(row, chosen) for row, (_, chosen) in zip(knowable, asked) if row is not None]
    objects = sorted({k for _, chosen in known for k in chosen})
    view = Survey(scene, objects, np.empty((0, 2), dtype=np.intp))
    place = {k: n for n, k in enumerate(objects)}
    gaps = [chosen for row, chosen in known if row.id == "gap"]
    view.find_gaps((place[a], place[b]) for a, b in gaps)
    return [
        None if row is None else _segment(view, row, place[chosen[0]], place[chosen[-1]])
        for row, (_, chosen) in zip(knowable, asked)
    ]


def _knowable_row(scene: Scene, type: str, chosen: Sequence[int]) -> QuestionType | None:
    try:
        row = question_type(type)
        _check_objects(scene, row, chosen)
        _check_knowable(scene, row, chosen)
    except (Skip, UsageError):
        return None
    return row


def tie_state(value: float, margin: float) -> int:
    """0 for a tie, 1 above the margin, -1 below it: a position in `QuestionType.labels`."""
    return (value > margin) - (value < -margin)


def _check_objects(scene: Scene, row: QuestionType, chosen: Sequence[int]) -> None:
    if len(chosen) != row.arity or len(set(chosen)) != row.arity:
        wanted = "one object" if row.arity == 1 else "two different objects"
        raise UsageError(f"{row.id}: wanted {wanted}, got {list(chosen)}")
    for k in chosen:
        if not 0 <= k < len(scene.objects):
            raise UsageError(
                f"{row.id}: object {k} is not among the {len(scene.objects)} there are"
            )


def _check_knowable(scene: Scene, row: QuestionType, chosen: Sequence[int]) -> None:
    if row.needs_level and scene.gravity is None:
        raise Skip("no_level_frame", f"{row.id} needs a level frame; scene {scene.id} has none")
    if row.id == "elevation" and scene.support_plane is None:
        raise Skip("no_support_plane", f"elevation needs a support surface; {scene.id} has none")
    for k in chosen:
        if not _placed(scene, scene.objects[k]):
            raise Skip("not_lifted", f"object {k} of scene {scene.id} has no place in 3D")
        if row.quantity in _WHOLE and not scene.objects[k].whole:
            raise Skip("not_whole", f"object {k} of scene {scene.id} is not seen to its ends")


_AXES = {"left": [0], "behind": [1], "vertical_distance": [2], "horizontal_distance": [0, 1]}


def _segment(view: Survey, row: QuestionType, a: int, b: int) -> Floats:
    """End points (2, 3) of what was measured, camera frame: an edge, a step or centre to centre.

    Of the objects in rows a and b of `view`; the same row twice for one object.
    """
    if row.quantity == "gap":
        return view.gap(a, b)[1]
    low, center = view.center - view.size / 2, view.center
    start, end = center[a].copy(), center[b].copy()
    if row.arity == 1:
        start, end = _edge(row.id, low[a], view.size[a])
    elif row.shape == "measure" and row.quantity == "above":
        start[2] = low[a, 2]
        end = start.copy()
        end[2] = low[b, 2]
    elif row.shape == "measure" and row.quantity in _AXES:
        axes = _AXES[row.quantity]
        step = end - start
        end = start.copy()
        end[axes] += step[axes]
    transform = view.frame_from_camera
    ends = np.stack((start, end)) - transform[:3, 3]
    return (ends @ transform[:3, :3]).astype(np.float32)


def _edge(kind: str, low: Doubles, size: Doubles) -> tuple[Doubles, Doubles]:
    """An edge of the box on the viewer's side, or the drop from its bottom to the surface."""
    if kind == "width":
        return low, low + size * np.array([1.0, 0.0, 0.0])
    if kind == "height":
        return low, low + size * np.array([0.0, 0.0, 1.0])
    middle = low + size * np.array([0.5, 0.5, 0.0])
    return middle, middle * np.array([1.0, 1.0, 0.0])
