"""Every comparison and measure of many boxes at once, each with its margin and the doubt about it.

The objects are those of one scene or of several, put together: arithmetic on a few objects costs
hardly less than on a few hundred. One column for each *case*: an ordered pair of objects, or one
object alone.

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

from collections.abc import Sequence
from typing import Any

import numpy as np

from calipers.geometry import relations
from calipers.geometry.frames import level_from_camera
from calipers.geometry.relations import Indices, Spread
from calipers.questions.registry import TYPE_LIST
from calipers.types import Bools, Doubles, Scene, SceneObject

QUANTITIES = (
    "left", "above", "behind", "tall", "wide", "big",
    "distance", "gap", "vertical_distance", "horizontal_distance",
    "height", "width", "elevation",
)  # fmt: skip
_PAIRED = 10
"""Quantities before this position belong to pairs, the others to one object."""
ROW = {name: k for k, name in enumerate(QUANTITIES)}
WHOLE = ("above", "tall", "wide", "big", "height", "width", "elevation")
"""Quantities that are only known of objects seen to their ends."""
_WHOLE_ROWS = np.array([ROW[name] for name in WHOLE])
_LEVEL_ROWS = np.array([ROW[t.quantity] for t in TYPE_LIST if t.needs_level])
PREMISE_DOUBTS = 5.0
"""A length is asked for when it is at least so many times the doubt about it: it is known to a
fifth of it, and a false premise ("how far above") is unlikely."""
TIE_DOUBTS, TIE_SHARE = 1.5, 0.05
"""Two are called about the same when the doubt is at most so many times the margin of a tie, and
the margin at most this share of what is compared: else it would hide a clear difference."""
CUT_SHARE = 0.5
"""Extents are off by this share of what is seen where nothing tells how a thing goes on (it is cut
by the border, or hidden to more than a quarter), and so are centres by half of that; of what is
hidden to less than a quarter by the hidden share."""
_FRONTS = np.array([[name == "behind"] for name in QUANTITIES])
"""Whose hidden backs are no reason against a tie: what is seen of the two is equally far."""


class Boxes:
    """N objects of S scenes, one after the other, in the frames they are compared in.

    Attributes:
        frames: (4, 4) from the camera to the frame of comparison, of each scene.
        in_camera, center, size: (N, 3) centres in the camera frame; centres and extents in that
            of comparison.
        spread, extent: `relations.spread` and `relations.extent_doubt`.
        outlines: (N, 4) x, y, width, height in the picture.
        whole, level, standing: (N,) whether an object is seen to its ends, and whether its scene
            has a level frame, and a support surface if it has one.
    """

    def __init__(self, scenes: Sequence[tuple[Scene, Sequence[int]]]) -> None:
        """Take chosen objects (positions in the scene, all lifted) of each scene."""
        groups = [[scene.objects[k] for k in chosen] for scene, chosen in scenes]
        items = [item for group in groups for item in group]
        self.counts = [len(group) for group in groups]
        self.frames = [_frame(scene) for scene, _ in scenes]
        self.in_camera = _rows([o.center_camera for o in items], 3)
        level = [scene.gravity is not None for scene, _ in scenes]
        standing = [s.gravity is None or s.support_plane is not None for s, _ in scenes]
        self.level = self._each(level, np.bool_)
        self.standing = self._each(standing, np.bool_)
        self.outlines = _rows([o.bbox for o in items], 4)
        self.whole = np.array([o.whole for o in items], np.bool_)
        self._take_boxes(items)
        self._take_doubts([scene for scene, _ in scenes], items)

    def _each(self, values: Sequence[float], dtype: type = np.float64) -> np.ndarray[Any, Any]:
        """What each scene has, for each of its objects: (N,)."""
        return np.repeat(np.array(values, dtype), self.counts)

    def _take_boxes(self, items: Sequence[SceneObject]) -> None:
        self.center = self.in_camera @ relations.CAMERA_AXES.T
        self.size = _rows([o.size_camera for o in items], 3)[:, [0, 2, 1]]
        level = self.level[:, None]
        self.center = np.where(level, _rows([o.center_level for o in items], 3), self.center)
        self.size = np.where(level, _rows([o.size_level for o in items], 3), self.size)

    def _take_doubts(self, scenes: Sequence[Scene], items: Sequence[SceneObject]) -> None:
        focal = self._each([(scene.camera.fx * scene.camera.fy) ** 0.5 for scene in scenes])[
            :, None
        ]
        noise = self._each([scene.depth_stats["noise"] for scene in scenes])[:, None]
        rays, stops = relations.rays(self.in_camera), np.cumsum(self.counts).tolist()
        slope = np.empty_like(rays)
        for start, stop, frame in zip([0, *stops], stops, self.frames):
            slope[start:stop] = rays[start:stop] @ frame[:3, :3].T
        self.spread = relations.spread(self.in_camera, slope, focal, noise)
        if not self.level.all():
            self._doubt_depth(items)
        self.extent = relations.extent_doubt(self.size, self.in_camera[:, 2], focal, noise)
        hidden = np.array([o.hidden_share for o in items], np.float64)
        unseen = np.where(self.whole, hidden, CUT_SHARE)[:, None]
        self.extent = np.maximum(self.extent, unseen * self.size)

    def _doubt_depth(self, items: Sequence[SceneObject]) -> None:
        """Where box and readings disagree about how far an object is, trust neither by so much.

        Only in scenes without a level frame.
        """
        mean = np.array([np.nan if o.depth_mean is None else o.depth_mean for o in items])
        doubt = np.where(self.level, 0.0, np.nan_to_num(self.in_camera[:, 2] - mean))
        self.spread.side[:, 1] = np.hypot(self.spread.side[:, 1], 2**0.5 * doubt)


def _rows(values: Sequence[Any], width: int) -> Doubles:
    """Vectors as rows (N, width), NaN where there is none."""
    none = (np.nan,) * width
    rows = [none if value is None else value for value in values]
    return np.array(rows, np.float64).reshape(-1, width)


def _frame(scene: Scene) -> Doubles:
    """(4, 4) from the camera frame to that of comparison."""
    if scene.gravity is not None:
        return level_from_camera(scene.gravity, scene.support_plane)
    frame = np.eye(4)
    frame[:3, :3] = relations.CAMERA_AXES
    return frame


class Quantities:
    """All quantities of chosen boxes and of pairs of them.

    Attributes:
        first, second: (M,) rows of the boxes in each case, P pairs and N single ones; for one
            object alone both are equal.
        value, margin: (13, M), rows as `QUANTITIES`; NaN where a quantity does not apply or cannot
            be known. Gaps are placeholders (0): they cost time.
        fine: (13, M) whether the margin is a small share of what is compared, so that a tie is one.
        doubt: (13, M) how far the values are off, a standard deviation (`geometry.relations`).
        misleading: (13, M) comparisons that are true as defined and that a viewer would deny.
        compared, clear: (13, M) whether a comparison may be asked, and a measure of this size.
    """

    def __init__(self, boxes: Boxes, pairs: Indices) -> None:
        """Compare `pairs` (P, 2) of rows of the boxes."""
        self.boxes, self.pair_count = boxes, len(pairs)
        self.center, self.size, self.spread = boxes.center, boxes.size, boxes.spread
        side = np.maximum(self.spread.side, boxes.extent / 2**0.5)
        self.doubted = self.spread._replace(side=side)
        alone = np.arange(len(boxes.in_camera))
        self.first: Indices = np.concatenate((pairs[:, 0], alone))
        self.second: Indices = np.concatenate((pairs[:, 1], alone))
        self.value: Doubles = np.full((len(QUANTITIES), len(self.first)), np.nan)
        self.margin: Doubles = self.value.copy()
        self.doubt: Doubles = self.value.copy()
        self.fine = np.zeros(self.value.shape, dtype=bool)
        self._fill_pairs(pairs[:, 0], pairs[:, 1])
        self._fill_alone()
        self._forget_unknown()
        self._find_misleading()
        self._find_clear()

    def arrange(self, order: Indices) -> None:
        """Put the cases into another order (M,)."""
        for name in ("first", "second", "value", "margin", "doubt", "compared", "clear"):
            setattr(self, name, getattr(self, name).take(order, axis=-1))

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
        apart, unsure = relations.box_gap(offset, self.size, self.boxes.extent, a, b)
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
        boxes = self.boxes
        self._forget(_LEVEL_ROWS, ~boxes.level)
        self._forget(np.array([ROW["elevation"]]), ~boxes.standing)
        self._forget(_WHOLE_ROWS, ~boxes.whole)
        row = ROW["elevation"]
        on_it = np.abs(self.value[row]) <= self.margin[row]
        self.value[row, on_it] = self.doubt[row, on_it] = 0.0

    def _forget(self, rows: Indices, unsure: Bools) -> None:
        """Forget quantities of all cases with one of these objects (N,)."""
        if unsure.any():
            self.value[np.ix_(rows, unsure[self.first] | unsure[self.second])] = np.nan

    def _find_misleading(self) -> None:
        """Mark comparisons that are true as defined and that a viewer would deny.

        "Left of" by the boxes' centres while the picture shows it right (things at different
        distances), and "above" by the bottoms while the middle is lower.
        """
        self.misleading = np.zeros(self.value.shape, dtype=bool)
        outlines = self.boxes.outlines
        across = outlines[:, 0] + outlines[:, 2] / 2
        up = self.center[:, 2]
        shown = (across[self.second] - across[self.first], up[self.first] - up[self.second])
        for name, seen in zip(("left", "above"), shown, strict=True):
            row = ROW[name]
            self.misleading[row] = self.value[row] * seen < 0

    def _find_clear(self) -> None:
        """Find what may be asked: comparisons clear of doubt or ties hardly in doubt, and measures
        that are `PREMISE_DOUBTS` times their doubt."""
        size, doubt = np.abs(self.value), self.doubt
        tie = self.fine & (size <= self.margin)
        tie &= (doubt <= TIE_DOUBTS * self.margin) | _FRONTS
        self.compared = (tie | (size >= doubt)) & ~self.misleading
        self.clear = (size >= PREMISE_DOUBTS * doubt) & ~self.misleading
