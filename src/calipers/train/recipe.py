"""A recipe: all that one training run is made of, as a YAML file that is checked before it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from calipers.depth_codec import RANGE_M
from calipers.errors import UsageError

Part = Literal["vision", "projector", "language"]
Positive = Annotated[int, Field(gt=0)]
Above0 = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Types = Annotated[list[str], Field(min_length=1)]

NEW = ("nano", "nano-smollm2")
"""Models that are made; whatever lies about under these names is another."""

_TAKE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "questions_per_scene": ("questions",),
        "mix": ("questions",),
        "boxes": ("questions",),
        "balance": ("questions",),
        "types": ("questions", "plain"),
        "noise": ("plain",),
        "tool": ("plain",),
        "short": ("plain",),
        "patches": ("plain", "places", "names"),
    }
)
"""Option of `RunData` → what of `ask` takes it; all others go with everything."""


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunData(_Checked):
    """Questions about the scenes of a run, asked on the fly.

    Attributes:
        run: a run folder, or a folder of scene files.
        frames: where its pictures are, when they were moved.
        ask: "questions" (all types of `calipers ask`); "places": where things are in the picture,
            in the base's notation, and how deep; "plain": in one wording each, see
            `calipers.train.plain`; "names": what each patch shows, for the encoder of a nano.
            Options that it does not take are refused.
        questions_per_scene, types, mix, split: as of `calipers.QuestionStream`.
        noise: standard deviation of what lengths of plain answers are multiplied by, around 1.
        tool: plain answers ask the DepthAPI first, where it knows.
        short: share of names in plain questions that are said in short, "the red thing" where one
            thing is red.
        patches: what the patches of a thing learn to show in a nano, all words of its name or
            those that describe it, see `calipers.train.naming.things`.
        boxes: share of questions with the box of each object behind its name.
        balance: a file of ``calipers stats --balance``; keeps as many answers of either side.
        weight: how many tokens it gets beside the other runs.
    """

    run: Path
    frames: Path | None = None
    ask: Literal["questions", "places", "plain", "names"] = "questions"
    questions_per_scene: Positive = 60
    types: Types | None = None
    mix: float | dict[str, float] | None = None
    split: str | None = None
    noise: Annotated[float, Field(ge=0)] = 0.0
    tool: bool = False
    short: Share = 0.0
    patches: Literal["name", "description"] = "name"
    boxes: Share = 0.0
    balance: Path | None = None
    weight: Above0 = 1.0

    @field_validator(*_TAKE)
    @classmethod
    def _is_taken(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse an option that means nothing with what is asked, unless it is as always."""
        name, ask = str(info.field_name), info.data.get("ask")
        if ask not in (None, *_TAKE[name]) and value != cls.model_fields[name].default:
            raise ValueError(f"not an option of ask: {ask}, but of {', '.join(_TAKE[name])}")
        return value


class GeneralData(_Checked):
    """Conversations of another data set: JSON (LLaVA) or JSON Lines, see `calipers.train.general`.

    Attributes:
        general: the file.
        images: the folder that its pictures' names begin at (default: the file's).
        weight: how many tokens it gets beside other general data.
    """

    general: Path
    images: Path | None = None
    weight: Above0 = 1.0


_KINDS: Mapping[type[_Checked], str] = MappingProxyType(
    {RunData: "run data", GeneralData: "general data"}
)


def _kind(value: Any) -> str | None:
    """Which kind of source a value is meant to be; None for neither."""
    if type(value) in _KINDS:
        return _KINDS[type(value)]
    given = value if isinstance(value, Mapping) else {}
    named = ("general", GeneralData), ("run", RunData)
    return next((_KINDS[kind] for field, kind in named if field in given), None)


def _names_alone(data: list[RunData | GeneralData]) -> list[RunData | GeneralData]:
    """Refuse names beside other data."""
    asks = {getattr(source, "ask", None) for source in data}
    if "names" in asks and len(asks) > 1:
        raise ValueError("ask: names has no tokens to share with others; give it its own stage")
    return data


Source = Annotated[
    Annotated[RunData, Tag(_KINDS[RunData])] | Annotated[GeneralData, Tag(_KINDS[GeneralData])],
    Discriminator(
        _kind,
        custom_error_type="source",
        custom_error_message="wanted run: FOLDER or general: FILE",
    ),
]
Data = Annotated[list[Source], Field(min_length=1), AfterValidator(_names_alone)]
"""Sources that are mixed; names stand alone, for they have no tokens to be mixed by."""


