"""Answer the questions of a file, line by line to disk; a run that was killed goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calipers.chat import ChatError
from calipers.errors import Skip, UsageError
from calipers.io.run import write_json
from calipers.model.speakers import Speaker
from calipers.serve.asking import Manner, Said, answers
from calipers.serve.questions import Question
from calipers.types import Frame

GREEDY = Manner()
_NO_PART = ("budget", "together")
"""Fields of a `Manner` that are no part of what is asked."""
Progress = Callable[[int], None]
"""Is told how many questions are done."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a job came to.

    Attributes:
        answered: now.
        before: answered by an earlier run.
        skipped: of those, no answer: see the file of that name.
    """

    answered: int
    before: int
    skipped: int


def answer_all(
    speaker: Speaker,
    questions: Iterable[Question],
    out: Path,
    manner: Manner = GREEDY,
    *,
    told: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done: None,
) -> Done:
    """Answer questions into a JSONL file of ``{"id", "text"}``, for ``calipers eval``.

    A line holds ``calls`` and ``samples`` besides, where there are any. Beside the file stand
    ``OUT.run.json``, how it was asked, and ``OUT.skipped.jsonl``, what has no answer, and why.
    Ids that the file holds are not asked again; a half line at its end is cut off.

    Args:
        speaker: the model.
        questions: in order.
        out: the file.
        manner: how they are asked.
        told: more to remember of how they were asked, such as the names of model and questions.
        overwrite: throw away what the file holds.
        progress: is told after each batch.

    Raises:
        UsageError: the file holds answers that were asked for in another way.
        EndpointError: the endpoint is not there, or refuses every question.
    """
    asked_how = {name: value for name, value in asdict(manner).items() if name not in _NO_PART}
    known = _begin(out, asked_how | (told or {}), overwrite)
    job = _Job(known)
    with out.open("ab") as file, _beside(out, "skipped.jsonl").open("wb") as skipped:
        readable = job.readable(questions, skipped)
        pending: list[Question] = []

        def asked() -> Iterator[tuple[Frame, str]]:
            for question, frame in readable:
                pending.append(question)
                yield frame, question.text

        for said in answers(speaker, asked(), manner):
            job.keep(pending.pop(0), said, file, skipped)
            progress(job.answered + job.skipped)
    if not job.skipped:
        _beside(out, "skipped.jsonl").unlink()
    return Done(job.answered, len(known), job.skipped)


class _Job:
    """What was done so far."""

    def __init__(self, known: set[str]) -> None:
        self.known, self.answered, self.skipped = set(known), 0, 0

    def readable(
        self, questions: Iterable[Question], skipped: Any
    ) -> Iterator[tuple[Question, Frame]]:
        """The questions that are open and whose frames can be read."""
        for question in questions:
            if question.id in self.known:
                continue
            self.known.add(question.id)
            try:
                frame = question.frame()
            except Skip as skip:
                self._skip(question.id, skip.reason, skip.detail, skipped)
                continue
            yield question, frame

    def keep(self, question: Question, said: Said | ChatError, file: Any, skipped: Any) -> None:
        """Write an answer, or why there is none."""
        if isinstance(said, ChatError):
            self._skip(question.id, "no_answer", str(said), skipped)
            return
        self.answered += 1
        _write(file, {"id": question.id, "text": said.text} | said.record())

    def _skip(self, name: str, reason: str, detail: str, skipped: Any) -> None:
        self.skipped += 1
        _write(skipped, {"id": name, "stage": "answer", "reason": reason, "detail": detail})


def _write(file: Any, row: dict[str, Any]) -> None:
    """One line in one piece."""
    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    file.flush()


def _beside(out: Path, name: str) -> Path:
    return out.with_name(f"{out.name}.{name}")


def _begin(out: Path, asked: dict[str, Any], overwrite: bool) -> set[str]:
    """Make the file ready to be gone on with; the ids that it holds."""
    record, asked = _beside(out, "run.json"), json.loads(json.dumps(asked))
    if overwrite:
        out.unlink(missing_ok=True)
        record.unlink(missing_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        before = json.loads(record.read_text("utf-8")) if record.exists() else None
        if before != asked:
            raise UsageError(
                f"{out}: {_difference(before, asked)}; take another --out, or --overwrite"
            )
        return _known(out)
    write_json(record, asked)
    return set()


def _difference(before: dict[str, Any] | None, asked: dict[str, Any]) -> str:
    if before is None:
        return "holds answers that were not asked for by this command"
    name = next(name for name in {**before, **asked} if before.get(name) != asked.get(name))
    return f"was asked with {name} {before.get(name)!r}, now it is {asked.get(name)!r}"


def _known(out: Path) -> set[str]:
    """The ids in a file, of which a half last line is cut off.

    Raises:
        UsageError: a line that is no answer.
    """
    found, size = set(), 0
    with out.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                found.add(json.loads(line)["id"])
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{out}:{number}: no answer ({error})") from error
            size += len(line)
    os.truncate(out, size)
    return found
