"""How right are the answers? Simulated rooms and table-tops with known metres, lifted and measured.

    python -m benchmarks.accuracy [--frames 200] [--first-seed 1000] [--details]

Truth is the whole object (also the sides that the camera cannot see), in the level frame of the
true gravity. Objects *seen whole* (over 95 % of their own pixels visible, not cut by the border)
are judged apart from pairs with one that is cut off or hidden in part. A comparison is *clear* when
the two differ by more than 5 % of the compared size: of the larger of the two values for sizes, of
the larger object's extent along the axis for positions. An answer "about the same" to a clear
comparison counts as wrong.

What is judged is what would be asked: no comparison below the doubt about it, no measure of which
too little is known. How much of all that is clear is asked is printed too, and how right the others
would have been. A measure is right within 10 % of the truth; one where both it and the truth are
under 2 cm is not judged.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from calipers.io.masks import decode_mask
from calipers.questions.facts import Survey
from calipers.questions.quantities import QUANTITIES
from calipers.questions.registry import TYPE_LIST
from calipers.samples.faults import Faults
from calipers.samples.rooms import RoomFrame, RoomTruth, generate
from calipers.stages.lift import lift
from calipers.types import Scene

LEAST_M = 0.02
CLEAR = 0.05
COMPARED = ("left", "above", "behind", "tall", "wide", "big")
MEASURES = (
    "distance", "gap", "vertical_distance", "horizontal_distance", "left_difference",
    "right_difference", "above_difference", "below_difference", "behind_difference",
    "front_difference",
)  # fmt: skip
OPPOSITE = {"right": "left", "below": "above", "front": "behind"}
CONDITIONS = {"exact": None, "faults": Faults(), "thin masks": Faults(mask_px="random")}


class Score:
    """Right and judged answers by name, and the worst of them."""

    def __init__(self) -> None:
        self.right: dict[str, int] = defaultdict(int)
        self.judged: dict[str, int] = defaultdict(int)
        self.errors: list[tuple[float, str]] = []

    def add(self, name: str, right: bool, error: float, where: str) -> None:
        self.right[name] += right
        self.judged[name] += 1
        if not right:
            self.errors.append((error, f"{name} {where}"))

    def add_measure(self, name: str, value: float, goal: float, where: str) -> None:
        """Judge a length that would be asked, unless the truth is too short to tell."""
        if abs(goal) < LEAST_M and value < LEAST_M:
            return
        error = abs(value - goal) / max(abs(goal), LEAST_M / 2)
        self.add(name, error <= 0.1, error, f"{where}: {value:.3f} for {goal:.3f}")

    @property
    def share(self) -> float:
        return sum(self.right.values()) / max(1, sum(self.judged.values()))


class Scores:
    """Of comparisons and measures: what is asked, and what is too doubtful to be asked; and what
    is asked of things that are not seen whole."""

    def __init__(self) -> None:
        self.comparisons, self.unasked_comparisons = Score(), Score()
        self.measures, self.unasked_measures = Score(), Score()
        self.cut_comparisons, self.cut_measures = Score(), Score()

    def of_comparisons(self, asked: bool, whole: bool) -> Score:
        """The score that a comparison goes to."""
        if whole:
            return self.comparisons if asked else self.unasked_comparisons
        return self.cut_comparisons if asked else Score()

    def of_measures(self, asked: bool, whole: bool) -> Score:
        """The score that a measure goes to."""
        if whole:
            return self.measures if asked else self.unasked_measures
        return self.cut_measures if asked else Score()


def truth_boxes(scene: Scene, truth: RoomTruth) -> tuple[np.ndarray, np.ndarray]:
    """Centres and sizes (N, 3) in the comparison frame (x right, y forward, z up)."""
    items = truth.objects
    if scene.gravity is None:
        swap = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
        center = np.array([o.center_camera for o in items]) @ swap.T
        return center, np.array([o.size_camera for o in items])[:, [0, 2, 1]]
    center = np.array([o.center_level for o in items])
    if scene.support_plane is not None:
        offsets = [s.plane[3] for s in truth.surfaces]
        nearest = min(offsets, key=lambda d: abs(d - scene.support_plane[3]))
        center[:, 2] += nearest - truth.support_plane[3]
    return center, np.array([o.size_level for o in items])


def true_values(center: np.ndarray, size: np.ndarray, i: int, j: int) -> dict[str, float]:
    """Signed differences A - B (left: B - A) of two boxes, and the two-object measures."""
    bottom = center[:, 2] - size[:, 2] / 2
    d = center[j] - center[i]
    return {
        "left": d[0],
        "above": bottom[i] - bottom[j],
        "behind": -d[1],
        "tall": size[i, 2] - size[j, 2],
        "wide": size[i, 0] - size[j, 0],
        "big": size[i].prod() - size[j].prod(),
        "distance": float(np.linalg.norm(d)),
        "vertical_distance": abs(d[2]),
        "horizontal_distance": float(np.hypot(d[0], d[1])),
    }


def compared_size(size: np.ndarray, i: int, j: int) -> dict[str, float]:
    larger = np.maximum(size[i], size[j])
    return {
        "left": larger[0], "wide": larger[0], "behind": larger[1],
        "above": larger[2], "tall": larger[2],
        "big": max(size[i].prod(), size[j].prod()),
    }  # fmt: skip


def judge(made: RoomFrame, scene: Scene, scores: Scores) -> None:
    truth = made.truth
    lifted = [k for k, o in enumerate(scene.objects) if o.center_camera is not None]
    if len(lifted) < 2:
        return
    center, size = truth_boxes(scene, truth)
    pairs = np.array(list(combinations(range(len(lifted)), 2)))
    found = Survey(scene, lifted, pairs)
    rows = {name: k for k, name in enumerate(QUANTITIES)}
    signed, _, asked = found.by_type()
    types = {t.id: k for k, t in enumerate(TYPE_LIST)}
    for column, (a, b) in enumerate(pairs):
        i, j = lifted[a], lifted[b]
        whole = truth.objects[i].whole and truth.objects[j].whole
        where = f"{made.frame.id} {i} {truth.objects[i].caption} / {j} {truth.objects[j].caption}"
        real, clear = true_values(center, size, i, j), compared_size(size, i, j)
        for name in COMPARED:
            value, margin = found.value[rows[name], column], found.margin[rows[name], column]
            if np.isnan(value) or abs(real[name]) <= CLEAR * clear[name]:
                continue
            right = value * real[name] > 0 and abs(value) > margin
            may = asked[types[f"{name}_predicate"], column]
            error = abs(value - real[name]) / clear[name]
            scores.of_comparisons(may, whole).add(name, right, error, where)
        real["gap"] = truth.gaps[i, j]
        for name in MEASURES:
            axis, _, _ = name.partition("_difference")
            flip = -1 if axis in ("right", "below", "front") else 1
            value = found.gap(a, b)[0] if name == "gap" else signed[types[name], column]
            goal = real[OPPOSITE.get(axis, axis)] * flip
            may = asked[types[name], column]
            if may or name == "gap" or value > 0:
                scores.of_measures(may, whole).add_measure(name, value, goal, where)
    for a, i in enumerate(lifted):
        column = len(pairs) + a
        where = f"{made.frame.id} {i} {truth.objects[i].caption}"
        bottom = center[i, 2] - size[i, 2] / 2
        for name, goal in (("height", size[i, 2]), ("width", size[i, 0]), ("elevation", bottom)):
            may = asked[types[name], column]
            score = scores.of_measures(may, truth.objects[i].whole)
            if not np.isnan(signed[types[name], column]):
                score.add_measure(name, signed[types[name], column], goal, where)


def frames(count: int, first: int, faults: Faults | None) -> Iterator[RoomFrame]:
    for seed in range(first, first + count):
        yield generate(seed, faults=faults, colours=False)


def run(name: str, made: Iterator[RoomFrame] | list[RoomFrame], details: bool) -> None:
    scores = Scores()
    angles, unlevel, seconds = [], 0, 0.0
    for room in made:
        masks = [decode_mask(o.rle) for o in room.frame.objects or () if o.rle]
        start = time.process_time()
        scene = lift(room.frame, masks)
        seconds += time.process_time() - start
        if scene.gravity is None:
            unlevel += 1
        else:
            cosine = float(np.clip(scene.gravity @ room.truth.gravity, -1, 1))
            angles.append(np.degrees(np.arccos(cosine)))
        judge(room, scene, scores)
    count = len(angles) + unlevel
    print(f"## {name}: {count} frames, {unlevel} without a level frame")
    print(
        f"gravity error: median {np.median(angles):.3f}°, 95th percentile "
        f"{np.percentile(angles, 95):.3f}°, worst {max(angles):.2f}°"
    )
    print(f"lift: {1000 * seconds / count:.1f} ms a frame (CPU)")
    for title, score, unasked, cut in (
        ("clear comparisons right", scores.comparisons, scores.unasked_comparisons,
         scores.cut_comparisons),
        ("measures within 10 %", scores.measures, scores.unasked_measures, scores.cut_measures),
    ):  # fmt: skip
        count, left = sum(score.judged.values()), sum(unasked.judged.values())
        print(f"{title}: {100 * score.share:.2f} % of {count}")
        print(f"   asked {100 * count / (count + left):.1f} %", end="; ")
        print(f"of the others {100 * unasked.share:.1f} % are right")
        judged = sum(cut.judged.values())
        print(f"   with a thing cut off or partly hidden {100 * cut.share:.1f} % of {judged}")
        parts = (f"{k} {100 * score.right[k] / n:.1f} ({n})" for k, n in score.judged.items())
        print("   " + ", ".join(parts))
        if details:
            for error, text in sorted(score.errors, reverse=True)[:40]:
                print(f"      {error:8.3f} {text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--details", action="store_true")
    options = parser.parse_args()
    for name, faults in CONDITIONS.items():
        run(name, frames(options.frames, options.first_seed, faults), options.details)


if __name__ == "__main__":
    main()
