"""Training a base of Hugging Face: TRL's SFTTrainer, PEFT's adapters, and our own batches.

A stage is one run of the trainer in a folder of its own, ``OUT/STAGE``, whose checkpoints it goes
on from. Batches come from `calipers.model.hugging.collate`, so exactly the answers are learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from calipers.errors import RunError, UsageError
from calipers.experts.torch_runtime import choose_device, require
from calipers.io.run import write_json
from calipers.model.answering import SETTINGS, ChatAnswerer
from calipers.model.hugging import Chat, check_depth, collate, load_chat, load_model
from calipers.model.pointing import in_own_words
from calipers.train.checkpoints import drop_after, last_whole, mark_stage, stages_done, step_of
from calipers.train.data import Cache, Sample
from calipers.train.evaluate import examiner
from calipers.train.parts import prepare, rates
from calipers.train.processes import free, keep_there, offline, own_device, processes, save_whole
from calipers.train.recipe import Recipe, RunData, Stage
from calipers.train.sources import samples
from calipers.types import Frame

Tell = Callable[[dict[str, Any]], None]
MERGED = "merged"
"""In the folder of a stage with adapters: its base with them in it, a model like any other."""
LOOKED_AT = 1000
"""So many samples are looked through for pictures before the first step."""


def train(
    recipe: Recipe, tell: Tell = lambda record: None, loaded: tuple[Any, Chat] | None = None
) -> Path:
    """Train all stages of a recipe whose model is a base of Hugging Face, or those that are left.

    Args:
        recipe: all that is to be done.
        tell: is told losses and evaluations.
        loaded: the model and how it reads (default: the recipe's, from disk).

    Returns:
        The folder of the last stage, which `calipers.model.answering.load` reads.

    Raises:
        UsageError: the recipe has data for a nano alone, or its folder is another recipe's.
        MissingExtraError: trl or peft is not installed.
        RunError: pictures do not reach the model, or its processor would break packed depth.
    """
    check_data(recipe)
    for package in ("trl", "peft"):
        require(package, "training a base of Hugging Face", "train")
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    folders = [recipe.out / f"{k}-{stage.name}" for k, stage in enumerate(recipe.stages)]
    done = stages_done(recipe, folders)
    if done == len(folders):
        return folders[-1]
    with offline():
        _train(recipe, tell, folders, done, loaded)
    return folders[-1]


def _train(
    recipe: Recipe, tell: Tell, folders: Sequence[Path], done: int, loaded: tuple[Any, Chat] | None
) -> None:
    """Train the stages after those done."""
    device = own_device(recipe.device)
    begun = _weights(folders[done - 1]) if done else recipe.model
    model, chat = loaded or load_chat(begun, recipe.codec, recipe.see, device)
    if recipe.see in ("rgbd", "depth"):
        check_depth(chat)
    if loaded and done:
        model = load_model(begun, device)
    for number in range(done, len(folders)):
        if number > done:
            model = load_model(_weights(folders[number - 1]), device)
        _Run(recipe, recipe.stages[number], number, folders[number], chat, tell).train(model)
        model = None
        free()


def _weights(folder: Path) -> str:
    """The whole model that a stage has saved."""
    return str(folder / MERGED if (folder / MERGED).exists() else folder)


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
        """Train a model, from the last checkpoint if there is one; what comes back has adapters."""
        keep_there(model)
        precision = model.dtype
        if self.recipe.precision == "float32":
            model.float()
        torch.manual_seed(self.recipe.seed + self.number)  # adapters begin by chance
        learner = prepare(model, self.stage, self.chat.base)
        with self._computing(learner):
            check_pictures(learner, self.collate(self._shown()))
        saved = last_whole(self.folder)
        trainer = self._trainer(learner)
        trainer.train_dataset = self._rows(step_of(saved))
        trainer.accelerator.wait_for_everyone()
        if trainer.is_world_process_zero():
            mark_stage(self.recipe, self.folder, False)
            drop_after(self.folder, saved)
        trainer.accelerator.wait_for_everyone()
        trainer.train(resume_from_checkpoint=str(saved) if saved else None)
        save_whole(trainer, learner, self.folder, precision)
        if trainer.is_world_process_zero():
            self._finish()
        trainer.accelerator.wait_for_everyone()
        return learner

    def _finish(self) -> None:
        """Save what is to be known beside the weights, and the adapters in their base."""
        folders = [self.folder]
        if self.stage.lora is not None:
            folders.append(self.folder / MERGED)
            load_model(str(self.folder), "cpu").save_pretrained(str(folders[1]))
        settings = {"codec": self.chat.codec, "see": self.chat.see, "tool": self.recipe.tool}
        for folder in folders:
            self.chat.processor.save_pretrained(str(folder))
            write_json(folder / SETTINGS, settings)
        mark_stage(self.recipe, self.folder, True)

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
        return (one for sample in found for one in self._apart(self._told(sample)))

    def _apart(self, sample: Sample) -> list[Sample]:
        """A sample a turn, where the base takes no more."""
        if self.chat.talks:
            return [sample]
        return [sample._replace(turns=[turn]) for turn in sample.turns]

    def _shown(self) -> list[Sample]:
        """The first two samples with pictures.

        Raises:
            RunError: the first samples have none.
        """
        seen = (s for s in islice(self.samples(), LOOKED_AT) if s.seen is not None)
        if found := list(islice(seen, 2)):
            return found
        said = f"the first {LOOKED_AT} samples have none"
        raise RunError(f"the pictures do not reach the model: {said}")

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

            def get_train_dataloader(self) -> Any:
                found = super().get_train_dataloader()
                found.base_dataloader.generator = torch.Generator()  # takes no chance from steps
                return found

            def create_optimizer(self, *args: Any) -> Any:
                if self.optimizer is None:
                    self.optimizer = torch.optim.AdamW(rates(self.model, stage), lr=stage.lr)
                return self.optimizer

        trainer = Trainer(
            model=learner,
            args=trl.SFTConfig(**self._options()),
            train_dataset=self._rows(0),
            data_collator=lambda rows: self.collate([row["sample"] for row in rows]),
            processing_class=self.chat.processor,
            callbacks=[self._listener(learner, hf.TrainerCallback)],
        )
        trainer.remove_callback(hf.PrinterCallback)
        return trainer

    def _rows(self, done: int) -> Any:
        """The samples of all processes for the steps after those done, as TRL wants them.

        No picture is opened of a sample before.
        """
        datasets: Any = require("datasets", "training a base of Hugging Face", "train")
        each = self.recipe.pictures * self.recipe.accumulate * processes()

        def rows() -> Iterator[dict[str, Any]]:
            left = islice(self.samples(), done * each, self.stage.steps * each)
            return ({"images": sample.seen, "sample": sample} for sample in left)

        return datasets.IterableDataset.from_generator(rows)

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
            "ignore_data_skip": True,  # `_rows` begins behind what was learnt from
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
