from __future__ import annotations

from pathlib import Path

import pytest
from three_boxes import make_run


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """A run of two scenes in two parts, with its input folder beside it."""
    return make_run(tmp_path_factory.mktemp("view"), ["three-boxes", "again"])
