"""Evaluation with the DepthAPI: what a model asks on the way is answered, as when it is used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiny_frames import write_frames

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import calipers  # noqa: E402
import tiny_bases  # noqa: E402
from calipers.chat import Message  # noqa: E402
from calipers.model.answering import SETTINGS, ChatAnswerer, NanoAnswerer, load  # noqa: E402
from calipers.model.bases import base  # noqa: E402
from calipers.model.hugging import Chat  # noqa: E402
from calipers.model.speaking import NanoSpeaker  # noqa: E402
from calipers.serve.asking import Manner, answers  # noqa: E402
from calipers.train import evaluate as evaluating  # noqa: E402
from calipers.train.data import Cache  # noqa: E402
from calipers.train.evaluate import (  # noqa: E402
    Asked,
    drawn,
    evaluate,
    examiner,
    summary,
    with_tool,
)
from calipers.train.nano import Trainer, start_model  # noqa: E402
from calipers.train.recipe import Evaluation, Recipe, make_recipe  # noqa: E402
from calipers.types import Frame  # noqa: E402

SIZES = {
    "picture_wh": [32, 32], "width": 32, "layers": 1, "language_layers": 3, "vocabulary": 300,
}  # fmt: skip
RIGHT = {"quantitative gives-number": 100.0, "quantitative within-90-110": 100.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One frame of one thing."""
    home = tmp_path_factory.mktemp("run")
    write_frames(home / "frames", 1, one_thing)
    calipers.scenes(str(home / "frames"), str(home / "run"), workers=1)
    return home / "run"


def one_thing(number: int, line: dict[str, Any]) -> None:
    """Leave the first object alone."""
    line["objects"] = {name: some[:1] for name, some in line["objects"].items()}


def recipe(run: Path, out: Path, tool: bool = True) -> Recipe:
    stage = {"name": "all", "learn": ["vision", "projector", "language"], "steps": 60,
             "lr": 0.01, "warmup": 2}  # fmt: skip
    asked = {"run": run, "ask": "plain", "types": ["depth"]}
    return make_recipe({
        "out": out, "data": [asked | {"tool": tool}], "stages": [stage], "nano": SIZES,
        "pictures": 1, "turns": 1, "threads": 1, "device": "cpu",
        "evaluate": asked | {"questions": 2, "every": 60},
    })  # fmt: skip


def test_a_nano_that_learns_to_ask_is_answered_in_its_evaluation(run: Path, tmp_path: Path) -> None:
    """It has learnt one call by heart, and says what it is told."""
    wanted, told = recipe(run, tmp_path / "m"), list[dict[str, Any]]()
    examine = examiner(wanted.evaluate)
    assert examine is not None
    Trainer(wanted, told.append, lambda model: examine(NanoAnswerer(model))).train()
    found = [record["evaluation"] for record in told if "evaluation" in record]
    assert len(found) == 1
    assert found[0].items() >= RIGHT.items()

    assert wanted.evaluate is not None
    asked, read = drawn(wanted.evaluate), Cache.frames()
    model = load(tmp_path / "m", "cpu")
    alone = evaluate(model, asked, read)
    assert alone.row("gives-number", "quantitative").mean.mean == 0

    assert isinstance(model, NanoAnswerer)
    used = answers(
        NanoSpeaker("m", model),
        [(read(one.seen), one.case.question) for one in asked],
        Manner(depth_tool="text"),
    )
    said = [one.text for one in used if not isinstance(one, Exception)]
    pairs = [(read(one.seen), one.case.question) for one in asked]
    assert list(with_tool(model, pairs)) == said
    assert all(text.startswith("Depth(0.") and text.endswith(" mm") for text in said)


@pytest.mark.parametrize("tool", [True, False])
def test_a_saved_nano_says_whether_it_learnt_to_ask(run: Path, tmp_path: Path, tool: bool) -> None:
    wanted = recipe(run, tmp_path / "m", tool)
    short = wanted.stages[0].model_copy(update={"steps": 1})
    Trainer(wanted.model_copy(update={"stages": [short], "see": "depth"})).train()
    said = json.loads((tmp_path / "m" / SETTINGS).read_text("utf-8"))
    assert said == {"see": "depth", "tool": tool}
    assert load(tmp_path / "m", "cpu")


class Scripted(NanoSpeaker):
    """Asks how deep the middle is, and says that in centimetres."""

    def going_on(self, messages: Sequence[Message]) -> Any:
        def write(so_far: str) -> Iterator[str]:
            if "=" in so_far:
                yield f" {int(so_far.split('=')[1]) / 10} cm"
            else:
                yield " Depth(0.5,0.5) or so"

        return write


class Alone(NanoAnswerer):
    """Makes up what it is not told, unless it is asked how many."""

    def texts(self, asked: Any, *options: Any, **more: Any) -> list[str]:
        calls = " Depth(0.5,0.5)=7 or so"
        return ["3" if question.startswith("How many") else calls for _, question in asked]


@pytest.fixture
def model(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NanoAnswerer:
    monkeypatch.setattr(evaluating, "NanoSpeaker", Scripted)
    return Alone(start_model(recipe(run, tmp_path)).eval())


def frame(depth_m: float | None) -> Frame:
    rgb = np.zeros((24, 32, 3), np.uint8)
    depth = None if depth_m is None else np.full((24, 32), depth_m, np.float32)
    return Frame("a", "a.png", 32, 24, rgb=rgb, depth_m=depth)


def test_what_is_asked_is_answered_of_the_frame_it_is_about(model: NanoAnswerer) -> None:
    asked = [(frame(depth), "How deep is it?") for depth in (1.5, 2.25)]
    asked.insert(1, (frame(1.5), "How many are there?"))
    assert list(with_tool(model, asked, together=2)) == [
        "Depth(0.5,0.5)=1500 150.0 cm", "3", "Depth(0.5,0.5)=2250 225.0 cm",
    ]  # fmt: skip


def test_of_a_frame_without_depth_the_model_says_what_it_can(model: NanoAnswerer) -> None:
    asked = [(frame(None), "How deep is it?")]
    assert list(with_tool(model, asked)) == model.texts(asked, 0.0)


def test_answers_that_are_asked_for_are_scored(run: Path, model: NanoAnswerer) -> None:
    wanted = Evaluation(run=run, ask="plain", types=["depth"], questions=1)
    (one,) = drawn(wanted)
    deep = [frame(one.case.truth)]  # type: ignore[arg-type]
    asked = [Asked(one.case, one.seen)]
    assert summary(evaluate(model, asked, lambda seen: deep[0], tool=True)).items() >= RIGHT.items()


@pytest.mark.parametrize("name", ["qwen3_vl", "paligemma"])
def test_a_base_is_asked_in_the_precision_of_its_training(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that learn are float32 beside frozen ones: only autocast can compute with both."""
    model, processor = getattr(tiny_bases, name)()
    for weight in model.to(torch.bfloat16).lm_head.parameters():
        weight.data = weight.data.float()
    row = replace(base(model.config.model_type), pixels=(32 * 32, 1 << 20))
    answerer = ChatAnswerer(model.eval(), Chat(processor, row))
    monkeypatch.setattr(answerer, "texts", lambda asked, *_: ["Depth(0.5,0.5)"] * len(asked))
    asked = [(frame(1.5), "How deep is it?")] * 2
    with torch.autocast("cpu", torch.bfloat16):
        said = list(with_tool(answerer, asked))
    assert said[0] == said[1]
    assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(RuntimeError, match="same dtype"):
        list(with_tool(answerer, asked))
