"""Speed of packing depth into pictures, one core: full-HD depth with a tenth of it missing.

    python -m benchmarks.codec [--repeats 20]

Best of the repeats, processor time, `encode` from float32 metres to a fresh picture.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import one_thread
from calipers.depth_codec import RANGE_M, Depth, decode, encode, resize

SIZE_WH = (1920, 1080)


def depth() -> Depth:
    """Depth of 0.5 to 19.5 m with noise, and holes."""
    rng = np.random.default_rng(0)
    metres = rng.uniform(0.5, 19.5, SIZE_WH[::-1]).astype(np.float32)
    metres[rng.random(metres.shape) < 0.1] = np.nan
    return metres


def megapixels_a_second(work: Callable[[], Any], repeats: int) -> float:
    """The best of `repeats` runs of `work` on one full-HD picture."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return SIZE_WH[0] * SIZE_WH[1] / best / 1e6


def main() -> None:
    one_thread()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats, metres = parser.parse_args().repeats, depth()
    for codec in RANGE_M:
        packed = encode(metres, codec)
        there = megapixels_a_second(lambda: encode(metres, codec), repeats)  # noqa: B023 - run at once
        back = megapixels_a_second(lambda: decode(packed, codec), repeats)  # noqa: B023 - run at once
        print(f"codec, {codec}: {there:,.0f} megapixels/s packing, {back:,.0f} unpacking")
    for method in ("nearest", "edge"):
        speed = megapixels_a_second(lambda: resize(metres, SIZE_WH, method), max(1, repeats // 4))  # noqa: B023
        print(f"codec, resize {method}: {speed:,.0f} megapixels/s")


if __name__ == "__main__":
    main()
