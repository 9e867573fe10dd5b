"""A recipe: all that one training run is made of, as a YAML file that is checked before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from calipers.depth_codec import RANGE_M
from calipers.errors import UsageError

Part = Literal["vision", "projector", "language"]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RunData(_Checked):
    """Questions about the scenes of a run, asked on the fly.

    Attributes:
        run: a run folder, or a folder of scene files.
        frames: where its pictures are, when they were moved.
        ask: "questions" (all types of `calipers ask`); "places": where things are in the picture,
            in the base's notation, and how deep; "plain": in one wording each, see
            `calipers.train.plain`; "names": what each patch shows, for the encoder of a nano.
        questions_per_scene, types, mix, split: as of `calipers.QuestionStream`.
        noise: standard deviation of what lengths of plain answers are multiplied by, around 1.
        tool: plain answers ask the DepthAPI first, where it knows.
        short: share of names in plain questions that are said in short, "the red thing" where one
            thing is red.
        patches: what the patches of a thing learn to show in a nano, all words of its name or
            those before the last, see `calipers.train.naming.things`.
        boxes: share of questions with the box of each object behind its name.
        balance: a file of ``calipers stats --balance``; keeps as many answers of either side.
        weight: how many tokens it gets beside the other runs.
    """

    run: Path
    frames: Path | None = None
    ask: Literal["questions", "places", "plain", "names"] = "questions"
    questions_per_scene: Positive = 60
    types: list[str] | None = None
    mix: float | dict[str, float] | None = None
    split: str | None = None
    noise: Annotated[float, Field(ge=0)] = 0.0
    tool: bool = False
    short: Share = 0.0
    patches: Literal["name", "description"] = "name"
    boxes: Share = 0.0
    balance: Path | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0


class GeneralData(_Checked):
    """Conversations of another data set: JSON (LLaVA) or JSON Lines, see `calipers.train.general`.

    Attributes:
        general: the file.
        images: the folder that its pictures' names begin at (default: the file's).
        weight: how many tokens it gets beside other general data.
    """

    general: Path
    images: Path | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0


class Lora(_Checked):
    """Low-rank adapters in the language model; the defaults are SpatialBot's."""

    r: Positive = 128
    alpha: Positive = 256
    dropout: Share = 0.0


class Stage(_Checked):
    """One stage of training.

    Attributes:
        learn: which parts change; the others stay as they are.
        steps: updates of the weights.
        lr: the highest learning rate, of what `rates` does not name.
        rates: learning rates of single parts.
        lora: adapt the language model by these instead of changing it whole.
        warmup: steps in which the rate rises; it then falls as a cosine to a twentieth.
    """

    name: str
    learn: list[Part] = Field(min_length=1)
    steps: Positive
    lr: Annotated[float, Field(gt=0)] = 2e-4
    rates: dict[Part, float] = {}
    lora: Lora | None = None
    warmup: Annotated[int, Field(ge=0)] = 20
    data: list[RunData | GeneralData] | None = None

    @model_validator(mode="after")
    def _check(self) -> Stage:
        if self.lora and "language" not in self.learn:
            raise ValueError("lora adapts the language model, which is not in learn")
        if set(self.rates) - set(self.learn):
            raise ValueError("rates names a part that is not in learn")
        return self


class Evaluation(_Checked):
    """Questions that are answered during training; not learnt from.

    Attributes:
        ask: "questions" or "plain", as of `RunData`.
    """

    run: Path
    frames: Path | None = None
    ask: Literal["questions", "plain"] = "questions"
    split: str | None = None
    types: list[str] | None = None
    questions: Positive = 200
    every: Positive = 500
    seed: int = 1_000_003


class NanoSizes(_Checked):
    """Sizes of a calipers-nano that is made from scratch; see `calipers.model.nano.NanoConfig`."""

    picture_wh: tuple[int, int] = (160, 128)
    width: Positive = 128
    layers: Positive = 2
    language_layers: Positive = 4
    vocabulary: Positive = 2048


class Recipe(_Checked):
    """One training run.

    Attributes:
        model: "nano" (all from scratch), "nano-smollm2" (SmolLM2-135M from its package), the folder
            of a saved model, or a hub id of an image-text-to-text model.
        out: folder of the trained model and of the checkpoints.
        data: what is learnt from, where a stage names nothing else.
        spatial_share: share of the tokens that are spatial, when there is general data too.
        codec: how depth is packed.
        see: what of a frame the model sees.
        pictures, turns: pictures of a step (on each device), and questions about each.
        accumulate: batches whose gradients are summed before a step.
        checkpoint: steps between two checkpoints; the last two are kept.
        precision: bfloat16 by autocast, or float32.
        threads: of torch on a CPU; None leaves it alone.
        gradient_checkpointing: less memory for a third more time, in bases of Hugging Face.
    """

    model: str = "nano"
    out: Path
    data: list[RunData | GeneralData] = Field(min_length=1)
    stages: list[Stage] = Field(min_length=1)
    evaluate: Evaluation | None = None
    spatial_share: Share = 0.05
    seed: Annotated[int, Field(ge=0)] = 0
    codec: str = "log8"
    see: Literal["rgbd", "rgb", "depth", "nothing"] = "rgbd"
    pictures: Positive = 8
    turns: Positive = 12
    accumulate: Positive = 1
    checkpoint: Positive = 500
    nano: NanoSizes = NanoSizes()
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str | None = None
    threads: Positive | None = None
    gradient_checkpointing: bool = False

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if self.codec not in RANGE_M:
            raise ValueError(f"codec: wanted {', '.join(RANGE_M)}, got {self.codec!r}")
        return self


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe; relative paths in it begin at its folder.

    Raises:
        UsageError: not there, not YAML, or not a recipe; the text says which field and why.
    """
    path = Path(path)
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as YAML: {_line(error)}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path}: wanted a recipe (see docs/train.md), got {type(found).__name__}")
    return make_recipe(_rooted(found, path.parent), str(path))


def make_recipe(fields: dict[str, Any], name: str = "recipe") -> Recipe:
    """Check the fields of a recipe.

    Raises:
        UsageError: which field is wrong and why.
    """
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{name}: {place}: {first['msg']}" if place else first["msg"]) from error


_PATHS = ("run", "frames", "general", "images", "balance", "out")


def _rooted(value: Any, root: Path) -> Any:
    """The same with relative paths begun at `root`."""
    if isinstance(value, dict):
        return {
            name: str(root / item)
            if name in _PATHS and isinstance(item, str)
            else _rooted(item, root)
            for name, item in value.items()
        }
    return [_rooted(item, root) for item in value] if isinstance(value, list) else value


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
