"""What a scene's own measures say of the calls of a plan, and how far each may be off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import permutations

import numpy as np

from calipers.geometry import relations
from calipers.geometry.camera import project
from calipers.questions.facts import Survey, askable
from calipers.questions.multistep.plans import Call
from calipers.questions.quantities import ROW
from calipers.types import Doubles, Floats, Scene

MOST_HIDDEN = 0.10
"""Things with more of their outline hidden may go on behind what hides them."""
MOST_OBJECTS = 12
"""Of a scene with more objects so many are asked about, those that are seen largest."""
LEAST_SHARE = 0.01
"""No length is trusted to better than this share of it where an answer could change: a person
would not call 1.00 m nearer than 1.01 m either."""


class Measures:
    """The objects of a scene that questions of several steps may be about, measured.

    Those are the objects that can be named and are seen to their ends. *Rows* are positions in
    `objects`.

    Attributes:
        objects: positions in ``scene.objects``.
        names: their references.
        center, size: (N, 3) boxes in the frame of comparison (right, forward, up), metres.
        center_doubt, size_doubt: (N, 3) how far those may be off, standard deviations.
    """

    def __init__(self, scene: Scene) -> None:
        items = scene.objects
        whole = [k for k in askable(scene) if items[k].whole and items[k].role is None]
        whole = [k for k in whole if items[k].hidden_share <= MOST_HIDDEN]
        whole.sort(key=lambda k: -items[k].pixels)
        self.scene = scene
        self.objects = sorted(whole[:MOST_OBJECTS])
        rows = range(len(self.objects))
        pairs = np.array(list(permutations(rows, 2)), np.intp).reshape(-1, 2)
        self._view = Survey(scene, self.objects, pairs)
        self._cases = {pair: n for n, pair in enumerate(map(tuple, pairs.tolist()))}
        self.names = [items[k].reference or "" for k in self.objects]
        self.center, self.size = self._view.center, self._view.size
        self.size_doubt = self._view.extent
        self.center_doubt = np.maximum(self._view.spread.side, self.size_doubt / 2**0.5) / 2**0.5

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def level_from_camera(self) -> Doubles:
        """(4, 4) from the camera to the frame of comparison."""
        return self._view.frame_from_camera

    def segment(self, a: int, b: int) -> Floats:
        """The ends (2, 3) of the gap between two rows, camera frame."""
        return self._view.gap(a, b)[1]

    def between(self, a: int, b: int) -> tuple[Doubles, Doubles]:
        """The place between two rows, on what they stand on, frame of comparison.

        Along the gap it is halfway between their surfaces, across it in the middle of where both
        are: faces that are parallel are as far apart anywhere.

        Returns:
            the place (3,), and the direction of the gap (2,) in plan, of length 1.
        """
        turn, low = self.level_from_camera, self.center[:, 2] - self.size[:, 2] / 2
        ends = self.segment(a, b).astype(np.float64) @ turn[:3, :3].T + turn[:3, 3]
        gap = (ends[1] - ends[0])[:2]
        along = gap / max(float(np.linalg.norm(gap)), 1e-9)
        across = np.array([-along[1], along[0]])
        at, half = (box[[a, b], :2] for box in (self.center, self.size / 2))
        at, half = at @ across, half @ np.abs(across)
        side = ((at - half).max() + (at + half).min()) / 2
        plan = (ends.mean(0)[:2] @ along) * along + side * across
        return np.array([*plan, min(low[a], low[b])]), along

    def spot(self, a: int, b: int) -> tuple[float, float]:
        """The place between two rows as shares of the picture's width and height."""
        turn, (place, _) = self.level_from_camera, self.between(a, b)
        x, y = project((place - turn[:3, 3]) @ turn[:3, :3], self.scene.camera).tolist()
        return (x + 0.5) / self.scene.width, (y + 0.5) / self.scene.height

    def find(self, calls: Iterable[Call], rows: Sequence[int]) -> dict[Call, tuple[float, ...]]:
        """Return what calls about these rows give; see `plans.Found`."""
        return {call: self._found(call, [rows[k] for k in call.objects]) for call in calls}

    def doubts(
        self, found: Mapping[Call, tuple[float, ...]], rows: Sequence[int]
    ) -> dict[Call, tuple[float, ...]]:
        """Return how far each of those numbers may be off, standard deviations."""
        return {
            call: tuple(
                max(doubt, 0.0 if call.tool == "locate" else LEAST_SHARE * abs(value))
                for doubt, value in zip(self._doubt(call, [rows[k] for k in call.objects]), values)
            )
            for call, values in found.items()
        }

    def margin(self, found: Mapping[Call, tuple[float, ...]], rows: Sequence[int]) -> float:
        """Standard deviation of a sum of the measures that `found` holds once each; of sizes the
        heights."""
        off = [self._doubt(call, [rows[k] for k in call.objects])[-1] for call in found]
        return float(np.linalg.norm(off))

    def _found(self, call: Call, rows: Sequence[int]) -> tuple[float, ...]:
        if call.tool == "distance":
            case = self._cases[rows[0], rows[1]]
            return (float(self._view.value[ROW["distance"], case]),)
        if call.tool == "gap":
            return (self._view.gap(rows[0], rows[1])[0],)
        where = self.size if call.tool == "size" else self.center
        return tuple(where[rows[0]].tolist())

    def _doubt(self, call: Call, rows: Sequence[int]) -> tuple[float, ...]:
        if call.tool == "distance":
            case = self._cases[rows[0], rows[1]]
            return (float(self._view.doubt[ROW["distance"], case]),)
        if call.tool == "gap":
            return (self._gap_doubt(*rows),)
        doubts = self.size_doubt if call.tool == "size" else self.center_doubt
        return tuple(doubts[rows[0]].tolist())

    def _gap_doubt(self, a: int, b: int) -> float:
        """The margin of the gap, and what the boxes' sides that face each other may be off."""
        pair = np.array([a]), np.array([b])
        offset = (self.center[b] - self.center[a])[None]
        _, unsure = relations.box_gap(offset, self.size, self.size_doubt, *pair)
        margin = relations.pair_margin(self._view.spread.point, *pair)
        return max(float(unsure[0]), float(margin[0]), relations.LEAST_DOUBT_M)
