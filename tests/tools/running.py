"""A real service in a process of its own, and what is sent to it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from calipers.samples.folder import write_frames
from calipers.types import Frame

START = """
import json, sys
from pathlib import Path
from calipers.tools.service import Options, serve
from calipers.tools.store import Limits
given = json.loads(sys.argv[1])
limits = Limits(**given.pop("limits", {}))
root = given.pop("root", None)
options = Options(root=None if root is None else Path(root), limits=limits, **given)
serve(options, lambda url: print(url, flush=True))
"""


@contextmanager
def service(**options: Any) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a service with these `Options`; its address, and its process."""
    command = [sys.executable, "-c", START, json.dumps(options, default=str)]
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - a pipe that nobody reads would stop it
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    process.log = log  # type: ignore[attr-defined]
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    if not url.startswith("http://"):
        process.kill()
        raise AssertionError(logged(process))
    try:
        yield url, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
        process.stdout.close()
        log.close()


def logged(process: Any) -> str:
    """What a service wrote to its log, after it ended."""
    process.wait(timeout=20)
    process.log.seek(0)
    return str(process.log.read())


def client(url: str, **options: Any) -> httpx2.Client:
    """A client of a service."""
    return httpx2.Client(base_url=url, timeout=20, trust_env=False, **options)


def png16(depth_m: np.ndarray) -> bytes:
    """Depth as 16-bit millimetres."""
    whole = np.nan_to_num(np.rint(depth_m * 1000)).astype(np.uint16)
    return picture(Image.fromarray(whole))


def picture(image: Image.Image) -> bytes:
    """A PNG."""
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    """An NPY file."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def record(frame: Frame) -> str:
    """What goes with the depth of a frame, as JSON."""
    lists: dict[str, list[Any]] = {"bbox": [], "caption": [], "segmentation": []}
    for item in frame.objects or []:
        lists["bbox"].append(list(item.bbox_xywh))
        lists["caption"].append(item.caption)
        lists["segmentation"].append(item.rle)
    given: dict[str, Any] = {"id": frame.id, "objects": lists}
    if frame.camera is not None:
        given["intrinsics"] = frame.camera.matrix.tolist()
    if frame.gravity is not None:
        given["gravity"] = [float(v) for v in frame.gravity]
    return json.dumps(given)


def upload(http: httpx2.Client, depth: bytes, given: str | None = None, **more: Any) -> Any:
    """Open a session by upload; the response."""
    data = {} if given is None else {"record": given}
    return http.post("/sessions", files={"depth": ("depth", depth), **more}, data=data)


def folder_of(frames: list[Frame], at: Path) -> Path:
    """A folder of frames."""
    for frame in frames:
        frame.rgb = np.zeros((frame.height, frame.width, 3), np.uint8)
    write_frames(at, frames, "test", depth="npy")
    return at
