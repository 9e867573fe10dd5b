"""What ``calipers experts`` shows, fetches and tries out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from calipers.errors import MissingWeightsError, UsageError
from calipers.experts.base import DepthMap, Gravity, Image, Proposal
from calipers.experts.choice import choose, missing_package, on_disk
from calipers.experts.runner import load_expert
from calipers.experts.table import BY_NAME, ENTRIES, PRESETS, Entry
from calipers.experts.torch_runtime import require
from calipers.types import Bools, Camera

SIZE_WH: Final = (640, 480)
_UNWANTED = ["*.onnx", "*.onnx_data", "*.msgpack", "*.h5", "*.tflite", "*.gguf", "onnx/*"]
_DOUBLES = ["*.bin", "*.pth", "*.ckpt"]

HEADER: Final = (
    "name", "role", "licence", "commercial", "gated", "parameters", "package", "weights", "id",
)  # fmt: skip


def rows(entries: Sequence[Entry] = ENTRIES) -> list[tuple[str, ...]]:
    """The table of ``calipers experts list``: columns as in `HEADER`."""
    return [
        (
            entry.name,
            entry.role,
            entry.licence or "-",
            "yes" if entry.commercial else "no",
            "gated" if entry.gated else "no",
            entry.size or "-",
            "installed" if missing_package(entry) is None else f"no {missing_package(entry)}",
            "-" if not entry.id else "on disk" if on_disk(entry.id) else "not fetched",
            entry.id or "-",
        )
        for entry in entries
    ]


def markdown_table(entries: Sequence[Entry] = ENTRIES) -> str:
    """The same for every machine, as Markdown: the table of ``docs/experts.md``."""
    lines = ["| name | role | id | licence | parameters | presets | note |", "|---" * 7 + "|"]
    for entry in entries:
        presets = [
            name for name, roles in PRESETS.items() if entry.name in roles.get(entry.role, ())
        ]
        licence = entry.licence or "–"
        flags = "".join((", **gated**" if entry.gated else "", "" if entry.commercial else " ⚠"))
        hub = f"`{entry.id}`" if entry.id else "–"
        cells = (f"`{entry.name}`", entry.role, hub, licence + flags, entry.size or "–",
                 ", ".join(presets) or "–", entry.note or "–")  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def pull(name: str) -> Iterator[str]:
    """Fetch the weights of a preset, an entry or a hub id; yields a line for each.

    Raises:
        MissingWeightsError: the hub cannot be reached, or refuses.
        MissingExtraError: huggingface_hub is not installed.
    """
    for source, revision in dict.fromkeys(_sources(name)):
        if Path(source).exists():
            yield f"{source} is a local folder"
        else:
            yield f"{source} → {_fetch(source, revision)}"


def _sources(name: str) -> list[tuple[str, str | None]]:
    if name in PRESETS or name.endswith((".yaml", ".yml")):
        chosen = choose(name).experts.values()
        return [(e.id, e.revision) for entries in chosen for e in entries if e.id]
    entry = BY_NAME.get(name)
    if entry is not None and entry.id:
        return [(entry.id, entry.revision)]
    if entry is None and "/" in name:
        return [(name, None)]
    if entry is None:
        raise UsageError(f"pull: wanted a preset, a name of 'calipers experts list' or a hub id, "
                         f"got {name!r}")  # fmt: skip
    return []


def _fetch(source: str, revision: str | None) -> str:
    hub = require("huggingface_hub", "fetching weights")
    errors = require("huggingface_hub.errors", "fetching weights")
    require("huggingface_hub.utils.logging", "fetching weights").set_verbosity_error()
    network = errors.HfHubHTTPError.__bases__  # the HTTP client's own base error is among them
    try:
        files = hub.HfApi().list_repo_files(source, revision=revision)
        safe = any(file.endswith(".safetensors") for file in files)
        unwanted = _UNWANTED + (_DOUBLES if safe else [])
        return str(hub.snapshot_download(source, revision=revision, ignore_patterns=unwanted))
    except errors.GatedRepoError as error:
        raise MissingWeightsError(
            f"{source} is gated: accept its terms at https://huggingface.co/{source}, then log in "
            "with 'hf auth login'"
        ) from error
    except (OSError, ValueError, *network) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MissingWeightsError(
            f"cannot fetch {source}: {why}; on a machine with network 'hf download {source}' makes "
            "a folder that can be copied here and given as the id in --experts FILE.yaml"
        ) from error


@dataclass(frozen=True, slots=True)
class Trial:
    """What an expert said to a sample picture.

    Attributes:
        answer: a line for a person.
        revision: what was loaded.
        load_s, run_s: seconds to load it and to ask it once.
    """

    answer: str
    revision: str | None
    load_s: float
    run_s: float


def try_out(
    name: str, source: str | None = None, device: str | None = None, image: Image | None = None
) -> Trial:
    """Load an entry, or its adapter from the folder `source`, and ask it about a picture.

    Args:
        name: of `calipers experts list`.
        source: folder or hub id in place of the entry's own.
        device: as torch names it.
        image: the picture; by default a drawn one, `sample_picture`.

    Raises:
        UsageError: no such entry. Else what `calipers.experts.runner.load_expert` raises.
    """
    entry = BY_NAME.get(name)
    if entry is None:
        raise UsageError(f"check: no expert {name!r}; 'calipers experts list' shows them")
    if source is not None:
        entry = replace(entry, id=source, revision=None)
    start = time.perf_counter()
    model = load_expert(entry, device)
    loaded = time.perf_counter()
    answer = _QUESTIONS[entry.role](model, sample_picture() if image is None else image)
    revision = getattr(model, "revision", None)
    return Trial(answer, revision, loaded - start, time.perf_counter() - loaded)


def sample_picture() -> Image:
    """(480, 640, 3) a drawn room: a grey wall, a brown floor, a red box and a blue ball."""
    width, height = SIZE_WH
    y, x = np.mgrid[0:height, 0:width]
    picture = np.where((y < 240)[..., None], (190, 190, 185), (130, 95, 60)).astype(np.int16)
    picture -= (np.abs(y - 240) // 6)[..., None].astype(np.int16)
    picture[(x > 120) & (x < 270) & (y > 200) & (y < 360)] = (180, 40, 40)
    ball = (x - 440.0) ** 2 + (y - 310.0) ** 2
    picture[ball < 70.0**2] = (40, 60, 170)
    return picture.clip(0, 255).astype(np.uint8)


def sample_depth(camera: Camera) -> DepthMap:
    """The drawn room as depth: a level floor 1.5 m below the camera, and a wall behind it."""
    rows = np.arange(camera.height, dtype=np.float32)[:, None].repeat(camera.width, axis=1)
    below = rows - np.float32(camera.cy)
    floor = np.float32(camera.fy * 1.5) / np.maximum(below, np.float32(1e-3))
    is_wall = (below <= 0) | (floor > 4)
    normals = np.where(is_wall[..., None], (0.0, 0.0, -1.0), (0.0, -1.0, 0.0)).astype(np.float32)
    return DepthMap(np.where(is_wall, 4, floor).astype(np.float32), camera, normals)


def _boxes(image: Image) -> Any:
    height, width = image.shape[:2]
    return np.array([[0.19, 0.42, 0.42, 0.75]] * np.array([width, height] * 2), np.float32)


def _camera(image: Image) -> Camera:
    height, width = image.shape[:2]
    return Camera(width / 2, width / 2, (width - 1) / 2, (height - 1) / 2, width, height)


def _filter(model: Any, image: Image) -> str:
    (scores,) = model.score([image])
    best = sorted(scores, key=lambda label: -scores[label])[:3]
    return ", ".join(f"{label}: {scores[label]:.3g}" for label in best)


def _objects(model: Any, image: Image) -> str:
    (found,) = model.propose([image], [["red box", "blue ball"]])
    return f"{len(found)} boxes" + "".join(f"; {_proposal(p)}" for p in found[:3])


def _proposal(found: Proposal) -> str:
    score = "" if found.score is None else f" {found.score:.2f}"
    return f"{found.phrase or 'something'}{score} at {[round(v) for v in found.bbox_xyxy]}"


def _masks(model: Any, image: Image) -> str:
    (masks,) = model.segment([image], [_boxes(image)])
    share: Bools = masks[0]
    return f"a mask of {int(share.sum())} of {share.size} pixels"


def _depth(model: Any, image: Image) -> str:
    (found,) = model.estimate([image], [None])
    metres = found.depth_m[np.isfinite(found.depth_m)]
    if not len(metres):
        return "no valid depth"
    low, middle, high = np.percentile(metres, [5, 50, 95])
    focal = "" if found.camera is None else f", focal length {found.camera.fx:.0f} px"
    return f"depth {low:.2f} / {middle:.2f} / {high:.2f} m (5 %, median, 95 %){focal}"


def _gravity(model: Any, image: Image) -> str:
    camera = _camera(image)
    found: Gravity | None = model.down([image], [camera], [sample_depth(camera)])[0]
    if found is None:
        return "cannot tell"
    return f"down is {np.round(found.down, 3).tolist()}, confidence {found.confidence:.2f}"


_QUESTIONS: Mapping[str, Callable[[Any, Image], str]] = {
    "filter": _filter,
    "tagger": lambda model, image: ", ".join(model.tag([image])[0]) or "names nothing",
    "objects": _objects,
    "masks": _masks,
    "captions": lambda model, image: repr(model.describe([image], [_boxes(image)], [[4]])[0][0]),
    "depth": _depth,
    "gravity": _gravity,
    "similarity": lambda model, image: str(model.alike(["a cup", "the cup"]).tolist()),
}
