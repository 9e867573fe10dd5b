"""The verbs over folders, as runs that survive being killed.

What is done to a shard is in `calipers.work`, what experts fill in is in `calipers.fill`, who does
the shards is in `calipers.engine`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from calipers.engine.engines import check_engine, run_jobs
from calipers.errors import UsageError
from calipers.experts.cache import cache_folder
from calipers.experts.choice import choose
from calipers.experts.runner import Hiring
from calipers.io.files import locate
from calipers.io.inputs.shards import Shard
from calipers.io.inputs.sources import open_frames
from calipers.io.run import RunFolder, RunSpec, cut_part, read_run
from calipers.io.scenes import part_batches, scene_parts
from calipers.questions.asking import choose as choose_types
from calipers.questions.registry import Mix, names_of
from calipers.work import FramesWork, ScenesWork, Work

SHARD_RECORDS = 32
"""Records a shard; fixed, so that each file has the same rows for any number of workers."""

MAX_QUESTIONS = 10_000

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
        types: ids of question types, "robot" for all about a robot; None for all.
        mix: share of qualitative questions, or a weight for each type.
        workers: processes; any number gives the same rows. None for one a core, at most 16, or
            one alone where experts have to run: each process loads models of its own.
        limit: take only the first records.
        strict: fail after the run when any record was left out.
        overwrite: throw away another run's results in the output folder.
        experts: a preset or a YAML file (see `calipers.experts.choice`); None for the default
            preset, of which only what is installed and on disk is used.
        vocabulary: a file of phrases to look for, one a line; None for what the tagger and the
            picture's caption name.
        cache: folder of the experts' results, or "none"; None for the user's.
        device: where the experts run, as torch names it; None for the best there is.
        images: the folder of the pictures that annotations (COCO, LVIS, Open Images) name; None to
            look for it beside them.
        engine: "embedded" (this process, or processes of this machine) or "ray" (a cluster).
        address: of the Ray cluster; None starts Ray on this machine for the run.
        patience: seconds without a sign of life after which a worker is ended.
        memory: gigabytes that a worker may take; None for nine tenths of its machine's memory,
            shared by the workers there.
    """

    seed: int = 0
    questions_per_scene: int = 20
    types: tuple[str, ...] | None = None
    mix: Mix | None = None
    workers: int | None = 1
    limit: int | None = None
    strict: bool = False
    overwrite: bool = False
    experts: str | None = None
    vocabulary: str | None = None
    cache: str | None = None
    device: str | None = None
    images: str | None = None
    engine: str = "embedded"
    address: str | None = None
    patience: float = 600.0
    memory: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", names_of(self.types))
        for name in ("experts", "vocabulary", "cache", "images"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, str(getattr(self, name)))
        for name, least in (("seed", 0), ("questions_per_scene", 0), ("workers", 1), ("limit", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name}: wanted at least {least}, got {value}")
        check_engine(self)
        if self.seed >= 2**63 or self.questions_per_scene > MAX_QUESTIONS:
            raise UsageError(f"wanted seed < 2**63 and at most {MAX_QUESTIONS} questions a scene")
        if self.types is not None and not self.types:
            raise UsageError("types: wanted at least one question type")
        choose_types(self.types, self.mix)


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

    for records in run_jobs(work, unfinished(), options, folder.goes_on):
        done += records
        progress(done, total)
    return folder.finish(count, time.perf_counter() - start)


def _hiring(options: Options) -> Hiring:
    """Read the files that options name, and see what is there.

    Raises:
        UsageError: a file cannot be read or says something else.
    """
    kept = None if options.cache == "none" else Path(options.cache or cache_folder())
    phrases = () if options.vocabulary is None else read_vocabulary(Path(options.vocabulary))
    return Hiring(choose(options.experts), phrases, kept, options.device, options.seed)


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Read a file of phrases, one a line; empty lines and what follows "#" do not count.

    Raises:
        UsageError: it cannot be read, or has no phrase.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"--vocabulary: cannot read {path}: {why}") from error
    phrases = (" ".join(line.partition("#")[0].split()) for line in lines)
    found = tuple(dict.fromkeys(phrase for phrase in phrases if phrase))
    if not found:
        raise UsageError(f"--vocabulary: {path} has no phrases")
    return found


