"""Benchmarks whose answers are points: RoboSpatial-Home and RefSpatial-Bench."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.evals.places import polygon
from calipers.evals.regions import Mask, Polygon, Region
from calipers.evals.tasks.records import picture, records, text


def robo_spatial(path: Path) -> Iterator[Case]:
    """``chanhee-luke/RoboSpatial-Home``: category, question, answer, img, mask.

    The answer to a "context" question is a polygon in shares of the picture; without one the mask
    decides.
    """
    for number, (_, record) in enumerate(records(path)):
        category, answer = text(record, "category"), text(record, "answer").strip()
        pointing = answer.lower() not in ("yes", "no")
        corners = polygon(answer) if pointing else None
        region: Region | None = Polygon(corners) if corners else None
        if pointing and region is None and record.get("mask") is not None:
            region = Mask(mask_pixels(record["mask"], path))
        yield Case(
            id=str(record.get("id", number)),
            kind="points" if pointing else "yes-no",
            truth=region if pointing else answer.lower(),
            question=text(record, "question"),
            images=(picture(record.get("img")),),
            tags=(category,),
        )


def ref_spatial(path: Path) -> Iterator[Case]:
    """``BAAI/RefSpatial-Bench``: id, object, prompt, suffix, step, mask; splits by file or folder.

    A split is told by the file's name, or by the folder's (Location/question.json); masks are read
    from Parquet, or from the folder ``mask`` beside.
    """
    folder = path if path.is_dir() else path.parent
    for split, record in _split_records(path):
        id = text(record, "id")
        mask = record.get("mask")
        home = folder / split if (folder / split).is_dir() else folder
        yield Case(
            id=f"{split.lower()}/{id}",
            kind="points",
            truth=None if mask is None else Mask(mask_pixels(mask, home)),
            question=f"{text(record, 'prompt')} {record.get('suffix') or ''}".strip(),
            images=(picture(record.get("image")) or _beside(home, folder, record.get("rgb_path")),),
            tags=(split.lower(), f"{record['step']} steps") if record.get("step") else
            (split.lower(),),
            cluster=f"{split}/{id}",
        )  # fmt: skip


def _beside(home: Path, folder: Path, name: Any) -> str:
    """A path in a split's folder, from the download's."""
    return str(home.relative_to(folder) / name) if name else ""


def _split_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    folders = sorted(p for p in path.iterdir() if (p / "question.json").is_file()) if (
        path.is_dir()
    ) else []  # fmt: skip
    for folder in folders:
        for _, record in records(folder / "question.json"):
            mask = record.get("mask_path") or record.get("mask")
            yield folder.name, record | {"mask": mask}
    if not folders:
        for file, record in records(path):
            yield file.split("-")[0], record


def mask_pixels(value: Any, home: Path) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(H, W) bools of a mask given as a path, as {"bytes", "path"} or as nested lists.

    Every pixel over zero is in the mask, of colours by the first channel, as in RefSpatial's code.

    Raises:
        UsageError: it cannot be read.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(value, list):
        array = np.asarray(value)
    else:
        data = value.get("bytes") if isinstance(value, dict) else None
        source = io.BytesIO(data) if data else home / str(
            value["path"] if isinstance(value, dict) else value
        )  # fmt: skip
        try:
            with Image.open(source) as image:
                array = np.asarray(image)
        except (OSError, UnidentifiedImageError) as error:
            raise UsageError(f"mask: {home / str(value)[:80]}: {error}") from error
    flat = array[..., 0] if array.ndim == 3 else array
    return np.asarray(flat > 0)
