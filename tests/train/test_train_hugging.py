"""Training a base of Hugging Face: tiny random checkpoints of real classes, made on the spot."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiny_frames import write_frames

torch = pytest.importorskip("torch")
for package in ("transformers", "trl", "peft"):
    pytest.importorskip(package)

import calipers  # noqa: E402
import tiny_bases  # noqa: E402
from calipers.errors import RunError, UsageError  # noqa: E402
from calipers.model.answering import ChatAnswerer, answer  # noqa: E402
from calipers.model.bases import base  # noqa: E402
from calipers.model.hugging import Chat, check_depth, collate, load_model  # noqa: E402
from calipers.train.hugging import _Run, check_pictures, train  # noqa: E402
from calipers.train.parts import part_of  # noqa: E402
from calipers.train.recipe import Recipe, make_recipe  # noqa: E402
from calipers.types import Frame  # noqa: E402

WHOLE = "modules_to_save.default."
TURNS = [("How far is it?", "1.5 m."), ("Is it red?", "No.")]


def chat_of(name: str) -> tuple[Any, Chat]:
    model, processor = getattr(tiny_bases, name)()
    row = base(model.config.model_type)
    return model, Chat(processor, replace(row, pixels=(32 * 32, 1 << 20)))


@pytest.fixture(scope="module", params=["qwen3_vl", "paligemma"])
def pair(request: pytest.FixtureRequest) -> tuple[Any, Chat]:
    return chat_of(request.param)


def frame(depth: float = 1.5) -> Frame:
    rgb = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    metres = np.full((64, 96), depth, np.float32)
    return Frame(id="a", image="a", width=96, height=64, rgb=rgb, depth_m=metres)


def learnt(chat: Chat, batch: dict[str, Any], row: int) -> str:
    labels = batch["labels"][row]
    text: str = chat.processor.tokenizer.decode(labels[labels != -100])
    return text


def test_exactly_the_answer_and_its_end_are_learnt(pair: tuple[Any, Chat]) -> None:
    _, chat = pair
    end = chat.processor.tokenizer.eos_token
    one, two = (([*chat.pictures(frame())], [turn]) for turn in TURNS)
    batch = collate(chat, [one, two])
    assert [learnt(chat, batch, k) for k in range(2)] == [f"1.5 m.{end}", f"No.{end}"]
    same = batch["labels"] != -100
    assert torch.equal(batch["labels"][same], batch["input_ids"][same])
    assert "pixel_values" in batch


def test_what_the_depth_tool_says_is_not_learnt(pair: tuple[Any, Chat]) -> None:
    _, chat = pair
    turn = ("How deep is it?", "Depth(0.25,0.50)=1500 mm")
    batch = collate(chat, [(chat.pictures(frame()), [turn])])
    end = chat.processor.tokenizer.eos_token
    assert learnt(chat, batch, 0) in (f"Depth(0.25,0.50) mm{end}", f"Depth(0.25,0.50)= mm{end}")


def test_all_answers_of_a_conversation_are_learnt() -> None:
    _, chat = chat_of("qwen3_vl")
    batch = collate(chat, [(chat.pictures(frame()), TURNS)])
    assert learnt(chat, batch, 0) == "1.5 m.<|im_end|>No.<|im_end|>"
    text = chat.processor.tokenizer.decode(batch["input_ids"][0])
    pictures = "<|vision_start|>" + 6 * "<|image_pad|>" + "<|vision_end|>"
    assert text.startswith(f"<|im_start|>user\nRGB: {pictures}Depth: {pictures}\nHow far is it?")


def test_what_is_asked_in_use_is_what_was_asked_in_training(pair: tuple[Any, Chat]) -> None:
    _, chat = pair
    pictures = chat.pictures(frame())
    asked = chat.inputs([chat.prompt(TURNS[0][0])], [pictures])["input_ids"][0]
    trained = collate(chat, [(pictures, TURNS[:1])])
    before = trained["input_ids"][0][: len(asked)]
    assert torch.equal(asked, before)
    assert (trained["labels"][0][: len(asked)] == -100).all()


def test_padding_changes_no_loss() -> None:
    model, chat = chat_of("qwen3_vl")
    short, long = ((chat.pictures(frame()), turns) for turns in (TURNS[:1], TURNS))
    batch = collate(chat, [short, long])
    batch["labels"][1] = -100
    with torch.no_grad():
        alone, padded = model(**collate(chat, [short])).loss, model(**batch).loss
    assert padded.item() == pytest.approx(alone.item(), abs=1e-4)


def test_a_batch_without_pictures_goes_through_the_vision_encoder(pair: tuple[Any, Chat]) -> None:
    """Of several processes some have text alone; all of them have to meet there."""
    model, chat = pair
    calls = []
    for name, module in model.named_modules():
        if name.endswith(("visual.blocks.0", "vision_model.encoder.layers.0", "encoder.layers.0")):
            module.register_forward_hook(lambda *_: calls.append(1))
    seen, text = (chat.pictures(frame()), TURNS[:1]), ([], TURNS[1:])
    for found in ([seen], [text], [text, seen], [text, text]):
        calls.clear()
        with torch.no_grad():
            model(**collate(chat, found))
        assert len(calls) == 1


def test_the_black_picture_of_a_batch_of_text_changes_no_loss(pair: tuple[Any, Chat]) -> None:
    model, chat = pair
    text, shown = ([], TURNS[:1]), (chat.pictures(frame()), TURNS[1:])
    batch = collate(chat, [text, text])
    assert len(batch["labels"]) == 3
    assert (batch["labels"][2] == -100).all()
    assert len(collate(chat, [text, shown])["labels"]) == 2
    beside = collate(chat, [text, shown])
    beside["labels"][1] = -100
    model.zero_grad()
    loss = model(**batch).loss
    loss.backward()
    assert loss.item() == pytest.approx(model(**beside).loss.item(), abs=1e-5)
    for name, weight in model.named_parameters():
        if part_of(name) != "language" and weight.grad is not None:
            assert not weight.grad.any(), name


def test_a_processor_that_resizes_packed_depth_is_refused(pair: tuple[Any, Chat]) -> None:
    _, chat = pair
    check_depth(chat)
    broken = replace(chat.base, square=200, step=1) if chat.base.square is None else None
    if broken is not None:  # 200 is no multiple of Qwen3-VL's 32
        with pytest.raises(RunError, match="resizes pictures of 200x200"):
            check_depth(Chat(chat.processor, broken))


def test_a_model_that_does_not_see_is_not_trained() -> None:
    model, chat = chat_of("paligemma")
    batch = collate(chat, [(chat.pictures(frame()), TURNS[:1])])
    check_pictures(model, batch)
    torch.nn.init.zeros_(model.model.multi_modal_projector.linear.weight)
    with pytest.raises(RunError, match="pictures do not reach the model"):
        check_pictures(model, batch)
    del batch["pixel_values"]
    with pytest.raises(RunError, match="the first samples have none"):
        check_pictures(model, batch)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("run")
    write_frames(home / "frames", 4)
    calipers.build(str(home / "frames"), str(home / "run"), workers=1, questions_per_scene=8)
    return home / "run"


def recipe(run: Path, out: Path, steps: int) -> Recipe:
    lora = {"r": 4, "alpha": 8}
    stages = [
        {"name": "projector", "learn": ["projector"], "steps": 2, "lr": 0.01, "warmup": 0},
        {"name": "instruction", "learn": ["projector", "language"], "steps": steps, "lr": 0.02,
         "warmup": 0, "lora": lora, "rates": {"projector": 0.001}},
    ]  # fmt: skip
    fields = {
        "model": "unused", "out": out, "data": [{"run": run, "types": ["left_predicate"]}],
        "stages": stages, "pictures": 2, "turns": 2, "checkpoint": 2, "device": "cpu", "threads": 1,
        "evaluate": {"run": run, "types": ["left_predicate"], "questions": 2, "every": 2},
    }  # fmt: skip
    return make_recipe(fields)


NAMES = {"run": "run", "ask": "names"}
PLACES = {"run": "run", "ask": "places", "patches": "description"}


@pytest.mark.parametrize(
    ("data", "later", "said"),
    [
        ([NAMES], None, "data.0.ask: names is for a nano"),
        ([{"general": "g"}, PLACES], None, "data.1.patches: description is for a nano"),
        ([{"run": "run"}], [NAMES], "stages.1.data.0.ask: names is for a nano"),
        ([{"run": "run"}], [{"run": "r"}, PLACES], "stages.1.data.1.patches: description is"),
    ],
)
def test_what_only_a_nano_learns_is_refused_before_a_base_is_loaded(
    tmp_path: Path, data: list[Any], later: list[Any] | None, said: str
) -> None:
    stage = {"name": "one", "learn": ["projector"], "steps": 1}
    fields = {"model": "not/there", "out": tmp_path / "m", "data": data,
              "stages": [stage, stage | {"data": later}]}  # fmt: skip
    with pytest.raises(UsageError, match=said):
        train(make_recipe(fields))
    assert not (tmp_path / "m").exists()


class Killed(Exception):  # noqa: N818
    """What ends a run in the middle."""


def test_two_stages_learn_and_go_on_with_the_same_losses(run: Path, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    def tell(record: dict[str, Any]) -> None:
        told.append(record)
        if stop and record["step"] == 3:
            raise Killed

    def losses(out: Path) -> list[float]:
        told.clear()
        with suppress(Killed):
            train(recipe(run, out, 4), tell, chat_of("qwen3_vl"))
        mine = [record for record in told if record["stage"] == "instruction"]
        return [record["loss"] for record in mine if "loss" in record]

    stop = False
    whole = losses(tmp_path / "a")
    assert whole[-1] < whole[0]
    evaluated = [(r["stage"], r["step"]) for r in told if "evaluation" in r]
    assert evaluated == [("projector", 2), ("instruction", 2), ("instruction", 4)]
    assert [r["evaluation"]["questions"] for r in told if "evaluation" in r] == [2, 2, 2]
    names = {path.name for path in (tmp_path / "a" / "1-instruction").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "calipers.json"} <= names
    stop = True
    assert losses(tmp_path / "b") == whole[:3]
    stop = False
    assert losses(tmp_path / "b") == whole[2:]  # from the checkpoint of step 2


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize("lora", [None, {"r": 4, "alpha": 8}])
def test_a_base_in_half_precision_learns_in_small_steps(
    run: Path, tmp_path: Path, precision: str, lora: dict[str, int] | None
) -> None:
    """Most steps of 1e-5 are less than half the distance of two numbers of bfloat16."""
    stage = {"name": "all", "learn": ["projector", "language"], "steps": 2, "lr": 1e-5,
             "warmup": 0, "lora": lora}  # fmt: skip
    fields = recipe(run, tmp_path, 1).model_dump() | {
        "stages": [stage], "precision": precision, "evaluate": None,
    }  # fmt: skip
    model, chat = chat_of("qwen3_vl")
    model.to(torch.bfloat16).save_pretrained(str(tmp_path / "base"))
    model.name_or_path = str(tmp_path / "base")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    learner = _Run(make_recipe(fields), make_recipe(fields).stages[0], 0, tmp_path, chat, print)
    trained = learner.train(model)
    for name, weight in trained.named_parameters():
        if weight.requires_grad:
            assert weight.dtype == torch.float32
            old = before.get(name.removeprefix("base_model.model.").replace(WHOLE, ""))
            if old is not None and weight.ndim > 1 and "embed_tokens" not in name:
                assert (weight != old).float().mean() > 0.8, name
    saved = tmp_path if lora is None else tmp_path / "merged"  # as users of the base expect it
    found = load_model(str(saved), "cpu")
    assert {weight.dtype for weight in found.parameters()} == {torch.bfloat16}
    assert json.loads((saved / "config.json").read_text())["dtype"] == "bfloat16"


def talk(folder: Path, name: str, turns: int, **more: Any) -> dict[str, Any]:
    """A file of general data whose conversations have no pictures."""
    said = [{"from": "human", "value": "Say it"}, {"from": "gpt", "value": "A word."}] * turns
    (folder / name).write_text(json.dumps([{"conversations": said} | more] * 5))
    return {"general": folder / name}


@pytest.mark.parametrize("name", ["qwen3_vl", "paligemma"])
def test_text_alone_before_a_run_and_several_turns_are_learnt(
    run: Path, tmp_path: Path, name: str
) -> None:
    data = [talk(tmp_path, "a.json", 1), talk(tmp_path, "b.json", 2), {"run": run}]
    stage = {"name": "all", "learn": ["projector", "language"], "steps": 3, "lr": 1e-3}
    fields = {"model": "unused", "out": tmp_path / "out", "data": data, "stages": [stage],
              "pictures": 2, "turns": 2, "device": "cpu", "threads": 1}  # fmt: skip
    told: list[dict[str, Any]] = []
    train(make_recipe(fields), told.append, chat_of(name))
    assert [record["step"] for record in told] == [1, 2, 3]


def test_a_run_without_any_picture_ends_before_its_first_step(tmp_path: Path) -> None:
    stage = {"name": "all", "learn": ["projector"], "steps": 3}
    fields = {"model": "unused", "out": tmp_path / "out", "data": [talk(tmp_path, "a.json", 1)],
              "stages": [stage], "device": "cpu"}  # fmt: skip
    with pytest.raises(RunError, match="the first 1000 samples have none"):
        train(make_recipe(fields), print, chat_of("qwen3_vl"))
    assert not (tmp_path / "out").exists()


def test_a_base_answers_and_its_answer_depends_on_the_picture() -> None:
    model, chat = chat_of("qwen3_vl")
    assert isinstance(answer(ChatAnswerer(model, chat), frame(), "How far is it?"), str)
    given = [
        chat.inputs([chat.prompt("Why?")], [chat.pictures(frame(depth))]) for depth in (1.5, 9.0)
    ]
    with torch.no_grad():
        one, two = (model(**some).logits[0, -1] for some in given)
    assert (one - two).abs().max() > 1e-5
