"""General data beside the spatial: conversations of LLaVA's JSON or of JSON Lines with messages."""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from calipers.errors import Skip, UsageError
from calipers.io.inputs.files import open_within

_LOG = logging.getLogger(__name__)
_PLACE = re.compile(r"<image>\s*")
_ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant"}
_MOST_FILES = 8


class Conversation(NamedTuple):
    """Turns of question and answer, and the names of one picture (and its depth), or of none."""

    images: list[str]
    turns: list[tuple[str, str]]


Record = tuple[str, Any]
"""Where a record is in its file, and what it holds; its text, where that is no JSON."""


def read_general(path: Path, images: Path | None = None) -> list[Conversation]:
    """Read all conversations of a file.

    A record has ``conversations`` (``from``: human, gpt; ``value``) or ``messages`` (``role``,
    ``content``), and perhaps ``image`` or ``images``: one picture, or one and its depth. Words of a
    role that is neither user nor assistant are left out, and answers before the first question.

    A record that is none of these, or whose pictures are not there, is left out; how many and why
    is logged, once for a file.

    Args:
        path: the file.
        images: the folder that its pictures' names begin at (default: the file's).

    Raises:
        UsageError: the file is not there, or nothing of it is left; the text says why.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    stamp = state.st_mtime_ns, state.st_size
    return _read(path, Path(os.path.realpath(images or path.parent)), stamp)


@lru_cache(_MOST_FILES)
def _read(path: Path, root: Path, stamp: tuple[int, int]) -> list[Conversation]:
    """All conversations of a file as it is now; each stage of a run reads it."""
    found: list[Conversation] = []
    skipped, first = Counter[str](), dict[str, str]()
    for place, row in _records(path):
        try:
            found.append(_conversation(row, root))
        except Skip as skip:
            skipped[skip.reason] += 1
            first.setdefault(skip.reason, f"{place}: {skip.detail}")
    left_out = skipped.total()
    why = ", ".join(f"{count} {reason} ({first[reason]})" for reason, count in skipped.items())
    if not found:
        raise UsageError(": ".join(filter(None, (f"{path}: holds no conversation", why))))
    if skipped:
        records = left_out + len(found)
        _LOG.warning("%s: %d of %d records left out: %s", path, left_out, records, why)
    return found


def _records(path: Path) -> Iterable[Record]:
    try:
        text = path.read_text("utf-8-sig")
        if text.lstrip()[:1] != "[":
            return _lines(text)
        return ((f"record {k}", row) for k, row in enumerate(json.loads(text), start=1))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as JSON: {error}") from error


def _lines(text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except ValueError:
                yield f"line {number}", line


def _conversation(row: Any, root: Path) -> Conversation:
    """What a record says; its pictures are there.

    Raises:
        Skip: it says nothing that can be learnt, or they are not.
    """
    if not isinstance(row, Mapping):
        raise Skip("bad_json", "wanted an object of JSON")
    found = Conversation(_images(row), _turns(row))
    for name in found.images:
        open_within(root, name, "missing_file").close()
    return found


def _images(row: Mapping[str, Any]) -> list[str]:
    images = row.get("images", row.get("image")) or []
    images = [images] if isinstance(images, str) else images
    named = isinstance(images, list) and all(name and isinstance(name, str) for name in images)
    if not named or len(images) > 2:
        raise Skip("bad_data", "wanted the names of one picture and perhaps its depth")
    return list(images)


def _turns(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    items = row.get("conversations", row.get("messages"))
    said = [_said(item) for item in items] if isinstance(items, list) else []
    said = [(role, text) for role, text in said if role]
    while said and said[0][0] == "assistant":
        del said[0]
    questions, answers = said[::2], said[1::2]
    roles = {role for role, _ in questions}, {role for role, _ in answers}
    if not said or len(said) % 2 or roles != ({"user"}, {"assistant"}):
        raise Skip("bad_data", "wanted turns of user and assistant")
    if not all(text for _, text in answers):
        raise Skip("bad_data", "an answer without words")
    return [(q, a) for (_, q), (_, a) in zip(questions, answers)]


def _said(item: Any) -> tuple[str | None, str]:
    """Who says what; None for who is neither user nor assistant."""
    if not isinstance(item, Mapping):
        raise Skip("bad_data", "wanted turns of user and assistant")
    role = _ROLES.get(str(item.get("from", item.get("role"))))
    content = item.get("value", item.get("content"))
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        content = "".join(text for text in parts if isinstance(text, str))
    if not isinstance(content, str):
        raise Skip("bad_data", "a turn without text")
    return role, _PLACE.sub("", content).strip()
