"""The benchmarks that can be scored: reader, formulas, licence, one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from calipers.errors import UsageError
from calipers.evals.cases import Case
from calipers.evals.report import Find, Overall, mean_of
from calipers.evals.tasks import choosing, measuring, pairs, pointing, run
from calipers.evals.tasks.records import short

Published = Callable[[Path, Mapping[str, str]], dict[str, float | None]]


@dataclass(frozen=True, slots=True)
class Task:
    """One row.

    Attributes:
        read: file or folder of the user's download → its questions.
        data: where the data are, and their licence.
        ids: what an answer names a question by.
        overall: the numbers that the benchmark states, from its rows.
        published: numbers by rules that need the answers' whole text (SpatialBench).
    """

    read: Callable[[Path], Iterator[Case]]
    data: str
    ids: str
    overall: Mapping[str, Overall] = field(default_factory=dict)
    published: Published | None = None

    def cases(self, path: str | Path, pictures: bool = False) -> list[Case]:
        """All questions.

        Args:
            path: the download.
            pictures: keep the pictures that stand in it as data URLs; else short names for them.

        Raises:
            UsageError: the download is not there or has another form; the message says what.
        """
        found = Path(path)
        if not found.exists():
            raise UsageError(f"{found}: is not there")
        try:
            return [one if pictures else _light(one) for one in self.read(found)]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            what = f"no field {error}" if isinstance(error, KeyError) else str(error)
            raise UsageError(f"{found}: a record has another form ({what})") from error


def _light(case: Case) -> Case:
    """A case without the bytes of its pictures."""
    if not any(name.startswith("data:") for name in case.images):
        return case
    return replace(case, images=tuple(map(short, case.images)))


def _cv_bench(find: Find) -> float | None:
    two, three = mean_of("exact", "ADE20K", "COCO")(find), mean_of("exact", "Omni3D")(find)
    return None if two is None or three is None else (two + three) / 2


_VSI_CHOSEN = ("object_rel_distance", "object_rel_direction", "route_planning",
               "obj_appearance_order")  # fmt: skip


def _vsi(find: Find) -> float | None:
    """The unweighted mean of eight; of the three grades of direction their mean counts."""
    grades = [f"object_rel_direction_{grade}" for grade in ("easy", "medium", "hard")]
    parts = [mean_of("mra-code", tag)(find) for tag in measuring.VSI_KINDS]
    parts += [mean_of("exact", tag)(find) for tag in _VSI_CHOSEN if tag != _VSI_CHOSEN[1]]
    parts.append(mean_of("exact", *grades)(find))
    known = [part for part in parts if part is not None]
    return sum(known) / len(known) if len(known) == len(parts) else None


def _robo_spatial(find: Find) -> float | None:
    """Right questions of all: yes or no, and the first point; a file may have one kind only."""
    rows = []
    for name in ("exact", "first-point-in-mask"):
        with suppress(KeyError):
            rows.append(find(name, "all"))
    points = sum(row.mean.points for row in rows)
    return sum(row.right for row in rows) / points if points else None


TASKS: Mapping[str, Task] = {
    "run": Task(run.read, "a run folder of `calipers build`", "`id`"),
    "spatialbench": Task(
        pairs.read, "hf RussRobin/SpatialBench, gated, CC-BY-4.0", "`column/id`",
        published=pairs.published,
    ),
    "spatialrgpt-bench": Task(
        measuring.spatial_rgpt, "hf a8cheng/SpatialRGPT-Bench, Apache-2.0", "`id`"
    ),
    "q-spatial": Task(
        measuring.q_spatial, "hf andrewliao11/Q-Spatial-Bench, Apache-2.0",
        "`plus/0`, `scannet/0`: split and place",
    ),
    "vsi-bench": Task(
        measuring.vsi, "hf nyu-visionx/VSI-Bench, licence of the data not stated", "`id`",
        {"mean of eight": _vsi},
    ),
    "cv-bench": Task(
        choosing.cv_bench, "hf nyu-visionx/CV-Bench, Apache-2.0", "`idx`", {"overall": _cv_bench}
    ),
    "blink": Task(choosing.blink, "hf BLINK-Benchmark/BLINK, Apache-2.0", "`idx`"),
    "embspatial": Task(
        choosing.emb_spatial, "hf Phineas476/EmbSpatial-Bench, CC-BY-4.0", "`question_id`"
    ),
    "3dsrbench": Task(choosing.three_dsr, "hf ccvl/3DSRBench, CC-BY-4.0", "`index`"),
    "mmsi-bench": Task(choosing.mmsi, "hf RunsenXu/MMSI-Bench, licence not stated", "`id`"),
    "sat": Task(choosing.sat, "hf array/SAT, MIT", "`id`, else the place"),
    "robospatial-home": Task(
        pointing.robo_spatial, "hf chanhee-luke/RoboSpatial-Home, Apache-2.0",
        "`id`, else the place", {"accuracy": _robo_spatial},
    ),
    "refspatial-bench": Task(
        pointing.ref_spatial, "hf BAAI/RefSpatial-Bench", "`location/0`: split and `id`",
        {"mean of the splits": mean_of("points-in-mask", "location", "placement", "unseen")},
    ),
}  # fmt: skip
"""Name → task."""


CIRCULAR: Mapping[str, Task] = {
    "sat-circular": replace(TASKS["sat"], read=choosing.sat_circular),
    "mmsi-bench-circular": replace(TASKS["mmsi-bench"], read=choosing.mmsi_circular),
}
"""The same data with the options in every rotation, which a model has to be asked apart."""


def task(name: str) -> Task:
    """A task by its name.

    Raises:
        UsageError: there is none.
    """
    if name in CIRCULAR:
        return CIRCULAR[name]
    if name not in TASKS:
        raise UsageError(f"eval: wanted one of {', '.join((*TASKS, *CIRCULAR))}, got {name!r}")
    return TASKS[name]
