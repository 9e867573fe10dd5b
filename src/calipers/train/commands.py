"""The verb ``calipers train``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

EVERY = 20
"""Steps between two lines of progress."""


def train(recipe: Path, /, *, quiet: bool = False) -> None:
    """Train a model that measures, by a recipe; goes on where it stopped.

    Example: calipers train recipes/train/nano.yaml

    Args:
        recipe: A YAML file; the fields are those of calipers.train.recipe, see docs/train.md.
        quiet: Print nothing but errors.
    """
    from calipers.train.run import train as run

    told = 0

    def tell(record: dict[str, Any]) -> None:
        nonlocal told
        told += 1
        if not quiet:
            _tell(record)

    out = run(recipe, tell)
    if quiet:
        return
    if not told:
        sys.stderr.write("this recipe was finished before; remove its folder to train anew\n")
    sys.stdout.write(f"model     {out}\n")


def _tell(record: dict[str, Any]) -> None:
    name, step = record["stage"], record["step"]
    if "evaluation" in record:
        shares = dict(record["evaluation"])
        asked = shares.pop("questions")
        said = ", ".join(f"{rule} {share} %" for rule, share in shares.items())
        sys.stderr.write(f"{name} {step}: of {asked} questions {said or 'none is scored'}\n")
    elif step % EVERY == 0 or step == record["of"]:
        speed = (
            f", {record['tokens'] / record['seconds']:.0f} tokens/s" if "tokens" in record else ""
        )
        sys.stderr.write(f"{name} {step}/{record['of']}: loss {record['loss']:.3f}{speed}\n")
    sys.stderr.flush()
