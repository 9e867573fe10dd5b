"""Episodes exported from RLDS to plain folders: ``EPISODE/steps.jsonl``, one step a line.

A step has the fields of RLDS (``observation``, ``action``, ``language_instruction``, ``is_first``,
``is_last``, …). In ``observation``, ``image`` and ``depth`` are files relative to the episode's
folder; ``intrinsics``, ``gravity``, ``objects`` and ``depth_scale`` may stand beside them and mean
what they mean in ``metadata.jsonl``. All else is kept in ``robot``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np

from calipers.errors import UsageError
from calipers.io.inputs.listings import natural, parse_line
from calipers.io.inputs.shards import FrameSource, Line
from calipers.io.inputs.tables import Span, SpanIndex

STEPS = "steps.jsonl"
_FILES = {"image": "file_name", "depth": "depth_file_name"}
_KEPT = ("intrinsics", "gravity", "objects", "depth_scale", "contacts")


@dataclass(frozen=True, slots=True)
class RldsLines:
    """Some steps of episodes."""

    root: str
    spans: tuple[Span, ...]

    def read(self) -> Iterator[Line]:
        """Yield them, one line of a file in memory at a time.

        Raises:
            UsageError: a line is no JSON object any more.
        """
        for span in self.spans:
            path = Path(self.root) / span.name / STEPS
            with path.open("rb") as file:
                lines = (line for line in file if line.strip())
                some = islice(lines, span.first, span.first + span.count)
                for step, line in enumerate(some, start=span.first):
                    yield step_line(parse_line(line, f"{path}, step {step}"), span.name, step)


def step_line(record: dict[str, Any], episode: str, step: int) -> Line:
    """A step in the form of ``metadata.jsonl``.

    >>> step_line({"observation": {"image": "0.png"}, "is_last": True}, "e1", 0)["robot"]
    {'is_last': True, 'episode': 'e1', 'step': 0}
    """
    seen = record.get("observation")
    seen = dict(seen) if isinstance(seen, dict) else {}
    line: Line = {"id": f"{episode}-{step:06d}"}
    for name, field in _FILES.items():
        value = seen.pop(name, None)
        if value is not None:
            line[field] = f"{episode}/{value}" if isinstance(value, str) else value
    line |= {name: seen.pop(name) for name in _KEPT if name in seen}
    rest = {name: value for name, value in record.items() if name != "observation"}
    if "language_instruction" in rest:
        rest["instruction"] = rest.pop("language_instruction")
    if seen:
        rest["observation"] = seen
    line["robot"] = rest | {"episode": episode, "step": step}
    return line


def is_rlds(root: Path) -> bool:
    """Whether a folder holds exported episodes."""
    return any(root.glob(f"*/{STEPS}"))


def open_rlds(root: Path) -> FrameSource:
    """Open a folder of episodes; their lines are counted, not kept.

    Raises:
        UsageError: there is no step, or a file cannot be read.
    """
    root = root.resolve()
    files = sorted(root.glob(f"*/{STEPS}"), key=lambda path: natural(str(path)))
    digest, counts = blake2b(digest_size=16), []
    for path in files:
        try:
            with path.open("rb") as file:
                counts.append(sum(bool(line.strip()) for line in file))
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        digest.update(f"{path.parent.name} {path.stat().st_size}\n".encode())
    if not sum(counts):
        raise UsageError(f"{root} has no steps")
    names = tuple(path.parent.name for path in files)
    index = SpanIndex(names, tuple(accumulate(counts)), partial(RldsLines, str(root)))
    return FrameSource(root, root, index, np.zeros(0, dtype=np.int64), digest.hexdigest())
