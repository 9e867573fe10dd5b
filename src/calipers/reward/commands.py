"""The verbs ``calipers reward …``: annotate episodes, draw a map, say how a goal is understood."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from cyclopts import App

from calipers.errors import Skip, UsageError
from calipers.types import Frame

app = App(
    name="reward",
    help="Rewards for robots: how far a scene is from a goal in words.",
    help_format="plaintext",
    result_action="return_value",
)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


@app.command
def annotate(
    episodes: Path,
    /,
    *,
    out: Path,
    goal: str | None = None,
    by: Literal["tools", "model", "both"] = "tools",
    model: str | None = None,
) -> None:
    """Write a copy of a LeRobot dataset with the columns next.reward and next.success.

    Example: calipers reward annotate episodes/ --out rewarded/ --goal "put the cup in the bin"

    Args:
        episodes: A LeRobot dataset of version 3, with depth, intrinsics and objects.
        out: A new or empty folder.
        goal: What is rewarded (default: each episode's own instruction).
        by: Who measures: the tools, a model, or the tools and a model where they see nothing.
        model: The folder of a trained model, for --by model and --by both.
    """
    from calipers.reward.datasets import annotate as run
    from calipers.reward.datasets import summary
    from calipers.reward.models import trained

    ask = None if model is None else trained(model)
    for line in summary(run(episodes, out, goal, by, ask)):
        _say(line)
    _say(f"dataset   {out}")


@app.command
def map(frames: Path, /, *, goal: str, out: Path, record: str | None = None) -> None:
    """Draw what each place of a scene is worth for a goal.

    Example: calipers reward map frames/ --goal "put the red cup in the bin" --out map.png

    Args:
        frames: Anything that calipers build reads, with depth, intrinsics and objects.
        goal: What is rewarded.
        out: The picture to write.
        record: The id of the record (default: the first).
    """
    from PIL import Image

    from calipers.io.masks import decode_mask
    from calipers.reward.goals import parse
    from calipers.reward.maps import draw_map, reward_map, writable
    from calipers.stages.lift import lift

    writable(out)
    wanted, frame = parse(goal), _frame(frames, record)
    if frame.rgb is None or frame.objects is None:
        raise UsageError(f"{frame.id}: wanted a picture with objects")
    try:
        scene = lift(frame, [item.rle and decode_mask(item.rle) for item in frame.objects])
        drawn = draw_map(frame.rgb, reward_map(frame, scene, wanted))
    except Skip as skip:
        raise UsageError(f"{frame.id}: {skip.reason}: {skip.detail}") from skip
    Image.fromarray(drawn).save(out)
    _say(f"map       {out}")


@app.command
def goal(text: str, /) -> None:
    """Say how a goal is understood.

    Example: calipers reward goal "stack the red block on the blue one"
    """
    from calipers.reward.goals import parse

    found = parse(text)
    reference = "" if found.reference is None else f", reference {str(found.reference)!r}"
    _say(f"{found.relation}: target {str(found.target)!r}{reference}")


def _frame(frames: Path, record: str | None) -> Frame:
    """The record of an input, with its pixels."""
    from calipers.io.frames import read_shard
    from calipers.io.inputs.sources import open_frames

    for shard in open_frames(frames).shards(64):
        for found in read_shard(shard, pixels=True):
            if record not in (None, found.id):
                continue
            if not isinstance(found, Frame):
                raise UsageError(f"{found.id}: {found.reason}: {found.detail}")
            return found
    raise UsageError(f"{frames}: no record {record!r}")
