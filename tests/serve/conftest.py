"""A run with frames and questions, and models that were taught a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_frames import write_frames

pytest.importorskip("torch")
pytest.importorskip("transformers")

import taught_models

import calipers


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``frames``, ``run`` (24 questions about 4 frames) and two models."""
    home = tmp_path_factory.mktemp("serve")
    write_frames(home / "frames", 4)
    calipers.build(str(home / "frames"), str(home / "run"), workers=1, questions_per_scene=6)
    taught_models.nano(home / "nano", "It is 1.5 m.")
    taught_models.nano(home / "depth", "Depth(0.5,0.1)=2000, so 1.5 m.")
    return home
