"""Bytes of a row of ``scenes/*.parquet``: simulated frames of 640x480 with 8 objects.

    python -m benchmarks.size [--scenes 32]

Lifted and referred to as in a run, with exact depth and with a depth camera's faults (noise makes
clouds compress less); in one part, as a run writes them, and each in a file of its own.
"""

from __future__ import annotations

import argparse
import io
import statistics
from collections.abc import Sequence

from benchmarks.lift import OBJECTS, frames_of_eight, spoiled
from calipers.io.scenes import scenes_table, write_scenes
from calipers.types import Scene
from calipers.work import Clock, frame_to_scene


def file_bytes(scenes: Sequence[Scene]) -> int:
    """Size of a Parquet file of `scenes`."""
    sink = io.BytesIO()
    write_scenes(scenes_table(scenes), sink)
    return sink.tell()


def said(name: str, scenes: Sequence[Scene]) -> str:
    """The line that is printed."""
    alone = [file_bytes([scene]) / 1000 for scene in scenes]
    return (
        f"size, {name}: {file_bytes(scenes) / len(scenes) / 1000:.1f} kB a scene of {OBJECTS} "
        f"objects in a part of {len(scenes)}; alone in a file median "
        f"{statistics.median(alone):.1f} kB, largest {max(alone):.1f} kB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=32)
    frames = list(frames_of_eight(parser.parse_args().scenes))
    faulty = [spoiled(frame, number) for number, frame in enumerate(frames)]
    print(said("exact depth", [frame_to_scene(frame, Clock()) for frame in frames]))
    print(said("depth with faults", [frame_to_scene(frame, Clock()) for frame in faulty]))


if __name__ == "__main__":
    main()
