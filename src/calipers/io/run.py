"""A run folder: parts written atomically, a run that can be killed and goes on, one run at a time.

The unit of work is a *shard*: a fixed number of consecutive records. Shard k becomes
``qa/part-k.parquet`` and ``scenes/part-k.parquet``; each appears under its name only when it is
whole and on disk. A shard is finished when all its parts are there, so there is no other journal:
what is to be known about a shard (records left out, counts, seconds) travels in the metadata of its
parts, and ``skipped.jsonl`` and ``run.json`` are put together from there at the end.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from calipers.errors import RunError, UsageError
from calipers.io.files import atomic as atomic
from calipers.io.files import is_remote, locate, readable
from calipers.io.lock import Lock
from calipers.io.questions import write_questions
from calipers.io.scenes import read_part, scenes_table, write_scenes

NO_ROWS = frozenset({"workers", "quiet", "strict", "overwrite", "cache"}) | frozenset(
    {"engine", "address", "patience", "memory"}
)
"""Arguments that change no row."""

_NOTES = "calipers"
_WRITERS: Mapping[str, Callable[[pa.Table, Any, Mapping[str, str]], None]] = {
    "scenes": write_scenes,
    "qa": write_questions,
}


@dataclass(frozen=True)
class RunSpec:
    """What a run is asked to do; two runs with equal `options` and `input` give the same rows.

    Attributes:
        command: "build", "scenes" or "ask".
        writes: the kinds of parts it writes, in the order in which a shard's parts appear.
        given, defaulted: arguments that came from the caller, and the rest with their values.
        input: the input's path and a digest of what it lists; of frames, the folder that the
            names of their pictures are relative to.
        scenes_run: the ``run.json`` of the run that made the scenes, when this one only asks.
        resolved: what given arguments mean here (the experts of a preset, …); takes their place in
            `options`.
        experts: role → name → facts, for the record.
        ignored: arguments that do not change any row (the number of workers, …).
    """

    command: str
    version: str
    writes: tuple[str, ...]
    given: Mapping[str, Any]
    defaulted: Mapping[str, Any]
    input: Mapping[str, str]
    scenes_run: Mapping[str, Any] | None = None
    resolved: Mapping[str, Any] = field(default_factory=dict)
    experts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ignored: frozenset[str] = NO_ROWS

    @property
    def options(self) -> dict[str, Any]:
        """Everything that decides the rows, as JSON gives it back."""
        chosen = {**self.defaulted, **self.given, **self.resolved}
        kept = {name: value for name, value in chosen.items() if name not in self.ignored}
        head = {"command": self.command, "version": self.version, "input": self.input["path"]}
        found: dict[str, Any] = json.loads(json.dumps({**head, **kept}, sort_keys=True))
        return found | {"input digest": self.input["digest"]}


@dataclass
class Notes:
    """What a part says about its shard: counts, seconds a stage, records left out.

    ``experts`` has, for "role/name", what an expert did (pictures, cached, failed, revision) and at
    an endpoint used (answers, tokens, cost), and for "role" how often one was lacking and why.
    """

    counts: Counter[str] = field(default_factory=Counter)
    unreferenced: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    skipped: list[dict[str, str]] = field(default_factory=list)
    experts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> str:
        """The notes as they stand in a part's metadata."""
        return json.dumps(self.__dict__)

    @classmethod
    def read(cls, part: Path) -> Notes:
        """The notes of a part; empty ones for a Parquet file that was not written by a run."""
        metadata = pq.read_metadata(readable(part)).metadata or {}
        found = json.loads(metadata.get(_NOTES.encode(), b"{}"))
        return cls(
            Counter(found.get("counts", {})),
            Counter(found.get("unreferenced", {})),
            Counter(found.get("types", {})),
            found.get("seconds", {}),
            found.get("skipped", []),
            found.get("experts", {}),
        )

    def add_experts(self, done: Mapping[str, Mapping[str, Any]]) -> None:
        """Add up what experts did and used; of texts the last stays."""
        for name, facts in done.items():
            _add_up(self.experts.setdefault(name, {}), facts)


