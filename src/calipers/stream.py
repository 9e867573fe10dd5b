"""Questions asked while a model trains: scenes are stored, questions never.

An epoch's samples are a function of the scenes, the options, the seed and the epoch alone. Every
scene goes to exactly one reader (a worker of a rank), so readers neither share nor lose any, and
each yields its own in an order that the same layout gives again.

Scenes are read in *units* (the row groups of the files). Units are dealt out, the same number to
each reader; of the few that are left over, and of all where there are hardly enough to go round,
every reader takes its share of the rows. A reader asks the scenes of a few units at once and
shuffles their questions, so memory does not grow with the number of scenes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import blake2b
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from calipers.errors import MissingExtraError, UsageError
from calipers.io.files import readable
from calipers.io.questions import MULTISTEP_FIELDS, QUESTION_SCHEMA
from calipers.io.scenes import ASKED_COLUMNS, batch_scenes, part_batches, read_part, scene_parts
from calipers.questions.asking import AskedAll
from calipers.questions.registry import Mix, names_of
from calipers.questions.sampling import generator
from calipers.types import Bools, Scene

FIELDS = ("id", "image", "type", "question", "answer")
"""What a sample has unless other columns of the contract are asked for; none of it is ever None."""

MOST_FOOTERS = 4096
"""With more files than this a unit is a whole file, so that no footer has to be read to begin."""
UNITS_A_READER = 4
"""With fewer units than this for each reader, readers share all of them by rows."""
_MOST_SCENES = 512
_CHUNK = 32
_ROWS_AT_ONCE = 1024
_OTHER_SPLITS = "its splits are of other scenes; split it again"

Keep = Callable[[pa.Table], Bools]
"""Which of some questions to keep: a table of the contract's columns → (rows,) bools."""


