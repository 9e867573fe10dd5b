"""Leave out pictures that show no scene: portraits of products, paintings, screenshots.

The paper (SpatialVLM, arXiv 2401.12168) scores nine labels, two of scenes and seven of other
pictures, and gives no threshold. Here a picture stays when the scenes' labels hold a share of all
probability: half of it, unless ``scene_share`` in ``--experts FILE.yaml`` says otherwise. That
reads both kinds of model: CLIP's probabilities add up to 1 already; SigLIP's are small and
independent, and only their proportions tell.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from calipers.errors import Skip
from calipers.stages.filling import Ask, Outcome, take
from calipers.types import Frame

NOT_A_SCENE = "not_a_scene"


def scene_share(scores: Mapping[str, float], scenes: Collection[str]) -> float:
    """The part of all probability that the labels of scenes hold.

    >>> scene_share({"indoor": 0.5, "outdoor": 0.25, "a painting": 0.25}, {"indoor", "outdoor"})
    0.75
    """
    total = sum(scores.values())
    return sum(scores[label] for label in scores if label in scenes) / total if total > 0 else 0.0


def keep_scenes(
    frames: Sequence[Frame], ask: Ask, scenes: Collection[str], least_share: float
) -> list[Outcome]:
    """Leave out what is no scene (``not_a_scene``); the scores stay with the frame."""

    def judge(frame: Frame, scores: Mapping[str, float]) -> None:
        share = scene_share(scores, scenes)
        rounded = {label: float(f"{score:.4g}") for label, score in scores.items()}
        frame.filled["filter"] = {"expert": ask.signature, "scores": rounded}
        if share < least_share:
            best = max(scores, key=lambda label: scores[label])
            raise Skip(NOT_A_SCENE, f"scene share {share:.2f}; most like {best!r}")

    return take(frames, ask(frames), judge)