def _spec(
    command: str,
    writes: tuple[str, ...],
    source: Path,
    digest: str,
    given: Mapping[str, Any],
    scenes_run: Mapping[str, Any] | None = None,
    hiring: Hiring | None = None,
) -> RunSpec:
    filled = asdict(Options(**given))
    given = {name: value for name, value in given.items() if value is not None}
    return RunSpec(
        command=command,
        version=version("calipers"),
        writes=writes,
        given={name: filled[name] for name in given},
        defaulted={name: value for name, value in filled.items() if name not in given},
        input={"path": str(source.resolve()), "digest": digest},
        scenes_run=scenes_run,
        resolved={} if hiring is None else _resolved(hiring),
        experts={} if hiring is None else hiring.choice.described(),
    )


def _resolved(hiring: Hiring) -> dict[str, Any]:
    phrases = "\n".join(hiring.vocabulary).encode()
    words = blake2b(phrases, digest_size=16).hexdigest() if phrases else None
    return {"experts": hiring.choice.facts, "vocabulary": words}


def _open(out: Path, spec: RunSpec, options: Options) -> RunFolder:
    return RunFolder(out, spec, options.overwrite)


def _from_frames(
    command: str, frames: str | Path, out: str | Path, progress: Progress, given: Mapping[str, Any]
) -> dict[str, Any]:
    options = Options(**given)
    folder = open_frames(frames, options.images)
    asks = command == "build"
    writes = ("qa", "scenes") if asks else ("scenes",)
    hiring = _hiring(options)
    spec = _spec(command, writes, folder.path, folder.digest, given, hiring=hiring)
    spec = replace(spec, input={**spec.input, "pictures": str(folder.root)})
    total = min(len(folder), options.limit or len(folder))
    with _open(locate(out), spec, options) as run:
        work = FramesWork(locate(out), options, asks, hiring)
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
    parts = scene_parts(source)
    in_place = parts[0].resolve().parent == (locate(out) / "scenes").resolve()
    if in_place and chosen.limit is not None:
        raise UsageError("limit: a run's own questions are of all its scenes; give another --out")
    writes = ("qa",) if in_place else ("qa", "scenes")
    scenes_run = _scenes_run(parts[0].resolve().parent.parent)
    spec = _spec("ask", writes, locate(source), _scenes_digest(parts), options, scenes_run)
    with _open(locate(out), spec, chosen) as run:
        work = ScenesWork(locate(out), chosen, not in_place)
        record = _run(run, work, _first(parts, chosen.limit, locate(out)), None, chosen, progress)
    (locate(out) / _CUT).unlink(missing_ok=True)
    return record


_CUT = ".first.tmp"
"""Holds the first scenes of the part that a limit cuts, until the run is finished."""


def _first(parts: Iterable[Path], limit: int | None, out: Path) -> Iterator[Path]:
    """The parts that hold the first scenes; the last one is cut where it holds more."""
    if limit is None:
        yield from parts
        return
    left = limit
    for part in parts:
        count = sum(map(len, part_batches(part, columns=["id"])))
        if count > left:
            cut_part(part, out / _CUT, left)
        yield part if count <= left else out / _CUT
        left -= count
        if left <= 0:
            return


def _scenes_run(folder: Path) -> dict[str, Any] | None:
    """The finished run that made the scenes of a run folder; None when it is no run folder."""
    found = read_run(folder)
    made_by: dict[str, Any] | None = found and found.get("scenes_run", found)
    if made_by is not None and made_by["status"] != "complete":
        raise UsageError(f"{folder}: its run is not finished; give its command again first")
    return made_by


def _scenes_digest(parts: Iterable[Path]) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{part.name} {part.stat().st_size}\n".encode())
    return digest.hexdigest()
