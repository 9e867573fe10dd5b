"""Peak memory of ``calipers build``: does it grow with the number of frames?

    python -m benchmarks.memory [--few 200] [--frames 20000] [--distinct 60]

Simulated frames of 160x120, so that many of them take minutes; the distinct ones are repeated
under new ids and with new captions, so that no cache can profit. Memory is the proportional set
size (PSS) of the command and its two workers together, read from ``/proc/*/smaps_rollup`` ten times
a second (Linux only); the peak is stated.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.build import build_command, make_frames

SIZE_WH = (160, 120)
PAUSE_S = 0.1


def tree(process: int) -> list[int]:
    """The ids of a process and of all that it started."""
    found = [process]
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [one for child in task.read_text().split() for one in tree(int(child))]
        except OSError:  # the thread has ended
            continue
    return found


def pss_bytes(process: int) -> int:
    """Proportional set size of one process; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def peak_bytes(command: list[str]) -> tuple[int, float]:
    """The most memory that `command` had at once, and the seconds it took."""
    start, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        while running.poll() is None:
            peak = max(peak, sum(map(pss_bytes, tree(running.pid))))
            time.sleep(PAUSE_S)
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {running.returncode}")
    return peak, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--distinct", type=int, default=60)
    given = parser.parse_args()
    options = ("--workers", "2", "--questions-per-scene", "200")
    with tempfile.TemporaryDirectory() as place:
        frames = make_frames(Path(place) / "frames", given.distinct, given.frames, SIZE_WH, True)
        limit = ("--limit", str(given.few))
        few, _ = peak_bytes(build_command(frames, Path(place) / "few", *options, *limit))
        many, elapsed_s = peak_bytes(build_command(frames, Path(place) / "many", *options))
    print(
        f"memory: {few / 1e6:.0f} MB at {given.few} frames, {many / 1e6:.0f} MB at "
        f"{given.frames} frames ({100 * (many / few - 1):+.1f} %; PSS of three processes; "
        f"{elapsed_s:.0f} s)"
    )


if __name__ == "__main__":
    main()
