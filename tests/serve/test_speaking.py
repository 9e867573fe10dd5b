"""Models of transformers that converse: what they read, what they call, and where they end."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tiny_bases  # noqa: E402
from calipers.chat import ChatError  # noqa: E402
from calipers.cli import main  # noqa: E402
from calipers.errors import MissingWeightsError, UsageError  # noqa: E402
from calipers.model.bases import base  # noqa: E402
from calipers.model.hugging import Chat  # noqa: E402
from calipers.model.speakers import Tuning, about, load  # noqa: E402
from calipers.model.speaking import HuggingSpeaker  # noqa: E402
from calipers.model.tokens import TEMPLATE  # noqa: E402
from calipers.serve.asking import Manner, answer, answers, measuring, saying, whole  # noqa: E402
from calipers.tools.chatting import Budget, Called  # noqa: E402
from calipers.types import Frame  # noqa: E402

TOOLS_TOLD = "{% if tools %}<tools>{% for t in tools %}{{ t.function.name }} {% endfor %}</tools>"
TOOLS_TOLD += "{% endif %}"
CALL = '<tool_call>\n{"name": "depth_at", "arguments": {"x": 0.5, "y": 0.5}}\n</tool_call>'


def frame(depth_m: float = 2.0) -> Frame:
    rgb = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    return Frame("a", "a", 96, 64, rgb=rgb, depth_m=np.full((64, 96), depth_m, np.float32))


def qwen(taught: bool, see: str = "rgbd") -> HuggingSpeaker:
    model, processor = tiny_bases.qwen3_vl()
    row = replace(base("qwen3_vl"), pixels=(32 * 32, 1 << 20))
    return HuggingSpeaker("qwen", model, Chat(processor, row, see=see), taught)


def text_of(speaker: HuggingSpeaker, messages: list[Any], tools: Any = ()) -> str:
    ids = speaker.writer(messages, tools).inputs["input_ids"][0]
    text: str = speaker.chat.processor.tokenizer.decode(ids)
    return text.replace("<|image_pad|>", "")


def test_a_model_that_is_not_there_is_no_expert() -> None:
    name = "nobody/no-such-model"
    with pytest.raises(MissingWeightsError, match=f"'hf download {name}', or give a local folder"):
        load(name)


def test_a_taught_base_reads_what_it_read_in_training() -> None:
    speaker = qwen(taught=True)
    turns = [("How far?", "2 m."), ("Is <image> red?", "")]
    pieces = speaker.chat.pieces(turns, 2)
    trained = "".join(piece.text for piece in pieces[:-1]).replace("<|image_pad|>", "")
    messages = [*about(frame(), "How far?"), {"role": "assistant", "content": "2 m."},
                {"role": "user", "content": "Is <image> red?"}]  # fmt: skip
    assert text_of(speaker, messages) == trained
    assert "RGB: <|vision_start|><|vision_end|>Depth: <|vision_start|>" in trained


def test_an_untaught_base_is_shown_the_picture_alone() -> None:
    said = text_of(qwen(taught=False, see="rgb"), about(frame(), "How far?"))
    assert said == (
        "<|im_start|>user\n<|vision_start|><|vision_end|>How far?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_template_without_tools_is_told_so() -> None:
    with pytest.raises(UsageError, match=r"takes no tools; try Depth\(x,y\)"):
        text_of(qwen(taught=False), about(frame(), "How far?"), [{"type": "function"}])


def teach(speaker: HuggingSpeaker, lessons: list[tuple[list[Any], str]], tools: Any) -> None:
    """Make a model say each lesson's text after its conversation."""
    tokenizer = speaker.chat.processor.tokenizer
    batches = []
    for messages, said in lessons:
        inputs = dict(speaker.writer(messages, tools).inputs)
        target = tokenizer(said + tokenizer.eos_token, return_tensors="pt")["input_ids"]
        asked, shape = inputs["input_ids"], inputs["input_ids"].shape
        for name, value in inputs.items():
            if value.shape == shape:
                fill = {"input_ids": target, "attention_mask": torch.ones_like(target)}
                rest = fill.get(name, torch.zeros_like(target))
                inputs[name] = torch.cat([value, rest], 1)
        labels = torch.cat([torch.full_like(asked, -100), target], 1)
        batches.append(inputs | {"labels": labels})
    adam = torch.optim.AdamW(speaker.model.parameters(), 1e-2)
    for _ in range(250):
        loss = sum(speaker.model(**batch).loss for batch in batches)
        loss.backward()
        adam.step()
        adam.zero_grad()
        if loss.item() < 0.02:
            break
    assert loss.item() < 0.2


