"""The verb ``calipers spatialqa``."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calipers.spatialqa.folder import Rewording


def spatialqa(
    source: Path,
    /,
    *,
    out: Path,
    count: int = 20,
    types: str | None = None,
    tool_share: float = 0.5,
    seed: int = 0,
    limit: int | None = None,
    overwrite: bool = False,
    reword: str | None = None,
    base_url: str | None = None,
    quiet: bool = False,
) -> None:
    """Ask SpatialBot's three levels of depth questions, directly and by DepthAPI.

    Example: calipers spatialqa frames/ --out spatialqa/

    Args:
        source: A folder of frames with depth, intrinsics and objects, or a run folder.
        out: A new or empty folder; gets qa/*.parquet, skipped.jsonl and run.json.
        count: Questions of a scene.
        types: Types to ask, separated by commas (default: all).
        tool_share: Of the questions DepthAPI can answer, the share answered by it.
        seed: Decides which.
        limit: Take only the first records.
        overwrite: Write into a folder that is not empty.
        reword: Let this model of an OpenAI-compatible endpoint word the questions anew; what does
            not agree with the facts is rejected, counted, and left in the templates' words.
        base_url: The endpoint, up to and with /v1 (default: $OPENAI_BASE_URL).
        quiet: Print nothing but errors.
    """
    from calipers.spatialqa.folder import write_spatialqa

    named = None if types is None else [name.strip() for name in types.split(",") if name.strip()]
    record = write_spatialqa(
        source, out, count=count, seed=seed, types=named, tool_share=tool_share, limit=limit,
        overwrite=overwrite, reword=None if reword is None else _rewording(reword, base_url),
    )  # fmt: skip
    if not quiet:
        _tell(record)


def _tell(record: dict[str, Any]) -> None:
    counts = record["counts"]
    lines = [f"skipped   {n} ({reason})" for reason, n in record["skipped"].items()]
    lines.append(f"scenes    {counts.get('scenes', 0)}")
    if counts.get("without_depth_map"):
        lines.append(f"no depth map at hand for {counts['without_depth_map']} of them")
    questions, by_tool = counts.get("questions", 0), counts.get("answered_by_tool", 0)
    lines += [f"reworded  {n} ({what})" for what, n in sorted(record["rewording"].items())]
    lines.append(f"questions {questions}, {by_tool} of them answered by DepthAPI")
    sys.stdout.write("\n".join(lines) + "\n")


def _rewording(model: str, base_url: str | None) -> Rewording:
    from calipers.chat import ChatClient
    from calipers.spatialqa.rewriting import rewrite

    return partial(rewrite, ChatClient(model=model, base_url=base_url, max_tokens=2048))
