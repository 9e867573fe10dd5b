"""Training a base of Hugging Face: TRL's SFTTrainer, PEFT's adapters, and our own batches.

A stage is one run of the trainer in a folder of its own, ``OUT/STAGE``, whose checkpoints it goes
on from. Batches come from `calipers.model.hugging.collate`, so exactly the answers are learnt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from calipers.errors import RunError, UsageError
from calipers.experts.torch_runtime import choose_device, require
from calipers.io.run import write_json
from calipers.model.answering import SETTINGS, ChatAnswerer
from calipers.model.bases import PROJECTOR, VISION
from calipers.model.hugging import Chat, check_depth, collate, load_chat, load_model
from calipers.model.pointing import in_own_words
from calipers.train.data import Cache, Sample
from calipers.train.evaluate import examiner
from calipers.train.processes import is_sharded, keep_there, own_device, save_whole
from calipers.train.recipe import Part, Recipe, RunData, Stage
from calipers.train.sources import samples
from calipers.types import Frame

Tell = Callable[[dict[str, Any]], None]


def part_of(name: str) -> Part:
    """Which part of a base a module or weight belongs to, by its name.

    >>> part_of("model.visual.merger.linear_fc1.weight"), part_of("model.visual.blocks.0.attn.qkv")
    ('projector', 'vision')
    >>> part_of("model.language_model.layers.0.mlp.up_proj")
    'language'
    """
    if re.search(PROJECTOR, name):
        return "projector"
    return "vision" if re.search(VISION, name) else "language"


def train(
    recipe: Recipe, tell: Tell = lambda record: None, loaded: tuple[Any, Chat] | None = None
) -> Path:
    """Train all stages of a recipe whose model is a base of Hugging Face.

    Args:
        recipe: all that is to be done.
        tell: is told losses and evaluations.
        loaded: the model and how it reads (default: the recipe's, from disk).

    Returns:
        The folder of the last stage, which `calipers.model.answering.load` reads.

    Raises:
        UsageError: the recipe has data for a nano alone.
        MissingExtraError: trl or peft is not installed.
        RunError: pictures do not reach the model, or its processor would break packed depth.
    """
    check_data(recipe)
    for package in ("trl", "peft"):
        require(package, "training a base of Hugging Face", "train")
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    device = own_device(recipe.device)
    model, chat = loaded or load_chat(recipe.model, recipe.codec, recipe.see, device)
    if recipe.see in ("rgbd", "depth"):
        check_depth(chat)
    folder = recipe.out
    for number, stage in enumerate(recipe.stages):
        folder = recipe.out / f"{number}-{stage.name}"
        model = _Run(recipe, stage, number, folder, chat, tell).train(model)
    return folder


_OF_NANO = (("ask", "names"), ("patches", "description"))


def check_data(recipe: Recipe) -> None:
    """Refuse data that only a nano learns from.

    Raises:
        UsageError: which field says so.
    """
    lists = [(f"stages.{k}.data", stage.data or []) for k, stage in enumerate(recipe.stages)]
    for place, data in [("data", recipe.data), *lists]:
        for k, source in enumerate(data):
            for field, value in _OF_NANO if isinstance(source, RunData) else ():
                if getattr(source, field) == value:
                    said = f"{value} is for a nano, and {recipe.model} is a base of Hugging Face"
                    raise UsageError(f"{place}.{k}.{field}: {said}")


class _Run:
    """One stage.

    Weights that learn are float32, so that small steps are not rounded away; what is saved in the
    end has the precision that the base came in.
    """

    def __init__(
        self, recipe: Recipe, stage: Stage, number: int, folder: Path, chat: Chat, tell: Tell
    ) -> None:
        self.recipe, self.stage, self.number = recipe, stage, number
        self.folder, self.chat, self.tell = folder, chat, tell
        self.cache: Callable[[Any], Frame] = Cache.frames(2000)
        self.examine = examiner(recipe.evaluate, self.cache)

    def train(self, model: Any) -> Any:
        """Train a model; what comes back has no adapters any more, and is split no more."""
        keep_there(model)
        precision = model.dtype
        if self.recipe.precision == "float32":
            model.float()
        learner = prepare(model, self.stage, self.chat)
        with self._computing(learner):
            check_pictures(learner, self.collate(list(islice(self.samples(), 2))))
        trainer = self._trainer(learner)
        saved = sorted(self.folder.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
        trainer.train(resume_from_checkpoint=str(saved[-1]) if saved else None)
        if trainer.is_world_process_zero():
            self.chat.processor.save_pretrained(str(self.folder))
            settings = {"codec": self.chat.codec, "see": self.chat.see}
            write_json(self.folder / SETTINGS, settings)
        save_whole(trainer, learner, self.folder, precision)
        if self.number + 1 < len(self.recipe.stages):
            return self._next(trainer, learner, precision)
        return learner

    def _next(self, trainer: Any, learner: Any, precision: torch.dtype) -> Any:
        """The model that the next stage begins with: the one that was saved."""
        folder = self.folder
        if is_sharded(trainer):
            model = load_model(str(folder), own_device(self.recipe.device))
        else:
            lora = self.stage.lora is not None
            model = (learner.merge_and_unload() if lora else learner).to(precision)
        if self.stage.lora is not None:
            folder = folder / "merged"
            if trainer.is_world_process_zero():
                model.save_pretrained(str(folder))
            trainer.accelerator.wait_for_everyone()
        model.name_or_path = str(folder)
        return model

    def _computing(self, model: Any) -> Any:
        """In half precision where the recipe says so; the trainer does the same in its steps."""
        half = self.recipe.precision == "bfloat16"
        return torch.autocast(model.device.type, torch.bfloat16, enabled=half)

    def samples(self) -> Iterator[Sample]:
        """The endless stream of this stage."""
        recipe = self.recipe
        found = samples(
            self.stage.data or recipe.data,
            seed=recipe.seed + self.number,
            turns=recipe.turns if self.chat.talks else 1,
            spatial_share=recipe.spatial_share,
            notation=self.chat.base.notation,
            measure=lambda sample: sum(
                len(self.chat.tokens(text)) for turn in self._told(sample).turns for text in turn
            ),
        )
        return map(self._told, found)

    def _told(self, sample: Sample) -> Sample:
        """A sample of a run with boxes and points as the base writes them."""
        if not sample.spatial:
            return sample
        return sample._replace(turns=[in_own_words(self.chat.base, *turn) for turn in sample.turns])

    def collate(self, found: Sequence[Sample]) -> dict[str, Any]:
        """Samples as a batch."""
        pictures = [[] if s.seen is None else self.chat.pictures(self.cache(s.seen)) for s in found]
        return collate(self.chat, [(p, s.turns) for p, s in zip(pictures, found)])

    def _trainer(self, learner: Any) -> Any:
        trl: Any = require("trl", "training a base of Hugging Face", "train")
        hf: Any = require("transformers", "training a base of Hugging Face", "train")
        stage = self.stage

        class Trainer(trl.SFTTrainer):  # type: ignore[misc]
            """With a learning rate of its own for each part."""

            optimizer: Any

            def create_optimizer(self, *args: Any) -> Any:
                if self.optimizer is None:
                    self.optimizer = torch.optim.AdamW(rates(self.model, stage), lr=stage.lr)
                return self.optimizer

        trainer = Trainer(
            model=learner,
            args=trl.SFTConfig(**self._options()),
            train_dataset=_endless(self.samples),
            data_collator=lambda rows: self.collate([row["sample"] for row in rows]),
            processing_class=self.chat.processor,
            callbacks=[self._listener(learner, hf.TrainerCallback)],
        )
        trainer.remove_callback(hf.PrinterCallback)
        return trainer

    def _options(self) -> dict[str, Any]:
        """Of TRL's `SFTConfig`."""
        stage, recipe = self.stage, self.recipe
        return {
            "output_dir": str(self.folder),
            "max_steps": stage.steps,
            "per_device_train_batch_size": recipe.pictures,
            "gradient_accumulation_steps": recipe.accumulate,
            "learning_rate": stage.lr,
            "lr_scheduler_type": "cosine",
            "warmup_steps": stage.warmup,
            "save_steps": recipe.checkpoint,
            "save_total_limit": 2,
            "logging_steps": 1 if stage.steps < 100 else 10,
            "seed": recipe.seed,
            "bf16": recipe.precision == "bfloat16",
            "use_cpu": choose_device(recipe.device) == "cpu",
            "remove_unused_columns": False,
            "dataset_kwargs": {"skip_prepare_dataset": True},
            "max_length": None,
            "activation_checkpointing": recipe.gradient_checkpointing,
            "report_to": [],
            "disable_tqdm": True,
            "dataloader_num_workers": 0,
        }

    def _listener(self, learner: Any, callback: type[Any]) -> Any:
        """A callback of the trainer that hands on what it logs, and evaluates."""
        run, stage, wanted = self, self.stage, self.recipe.evaluate

        class Told(callback):  # type: ignore[misc]
            """Hands on what the trainer logs, and evaluates."""

            def on_log(self, args: Any, state: Any, control: Any, logs: Any, **_: Any) -> None:
                if "loss" in logs and state.is_world_process_zero:
                    record = {"stage": stage.name, "step": state.global_step, "of": stage.steps}
                    run.tell(record | {"loss": logs["loss"], "rate": logs["learning_rate"]})

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if run.examine is None or wanted is None or state.global_step % wanted.every:
                    return
                learner.eval()
                with run._computing(learner):
                    found = run.examine(ChatAnswerer(learner, run.chat))
                learner.train()
                if state.is_world_process_zero:
                    record = {"stage": stage.name, "step": state.global_step, "evaluation": found}
                    run.tell(record)

        return Told()


def _endless(stream: Callable[[], Iterator[Sample]]) -> Any:
    """Samples as TRL wants them: a data set of dictionaries that say that there are pictures."""
    datasets: Any = require("datasets", "training a base of Hugging Face", "train")

    def rows() -> Iterator[dict[str, Any]]:
        return ({"images": sample.seen, "sample": sample} for sample in stream())

    return datasets.IterableDataset.from_generator(rows)


def prepare(model: Any, stage: Stage, chat: Chat) -> Any:
    """Freeze what a stage does not learn, and put in its adapters; what learns becomes float32.

    With adapters, the other parts that the stage learns are trained whole and saved beside them.
    """
    for name, weight in model.named_parameters():
        weight.requires_grad_(part_of(name) in stage.learn)
    learner = model if stage.lora is None else _adapted(model, stage, chat)
    for weight in learner.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    return learner


def _adapted(model: Any, stage: Stage, chat: Chat) -> Any:
    """A model with the adapters of a stage in it."""
    assert stage.lora is not None
    peft: Any = require("peft", "LoRA", "train")
    options = peft.LoraConfig(
        r=stage.lora.r,
        lora_alpha=stage.lora.alpha,
        lora_dropout=stage.lora.dropout,
        target_modules=chat.base.adapters,
        modules_to_save=_whole(model, stage) or None,
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, options)


def _whole(model: Any, stage: Stage) -> list[str]:
    """The topmost modules of the parts that a stage learns whole, beside the adapters."""
    found: list[str] = []
    for name, module in model.named_modules():
        part = part_of(name)
        inside = any(name.startswith(f"{above}.") for above in found)
        listed = isinstance(module, torch.nn.ModuleList)  # cannot be called, so not be replaced
        if part != "language" and part in stage.learn and not inside and not listed:
            found.append(name)
    return found


def rates(model: Any, stage: Stage) -> list[dict[str, Any]]:
    """The weights that learn, a group a part, each with its learning rate."""
    groups: dict[str, list[Any]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups.setdefault(part_of(name), []).append(weight)
    named = {str(name): rate for name, rate in stage.rates.items()}
    return [{"params": some, "lr": named.get(part, stage.lr)} for part, some in groups.items()]


@torch.no_grad()
def check_pictures(model: Any, batch: dict[str, Any]) -> None:
    """Refuse to train a model whose loss does not depend on the pictures.

    Raises:
        RunError: the batch has no pictures, or the loss is the same with their negatives.
    """
    batch = {k: v.to(model.device) if hasattr(v, "to") else v for k, v in batch.items()}
    if "pixel_values" not in batch:
        raise RunError("the pictures do not reach the model: the first samples have none")
    model.eval()
    seen = model(**batch).loss.item()
    other = model(**batch | {"pixel_values": -batch["pixel_values"]}).loss.item()
    model.train()
    if seen == other:
        raise RunError("the pictures do not reach the model: the loss is the same with others")
