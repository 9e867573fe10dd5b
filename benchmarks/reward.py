"""Rewards and successes by the tools from RGB-D, against the physics of a simulated robot.

    python -m benchmarks.reward [--episodes 50] [--first 0] [--keep FOLDER] [--show]

Each seed makes two episodes: one in which a script does as told, and one with a flaw (the arm
stops, never closes its fingers, lets go on the way, or takes another thing). Robot, things and view
are drawn by chance, and so is how the thing is told: by name, place, size or as the real one. The
goal is read from the instruction. Frames are 320x240, four a second, with exact masks.

Reward: Spearman's correlation, over an episode, of the hand's way that the reward is made of (the
tools' measures, smoothed) with the true distance from the point between the finger pads to the
middle of the thing. Until it is held, for from then on the true one is constant; and over all
frames, with the true distance in whole centimetres. Straight episodes only.

Success: what the detector says of the whole episode against the physics: done in the last frame,
for a touch done in any. `--keep` keeps the episodes for the next time.

Tolerances and weights were chosen on seeds 1000 to 1011.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks import one_thread
from benchmarks.contact import wilson
from benchmarks.robot_episodes import Episode, kept, with_faults
from calipers.io.masks import decode_mask
from calipers.reward.curves import SCALE_M, from_measures, left, rewards
from calipers.reward.goals import parse
from calipers.reward.measures import Measurer, Measures
from calipers.stages.lift import lift
from calipers.types import Doubles, Frame

CONDITIONS = ("exact depth", "a camera's depth")
Row = tuple[float, float, bool, bool]


def measured(episode: Episode, frames: Sequence[Frame]) -> list[Measures]:
    """What the tools tell of each frame; nothing but depth, masks, camera and gravity is used."""
    measurer = Measurer(parse(episode.instruction))
    masks = ([item.rle and decode_mask(item.rle) for item in f.objects or ()] for f in frames)
    return [measurer.see(lift(frame, some)) for frame, some in zip(frames, masks)]


def judged(episode: Episode, frames: Sequence[Frame]) -> Row:
    """Both correlations, 0 where nothing was measured; whether it was done, and told to be."""
    found = measured(episode, frames)
    ways = np.array([left("touched", one) for one in found])
    measurable = bool(np.isfinite(ways).any())
    hand = -SCALE_M * np.log(rewards(ways)) if measurable else 0 * ways
    far = np.array(episode.far_m)
    held = next((k for k, stage in enumerate(episode.stages) if stage == "lift"), len(far))
    goal = parse(episode.instruction)
    done = any(episode.done) if goal.relation == "touched" else episode.done[-1]
    return (
        correlation(hand[:held], far[:held]),
        correlation(hand, np.round(100 * far)),
        done,
        measurable and from_measures(goal, found).success,
    )


def correlation(a: Doubles, b: Doubles) -> float:
    """Spearman's; 0 where one of the two says nothing."""
    told = len(a) > 1 and np.isfinite(a).all() and np.ptp(a) > 0 and np.ptp(b) > 0
    return float(spearmanr(a, b)[0]) if told else 0.0


def rows(episodes: Iterator[Episode], show: bool) -> dict[str, list[tuple[Episode, Row]]]:
    """Judge all episodes in both conditions."""
    out: dict[str, list[tuple[Episode, Row]]] = {name: [] for name in CONDITIONS}
    for episode in episodes:
        for name, frames in zip(CONDITIONS, (episode.frames, with_faults(episode))):
            row = judged(episode, frames)
            out[name].append((episode, row))
            if show and row[2] != row[3]:
                said = f"{episode.seed} {episode.task} {episode.flaw}: true {row[2]}"
                print(f"wrong, {name}: {said}", flush=True)
    return out


def report(name: str, found: Sequence[tuple[Episode, Row]]) -> str:
    """The lines of one condition."""
    straight = np.array([row[:2] for episode, row in found if episode.flaw is None])
    table = Counter((row[2], row[3]) for _, row in found)
    right = table[True, True] + table[False, False]
    low, high = (100 * end for end in wilson(right, len(found)))
    reach, whole = np.median(straight, axis=0)
    tenth = np.percentile(straight[:, 0], 10)
    frames = sum(len(episode.frames) for episode, _ in found)
    return "\n".join(
        [
            f"{name}: {len(found)} episodes, {frames} frames",
            f"  reward: Spearman, median of {len(straight)}: {reach:.3f} until held "
            f"(a tenth is below {tenth:.3f}), {whole:.3f} over all",
            f"  success: {100 * right / len(found):.1f} % ({low:.1f} to {high:.1f}); "
            f"done {table[True, True] + table[True, False]} of which told {table[True, True]}, "
            f"not done {table[False, True] + table[False, False]} "
            f"of which told done {table[False, True]}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    one_thread()
    seeds = range(given.first, given.first + given.episodes)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        made = (kept(folder, seed, flawed) for seed in seeds for flawed in (False, True))
        for name, found in rows(made, given.show).items():
            print(report(name, found))


if __name__ == "__main__":
    main()
