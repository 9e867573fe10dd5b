"""``calipers serve`` as a process, and what clients send to it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from PIL import Image

openai = pytest.importorskip("openai")


@contextmanager
def process(*arguments: object, **environment: str) -> Iterator[str]:
    """``calipers serve`` on a free port; its address."""
    command = [sys.executable, "-m", "calipers", "serve", "--port", "0", *map(str, arguments)]
    given = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=given
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        url = run.stdout.readline().strip()
        assert url.endswith("/v1"), run.stderr.read()
        try:
            yield url
        finally:
            run.send_signal(signal.SIGINT)
            assert run.wait(timeout=30) == 0
            assert run.stderr.read() == ""


def client(url: str, **options: Any) -> Any:
    return openai.OpenAI(base_url=url, **{"api_key": "none", "max_retries": 0, **options})


def picture(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def data_url(content: bytes) -> str:
    return f"data:image/png;base64,{b64encode(content).decode()}"


def png(width: int = 32, height: int = 24) -> str:
    return data_url(picture(Image.new("RGB", (width, height), (90, 60, 30))))


def metres(depth_m: float, width: int = 32, height: int = 24) -> str:
    return data_url(picture(Image.fromarray(np.full((height, width), depth_m * 1000, np.uint16))))


def asking(url: str | None = None, text: str = "How far is the red box?") -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if url is not None:
        parts.insert(0, {"type": "image_url", "image_url": {"url": url}})
    return [{"role": "user", "content": parts}]
