"""The command line. Thin: a command turns its arguments into a verb of the library."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from calipers.cli_options import AskOptions, ExpertOptions, Flag, RunOptions, given_options
from calipers.errors import CalipersError, UsageError
from calipers.samples import SAMPLES

app = App(
    name="calipers",
    help="Pictures into metric 3D scenes, scenes into spatial questions and answers.\n\n"
    "Example: calipers build frames/ --out run/",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
    help_format="plaintext",
)

_HUSHED = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
_NO_EXPERT_OPTIONS = ExpertOptions()
_NO_RUN_OPTIONS = RunOptions()
_NO_ASK_OPTIONS = AskOptions()


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, a line for each tenth elsewhere, nothing when quiet."""
    if quiet:
        yield lambda done, total: None
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), "records", TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    """Prints a line whenever another tenth (or another 1,000 records) is done."""

    def __init__(self) -> None:
        self.next = 0

    def __call__(self, done: int, total: int | None) -> None:
        if done >= self.next:
            of_all = "" if total is None else f" of {total}"
            print(f"{done}{of_all} records", file=sys.stderr, flush=True)
            self.next = done + max(1, 1000 if total is None else -(-total // 10))


def _summary(record: dict[str, Any], out: str) -> None:
    counts = record["counts"]
    for role, experts in record["experts"].items():
        for name, done in experts.items():
            print(f"experts   {role}: {_did(name, done)}")
            if "usage" in done:
                from calipers.chat import Usage

                print(f"used      {role}: {Usage(**done['usage'])}")
    for stage, reasons in record["skipped"].items():
        for reason, number in reasons.items():
            print(f"skipped   {_count(number, 'record')} ({stage}: {reason})")
    for reason, number in record["unreferenced"].items():
        print(f"not asked {_count(number, 'object')} ({reason})")
    print(f"scenes    {counts.get('scenes', 0)}, objects {counts.get('objects', 0)}")
    if "questions" in counts:
        print(f"questions {counts['questions']}")
    print(f"report    {out.rstrip('/')}/report.html")


def _did(name: str, done: dict[str, Any]) -> str:
    if name == "lacking":
        return f"none for {_count(done['pictures'], 'picture')} ({done['why']})"
    ran = f"{name} on {_count(done.get('pictures', 0), 'picture')}"
    more = (f"{done[key]} {key}" for key in ("cached", "failed") if done.get(key))
    return ", ".join((ran, *more))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _hush() -> None:
    """Let models load without a word here and in workers, where the user did not set otherwise."""
    for name, value in _HUSHED.items():
        os.environ.setdefault(name, value)


def _run(
    verb: Callable[..., dict[str, Any]], source: str, out: str, quiet: bool, given: dict[str, Any]
) -> None:
    _hush()
    if given.get("experts") and not quiet:
        from calipers.experts.choice import choose

        for line in choose(given["experts"]).notices():
            print("calipers:", line, file=sys.stderr)
    with _progress(quiet) as progress:
        record = verb(source, out, progress=progress, **given)
    if not quiet:
        _summary(record, out)


@app.command
def build(
    frames: str,
    /,
    *,
    out: str,
    run: RunOptions = _NO_RUN_OPTIONS,
    asking: AskOptions = _NO_ASK_OPTIONS,
    filling: ExpertOptions = _NO_EXPERT_OPTIONS,
) -> None:
    """Frames → scenes → questions, into a run folder.

    What a frame lacks is filled in by expert models. A run that was killed goes on where it stopped
    when the same command is given again.

    Example: calipers build frames/ --out run/ --questions-per-scene 50

    Args:
        frames: A folder of images, with a metadata.jsonl or bare; a listing, Parquet files or
            tars; a LeRobot dataset, steps of RLDS, or a file of COCO, LVIS or Open Images.
        out: The run folder.
    """
    from calipers import verbs

    _run(verbs.build, frames, out, bool(run.quiet), given_options(run, asking, filling))


@app.command
def scenes(
    frames: str,
    /,
    *,
    out: str,
    run: RunOptions = _NO_RUN_OPTIONS,
    filling: ExpertOptions = _NO_EXPERT_OPTIONS,
) -> None:
    """Frames → scenes only.

    Example: calipers scenes frames/ --out run/

    Args:
        frames: A folder of images, with a metadata.jsonl or bare; a listing, Parquet files or
            tars; a LeRobot dataset, steps of RLDS, or a file of COCO, LVIS or Open Images.
        out: The run folder.
    """
    from calipers import verbs

    _run(verbs.scenes, frames, out, bool(run.quiet), given_options(run, filling))


@app.command
def ask(
    source: str,
    /,
    *,
    out: str,
    run: RunOptions = _NO_RUN_OPTIONS,
    asking: AskOptions = _NO_ASK_OPTIONS,
) -> None:
    """Scenes → questions only; no images, no models.

    Example: calipers ask run/ --out other/ --types distance,left_predicate --seed 1

    Args:
        source: A run folder, a folder of scene files, or one such file.
        out: Another run folder, or the same when it has no questions yet.
    """
    from calipers import verbs

    _run(verbs.ask_scenes, source, out, bool(run.quiet), given_options(run, asking))


@app.command
def demo(out: Path = Path("calipers-demo"), /, *, seed: int = 0) -> None:
    """The whole path on the packaged sample frames: frames, scenes, questions, report.

    Example: calipers demo

    Args:
        out: A folder; gets the frames and the run.
        seed: Decides which questions are asked, and which five are shown.
    """
    from calipers import verbs
    from calipers.demo import draw_questions, write_demo_frames

    write_demo_frames(out / "frames")
    with _progress(False) as progress:
        record = verbs.build(
            out / "frames", out / "run", seed=seed, overwrite=True, progress=progress
        )
    for row in draw_questions(out / "run", 5, seed):
        print(f"[{row['scene_id']}] {row['question']}\n    {row['answer']}")
    print()
    _summary(record, str(out / "run"))


_SAMPLE_NAMES = "; ".join(f"{name}: {what}" for name, what in SAMPLES.items())


@app.command
def sample(
    name: Annotated[str, Parameter(help=f"One of {_SAMPLE_NAMES}.")],
    folder: Path,
    /,
    *,
    count: Annotated[int | None, Parameter(name=("--count", "--frames", "--episodes"))] = None,
    seed: int | None = None,
    part: str | None = None,
    scale: float | None = None,
    kind: Literal["room", "table"] | None = None,
    robot: str | None = None,
    task: str | None = None,
    variant: str | None = None,
    faults: Flag = None,
) -> None:
    """Write a sample with known metres: frames, or whole runs of a robot.

    What is not given is drawn.

    Example: calipers sample robot frames/ --frames 50 --robot ur5e --task stack --variant illusion

    Args:
        folder: A new or empty folder.
        count: How many frames (blocks, robot, rooms) or runs (robot_episodes).
        seed: Decides all that is drawn by chance (blocks, robot, robot_episodes, rooms).
        part: train, or test: other pairs of colour and shape (blocks).
        scale: Every depth times this (motorcycle).
        kind: What is furnished (rooms).
        robot: Panda or UR5e (robot, robot_episodes).
        task: lift, stack, pick-place or touch (robot, robot_episodes).
        variant: How the robot is told which thing: by name, position, size, or illusion: the real
            one beside a photo (robot, robot_episodes).
        faults: Depth and masks of a real camera instead of exact ones (robot, rooms).
    """
    from calipers.samples import write_sample

    options: dict[str, Any] = {"count": count, "seed": seed, "robot": robot, "task": task}
    options |= {"variant": variant, "faults": faults, "part": part, "scale": scale, "kind": kind}
    write_sample(name, folder, **{k: v for k, v in options.items() if v is not None})
    print(f"frames    {folder}")


@app.command
def view(out: str, /, *, host: str = "127.0.0.1", port: int = 0) -> None:
    """Browse a run in the web browser; Ctrl-C ends it.

    Example: calipers view run/

    Args:
        out: The run folder.
        host: The address to serve at.
        port: The port to serve at; 0 takes a free one.
    """
    from calipers.view.serve import serve

    with suppress(KeyboardInterrupt):
        serve(out, host, port, announce=partial(print, flush=True))


@app.command
def stats(
    out: str,
    /,
    *,
    json: str | None = None,
    blind: bool = True,
    balance: str | None = None,
) -> None:
    """Count what a run holds: types, answers, lengths, repeats, and what can be guessed blind.

    Example: calipers stats run/ --json stats.json

    Args:
        out: The run folder.
        json: Write everything to this file too.
        blind: Let guessers that see no picture guess the answers; reads the questions twice more.
        balance: Write a file for QuestionStream's keep, which makes guessing harder.
    """
    from calipers import stats as counting

    found = counting.stats(out, blind=blind)
    print(counting.as_text(found))
    if json is not None:
        counting.write_stats(found, json)
    if balance is not None:
        counting.learn_balance(out, balance)


@app.command
def split(
    out: str,
    /,
    *,
    train: float = 0.9,
    validation: float | None = None,
    exclude: tuple[str, ...] = (),
    images: str | None = None,
    seed: int = 0,
) -> None:
    """Put a run's scenes into train, validation and test, no picture or copy of it on two sides.

    Example: calipers split run/ --train 0.9 --exclude benchmark.txt

    Args:
        out: The run folder; gets a folder of splits.
        train: Share of pictures to train on.
        validation: Share to validate on (default: half of the rest); what is left is for tests.
        exclude: Lists of pictures that must not be used, as `calipers hashes` writes them.
        images: Where the pictures are (default: where the run found them).
        seed: Decides which picture goes where.
    """
    from calipers import splits

    between = (1 - train) / 2 if validation is None else validation
    shares = {"train": train, "validation": between, "test": max(1 - train - between, 0.0)}
    found = splits.split(out, shares, seed=seed, exclude=exclude, images=images)
    for name, scenes in found["scenes"].items():
        print(f"{name:<11} {_count(scenes, 'scene')}")
    print(f"copies      {_count(found['pictures_that_look_like_others'], 'picture')}")
    print(f"not read    {_count(found['pictures_not_read'], 'picture')}")


@app.command
def hashes(images: str, /, *, out: str) -> None:
    """Write the hashes of a folder's pictures, for `calipers split --exclude`.

    Example: calipers hashes benchmark-images/ --out benchmark.txt

    Args:
        images: A folder of pictures, with folders in it.
        out: The file to write, one line a picture.
    """
    from calipers.splits import write_hashes

    print(f"hashes    {write_hashes(images, out)}")


experts_app = App(
    name="experts",
    help="Expert models: which there are, whether they are here and work, and how to get them.\n\n"
    "Example: calipers experts list depth",
    help_format="plaintext",
)
app.command(experts_app)
FAMILIES = {
    "tools": ("Measure by HTTP or MCP.", "serve --root frames/"),
    "bench": ("Make and score benchmarks.", "make frames/ --out bench/"),
    "reward": ("Rewards from goals in words.", 'goal "stack the red block on the blue one"'),
}
"""Commands of commands: what they do, and one of them."""
for _name, (_does, _one) in FAMILIES.items():
    _help = f"{_does}\n\nExample: calipers {_name} {_one}"
    app.command(f"calipers.{_name}.commands:app", name=_name, help=_help)
ELSEWHERE = {
    "answer": "serve.commands:answer",
    "chat": "serve.commands:chat",
    "eval": "eval_command:evaluate",
    "export": "export_command:export",
    "reason": "reason.commands:reason",
    "serve": "serve.commands:serve",
    "spatialqa": "spatialqa.commands:spatialqa",
    "train": "train.commands:train",
}
"""Commands in modules of their own, read when they are called."""
for _name, _place in ELSEWHERE.items():
    app.command(f"calipers.{_place}", name=_name)


@experts_app.command(name="list")
def list_experts(role: str | None = None, /, *, markdown: bool = False) -> None:
    """List the experts with licence, size, and whether package and weights are here.

    Example: calipers experts list depth

    Args:
        role: Only of this role (filter, tagger, objects, masks, captions, depth, gravity, …).
        markdown: As the table of docs/experts.md, which says nothing of this machine.
    """
    from calipers.experts.shelf import HEADER, markdown_table, rows
    from calipers.experts.table import ENTRIES, ROLES

    if role is not None and role not in ROLES:
        raise UsageError(f"experts list: wanted one of {', '.join(ROLES)}, got {role!r}")
    entries = [entry for entry in ENTRIES if role in (None, entry.role)]
    if markdown:
        print(markdown_table(entries))
        return
    lines = [HEADER, *rows(entries)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


@experts_app.command
def check(
    name: str, /, *, source: str | None = None, device: str | None = None, image: Path | None = None
) -> None:
    """Load one expert, ask it about a sample picture, and print what came out.

    Example: calipers experts check moge2

    Args:
        name: A name of `calipers experts list`.
        source: A local folder (or hub id) in place of its own id.
        device: cuda, mps or cpu.
        image: Another picture than the drawn room.
    """
    from calipers.experts.shelf import try_out

    _hush()
    done = try_out(name, source, device, None if image is None else _picture(image))
    print(f"answer    {done.answer}")
    print(f"revision  {done.revision or 'not told'}")
    print(f"seconds   {done.load_s:.2f} to load, {done.run_s:.2f} to run")


def _picture(path: Path) -> Any:
    from calipers.errors import Skip
    from calipers.io.images import read_picture

    try:
        return read_picture(path, path.name, pixels=True).rgb
    except Skip as skip:
        raise UsageError(f"--image: {skip.detail}") from skip


@experts_app.command
def pull(*names: str) -> None:
    """Fetch weights from the model hub ahead of a run; runs themselves never ask the network.

    Example: calipers experts pull permissive

    Args:
        names: Presets, names of `calipers experts list`, YAML files or hub ids.
    """
    from calipers.experts import shelf

    if not names:
        raise UsageError("experts pull: wanted a preset, a name or a hub id")
    for name in names:
        for line in shelf.pull(name):
            print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 (the run failed) or 2 (bad usage)."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the workers are the threads
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own keeps what is freed
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if not tokens or tokens[0] in ("-h", "--help"):
        for name in ELSEWHERE:
            app[name]  # read, so that the list says what it does
    try:
        app(tokens, exit_on_error=False, print_error=False)
    except (CycloptsError, UsageError) as error:
        return _complain(error, 2)
    except CalipersError as error:
        return _complain(error, 1)
    except OSError as error:
        return _complain(_disk_trouble(error), 1)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on where it stopped", 1)
    return 0


def _disk_trouble(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; make room, and the same command goes on where it stopped"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _complain(error: object, code: int) -> int:
    print("calipers:", " ".join(str(error).split()), file=sys.stderr)
    return code
