"""Training a calipers-nano: a plain loop over stages, with checkpoints from which it goes on.

What the n-th step learns from, and what it draws by chance, follows from the recipe alone, so a run
that was killed reads past what it has seen and goes on with the same losses.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic_core import from_json
from torch.nn.utils.rnn import pad_sequence

from calipers.errors import RunError, UsageError
from calipers.experts.torch_runtime import choose_device
from calipers.io.run import write_json
from calipers.model.adapters import add_adapters, merge_adapters
from calipers.model.answering import SETTINGS
from calipers.model.grounding import IGNORED
from calipers.model.nano import Batch, Named, Nano, NanoConfig, tiny_language
from calipers.model.pictures import both
from calipers.model.smol import smollm2
from calipers.model.tokens import Row, Writer, train_tokenizer
from calipers.questions.sampling import generator
from calipers.train.checkpoints import last_checkpoint, recipe_digest, restore, save
from calipers.train.data import Cache, Sample, texts
from calipers.train.naming import called, covering, patch_words, shares
from calipers.train.recipe import Recipe, Stage
from calipers.train.sources import samples

Learnt = Batch | Named
Tell = Callable[[dict[str, Any]], None]
"""Is told what happened: a step (stage, step, loss, rate, seconds) or an evaluation."""

AHEAD = 2
"""Batches that are made while the model learns from another."""
NOTATION = "hundred"
"""How boxes are written: two digits a side are two tokens each, and finer than a patch."""
READ_FOR_TOKENS = 200
"""Samples that a tokenizer is made of."""
FINISHED = "finished.json"
"""In the folder of the model: which recipe has trained it."""
_BETAS, _DECAY, _MOST_GRADIENT, _LEAST_RATE = (0.9, 0.98), 0.05, 1.0, 0.05


@dataclass(slots=True)
class Progress:
    """How far a run is: the number of its stage, and the steps done in it."""

    stage: int = 0
    step: int = 0


class Trainer:
    """Trains a calipers-nano by a recipe.

    Args:
        recipe: all that is to be done.
        tell: is told each step.
        evaluate: is given the model where the recipe wants an evaluation.

    Raises:
        UsageError: the model or the data are not there.
    """

    def __init__(
        self,
        recipe: Recipe,
        tell: Tell = lambda record: None,
        evaluate: Callable[[Nano], dict[str, Any]] | None = None,
    ) -> None:
        if recipe.threads is not None:
            torch.set_num_threads(recipe.threads)
        torch.manual_seed(recipe.seed)
        self.recipe, self.tell, self.evaluate = recipe, tell, evaluate
        self.device = choose_device(recipe.device)
        self.model = start_model(recipe).to(self.device)
        self.writer = Writer(self.model.tokenizer, self.model.config.patches)
        size, codec = self.model.config.picture_wh, self.model.config.codec
        self.cache = Cache(lambda f: both(f.rgb, f.depth_m, size, codec, recipe.see))
        self.black = np.zeros((2, 3, size[1], size[0]), np.uint8)
        self.done = Progress()

    def train(self, stop_after: int | None = None) -> Path | None:
        """Train all stages, going on from the last checkpoint if there is one.

        Args:
            stop_after: leave a checkpoint after so many steps, and stop.

        Returns:
            The folder of the finished model; None when stopped before.

        Raises:
            RunError: pictures do not reach the model, or the loss is no number any more.
            UsageError: the folder holds a checkpoint or a model of another recipe.
        """
        saved = last_checkpoint(self.recipe)
        if is_finished(self.recipe, saved):
            return self.recipe.out
        if saved is not None:
            self.done = Progress(**json.loads((saved / "state.json").read_text("utf-8"))["done"])
        left = math.inf if stop_after is None else stop_after
        for stage in self.recipe.stages[self.done.stage :]:
            adam = self._begin(stage, saved)
            for batches in self._batches(stage):
                self._step(stage, adam, batches)
                left -= 1
                self._evaluate()
                last = self.done.step == stage.steps
                if left == 0 or last or self.done.step % self.recipe.checkpoint == 0:
                    save(self.recipe, self.model, adam, asdict(self.done))
                if left == 0:
                    return None
            if stage.lora is not None:
                merge_adapters(self.model)
            self.done, saved = Progress(self.done.stage + 1), None
        self.model.eval()
        self.model.save_pretrained(self.recipe.out)
        said = {"see": self.recipe.see, "tool": self.recipe.tool}
        write_json(self.recipe.out / SETTINGS, said)
        write_json(self.recipe.out / FINISHED, {"recipe": recipe_digest(self.recipe)})
        return self.recipe.out

    def _begin(self, stage: Stage, saved: Path | None) -> torch.optim.AdamW:
        """Choose what a stage learns, and take over what a checkpoint holds."""
        self._seed("before")
        if stage.lora is not None:
            add_adapters(self.model, stage.lora.r, stage.lora.alpha, stage.lora.dropout)
        groups = choose_parts(self.model, stage)
        adam = torch.optim.AdamW(groups, betas=_BETAS, weight_decay=_DECAY)
        if saved is not None:
            restore(saved, self.model, adam)
        else:
            check_pictures(self.model, self._collate(list(islice(self._samples(stage), 2))))
        self.model.train()
        return adam

    def _seed(self, place: str) -> None:
        """Let what is drawn at a place in this stage, as dropout, depend on nothing before it."""
        drawn = generator(self.recipe.seed, f"stage {self.done.stage}, {place}").integers(2**63)
        torch.manual_seed(int(drawn))

    def _step(self, stage: Stage, adam: torch.optim.AdamW, batches: Sequence[Learnt]) -> None:
        """One update of the weights."""
        begun, rate = time.perf_counter(), rate_at(stage, self.done.step)
        self._seed(f"step {self.done.step}")
        for group in adam.param_groups:
            group["lr"] = rate * group["highest"]
        half = self.recipe.precision == "bfloat16"
        loss = 0.0
        for batch in batches:
            with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=half):
                part = self.model(batch.to(self.device)) / len(batches)
            part.backward()
            loss += part.item()
        if not math.isfinite(loss):
            raise RunError(f"stage {stage.name}, step {self.done.step + 1}: the loss is {loss}")
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), _MOST_GRADIENT)
        adam.step()
        adam.zero_grad()
        self.done.step += 1
        seconds = time.perf_counter() - begun
        tokens = sum(batch.size for batch in batches)
        self.tell(
            {"stage": stage.name, "step": self.done.step, "of": stage.steps, "loss": loss,
             "rate": rate * stage.lr, "tokens": tokens, "seconds": seconds}
        )  # fmt: skip

    def _evaluate(self) -> None:
        wanted = self.recipe.evaluate
        if wanted is None or self.evaluate is None or self.done.step % wanted.every:
            return
        self.model.eval()
        found = self.evaluate(self.model)
        self.model.train()
        stage = self.recipe.stages[self.done.stage].name
        self.tell({"stage": stage, "step": self.done.step, "evaluation": found})

    def _samples(self, stage: Stage) -> Iterator[Sample]:
        recipe = self.recipe
        return samples(
            stage.data or recipe.data,
            seed=recipe.seed + self.done.stage,
            turns=recipe.turns,
            spatial_share=recipe.spatial_share,
            notation=NOTATION,
            measure=lambda sample: self.writer.measure(sample.turns),
        )

    def _batches(self, stage: Stage) -> Iterator[list[Learnt]]:
        """What is left to learn from in a stage; made ahead by another thread."""
        if self.done.step == stage.steps:
            return
        recipe, stream = self.recipe, self._samples(stage)
        size = recipe.pictures
        for _ in islice(stream, self.done.step * size * recipe.accumulate):
            pass

        def make() -> list[Learnt]:
            return [self._collate(list(islice(stream, size))) for _ in range(recipe.accumulate)]

        left = stage.steps - self.done.step
        with ThreadPoolExecutor(1) as pool:
            waiting: list[Future[list[Learnt]]] = []
            for number in range(left):
                while len(waiting) < min(AHEAD + 1, left - number):
                    waiting.append(pool.submit(make))
                yield waiting.pop(0).result()

    def _collate(self, found: Sequence[Sample]) -> Learnt:
        pictures = np.stack([self.black if s.seen is None else self.cache(s.seen) for s in found])
        asked, words, covered = any(s.turns for s in found), None, None
        if any(s.things for s in found) and not (asked and self.recipe.see == "nothing"):
            grid = self.model.config.grid_wh
            parts = [shares(s.things, grid) for s in found]
            shown = [patch_words(s.things, covering(p), self.writer) for s, p in zip(found, parts)]
            words = torch.from_numpy(np.stack(shown))
            covered = pad_sequence([torch.from_numpy(p) for p in parts], batch_first=True)
            if not asked:
                return Named(torch.from_numpy(pictures), words)
        rows = [self.writer.row(s.turns, s.spatial, called(s.things)) for s in found]
        batch = collate(rows, pictures, self.model.tokenizer.pad_token_id)
        batch.words, batch.shares = words, covered
        return batch


def is_finished(recipe: Recipe, saved: Path | None) -> bool:
    """Whether a recipe's folder holds the model that it trains.

    Args:
        recipe: all that is to be done.
        saved: its last checkpoint.

    Raises:
        UsageError: the model there is of another recipe.
    """
    if not (recipe.out / "model.safetensors").exists():
        return False
    said = recipe.out / FINISHED
    if said.exists() and from_json(said.read_bytes()) == {"recipe": recipe_digest(recipe)}:
        return True
    if saved is None:
        raise UsageError(f"{recipe.out}: holds a model of another recipe; take another folder")
    return False


def start_model(recipe: Recipe) -> Nano:
    """The model that a recipe begins with: new, with SmolLM2, or one that was saved.

    Raises:
        UsageError: the folder holds none.
        MissingExtraError: the package of SmolLM2 is not installed.
    """
    sizes, codec = recipe.nano, recipe.codec
    heads = max(1, sizes.width // 32)
    if recipe.model == "nano":
        later = [source for stage in recipe.stages for source in stage.data or ()]
        data = [*recipe.data, *(source for source in later if source not in recipe.data)]
        data = [source for source in data if getattr(source, "ask", "") != "names"] or data
        stream = samples(data, seed=recipe.seed, turns=recipe.turns, measure=_letters,
                         notation=NOTATION, spatial_share=recipe.spatial_share)  # fmt: skip
        read = list(texts(islice(stream, READ_FOR_TOKENS)))
        tokenizer = train_tokenizer(read, sizes.vocabulary)
        language = tiny_language(len(tokenizer), sizes.width, sizes.language_layers)
        config = NanoConfig(sizes.picture_wh, codec, sizes.width, sizes.layers, heads, language)
        return Nano(config, tokenizer)
    if recipe.model == "nano-smollm2":
        tokenizer, weights = smollm2()
        config = NanoConfig(sizes.picture_wh, codec, sizes.width, sizes.layers, heads)
        return Nano(config, tokenizer, weights)
    model = Nano.from_pretrained(recipe.model)
    if "codec" in recipe.model_fields_set:
        model.config = replace(model.config, codec=codec)
    return model


def _letters(sample: Sample) -> int:
    return sum(len(question) + len(answer) for question, answer in sample.turns)


def collate(rows: Sequence[Row], pictures: Any, pad: int) -> Batch:
    """Rows of different lengths and their pictures, (B, 2, 3, H, W) uint8, as one batch."""
    longest = max(len(row.tokens) for row in rows)

    def filled(name: str, padding: int) -> torch.Tensor:
        lists = (getattr(row, name) for row in rows)
        return torch.tensor([found + [padding] * (longest - len(found)) for found in lists])

    return Batch(
        torch.from_numpy(pictures),
        filled("tokens", pad),
        filled("labels", IGNORED),
        filled("turn", -1),
        filled("position", 0),
        filled("named", -1),
        filled("order", -1),
    )


def choose_parts(model: Nano, stage: Stage) -> list[dict[str, Any]]:
    """Freeze what a stage does not learn; the optimiser's groups, a part each.

    With LoRA, of the language model only the adapters learn.
    """
    groups, rates = [], {str(name): rate for name, rate in stage.rates.items()}
    for name, part in model.parts().items():
        weights = []
        for inner, weight in part.named_parameters():
            adapter = "lora_" in inner
            learnt = name in stage.learn and (
                name != "language" or adapter == (stage.lora is not None)
            )
            weight.requires_grad_(learnt)
            if learnt:
                weights.append(weight)
        if weights:
            groups.append({"params": weights, "highest": rates.get(name, stage.lr)})
    return groups


def rate_at(stage: Stage, step: int) -> float:
    """Share of the highest learning rate: up in `warmup` steps, then down as a cosine.

    >>> stage = Stage(name="s", learn=["projector"], steps=120, warmup=20)
    >>> [round(rate_at(stage, step), 3) for step in (0, 19, 20, 70, 119)]
    [0.05, 1.0, 1.0, 0.525, 0.05]
    """
    if step < stage.warmup:
        return (step + 1) / stage.warmup
    share = (step - stage.warmup) / max(stage.steps - stage.warmup, 1)
    return _LEAST_RATE + (1 - _LEAST_RATE) * (1 + math.cos(math.pi * share)) / 2


@torch.no_grad()
def check_pictures(model: Nano, batch: Learnt) -> None:
    """Refuse to train a model whose loss does not depend on the pictures.

    Raises:
        RunError: the loss is the same with the pictures' negatives.
    """
    model.eval()
    batch = batch.to(model.device)
    seen = model(batch).item()
    batch.pictures = 255 - batch.pictures
    if model(batch).item() == seen:
        raise RunError("the pictures do not reach the model: the loss is the same with others")