def test_a_base_calls_tools_and_answers_from_what_they_say() -> None:
    torch.set_num_threads(1)
    speaker, seen = qwen(taught=False, see="rgb"), frame()
    template = speaker.chat.processor.chat_template
    speaker.chat.processor.chat_template = (TOOLS_TOLD + template).replace(
        "{{ c.text }}", "{{ c.text[:40] }}"
    )
    session = measuring(seen)
    assert session is not None
    tools, asked = session.functions(), about(seen, "How far?")
    arguments = '{"x": 0.5, "y": 0.5}'
    function = {"name": "depth_at", "arguments": arguments}
    calls = [{"id": "call-0", "type": "function", "function": function}]
    result = {"role": "tool", "tool_call_id": "call-0", "content": session.call(**function)}
    after = [*asked, {"role": "assistant", "content": "I look.", "tool_calls": calls}, result]
    teach(speaker, [(asked, f"I look.\n{CALL}"), (after, "2 m.")], tools)

    turn = saying(speaker, asked, session, "native", Budget(steps=4))
    shown = []
    while True:
        try:
            shown.append(next(turn))
        except StopIteration as end:
            said = end.value
            break
    assert [piece.name for piece in shown if isinstance(piece, Called)] == ["depth_at"]
    heard = "".join(piece for piece in shown if isinstance(piece, str))
    assert heard == "I look.\n2 m."  # of the call itself nothing is heard
    assert said.text == "2 m."
    assert json.loads(said.calls[0]["answer"])["value"] == 2.0


@pytest.mark.parametrize("name", ["llava", "paligemma"])
def test_any_image_text_to_text_model_answers(name: str, tmp_path: Path) -> None:
    model, processor = getattr(tiny_bases, name)()
    model.save_pretrained(tmp_path / name)
    processor.save_pretrained(tmp_path / name)
    speaker = load(str(tmp_path / name)).tuned(Tuning(max_tokens=5), {})
    assert (speaker.name, speaker.taught) == (name, False)
    reply = whole_reply(speaker, about(frame(), "How far?"))
    assert reply.tokens_out == 5
    assert reply.finish_reason == "length"
    warm = speaker.tuned(Tuning(temperature=1.0, max_tokens=8, seed=3), {})
    one, two = (whole_reply(warm, about(frame(), "How far?")).text for _ in range(2))
    assert one == two


def whole_reply(speaker: Any, messages: list[Any]) -> Any:
    pieces = speaker.stream(messages)
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value