class Unit(NamedTuple):
    """What is read at once: a row group of a file, or all of it (None)."""

    part: Path
    row_group: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader is in an epoch: its unit, the chunk of scenes in it where a window begins,
    and how many samples of that window it has yielded."""

    epoch: int
    unit: int = 0
    chunk: int = 0
    sample: int = 0


class Reader(NamedTuple):
    """One of all readers, a worker of a rank: number `number` of `among`."""

    number: int
    among: int


def scene_units(parts: Iterable[Path]) -> list[Unit]:
    """The units of some files, in order."""
    files = list(parts)
    if len(files) > MOST_FOOTERS:
        return [Unit(part, None) for part in files]
    return [Unit(part, k) for part in files for k in range(_row_groups(part))]


def _row_groups(part: Path) -> int:
    try:
        return int(pq.read_metadata(readable(part)).num_row_groups)
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{part}: not a readable Parquet file") from error


def dealt_whole(units: int, readers: int) -> int:
    """How many units are dealt out whole; the rest are shared by rows.

    >>> dealt_whole(103, 10), dealt_whole(39, 10)
    (100, 0)
    """
    return units - units % readers if units >= UNITS_A_READER * readers else 0


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed that an epoch's questions are asked with; they say it in their column ``seed``.

    >>> epoch_seed(7, 0), epoch_seed(7, 1) == epoch_seed(7, 2)
    (7, False)
    """
    if epoch == 0:
        return seed
    digest = blake2b(f"{seed}\x00epoch {epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def split_scenes(scenes: str | Path, split: str) -> Iterator[Scene]:
    """Yield the scenes that ``calipers split`` put somewhere, in order, askable or not.

    Args:
        scenes: a run folder, a folder of scene files, or one file.
        split: its name ("train", …).

    Raises:
        UsageError: there are no scenes, no such split, or it is of other scenes.
    """
    parts = scene_parts(scenes)
    _check_split(parts[0], split)
    for part in parts:
        where = {row["scene_id"]: row["split"] for row in _splits_of(part).to_pylist()}
        for scene in read_part(part):
            if scene.id not in where:
                raise UsageError(f"{part}: {_OTHER_SPLITS}")
            if where[scene.id] == split:
                yield scene


class QuestionStream:
    """An epoch of questions about the scenes of a run, one dict a question.

    Iterating gives one epoch; iterating again gives the same epoch, until `set_epoch`. The first
    epoch's questions are those of ``calipers ask`` with the same seed.

    Args:
        scenes: a run folder, a folder of scene files, or one file.
        seed: decides every random choice, with the epoch and the scene's id.
        questions_per_scene: how many a scene gets when it has that many to ask.
        types, mix: as in `calipers.ask`.
        epoch: the epoch to begin with.
        rank, world_size: which process this is, of how many; taken from ``torch.distributed`` when
            that has been initialised, else 0 of 1. The workers of a DataLoader are found alone.
        shuffle: False for the order of the files.
        fields: columns of the contract that a sample has.
        buffer: about so many samples are shuffled together and held in memory.
        split: only the scenes that ``calipers split`` put there ("train", …); None for all.
        keep: leave out the questions it says False to (see `calipers.blind.Balance`); it has to
            be a pure function of its table, and to pickle when workers are spawned.

    Raises:
        UsageError: there are no scenes, or an option is out of its range.
    """

    def __init__(
        self,
        scenes: str | Path,
        *,
        seed: int = 0,
        questions_per_scene: int = 20,
        types: Iterable[str] | None = None,
        mix: Mix | None = None,
        epoch: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        shuffle: bool = True,
        fields: Iterable[str] = FIELDS,
        buffer: int = 16_384,
        split: str | None = None,
        keep: Keep | None = None,
    ) -> None:
        self.seed, self.count, self.mix = seed, questions_per_scene, mix
        self.types = names_of(types)
        self.shuffle, self.buffer, self.split, self.keep = shuffle, buffer, split, keep
        self.fields = tuple(fields)
        self._rank = _given_rank(rank, world_size)
        asked = AskedAll(self.count, seed, self.types, self.mix)
        steps = [name for name, _ in MULTISTEP_FIELDS if asked.chosen.multistep]
        known = [*QUESTION_SCHEMA.names, *steps]
        _check(seed, questions_per_scene, epoch, buffer, self.fields, known)
        parts = scene_parts(scenes)
        _check_split(parts[0], split)
        self.units = scene_units(parts)
        self._epoch: Any = [epoch]
        self._stand(Place(epoch))

    def for_torch(self) -> Self:
        """The same stream as a ``torch.utils.data.IterableDataset``, for a DataLoader.

        Its epoch lies in shared memory, so `set_epoch` reaches workers that persist.

        Raises:
            MissingExtraError: torch is not installed.
        """
        torch = _require_torch()
        found: Any = _torch_class().__new__(_torch_class())
        found.__dict__.update(self.__dict__)
        found._epoch = torch.tensor([self.epoch]).share_memory_()
        return found  # type: ignore[no-any-return]

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration gives."""
        return int(self._epoch[0])

    def set_epoch(self, epoch: int) -> None:
        """Give other questions from the next iteration on, in another order."""
        if epoch < 0:
            raise UsageError(f"epoch: wanted at least 0, got {epoch}")
        self._epoch[0] = epoch
        self._stand(Place(epoch))

    def state_dict(self) -> dict[str, Any]:
        """Where this reader is, after the last sample that it yielded, as plain values."""
        return asdict(self._place) | {"sample": self._sample} | self._identity()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, at the next iteration, where `state_dict` was taken.

        Raises:
            UsageError: the state is of another stream, or of another reader of this one.
        """
        wanted = self._identity()
        wrong = [name for name, value in wanted.items() if state.get(name) != value]
        if wrong:
            said = ", ".join(f"{name} {state.get(name)!r}, now {wanted[name]!r}" for name in wrong)
            raise UsageError(f"the state is of another stream: {said}")
        place = Place(*(int(state[name]) for name in ("epoch", "unit", "chunk", "sample")))
        self._epoch[0] = place.epoch
        self._stand(place, resumed=True)

    def _stand(self, place: Place, resumed: bool = False) -> None:
        """Be at a place; the next iteration begins there when it is `resumed`."""
        self._place, self._sample, self._resumed = place, place.sample, resumed

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the samples of this reader, from the start or where a loaded state says."""
        start = self._place if self._resumed else Place(self.epoch)
        self._stand(start)
        for place, table in self._windows(start):
            self._place = place
            for first in range(place.sample, len(table), _ROWS_AT_ONCE):
                rows = table.slice(first, _ROWS_AT_ONCE).to_pylist()
                for self._sample, row in enumerate(rows, start=first + 1):
                    yield row
        self._stand(Place(start.epoch, len(self.units)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the rank that this process has: a spawned worker does not know it."""
        state = self.__dict__ | {"_rank": self._rank or _torch_rank()}
        return _revive, (type(self) is not QuestionStream, state)

    def _reader(self) -> Reader:
        rank, world_size = self._rank or _torch_rank()
        worker, workers = _torch_worker()
        return Reader(rank * workers + worker, world_size * workers)

    def _identity(self) -> dict[str, Any]:
        options = (
            self.seed,
            self.count,
            self.types,
            self.mix,
            self.shuffle,
            self.buffer,
            self.split,
        )
        return {"reader": list(self._reader()), "units": len(self.units), "options": repr(options)}

    def _windows(self, start: Place) -> Iterator[tuple[Place, pa.Table]]:
        """The questions of a few hundred scenes at a time, with the place where they begin."""
        seed, reader = epoch_seed(self.seed, start.epoch), self._reader()
        most = min(max(self.buffer // max(self.count, 1), 1), _MOST_SCENES)
        scenes: list[Scene] = []
        begin = start
        for place, more in self._chunks(seed, reader, start):
            begin = begin if scenes else place
            scenes += more
            if len(scenes) >= most:
                yield begin, self._asked(scenes, seed, reader, begin)
                scenes = []
        if scenes:
            yield begin, self._asked(scenes, seed, reader, begin)

    def _asked(self, scenes: list[Scene], seed: int, reader: Reader, begin: Place) -> pa.Table:
        asked = AskedAll(self.count, seed, self.types, self.mix)
        for first in range(0, len(scenes), _CHUNK):
            asked.add_all(scenes[first : first + _CHUNK])
        table = pa.table(asked.columns())
        if self.keep is not None:
            table = table.filter(pa.array(self.keep(table)))
        table = table.select(self.fields)
        if not self.shuffle:
            return table
        name = f"reader {reader.number} of {reader.among} at {begin.unit}, {begin.chunk}"
        return table.take(pa.array(generator(seed, name).permutation(len(table))))

    def _chunks(
        self, seed: int, reader: Reader, start: Place
    ) -> Iterator[tuple[Place, list[Scene]]]:
        """The scenes of this reader, some at a time, with their places, from `start` on."""
        order = np.arange(len(self.units))
        if self.shuffle:
            order = generator(seed, "units").permutation(order)
        shared = dealt_whole(len(order), reader.among)
        mine = chain(range(reader.number, shared, reader.among), range(shared, len(order)))
        for unit in (k for k in mine if k >= start.unit):
            first = start.chunk if unit == start.unit else 0
            batches = self._rows(self.units[order[unit]], unit if unit >= shared else None, reader)
            for chunk, batch in enumerate(batches):
                if chunk >= first and len(batch):
                    place = Place(start.epoch, unit, chunk)
                    again = (unit, chunk) == (start.unit, start.chunk)
                    yield start if again else place, list(batch_scenes(batch))

    def _rows(self, unit: Unit, turn: int | None, reader: Reader) -> Iterator[pa.RecordBatch]:
        """The rows of a unit; of one that is shared those of this reader, and `turn` says who has
        the first."""
        splits = None if self.split is None else _splits_of(unit.part)
        passed = 0
        for batch in part_batches(unit.part, unit.row_group, _CHUNK, ASKED_COLUMNS):
            rows = batch
            if turn is not None:
                first = (reader.number - turn - passed) % reader.among
                rows = rows.take(pa.array(range(first, len(batch), reader.among), pa.int64()))
            passed += len(batch)
            if splits is not None:
                found = splits.take(pc.index_in(rows.column("id"), splits.field("scene_id")))  # type: ignore[attr-defined, unused-ignore]
                if found.field("split").null_count:
                    raise UsageError(f"{unit.part}: {_OTHER_SPLITS}")
                rows = rows.filter(pc.equal(found.field("split"), self.split))  # type: ignore[attr-defined, unused-ignore]
            yield rows


def _splits_of(part: Path) -> pa.StructArray:
    """The rows that `calipers split` wrote beside a file of scenes: ``scene_id`` and ``split``."""
    path = part.parent.parent / "splits" / part.name
    try:
        table = pq.read_table(readable(path), columns=["scene_id", "split"])
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise UsageError(f"{path}: not there or not readable; run calipers split first") from error
    return table.to_struct_array().combine_chunks()


def _check_split(part: Path, split: str | None) -> None:
    """Refuse a split that there is not."""
    if split is None:
        return
    path = part.parent.parent / "splits" / "splits.json"
    if not path.exists():
        raise UsageError(f"{path}: not there; run calipers split first")
    names = list(json.loads(path.read_text("utf-8"))["scenes"])
    if split not in names:
        raise UsageError(f"split: there is no {split!r}; there are {', '.join(names)}")


def _check(
    seed: int, count: int, epoch: int, buffer: int, fields: Iterable[str], known: Iterable[str]
) -> None:
    """Refuse options that the asking itself does not look at."""
    least = {"seed": (seed, 0), "epoch": (epoch, 0), "buffer": (buffer, 1)}
    for name, (value, wanted) in least.items():
        if not wanted <= value < 2**63:
            raise UsageError(f"{name}: wanted at least {wanted}, got {value}")
    if count < 1:
        raise UsageError(f"questions_per_scene: wanted at least 1, got {count}")
    unknown = [name for name in fields if name not in known]
    if unknown:
        there = ", ".join(known)
        raise UsageError(f"fields: there is no {', '.join(unknown)}; there are {there}")


def _given_rank(rank: int | None, world_size: int | None) -> tuple[int, int] | None:
    if rank is None and world_size is None:
        return None
    if rank is None or world_size is None or not 0 <= rank < world_size:
        raise UsageError(f"wanted 0 <= rank < world_size, got {rank} and {world_size}")
    return rank, world_size


def _torch_rank() -> tuple[int, int]:
    """Rank and world size of this process where torch knows them; never loads torch."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def _torch_worker() -> tuple[int, int]:
    """Which worker of a DataLoader this process is, of how many; never loads torch."""
    data = sys.modules.get("torch.utils.data")
    info = None if data is None else data.get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)


def _require_torch() -> Any:
    try:
        return import_module("torch")
    except ImportError as error:
        raise MissingExtraError("a stream for a DataLoader (torch)", "models") from error


@cache
def _torch_class() -> type[QuestionStream]:
    dataset = import_module("torch.utils.data").IterableDataset
    return type(
        "TorchQuestionStream", (QuestionStream, dataset), {"__doc__": QuestionStream.__doc__}
    )


def _revive(torch: bool, state: dict[str, Any]) -> QuestionStream:
    """Undo `QuestionStream.__reduce__`."""
    kind = _torch_class() if torch else QuestionStream
    found = kind.__new__(kind)
    found.__dict__.update(state)
    return found
