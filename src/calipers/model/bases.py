"""Hugging Face models that can be trained to measure: one table of what differs between them.

All take RGB and depth as two pictures of one turn. `Base.fit` is the size that a base's own
processor leaves as it is, so that packed depth is never resized after packing.

Names, licences, notations and adapters' places: model cards and the code of transformers 5.23.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from calipers.errors import UsageError

Size = tuple[int, int]

_QKVO = "q_proj|k_proj|v_proj|o_proj"
_LANGUAGE = rf".*(language_model|text_model)\..*\.({_QKVO}|gate_proj|up_proj|down_proj)"

PROJECTOR = (
    r"(^|\.)(merger|deepstack_merger_list|multi_modal_projector|connector|embed_vision)(\.|$)"
)
"""Finds the projector among a base's modules; looked for before `VISION`."""
VISION = r"(^|\.)(visual|vision_tower|vision_model)(\.|$)"
"""Finds the vision encoder; all else is the language model."""
_MOST_ASPECT = 200
"""Of a picture's sides; Qwen's processors refuse more."""


@dataclass(frozen=True, slots=True)
class Base:
    """A row of the table.

    Attributes:
        model_type: as its ``config.json`` says.
        ids: on the model hub, small to large.
        licence: of the weights.
        notation: how it writes boxes, a name of `calipers.io.exports.notations.NOTATIONS`.
        adapters: a pattern of the linear layers that LoRA adapts.
        step: sides of its pictures are multiples of it.
        square: all pictures become squares of this side instead.
        pixels: least and most pixels of a picture.
        options: for its processor, so that it takes a picture as one piece.
        answer_type: of the tokens of an answer in ``token_type_ids``.
        note: what else one has to know.
    """

    model_type: str
    ids: tuple[str, ...]
    licence: str
    notation: str
    adapters: str = _LANGUAGE
    step: int = 1
    square: int | None = None
    pixels: tuple[int, int] = (1, 1 << 40)
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    answer_type: int = 0
    note: str = ""

    def fit(self, size_wh: Size, square: int | None = None) -> Size:
        """The size that a picture of some size gets before it is handed over: multiples of `step`
        with as many pixels as may be, by the rule of Qwen's processors (``smart_resize``).

        Args:
            size_wh: of the picture.
            square: the side that the checkpoint's processor says, where it is not the row's.

        >>> base("qwen3_vl").fit((640, 480)), base("paligemma").fit((640, 480))
        ((640, 480), (224, 224))
        >>> base("qwen3_vl").fit((1600, 1200))
        (1152, 864)
        """
        if self.square is not None:
            return (square or self.square,) * 2
        (least, most), area = self.pixels, size_wh[0] * size_wh[1]
        steps = [max(1, round(side / self.step)) for side in size_wh]
        pixels = steps[0] * steps[1] * self.step**2
        if pixels > most:
            larger = math.sqrt(area / most)
            steps = [max(1, math.floor(side / larger / self.step)) for side in size_wh]
        elif pixels < least:
            scale = math.sqrt(least / area)
            steps = [math.ceil(side * scale / self.step) for side in size_wh]
        longest = min(_MOST_ASPECT * min(steps), most // (min(steps) * self.step**2))
        width, height = (min(side, longest) * self.step for side in steps)
        return width, height


_TABLE = (
    Base(
        "qwen3_vl",
        ("Qwen/Qwen3-VL-2B-Instruct", "Qwen/Qwen3-VL-4B-Instruct", "Qwen/Qwen3-VL-8B-Instruct"),
        "Apache-2.0", "qwen3-vl", step=32, pixels=(65536, 1048576),
        note="its processor needs torchvision",
    ),
    Base(
        "qwen3_5",
        ("Qwen/Qwen3.5-0.8B", "Qwen/Qwen3.5-2B", "Qwen/Qwen3.5-4B", "Qwen/Qwen3.5-9B"),
        "Apache-2.0 (card of 0.8B)", "thousand", step=32, pixels=(65536, 1048576),
        adapters=rf".*language_model\..*\.({_QKVO}|in_proj_qkv|in_proj_z|out_proj)",
        note="only every fourth layer has q, k, v and o; its processor needs torchvision",
    ),
    Base(
        "smolvlm",
        ("HuggingFaceTB/SmolVLM2-500M-Video-Instruct", "HuggingFaceTB/SmolVLM2-2.2B-Instruct"),
        "Apache-2.0", "thousand", square=512,  # 384 in 2.2B, as its processor says
        options=MappingProxyType({"do_image_splitting": False, "do_resize": False}),
        note="no notation of its own is published; needs num2words and torchvision",
    ),
    Base(
        "internvl",
        tuple(f"OpenGVLab/InternVL3_5-{size}-HF" for size in ("1B", "2B", "4B", "8B")),
        "Apache-2.0", "thousand", square=448,
        options=MappingProxyType({"crop_to_patches": False}),
        note="its processor needs torchvision",
    ),
    Base(
        "gemma3", ("google/gemma-3-4b-it",), "Gemma terms", "thousand", square=896,
        note="no notation of its own is published",
    ),
    Base(
        "gemma4", ("google/gemma-4-E2B-it", "google/gemma-4-E4B-it"), "Apache-2.0", "thousand",
        step=48, pixels=(48 * 48, 645120), options=MappingProxyType({"do_resize": False}),
        note="not run by us; its notation was not looked up",
    ),
    Base(
        "paligemma", ("google/paligemma2-3b-pt-224", "google/paligemma2-3b-pt-448"),
        "Gemma terms", "paligemma", square=224, answer_type=1,
        note="no chat: one question, one answer",
    ),
)  # fmt: skip

BASES: Mapping[str, Base] = MappingProxyType({row.model_type: row for row in _TABLE})
"""Type of the model's config → row."""


def base(model_type: str) -> Base:
    """The row of a model's type.

    Raises:
        UsageError: there is none.
    """
    if model_type not in BASES:
        known = ", ".join(BASES)
        raise UsageError(f"no base of type {model_type!r} is known (calipers.model.bases): {known}")
    return BASES[model_type]
