"""The steps from a frame to its questions, and the local runner that survives being killed.

A frame comes with whatever was given; `FILL` names, in order, what must be there before it can be
lifted. An entry gets the frame and returns it whole: today it refuses, with its reason, a frame
that lacks the field; an expert that can fill the field takes that place.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b, file_digest
from importlib.metadata import version
from itertools import chain, islice
from os import _exit, environ
from pathlib import Path
from typing import Any, Protocol, TypeVar

from calipers.errors import CalipersError, DataError, RunError, Skip, UsageError
from calipers.io.frames import METADATA, FrameFolder, Shard, Skipped, read_shard
from calipers.io.masks import decode_mask
from calipers.io.questions import QUESTION_SCHEMA, questions_table
from calipers.io.run import Notes, RunFolder, RunSpec, copy_part, read_run, write_part
from calipers.io.scenes import read_part, scene_parts, scenes_table
from calipers.questions.columns import ask_columns
from calipers.questions.registry import Mix, weights
from calipers.stages.lift import lift
from calipers.stages.refer import refer
from calipers.types import Frame, Scene

SHARD_RECORDS = 32
"""Records a shard; fixed, so that the files are the same for any number of workers."""

MAX_QUESTIONS = 10_000

Result = TypeVar("Result")
Progress = Callable[[int, int | None], None]
"""Called as records are finished: (records so far, records in all or None)."""


def _no_progress(done: int, total: int | None) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run.

    Attributes:
        seed: decides every random choice, together with the scene's id.
        questions_per_scene: how many questions a scene gets when it has that many to ask.
        types: ids of question types; None for all.
        mix: share of qualitative questions, or a weight for each type.
        workers: processes; any number gives the same rows.
        limit: take only the first records.
        strict: fail after the run when any record was left out.
        overwrite: throw away another run's results in the output folder.
    """

    seed: int = 0
    questions_per_scene: int = 20
    types: tuple[str, ...] | None = None
    mix: Mix | None = None
    workers: int = 1
    limit: int | None = None
    strict: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.types is not None:
            object.__setattr__(self, "types", tuple(self.types))
        for name, least in (("seed", 0), ("questions_per_scene", 0), ("workers", 1), ("limit", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name}: wanted at least {least}, got {value}")
        if self.seed >= 2**63 or self.questions_per_scene > MAX_QUESTIONS:
            raise UsageError(f"wanted seed < 2**63 and at most {MAX_QUESTIONS} questions a scene")
        if self.types is not None and not self.types:
            raise UsageError("types: wanted at least one question type")
        if not weights(True, self.types, self.mix).any():
            raise UsageError("types and mix leave no question to ask")


class Clock:
    """Adds up the seconds spent in each stage and remembers which one is at work."""

    def __init__(self) -> None:
        self.stage = ""
        self.seconds: dict[str, float] = {}

    def __call__(self, stage: str, work: Callable[..., Result], *args: Any) -> Result:
        """Return `work(*args)`, its time counted to `stage`."""
        self.stage = stage
        start = time.perf_counter()
        try:
            return work(*args)
        finally:
            spent = time.perf_counter() - start
            self.seconds[stage] = self.seconds.get(stage, 0.0) + spent


def _with_depth(frame: Frame) -> Frame:
    if frame.depth_m is None:
        raise Skip("no_depth", "no depth was given and no depth expert is configured")
    return frame


def _with_intrinsics(frame: Frame) -> Frame:
    if frame.camera is None:
        raise Skip(
            "no_intrinsics", "no intrinsics were given and no calibration expert is configured"
        )
    return frame


def _with_objects(frame: Frame) -> Frame:
    if frame.objects is None:
        raise Skip("no_objects", "no objects were given and no detection expert is configured")
    return frame


FILL: tuple[tuple[str, Callable[[Frame], Frame]], ...] = (
    ("intrinsics", _with_intrinsics),
    ("depth", _with_depth),
    ("objects", _with_objects),
)
"""What a frame must have before it is lifted, in order."""


def _lift(frame: Frame) -> Scene:
    masks = [item.rle and decode_mask(item.rle) for item in frame.objects or ()]
    return lift(frame, masks)


def frame_to_scene(frame: Frame, clock: Clock) -> Scene:
    """Take one frame through all steps up to a scene whose objects can be named.

    Raises:
        Skip: the frame lacks something, or cannot be lifted.
        RunError: a step failed in a way it should not; the message names the frame.
    """
    try:
        with _naming(frame.id, clock):
            for stage, fill in FILL:
                frame = clock(stage, fill, frame)
            scene = clock("lift", _lift, frame)
            clock("refer", refer, scene.objects, scene.frame)
    except DataError as error:
        raise Skip("bad_data", str(error)) from error
    return scene


@contextmanager
def _naming(record: str, clock: Clock) -> Iterator[None]:
    """Name the record and the stage in errors that no step should raise."""
    try:
        yield
    except CalipersError:
        raise
    except Exception as error:
        raise RunError(f"{record}: {clock.stage} failed: {error!r}") from error


class Asking:
    """Gathers the question columns of many scenes."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options = options
        self.clock = clock
        self.columns: dict[str, list[Any]] = {name: [] for name in QUESTION_SCHEMA.names}

    def add(self, scene: Scene) -> None:
        """Ask `scene`."""
        options = self.options
        count = options.questions_per_scene
        with _naming(scene.id, self.clock):
            asked = self.clock(
                "ask", ask_columns, scene, count, options.seed, options.types, options.mix
            )
        for name, column in self.columns.items():
            column.extend(asked[name])

    def write(self, folder: Path, index: int) -> None:
        """Write the shard's questions."""
        table = questions_table(self.columns)
        notes = Notes(seconds={"ask": self.clock.seconds.get("ask", 0.0)})
        notes.types.update(self.columns["type"])
        notes.counts["questions"] = table.num_rows
        write_part(folder, "qa", index, table, notes)


class Work(Protocol):
    """What is done to one shard, in whatever process; returns how many records it had."""

    def __call__(self, index: int, shard: Any) -> int:
        """Write the parts of shard `index`."""


@dataclass(frozen=True, slots=True)
class FramesWork:
    """Frames → scenes, and → questions where `asks`."""

    out: Path
    options: Options
    asks: bool

    def __call__(self, index: int, shard: Shard) -> int:
        """Write the parts of shard `index`, the scenes last."""
        clock, notes, scenes = Clock(), Notes(), []
        asking = Asking(self.options, clock)
        for record in _records(shard, clock):
            notes.counts["records"] += 1
            outcome = record if isinstance(record, Skipped) else _scene_or_skip(record, clock)
            if isinstance(outcome, Skipped):
                notes.skipped.append(asdict(outcome))
                continue
            scenes.append(outcome)
            if self.asks:
                asking.add(outcome)
        if self.asks:
            asking.write(self.out, index)
        _count(notes, scenes)
        notes.seconds = {k: v for k, v in clock.seconds.items() if k != "ask"}
        write_part(self.out, "scenes", index, scenes_table(scenes), notes)
        return notes.counts["records"]


def _records(shard: Shard, clock: Clock) -> Iterator[Frame | Skipped]:
    records = iter(read_shard(shard))
    while (record := clock("read", next, records, None)) is not None:
        yield record


def _scene_or_skip(frame: Frame, clock: Clock) -> Scene | Skipped:
    try:
        return frame_to_scene(frame, clock)
    except Skip as skip:
        return Skipped(frame.id, clock.stage, skip.reason, skip.detail)


def _count(notes: Notes, scenes: Iterable[Scene]) -> None:
    for scene in scenes:
        notes.counts["scenes"] += 1
        notes.counts["level_scenes"] += scene.frame == "level"
        for item in scene.objects:
            notes.counts["objects"] += 1
            notes.counts["lifted_objects"] += item.lifted
            if item.reference is None:
                notes.unreferenced[item.reference_reason or "unknown"] += 1


@dataclass(frozen=True, slots=True)
class ScenesWork:
    """Scenes → questions; where `copies`, the scenes go along so that the folder is whole."""

    out: Path
    options: Options
    copies: bool

    def __call__(self, index: int, shard: Path) -> int:
        """Write the parts of shard `index`, the scenes last."""
        clock, count = Clock(), 0
        asking = Asking(self.options, clock)
        for scene in read_part(shard):
            asking.add(scene)
            count += 1
        asking.write(self.out, index)
        if self.copies:
            copy_part(shard, self.out, "scenes", index)
        return count


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _exit(1)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes started meanwhile do linear algebra in one thread: two double their time."""
    name = "OPENBLAS_NUM_THREADS"
    given = environ.get(name)
    environ.setdefault(name, "1")
    try:
        yield
    finally:
        if given is None:
            environ.pop(name, None)


def _in_pool(work: Work, jobs: Iterable[tuple[int, Any]], workers: int) -> Iterator[int]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    with _one_thread_each(), pool:
        waiting: set[Future[int]] = set()
        try:
            for job in jobs:
                waiting.add(pool.submit(work, *job))
                if len(waiting) >= 2 * workers:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise RunError(
                "a worker process died (out of memory, or killed); "
                "the same command goes on where it stopped"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _run(
    folder: RunFolder,
    work: Work,
    shards: Iterable[Any],
    total: int | None,
    options: Options,
    progress: Progress,
) -> dict[str, Any]:
    """Do `work` on every shard that is not finished, then put the run's records together."""
    start, count, done = time.perf_counter(), 0, 0

    def unfinished() -> Iterator[tuple[int, Any]]:
        nonlocal count, done
        for count, shard in enumerate(shards, start=1):
            if not folder.finished(count - 1):
                yield count - 1, shard
            elif isinstance(shard, Shard):
                done += shard.count

    jobs: Iterator[tuple[int, Any]] = unfinished()
    first = list(islice(jobs, 2))
    jobs = chain(first, jobs)
    alone = options.workers == 1 or len(first) < 2  # starting workers would take longer
    finished = (work(*job) for job in jobs) if alone else _in_pool(work, jobs, options.workers)
    for records in finished:
        done += records
        progress(done, total)
    return folder.finish(count, time.perf_counter() - start)


def _spec(
    command: str,
    writes: tuple[str, ...],
    source: Path,
    digest: str,
    given: Mapping[str, Any],
    scenes_run: Mapping[str, Any] | None = None,
) -> RunSpec:
    filled = asdict(Options(**given))
    return RunSpec(
        command=command,
        version=version("calipers"),
        writes=writes,
        given={name: filled[name] for name in given},
        defaulted={name: value for name, value in filled.items() if name not in given},
        input={"path": str(source.resolve()), "digest": digest},
        scenes_run=scenes_run,
    )


def _open(out: Path, spec: RunSpec, options: Options) -> RunFolder:
    return RunFolder(Path(out), spec, options.overwrite)


def _from_frames(
    command: str, frames: str | Path, out: str | Path, progress: Progress, given: Mapping[str, Any]
) -> dict[str, Any]:
    options, folder = Options(**given), FrameFolder.open(frames)
    asks = command == "build"
    writes = ("qa", "scenes") if asks else ("scenes",)
    spec = _spec(command, writes, folder.folder, _frames_digest(folder), given)
    total = min(len(folder), options.limit or len(folder))
    with _open(Path(out), spec, options) as run:
        work = FramesWork(Path(out), options, asks)
        return _run(
            run, work, folder.shards(SHARD_RECORDS, options.limit), total, options, progress
        )


def build(
    frames: str | Path, out: str | Path, *, progress: Progress = _no_progress, **options: Any
) -> dict[str, Any]:
    """Frames → scenes → questions, into the run folder `out`; return its ``run.json``.

    Raises:
        UsageError: an option, the folder of frames or the output folder cannot be used.
        RunError: another run is at work in `out`, or a worker died.
        OSError: the disk is full or the folder cannot be written.
    """
    return _from_frames("build", frames, out, progress, options)


def scenes(
    frames: str | Path, out: str | Path, *, progress: Progress = _no_progress, **options: Any
) -> dict[str, Any]:
    """Frames → scenes only; raises and returns what `build` does."""
    return _from_frames("scenes", frames, out, progress, options)


def ask(
    source: str | Path, out: str | Path, *, progress: Progress = _no_progress, **options: Any
) -> dict[str, Any]:
    """Scenes → questions, with no image read; raises and returns what `build` does.

    `out` may be the run folder that holds the scenes, when it has no questions yet.
    """
    chosen = Options(**options)
    if chosen.limit is not None:
        raise UsageError("limit: asks of all scenes; give limit to the command that makes them")
    parts = scene_parts(source)
    in_place = parts[0].resolve().parent == (Path(out) / "scenes").resolve()
    writes = ("qa",) if in_place else ("qa", "scenes")
    scenes_run = _scenes_run(parts[0].resolve().parent.parent)
    spec = _spec("ask", writes, Path(source), _scenes_digest(parts), options, scenes_run)
    with _open(Path(out), spec, chosen) as run:
        work = ScenesWork(Path(out), chosen, not in_place)
        return _run(run, work, parts, None, chosen, progress)


def _scenes_run(folder: Path) -> dict[str, Any] | None:
    """The finished run that made the scenes of a run folder; None when it is no run folder."""
    found = read_run(folder)
    made_by: dict[str, Any] | None = found and found.get("scenes_run", found)
    if made_by is not None and made_by["status"] != "complete":
        raise UsageError(f"{folder}: its run is not finished; give its command again first")
    return made_by


def _frames_digest(frames: FrameFolder) -> str:
    if frames.names is None:
        with (frames.folder / METADATA).open("rb") as file:
            return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
    names = "\n".join(frames.names).encode(errors="surrogateescape")
    return blake2b(names, digest_size=16).hexdigest()


def _scenes_digest(parts: Iterable[Path]) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{part.name} {part.stat().st_size}\n".encode())
    return digest.hexdigest()