class Lora(_Checked):
    """Low-rank adapters in the language model; the defaults are SpatialBot's."""

    r: Positive = 128
    alpha: Positive = 256
    dropout: Share = 0.0


class Stage(_Checked):
    """One stage of training.

    Attributes:
        name: what it is called in what is told, and in bases of Hugging Face its folder.
        learn: which parts change; the others stay as they are.
        steps: updates of the weights.
        lr: the highest learning rate, of what `rates` does not name.
        rates: learning rates of single parts.
        lora: adapt the language model by these instead of changing it whole.
        warmup: steps in which the rate rises; it then falls as a cosine to a twentieth.
        data: what it learns from; None takes the recipe's.
    """

    name: str
    learn: list[Part] = Field(min_length=1)
    steps: Positive
    lr: Above0 = 2e-4
    rates: dict[Part, Above0] = {}
    lora: Lora | None = None
    warmup: Annotated[int, Field(ge=0)] = 20
    data: Data | None = None

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
        run, frames, split, types: as of `RunData`.
        ask: "questions" or "plain", as of `RunData`.
        questions: how many.
        every: steps between two evaluations.
        seed: decides which questions.
        tool: the model may ask the DepthAPI on the way; None: where a `Recipe` teaches that.
    """

    run: Path
    frames: Path | None = None
    ask: Literal["questions", "plain"] = "questions"
    split: str | None = None
    types: Types | None = None
    questions: Positive = 200
    every: Positive = 500
    seed: int = 1_000_003
    tool: bool | None = None


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
        stages: what is done, one after the other.
        evaluate: what is asked on the way; None asks nothing.
        spatial_share: share of the tokens that are spatial, when there is general data too.
        seed: decides every random choice.
        codec: how depth is packed.
        see: what of a frame the model sees.
        pictures, turns: pictures of a step (on each device), and questions about each.
        accumulate: batches whose gradients are summed before a step.
        checkpoint: steps between two checkpoints; the last two are kept.
        nano: sizes of a nano that is made from scratch.
        precision: bfloat16 by autocast, or float32.
        device: where to; None takes the first of cuda, mps, cpu that is there.
        threads: of torch on a CPU; None leaves it alone.
        gradient_checkpointing: less memory for a third more time, in bases of Hugging Face.
    """

    model: str = "nano"
    out: Path
    data: Data
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

    @property
    def tool(self) -> bool:
        """Whether the model learns to ask the DepthAPI."""
        return _teaches_tool(self.data, self.stages)

    @field_validator("evaluate")
    @classmethod
    def _with_tool(cls, wanted: Evaluation | None, info: ValidationInfo) -> Evaluation | None:
        """Ask as it is learnt, where nothing else is said."""
        if wanted is None or wanted.tool is not None:
            return wanted
        tool = _teaches_tool(info.data.get("data", []), info.data.get("stages", []))
        return wanted.model_copy(update={"tool": tool})

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if self.codec not in RANGE_M:
            raise ValueError(f"codec: wanted {', '.join(RANGE_M)}, got {self.codec!r}")
        return self


def _teaches_tool(data: Iterable[Source], stages: Iterable[Stage]) -> bool:
    learnt = (source for stage in stages for source in stage.data or data)
    return any(isinstance(source, RunData) and source.tool for source in learnt)


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe; relative paths in it begin at its folder.

    A `model` is such a path where there is one; else it is a name.

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
    return make_recipe(_rooted(found, path.parent) | _model(found, path.parent), str(path))


def make_recipe(fields: dict[str, Any], name: str = "recipe") -> Recipe:
    """Check the fields of a recipe.

    Raises:
        UsageError: which field is wrong and why.
    """
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in _KINDS.values())
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(": ".join(filter(None, (name, place, said)))) from error


def _model(fields: Mapping[str, Any], root: Path) -> dict[str, str]:
    """The field `model`, where it is a path beside the recipe."""
    name = fields.get("model")
    if not isinstance(name, str) or name in NEW or not (root / name).exists():
        return {}
    return {"model": str(root / name)}


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
