"""`calipers export` on the command line."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Annotated

from cyclopts import Parameter

TOLD_EACH = 100_000
"""Records between two lines of progress."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of an export; None means what the format does by itself."""

    turns: int | None = None
    "Questions a record, at most; 0 for all of a picture (default 1; webdataset: 0)."
    boxes: float = 0.0
    "Share of questions with the box of each object behind its name."
    answer_boxes: float = 0.0
    "The same of answers, where they name an object."
    marks: float = 0.0
    "Share of records with numbered marks, drawn on the picture and behind the names."
    seed: int = 0
    "Decides which."
    rationales: float = 0.0
    "Share of questions of several steps that are answered by their chain of measures."
    images: str | None = None
    "How pictures go along: copy, link or embed (default: embed where the format can, else link)."
    notation: str | None = None
    "How boxes are written: pixels, thousand, resized, share, paligemma or florence-2."
    min_pixels: int | None = None
    "Least pixels of Qwen2.5-VL's processor in training (default 3136)."
    max_pixels: int | None = None
    "Most pixels of Qwen2.5-VL's processor in training (default 12845056)."
    frames: str | None = None
    "Where the pictures are now, when they were moved since the run."
    depth: str | None = None
    """How depth maps of SpatialQA are packed into pictures: packed24, spatialbot, spatialbot16,
    linear8, log8 or inverse8 (default spatialbot)."""
    overwrite: Annotated[bool, Parameter(negative="")] = False
    "Replace an earlier export."


_NO_OPTIONS = ExportOptions()


def export(run: str, /, *, format: str, out: str, options: ExportOptions = _NO_OPTIONS) -> None:
    """A run's questions and pictures as a folder that a trainer reads.

    Example: calipers export run/ --format llava --out llava/ --turns 10 --boxes 0.2

    Args:
        run: A run folder with questions, or what calipers spatialqa made.
        format: trl, llava, llama-factory, ms-swift, qwen3-vl, qwen2.5-vl, paligemma, florence-2,
            webdataset, or a harness's: lmms-eval or vlmevalkit.
        out: A new folder; appears when it is whole.
    """
    from calipers.evals.harness.export import HARNESSES
    from calipers.evals.harness.export import export as write_task
    from calipers.io.exports.export import export as write

    given = {name: value for name, value in asdict(options).items() if value is not None}
    if format in HARNESSES:
        counts = write_task(run, out, format, **given)["counts"]
    else:
        counts = write(run, out, format, progress=_tell, **given)["counts"]
    if counts.get("skipped"):
        sys.stdout.write(f"skipped   {counts['skipped']} (see {out.rstrip('/')}/skipped.jsonl)\n")
    sys.stdout.write(f"records   {counts['records']}, questions {counts['questions']}\n")
    sys.stdout.write(f"export    {out}\n")


def _tell(done: int, total: int | None) -> None:
    if done % TOLD_EACH == 0:
        sys.stderr.write(f"{done} records\n")