def test_depth_is_not_packed_for_a_processor_that_is_not_known(tmp_path: Path) -> None:
    model, processor = tiny_bases.llava()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="what its processor does to packed depth is not known"):
        load(str(tmp_path), see="rgbd")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, "its processor reads no pictures (Qwen2Tokenizer)"),
        (
            {"video_processor": {"video_processor_type": "Qwen3VLVideoProcessor"}},
            "its processor needs the torchvision that fits your torch: pip install torchvision",
        ),
    ],
)
def test_a_processor_that_cannot_be_used_is_told_at_once(
    more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """A class that is not known, and Qwen3-VL's own, which asks for torchvision."""
    if find_spec("torchvision") is not None and more:
        pytest.skip("torchvision is here")
    model, processor = tiny_bases.qwen3_vl()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    path = tmp_path / "processor_config.json"
    name = "Qwen3VLProcessor" if more else "PicturesOnly"
    path.write_text(json.dumps(json.loads(path.read_text()) | more | {"processor_class": name}))
    with pytest.raises(UsageError, match=re.escape(message)):
        load(str(tmp_path))


def test_a_nano_reads_the_last_question_alone(home: Path) -> None:
    """In training none of its questions sees another."""
    speaker = load(str(home / "nano"))
    messages = [*about(frame(), "How far?"), {"role": "assistant", "content": "2 m."},
                {"role": "user", "content": "How <image> tall?"}]  # fmt: skip
    ids = speaker.going_on(messages).inputs["input_ids"][0]
    asked, answered = TEMPLATE.question, TEMPLATE.answer
    text = speaker.model.tokenizer.decode(ids).rpartition("<image>")[2]
    assert text == f"{asked}How < image> tall?{answered}"
    with pytest.raises(ChatError, match="the model takes 4096 tokens, got"):
        whole(saying(speaker, about(frame(), "x" * 10_000)))


def test_one_by_one_says_what_a_batch_says(home: Path) -> None:
    speaker = load(str(home / "nano"))
    questions = ["How far is the red box?", "Is the jar left of the tin?"]
    together = speaker.texts([(frame(), question) for question in questions], 0.0)
    assert together == [answer(speaker, frame(), question).text for question in questions]


@pytest.mark.parametrize("most", [5, 100])
def test_a_batch_writes_as_many_tokens_as_one_by_one(home: Path, most: int) -> None:
    """Of a model that never ends by itself, more and fewer than are written by default."""
    speaker = load(str(home / "nano"))
    language, tokenizer = speaker.model.language, speaker.model.tokenizer
    language.generation_config.suppress_tokens = [tokenizer.eos_token_id]
    manner, asked = Manner(max_tokens=most), [(frame(), "How far?"), (frame(), "How tall is it?")]
    together = [said.text for said in answers(speaker, asked, manner)]
    assert together == [answer(speaker, *one, manner).text for one in asked]
    for text in together:
        assert len(tokenizer(text)["input_ids"]) == pytest.approx(most, abs=most // 5)


def test_a_chat_reads_questions_from_a_pipe(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("How far is the red box?\n\nHow tall is it?\n"))
    rgb, depth = (home / "frames" / kind / "0001.png" for kind in ("rgb", "depth"))
    given = ["chat", str(rgb), "--depth", str(depth), "--model", str(home / "nano")]
    assert main(given) == 0
    assert capsys.readouterr().out.splitlines() == ["It is 1.5 m."] * 2


@pytest.mark.parametrize("source", ["run", "frames"])
def test_a_chat_is_about_the_first_frame_of_a_folder(
    source: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("How far is the red box?"))
    more = ["--model", str(home / "depth"), "--depth-tool", "text"]
    assert main(["chat", str(home / source), *more]) == 0
    assert capsys.readouterr().out.startswith("Depth(0.5,0.1)=3000")


def test_samples_with_depth_calls_agree_on_what_follows_the_last(home: Path) -> None:
    manner = Manner(depth_tool="text", samples=2, temperature=0.01, max_tokens=40)
    said = answer(load(str(home / "depth")), frame(2.0), "How far is the red box?", manner)
    assert len(said.samples) == 2
    assert said.text == "1.5 m"  # "Depth(0.5,0.1)=2000, so 1.5 m.", as it was taught


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "/no/such/model"], "no such model: /no/such/model"),
        (["--model", "m", "--see", "depth"], "see: wanted rgb or rgbd, got 'depth'"),
        (["--model", "m", "--codec", "morse"], "codec: wanted packed24, spatialbot, "),
        (["--model", "m", "--base-url", "ftp://x"], "base_url: wanted http"),
    ],
)
def test_a_model_that_is_not_there(
    arguments: list[str], message: str, home: Path, capsys: Any
) -> None:
    assert main(["chat", str(home / "frames"), *arguments]) == 2
    assert message in capsys.readouterr().err
