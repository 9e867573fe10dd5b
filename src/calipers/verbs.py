"""The verbs over folders: a run of the pipeline, then its report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from calipers import pipeline
from calipers.errors import RunError
from calipers.io.files import locate
from calipers.view.report import write_report


def build(frames: str | Path, out: str | Path, **options: Any) -> dict[str, Any]:
    """Frames → scenes → questions: fill the run folder `out`, return its ``run.json``.

    A run that was killed goes on where it stopped when it is called again with the same arguments.

    Args:
        frames: a folder of images, with a ``metadata.jsonl`` or bare.
        out: the run folder; made when it does not exist.
        **options: the fields of `calipers.pipeline.Options` (``seed``, ``questions_per_scene``,
            ``types``, ``mix``, ``workers``, ``limit``, ``strict``, ``overwrite``) and ``progress``,
            called with (records finished, records in all).

    Raises:
        UsageError: an option, the folder of frames or the output folder cannot be used.
        RunError: the run could not be finished, or was `strict` and left records out.
        OSError: the disk is full or cannot be written.
    """
    return _with_report(pipeline.build, frames, out, options)


def scenes(frames: str | Path, out: str | Path, **options: Any) -> dict[str, Any]:
    """Frames → scenes only; takes, raises and returns what `build` does."""
    return _with_report(pipeline.scenes, frames, out, options)


def ask_scenes(source: str | Path, out: str | Path, **options: Any) -> dict[str, Any]:
    """Scenes → questions only, with no image read; takes, raises and returns what `build` does.

    Args:
        source: a run folder, a folder of scene files, or one file.
        out: another folder, or the run folder itself when it has no questions yet.
        **options: those of `build`, without ``limit``.
    """
    return _with_report(pipeline.ask, source, out, options)


def _with_report(
    run: Callable[..., dict[str, Any]], source: str | Path, out: str | Path, options: dict[str, Any]
) -> dict[str, Any]:
    record = run(source, out, **options)
    write_report(locate(out))
    left_out = sum(sum(reasons.values()) for reasons in record["skipped"].values())
    if options.get("strict") and left_out:
        records = "1 record was" if left_out == 1 else f"{left_out} records were"
        raise RunError(f"{records} skipped; see {locate(out) / 'skipped.jsonl'}")
    return record
