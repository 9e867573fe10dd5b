"""`calipers answer`, `calipers chat` and `calipers serve` on the command line."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from calipers.errors import MissingExtraError, RunError, UsageError

if TYPE_CHECKING:
    from calipers.serve.answers import Done
    from calipers.serve.chatting import Talking

Flag = Annotated[bool, Parameter(negative="")]
TOLD_EACH = 100
"""Answers between two lines of progress."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model, and how it is asked; None means what is right for the model."""

    model: str
    "What calipers train wrote, a folder or hub id on disk, or a model's name at an endpoint."
    base_url: str | None = None
    "The endpoint (OpenAI-compatible), up to /v1; its key is in OPENAI_API_KEY."
    device: str | None = None
    "cuda, mps or cpu (default: the first that is there)."
    see: str | None = None
    "rgb, or rgbd to show depth as a second picture (default: as it was trained, else rgb)."
    codec: str = "log8"
    """How depth is packed for models that do not say it themselves: packed24, spatialbot,
    spatialbot16, linear8, log8 or inverse8."""
    trained: Path | None = None
    """The folder in which calipers train wrote the model at the endpoint: it is shown and asked
    what it was in training (settings only, no weights)."""
    depth_tool: str | None = None
    """How it may measure: text (it writes Depth(x,y)), native (it calls tools), or none (default:
    text where it was trained with the tool, else none)."""
    max_tokens: int = 256
    "Most tokens of an answer."

    def load(self) -> Any:
        """The model, ready to be asked."""
        from calipers.model.speakers import load

        quiet_transformers()
        return load(
            self.model,
            base_url=self.base_url,
            device=self.device,
            see=self.see,
            codec=self.codec,
            trained=None if self.trained is None else str(self.trained),
        )

    def tool(self, speaker: Any = None) -> Any:
        """How the model may measure; what was trained decides where nothing is said.

        Raises:
            UsageError: there is no such way.
        """
        from calipers.serve.asking import DEPTH_TOOLS

        if self.depth_tool is None:
            return "text" if speaker is not None and speaker.tool else "none"
        if self.depth_tool not in DEPTH_TOOLS:
            wanted = ", ".join(DEPTH_TOOLS)
            raise UsageError(f"--depth-tool: wanted {wanted}, got {self.depth_tool!r}")
        return self.depth_tool


def quiet_transformers() -> None:
    """Keep transformers' notes and bars off the terminal."""
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "TRANSFORMERS_NO_ADVISORY_WARNINGS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def answer(
    questions: Path,
    /,
    *,
    model: ModelOptions,
    out: Path = Path("answers.jsonl"),
    frames: Path | None = None,
    samples: int = 1,
    average: str = "mean",
    temperature: float = 0.7,
    together: int = 32,
    limit: int | None = None,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> None:
    """Let a model answer the questions of a run, or of a JSONL file; goes on where it stopped.

    Example: calipers answer run/ --model nano/ --depth-tool text --out answers.jsonl

    Args:
        questions: A run folder, or a file of {"id", "image", "question"} and perhaps "depth".
        out: Gets {"id", "text"} a line, for calipers eval.
        frames: Where the pictures are (default: where the run found them; beside the file).
        samples: Answers to each question that are averaged for a finer number.
        average: mean or median of their lengths; of other answers the commonest is taken.
        temperature: Of the samples, where they are several.
        together: Most answers computed at once.
        limit: Only the first questions.
        overwrite: Throw away what OUT holds.
        quiet: Print nothing but errors.
    """
    from itertools import islice

    from calipers.serve.answers import answer_all
    from calipers.serve.asking import Manner
    from calipers.serve.questions import read_questions

    manner = Manner(
        depth_tool=model.tool(),
        samples=samples,
        average=average,
        temperature=temperature,
        max_tokens=model.max_tokens,
        together=together,
    )
    found = islice(read_questions(questions, frames), limit)
    told = {"model": model.model, "base_url": model.base_url, "see": model.see}
    told |= {"codec": model.codec, "questions": str(questions)}
    told |= {} if model.trained is None else {"trained": str(model.trained)}
    speaker = model.load()
    manner = replace(manner, depth_tool=model.tool(speaker))
    done = answer_all(
        speaker, found, out, manner, told=told, overwrite=overwrite,
        progress=(lambda count: None) if quiet else _tell,
    )  # fmt: skip
    if done.skipped and not (done.answered or done.before):
        raise RunError(f"{done.skipped} skipped; see {out}.skipped.jsonl")
    if not quiet:
        _say_done(done, out)


