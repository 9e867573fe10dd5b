"""Milliseconds to lift one 640x480 frame with 8 objects, decoded arrays in, on one core.

    python -m benchmarks.lift [--frames 50] [--repeats 3]

Simulated rooms and table-tops with 8 or more objects, 8 of them kept; gravity is not given, so it
is found from the depth. Each frame is lifted with exact depth and masks, and again with a depth
camera's faults and fat masks. Time is processor time of the process, which runs one thread; of the
repeats of a frame the median counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from itertools import count

import numpy as np

from benchmarks import one_thread
from calipers.io.masks import decode_mask
from calipers.samples.faults import Faults, apply_faults
from calipers.samples.rooms import generate
from calipers.stages.lift import lift
from calipers.types import Frame

OBJECTS = 8


def frames_of_eight(wanted: int) -> Iterator[Frame]:
    """Simulated frames with exact depth, `OBJECTS` of their objects drawn at random."""
    found = 0
    for seed in count():
        if found == wanted:
            return
        frame = generate(seed, colours=False).frame
        objects = frame.objects or []
        if len(objects) >= OBJECTS:
            kept = np.random.default_rng(seed).choice(len(objects), OBJECTS, replace=False)
            frame.objects = [objects[k] for k in sorted(kept)]
            found += 1
            yield frame


def spoiled(frame: Frame, number: int) -> Frame:
    """The frame with a depth camera's faults and fat masks."""
    return apply_faults(frame, Faults(), np.random.default_rng(number))


def seconds_to_lift(frame: Frame, repeats: int) -> float:
    """Median processor time of `repeats` liftings, masks decoded before."""
    masks = [item.rle and decode_mask(item.rle) for item in frame.objects or ()]
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        lift(frame, masks)
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def said(name: str, seconds: list[float]) -> str:
    """The line that is printed."""
    middle, high = (1000 * float(np.percentile(seconds, q)) for q in (50, 90))
    return f"lift, {name}: median {middle:.1f} ms, p90 {high:.1f} ms ({len(seconds)} frames)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    one_thread()
    exact, faulty = [], []
    for number, frame in enumerate(frames_of_eight(given.frames)):
        if number == 0:
            seconds_to_lift(frame, 1)
        exact.append(seconds_to_lift(frame, given.repeats))
        faulty.append(seconds_to_lift(spoiled(frame, number), given.repeats))
    print(said("exact depth", exact))
    print(said("depth with faults", faulty))


if __name__ == "__main__":
    main()
