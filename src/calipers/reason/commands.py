"""`calipers reason` on the command line."""

from __future__ import annotations

import json as as_json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cyclopts import Parameter

from calipers.errors import RunError, UsageError


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """What a question may use up.

    Attributes:
        steps: Most turns of the model.
        calls: Most tool calls.
        seconds: Most time.
        tokens: Most tokens written by the model.
        cost: Most money, in the currency of the prices.
        price_in: A million tokens that the model reads.
        price_out: A million tokens that it writes.
        repeats: How often the same call may be made again.
    """

    steps: int = 12
    calls: int = 24
    seconds: float = 300.0
    tokens: int = 20_000
    cost: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    repeats: int = 2


_USUAL = BudgetOptions()


def reason(
    frame: Path,
    question: str,
    /,
    *,
    model: str,
    base_url: str | None = None,
    api_key_env: str = "OPENAI_API_KEY",
    style: Literal["auto", "native", "plain"] = "auto",
    vlm: str | None = None,
    vlm_url: str | None = None,
    record: str | None = None,
    depth: str | None = None,
    fields: str | None = None,
    using: BudgetOptions = _USUAL,
    strict: bool = True,
    json: Path | None = None,
    page: Path | None = None,
) -> None:
    """Let a language model answer a question about a picture by measuring, step by step.

    Prints the answer with its chain of measures; ends with 1 where there is none.

    Example: calipers reason frames/ "Do both boxes fit?" --model qwen --page why.html

    Args:
        frame: Frames, a run folder or (with --depth) a picture.
        question: As people ask.
        model: The language model's name at its endpoint.
        base_url: The endpoint, up to and with /v1 (default: OPENAI_BASE_URL).
        api_key_env: Environment variable with its key.
        style: How the model calls tools: by the protocol (native), or in plain text.
        vlm: A vision-language model that may be asked too: its name at --vlm-url, or a folder that
            `calipers train` wrote.
        vlm_url: The VLM's endpoint.
        record: The id of the record or scene (default: the first).
        depth: The depth file of a picture, beside it.
        fields: JSON with the intrinsics, depth_scale, … of a picture, as in metadata.jsonl.
        strict: Take an answer with a number that comes from no measure for none.
        json: Write the transcript to this file.
        page: Write it as a page with the picture, to this file.
    """
    from calipers.chat import ChatClient
    from calipers.reason.coordinate import reason as run
    from calipers.reason.seeing import load_vlm
    from calipers.tools.chatting import Budget

    budget = Budget(**asdict(using))
    session = _opened(frame, record, depth, fields)
    for file in filter(None, (json, page)):
        _ready(file)
    seeing = None if vlm is None else load_vlm(vlm, vlm_url)
    with ChatClient(model=model, base_url=base_url, api_key_env=api_key_env) as chat:
        found = run(session, question, chat, vlm=seeing, budget=budget, style=style, strict=strict)
    transcript = found.to_json()
    sys.stdout.writelines(f"{line}\n" for line in chain(transcript))
    _write(transcript, session, json, page)
    if not found.answered:
        raise RunError(str(found))


def _ready(file: Path) -> None:
    """See, before anything is paid for, that a file can be written; its folder is made."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{file}: cannot be written ({error.strerror})") from error
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise UsageError(f"{file}: cannot be written")


def _write(transcript: dict[str, Any], session: Any, json: Path | None, page: Path | None) -> None:
    """Write the transcript to the files that were asked for."""
    from calipers.reason.page import write_page

    if json is not None:
        text = as_json.dumps(transcript, indent=1, ensure_ascii=False)
        json.write_text(f"{text}\n", encoding="utf-8")
    if page is not None:
        seen = session.places.frame
        write_page(page, transcript, None if seen is None else seen.rgb)


def chain(transcript: dict[str, Any]) -> list[str]:
    """The results that an answer rests on, a line each, and the answer."""
    from calipers.reason.page import used_results

    used = used_results(transcript)
    calls = [call for turn in transcript["turns"] for call in turn["calls"]]
    lines = [f"{c['id']:<4} {c['result']['text']}" for c in calls if c["id"] in used]
    return [*lines, transcript["answer"]] if transcript["answer"] else lines


def _opened(frame: Path, record: str | None, depth: str | None, fields: str | None) -> Any:
    """The session; what is wrong with the frame is bad usage."""
    from calipers.tools.opening import open_path
    from calipers.tools.results import ToolError

    given = {} if fields is None else _object(fields)
    place = frame.resolve()
    try:
        return open_path(place.parent, place.name, record, depth=depth, fields=given, pixels=True)
    except ToolError as error:
        raise UsageError(f"{frame}: {error}") from error


def _object(text: str) -> dict[str, Any]:
    try:
        found = as_json.loads(text)
    except ValueError as error:
        raise UsageError(f"--fields: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise UsageError("--fields: wanted a JSON object")
    return found
