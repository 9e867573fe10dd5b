"""Records a second that an export writes, pictures not copied, and its memory.

``python -m benchmarks.export [SCENES] [QUESTIONS_PER_SCENE] [FORMAT ...]`` (500, 200 and all).

The run is made here: scenes of `benchmarks.ask`, asked, beside one small picture each. Time is
processor time of this process, which runs one thread. Formats that embed pictures do so here too.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks import one_thread
from benchmarks.ask import CAMERA, SCENES_A_PART, made_parts
from calipers.io.exports.export import FORMATS, export
from calipers.io.questions import questions_table
from calipers.io.run import Notes, write_part
from calipers.io.scenes import scenes_table
from calipers.questions.columns import Asked


def write_run(folder: Path, scenes: int, count: int) -> Path:
    """A finished run and its pictures."""
    picture = io.BytesIO()
    Image.fromarray(np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)).save(picture, "JPEG")
    for index, part in enumerate(made_parts(scenes, 8, True)):
        questions = Asked(count, seed=0)
        for scene in part:
            scene.image = scene.image.replace(".png", ".jpg")
            path = folder / "frames" / scene.image
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture.getvalue())
            questions.add(scene)
        write_part(folder / "run", "qa", index, questions_table(questions.columns()), Notes())
        write_part(folder / "run", "scenes", index, scenes_table(part), Notes())
    record = {"status": "complete", "options": {"input": str(folder / "frames")}}
    (folder / "run" / "run.json").write_text(json.dumps(record))
    return folder / "run"


def said(name: str, run: Path, out: Path, **options: float | int) -> str:
    """Export once; the line that is printed."""
    start = time.process_time()
    images = FORMATS[name].images
    ways = {"images": "link" if "link" in images else images[0]}
    counts = export(run, out, name, overwrite=True, **ways, **options)["counts"]
    seconds = time.process_time() - start
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file() and not p.is_symlink())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    how = ", ".join(f"{key} {value}" for key, value in (ways | options).items())
    return (
        f"export, {name} ({how}): {counts['records'] / seconds:,.0f} records/s, "
        f"{counts['questions'] / seconds:,.0f} questions/s, "
        f"{size / counts['questions']:.0f} bytes a question; {peak:.0f} MiB at most so far"
    )


def main() -> None:
    scenes, count = (*map(int, sys.argv[1:3]), *(500, 200)[len(sys.argv[1:3]) :])
    names = sys.argv[3:] or list(FORMATS)
    one_thread()
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder), scenes, count)
        parts = -(-scenes // SCENES_A_PART)
        print(f"{scenes} scenes, {count} questions each, {parts} parts")
        for name in names:
            print(said(name, run, Path(folder) / "out"), flush=True)
            print(said(name, run, Path(folder) / "out", boxes=1, answer_boxes=1), flush=True)
        if "llava" in names:
            print(said("llava", run, Path(folder) / "out", turns=10), flush=True)


if __name__ == "__main__":
    main()