def _add_up(sums: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _add_up(sums.setdefault(key, {}), value)
        else:
            sums[key] = sums.get(key, 0) + value if isinstance(value, int | float) else value


def part_path(folder: Path, kind: str, index: int) -> Path:
    """Where shard `index` keeps its part of a `kind` ("scenes" or "qa")."""
    return folder / kind / f"part-{index:05d}.parquet"


def write_part(folder: Path, kind: str, index: int, table: pa.Table, notes: Notes) -> None:
    """Write one part of a shard, atomically, with its notes."""
    with atomic(part_path(folder, kind, index)) as sink:
        _WRITERS[kind](table, sink, {_NOTES: notes.to_json()})


def copy_part(source: Path, folder: Path, kind: str, index: int) -> None:
    """Copy a part of another run, atomically and byte for byte."""
    with source.open("rb") as origin, atomic(part_path(folder, kind, index)) as sink:
        shutil.copyfileobj(origin, sink)


def cut_part(source: Path, target: Path, count: int) -> None:
    """Write the first scenes of a part to a file, with what its notes say of these."""
    scenes = list(islice(read_part(source), count))
    items = [item for scene in scenes for item in scene.objects]
    notes = Notes(Counter(records=count, scenes=count, objects=len(items)))
    notes.counts["level_scenes"] = sum(scene.frame == "level" for scene in scenes)
    notes.counts["lifted_objects"] = sum(item.lifted for item in items)
    notes.unreferenced.update(
        item.reference_reason or "unknown" for item in items if item.reference is None
    )
    with atomic(target) as sink:
        write_scenes(scenes_table(scenes), sink, {_NOTES: notes.to_json()})


def _reads(part: Path) -> bool:
    try:
        pq.read_metadata(readable(part))
    except (OSError, pa.ArrowInvalid):
        return False
    return True


def read_run(folder: Path) -> dict[str, Any] | None:
    """The folder's ``run.json``, or None when there is none.

    Raises:
        UsageError: when it is there and is not one.
    """
    path = folder / "run.json"
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(found, dict) or not isinstance(found.get("options"), dict):
        raise UsageError(f"{path}: not the run.json of a calipers run")
    return found


def input_folder(run: Mapping[str, Any]) -> Path | None:
    """Find the folder of frames a run goes back to, through runs that only asked questions."""
    if "scenes_run" in run:
        return input_folder(run["scenes_run"])
    if "pictures" in run:
        return locate(run["pictures"])
    given = run["options"].get("input")
    if not isinstance(given, str):
        return None
    path = locate(given)
    for folder in (path, path.parent):
        if (folder / "run.json").is_file():
            earlier = read_run(folder)
            return (
                input_folder(earlier) if earlier and earlier["options"] != run["options"] else None
            )
    return path


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {_changed(old.get(name), new.get(name))}" for name in names)


def _changed(old: Any, new: Any) -> str:
    """Both values; of mappings only what differs in them."""
    if isinstance(old, dict) and isinstance(new, dict):
        return f"({_difference(old, new)})"
    return f"{_brief(old)}, now {_brief(new)}"


def _brief(value: Any) -> str:
    """A value, or the names in a mapping."""
    return " and ".join(value) if isinstance(value, dict) and value else repr(value)


class RunFolder:
    """An open run folder; a context manager that holds the folder's lock.

    Attributes:
        goes_on: whether a run was ended here before it was finished.

    Raises:
        UsageError: on entering, when the folder holds a run with other options (without
            `overwrite`), or something that is no run, or cannot be written.
        RunError: on entering, when another run is at work in the folder.
    """

    def __init__(self, path: Path, spec: RunSpec, overwrite: bool = False) -> None:
        self.path = path
        self.spec = spec
        self.overwrite = overwrite
        self.goes_on = False
        self._lock: Lock | None = None
        self._there: frozenset[str] | None = None

    def __enter__(self) -> Self:
        try:
            if not is_remote(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            _refuse_strangers(self.path)
            self._lock = Lock(self.path)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise UsageError(f"{self.path}: cannot be written ({error.strerror})") from error
        try:
            self._start()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            self._lock.release()

    def _start(self) -> None:
        found = self._earlier()
        self._make_room(found)
        self.goes_on = found is not None and found.get("status") == "running"
        if is_remote(self.path):
            self._there = frozenset(part.name for part in self._parts(self.spec.writes[-1]))
        self._sweep()
        write_json(self.path / "run.json", self._record("running"))

    def _earlier(self) -> dict[str, Any] | None:
        """The ``run.json`` that is there; with `overwrite` a damaged one is another run's."""
        try:
            return read_run(self.path)
        except UsageError:
            if not self.overwrite:
                raise
            return {"options": {}, "command": None}

    def _make_room(self, found: dict[str, Any] | None) -> None:
        """Leave what this run goes on from, refuse or clear away what another run left."""
        if found is None:
            return
        same = found["options"] == self.spec.options
        if same and (not self.overwrite or found.get("status") == "running"):
            return
        in_place = self.spec.writes == ("qa",)
        adds_questions = in_place and found["command"] == "scenes"
        if not self.overwrite and not adds_questions:
            raise UsageError(
                f"{self.path}: holds a run with other options "
                f"({_difference(found['options'], self.spec.options)}); "
                "give --overwrite or another folder"
            )
        self._clear(("qa",) if in_place else ("qa", "scenes"))

    def _clear(self, kinds: Iterable[str]) -> None:
        """Delete parts of these kinds, and all that was made from them."""
        made = {"scenes": ("splits",), "qa": ()}
        for folder in (name for kind in kinds for name in (kind, *made[kind])):
            for part in self._parts(folder):
                part.unlink()
            (self.path / folder / "splits.json").unlink(missing_ok=True)
        for name in ("report.html", "skipped.jsonl"):
            (self.path / name).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what processes that were killed had half written."""
        if not is_remote(self.path):
            for stray in self.path.glob("**/.*.tmp"):
                stray.unlink(missing_ok=True)

    def _parts(self, kind: str) -> list[Path]:
        folder = self.path / kind
        return list(folder.glob("part-*.parquet")) if folder.exists() else []

    def _record(self, status: str) -> dict[str, Any]:
        record: dict[str, Any] = {
            "calipers": self.spec.version,
            "command": self.spec.command,
            "status": status,
            "arguments": {"given": self.spec.given, "defaulted": self.spec.defaulted},
            "options": self.spec.options,
            "seed": self.spec.options.get("seed"),
            "experts": {},
        }
        if "pictures" in self.spec.input:
            record["pictures"] = self.spec.input["pictures"]
        scenes_run = self.spec.scenes_run
        return record if scenes_run is None else record | {"scenes_run": scenes_run}

    def finished(self, index: int) -> bool:
        """Whether all parts of shard `index` are there and readable.

        Behind a URL, where parts are whole, those count that were there when the run began.
        """
        if self._there is not None:
            return part_path(self.path, self.spec.writes[-1], index).name in self._there
        return all(_reads(part_path(self.path, kind, index)) for kind in self.spec.writes)

    def finish(self, shards: int, elapsed_s: float) -> dict[str, Any]:
        """Write ``skipped.jsonl`` and the final ``run.json`` from the parts; return the latter."""
        total = Notes()
        stages: dict[str, Counter[str]] = {}
        with atomic(self.path / "skipped.jsonl") as sink:
            for notes in self._notes(shards):
                _add(total, notes)
                for record in notes.skipped:
                    stages.setdefault(record["stage"], Counter())[record["reason"]] += 1
                    sink.write(_json_line(record))
        record = self._record("complete") | {
            "counts": dict(total.counts),
            "skipped": {stage: dict(reasons) for stage, reasons in stages.items()},
            "unreferenced": dict(total.unreferenced),
            "types": dict(sorted(total.types.items())),
            "seconds": total.seconds | {"elapsed": elapsed_s},
            "experts": _experts(self.spec.experts, total.experts),
        }
        write_json(self.path / "run.json", record)
        self._sweep()
        return record

    def _notes(self, shards: int) -> Iterator[Notes]:
        for index in range(shards):
            for kind in ("scenes", "qa"):
                part = part_path(self.path, kind, index)
                if part.exists():
                    yield Notes.read(part)
                elif kind in self.spec.writes:
                    raise RunError(f"{part} is not here; do all workers write to the same folder?")


def _json_line(value: Any) -> bytes:
    """One line of JSON; file names that are no UTF-8 keep their bytes as escapes."""
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def _refuse_strangers(folder: Path) -> None:
    if is_remote(folder) and not folder.exists():
        return
    names = {item.name for item in folder.iterdir() if not item.name.startswith(".")} - {""}
    if names and "run.json" not in names:
        raise UsageError(f"{folder}: is not empty and holds no run; give another folder")


def _experts(
    facts: Mapping[str, Mapping[str, Any]], done: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Role → name → what the expert is and did; role → "lacking" where there was none."""
    found: dict[str, dict[str, Any]] = {}
    for name, sums in sorted(done.items()):
        role, _, expert = name.partition("/")
        row = {**facts.get(role, {}).get(expert, {}), **sums}
        if expert:
            found.setdefault(role, {})[expert] = row
        else:
            found.setdefault(role, {})["lacking"] = row
    return found


def _add(total: Notes, notes: Notes) -> None:
    total.add_experts(notes.experts)
    total.counts.update(notes.counts)
    total.unreferenced.update(notes.unreferenced)
    total.types.update(notes.types)
    for stage, seconds in notes.seconds.items():
        total.seconds[stage] = total.seconds.get(stage, 0.0) + seconds


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic(path) as sink:
        sink.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")