def _say_done(done: Done, out: Path) -> None:
    if done.before:
        _say(f"before    {done.before}")
    if done.skipped:
        _say(f"skipped   {done.skipped} (see {out}.skipped.jsonl)")
    _say(f"answered  {done.answered}")
    _say(f"answers   {out}")


def _tell(done: int) -> None:
    if done % TOLD_EACH == 0:
        sys.stderr.write(f"{done} answers\n")
        sys.stderr.flush()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def chat(frame: Path, /, *, model: ModelOptions, depth: Path | None = None) -> None:
    """Ask a model about a picture; questions are read line by line, an empty one ends it.

    Example: calipers chat photo.jpg --depth depth.png --model nano/ --depth-tool text

    Args:
        frame: A picture, or a folder of frames or a run, of which the first is taken.
        depth: The depth file of a picture.
    """
    from calipers.serve.chatting import Talking, open_frame

    model.tool()
    seen, speaker = open_frame(frame, depth), model.load()
    talking = Talking(speaker, seen, model.tool(speaker))
    failed = 0
    while question := _question():
        failed += not _answered(talking, question, model.max_tokens)
    if failed and not talking.messages:
        raise RunError("no question has an answer")


def _answered(talking: Talking, question: str, max_tokens: int) -> bool:
    """Ask, and show the answer, or why there is none.

    Raises:
        EndpointError: the next question would fail as well.
    """
    from calipers.chat import ChatError, EndpointError

    try:
        for piece in talking.ask(question, max_tokens):
            sys.stdout.write(printable(piece))
            sys.stdout.flush()
    except EndpointError:
        raise
    except ChatError as error:
        sys.stderr.write(f"calipers: {printable(' '.join(str(error).split()))}\n")
        sys.stderr.flush()
        return False
    _say("")
    return True


def printable(text: str) -> str:
    """A model's text without what would steer a terminal.

    >>> printable("2 m" + chr(27) + "[2J" + chr(10))
    '2 m�[2J\\n'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _question() -> str:
    """The next question: asked for on a terminal, else a line of what is piped in."""
    if not sys.stdin.isatty():
        return next((line.strip() for line in sys.stdin if line.strip()), "")
    try:
        return input("? ").strip()
    except EOFError:
        return ""


def serve(
    *,
    model: ModelOptions,
    host: str = "127.0.0.1",
    port: int = 8700,
    token_env: str | None = None,
    allow_host: tuple[str, ...] = (),
) -> None:
    """Serve a model as an OpenAI-compatible endpoint, and let it measure; Ctrl-C ends it.

    Example: calipers serve --model nano/ --depth-tool text

    Args:
        host: The address to serve at.
        port: The port to serve at; 0 takes a free one.
        token_env: Environment variable with a key that every request must bring.
        allow_host: Hosts that pictures may be fetched from (default: none, only data: URLs).
    """
    try:
        from calipers.serve.service import Options
        from calipers.serve.service import serve as run
    except ImportError as error:
        raise MissingExtraError("calipers serve", "serve") from error
    from calipers.serve.requests import Fetching

    model.tool()
    token, speaker = _token(token_env), model.load()
    options = Options(
        host=host,
        port=port,
        token=token,
        depth_tool=model.tool(speaker),
        max_tokens=model.max_tokens,
        fetching=Fetching(frozenset(allow_host)),
    )
    with suppress(KeyboardInterrupt):
        run(speaker, options, announce=lambda url: _say(f"{url}/v1"))


def _token(variable: str | None) -> str | None:
    if variable is None:
        return None
    token = os.environ.get(variable, "").strip()
    if not token:
        raise UsageError(f"--token-env: the environment variable {variable} is not set")
    return token
