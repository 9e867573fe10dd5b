"""Puts this folder on the path, so that tests in its subfolders can import `known_scenes`.

No test sees the weights or the cached results of whoever runs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_CACHE", str(folder / "hub"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("CALIPERS_CACHE", str(folder / "calipers"))
        yield folder
