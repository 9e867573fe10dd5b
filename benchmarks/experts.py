"""What the pipeline costs beside the models, and whether its memory stays flat.

    python -m benchmarks.experts [--pictures 64] [--step-ms 100] [--memory 1000] [--rounds 3]

1. Overhead. The same experts, with the same batches, once in a plain loop (decode, call, keep the
   answers) and once in ``calipers build``. The models are tiny checkpoints of the real classes
   (CLIP, Depth Anything V2, Florence-2, SAM 2.1), each call lengthened by sleep until it has taken
   `--step-ms` for each of its pictures: a GPU at work leaves the processor alone as sleep does.
   Loading and imports are outside both times; the best of the rounds counts. Stated with the cache
   off and with an empty cache.
2. Memory. Peak proportional set size of ``calipers build`` over 100 and over `--memory` pictures of
   12 megapixels (two JPEGs under many names), with the experts of tests/known_experts.py, whose
   answers are full-size arrays as real ones are.
3. Import time of the package and of the command's modules; none may load torch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks.memory import peak_bytes

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the tiny models and the known experts live there

BATCH = 8
SIZE_WH = (640, 480)
BIG_WH = (4000, 3000)


def slowed(step_ms: float) -> Callable[[Any, str], None]:
    """A function that makes a method take at least `step_ms` a picture."""

    def slow(model: Any, name: str) -> None:
        method = getattr(model, name)

        def waits(images: Sequence[Any], *inputs: Any) -> Any:
            start = time.perf_counter()
            found = method(images, *inputs)
            time.sleep(max(0.0, len(images) * step_ms / 1000 - (time.perf_counter() - start)))
            return found

        setattr(model, name, waits)

    return slow


def write_pictures(folder: Path, count: int, size_wh: tuple[int, int], distinct: int) -> Path:
    """`count` JPEGs, of which `distinct` differ; the others are hard links."""
    folder.mkdir()
    width, height = size_wh
    for number in range(count):
        path = folder / f"{number:05d}.jpg"
        if number < distinct:
            rng = np.random.default_rng(number)
            small = rng.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
            Image.fromarray(small).resize(size_wh, Image.Resampling.BICUBIC).save(path)
        else:
            path.hardlink_to(folder / f"{number % distinct:05d}.jpg")
    return folder


def tiny_experts(folder: Path) -> Path:
    """Write tiny models and the file that takes them."""
    import tiny_depth_models
    import tiny_models

    ids = {
        name: str(getattr(module, name)(folder / name))
        for module, name in (
            (tiny_models, "clip"), (tiny_models, "florence2"), (tiny_models, "sam2"),
            (tiny_depth_models, "depth_anything"),
        )
    }  # fmt: skip
    rows: dict[str, Any] = {
        "filter": {"entry": "clip", "id": ids["clip"]},
        "objects": {"entry": "florence2-objects", "id": ids["florence2"]},
        "masks": {"entry": "sam2-tiny", "id": ids["sam2"]},
        "captions": {"entry": "florence2", "id": ids["florence2"]},
        "depth": {"entry": "depth-anything2-indoor", "id": ids["depth_anything"]},
        "scene_share": 0,
        "assume_fov_deg": 60,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(rows))
    return path


def plain_loop(photos: Path, crew: Any) -> float:
    """Seconds for all pictures through all models, batch after batch."""
    models = _models(crew)
    paths = sorted(photos.iterdir())
    start = time.perf_counter()
    for first in range(0, len(paths), BATCH):
        _ask(models, [np.asarray(Image.open(path)) for path in paths[first : first + BATCH]])
    return time.perf_counter() - start


def _models(crew: Any) -> dict[str, Any]:
    return {role: crew.first(role).model() for role in crew.experts}


def _ask(models: dict[str, Any], images: list[Any]) -> None:
    models["filter"].score(images)
    models["depth"].estimate(images, [None] * len(images))
    found = models["objects"].propose(images, [[] for _ in images])
    boxes = [np.array([p.bbox_xyxy for p in some], np.float32).reshape(-1, 4) for some in found]
    models["masks"].segment(images, boxes)
    models["captions"].describe(images, boxes, [[3] * len(some) for some in boxes])


def overhead(pictures: int, step_ms: float, rounds: int, folder: Path) -> None:
    """Print the plain loop's time and the pipeline's."""
    from calipers import pipeline
    from calipers.experts import runner
    from calipers.experts.choice import choose

    photos = write_pictures(folder / "photos", pictures, SIZE_WH, pictures)
    experts = tiny_experts(folder)
    methods = {"filter": "score", "depth": "estimate", "objects": "propose", "masks": "segment",
               "captions": "describe"}  # fmt: skip
    seconds: dict[str, list[float]] = {"plain loop": [], "cache off": [], "empty cache": []}
    for number in range(rounds):
        for name in seconds:
            kept = folder / f"cache-{number}" if name == "empty cache" else None
            crew = runner.crew(runner.Hiring(choose(experts), (), kept, None, 0))
            _ask(_models(crew), [np.zeros((64, 64, 3), np.uint8)])  # load, and warm up
            for role, method in methods.items():
                slowed(step_ms)(crew.first(role).model(), method)
            if name == "plain loop":
                seconds[name].append(plain_loop(photos, crew))
            else:
                start = time.perf_counter()
                pipeline.build(photos, folder / f"{name}-{number}", experts=experts,
                               cache=kept or "none")  # fmt: skip
                seconds[name].append(time.perf_counter() - start)
            runner.crew.cache_clear()
    plain = min(seconds["plain loop"])
    print(f"plain loop: {plain:.2f} s for {pictures} pictures, {len(methods)} models, "
          f"{step_ms:.0f} ms a picture and model")  # fmt: skip
    for name in ("cache off", "empty cache"):
        spent = min(seconds[name])
        print(f"pipeline, {name}: {spent:.2f} s, overhead {100 * (spent / plain - 1):.1f} %")


def memory(few: int, many: int, folder: Path) -> None:
    """Print the peak memory of two runs over large pictures."""
    from known_experts import write_yaml

    experts = write_yaml(folder / "known.yaml")
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT / "tests"), before)))
    peaks = []
    for count in (few, many):
        photos = write_pictures(folder / f"big-{count}", count, BIG_WH, 2)
        command = [sys.executable, "-m", "calipers", "build", str(photos), "--out",
                   str(folder / f"out-{count}"), "--experts", str(experts), "--cache", "none",
                   "--quiet"]  # fmt: skip
        peak, seconds = peak_bytes(command)
        peaks.append(peak)
        print(f"{count} pictures of 12 megapixels: peak {peak / 1e6:.0f} MB in {seconds:.0f} s")
    print(f"peak memory with {many // few} times the pictures: {peaks[1] / peaks[0]:.3f} times")


def imports() -> None:
    """Print how long imports take, best of five."""
    for module in ("calipers", "calipers.verbs"):
        code = (f"import sys, time; s = time.perf_counter(); import {module}; "
                "print(time.perf_counter() - s, 'torch' in sys.modules)")  # fmt: skip
        runs = [
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            for _ in range(5)
        ]
        best = min(float(run.stdout.split()[0]) for run in runs)
        torch = any("True" in run.stdout for run in runs)
        print(f"import {module}: {best:.3f} s, torch loaded: {'yes' if torch else 'no'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--step-ms", type=float, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=1000, help="0 leaves it out")
    parser.add_argument("--few", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        imports()
        if given.pictures:
            overhead(given.pictures, given.step_ms, given.rounds, Path(name))
        if given.memory:
            memory(given.few, given.memory, Path(name))


if __name__ == "__main__":
    main()
