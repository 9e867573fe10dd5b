"""What a chat template or a processor refuses is said in its words, and ends nothing."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
openai = pytest.importorskip("openai")

from serving_processes import asking, client, metres, png, process  # noqa: E402

import tiny_bases  # noqa: E402
from calipers.cli import main  # noqa: E402
from calipers.errors import UsageError  # noqa: E402
from calipers.model.bases import base  # noqa: E402
from calipers.model.hugging import Chat, collate  # noqa: E402
from calipers.model.speakers import about, load  # noqa: E402
from calipers.model.speaking import HuggingSpeaker  # noqa: E402
from calipers.serve.asking import EXPLAINED, measuring, saying, whole  # noqa: E402
from calipers.types import Frame  # noqa: E402

ALTERNATE = "Conversation roles must alternate user/assistant/user/assistant/..."
STRICT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('" + ALTERNATE + "') }}{% endif %}{% endfor %}"
)
SYSTEM = {"role": "system", "content": "Be brief."}
QUESTION = {"role": "user", "content": "How far?"}


def frame() -> Frame:
    rgb = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    return Frame("a", "a", 96, 64, rgb=rgb, depth_m=np.full((64, 96), 2, np.float32))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``loose``, ``strict`` (roles must alternate) and ``paligemma`` (wants a picture)."""
    home = tmp_path_factory.mktemp("models")
    for name, made in (("loose", "llava"), ("strict", "llava"), ("paligemma", "paligemma")):
        model, processor = getattr(tiny_bases, made)()
        if name == "strict":
            processor.chat_template = STRICT + processor.chat_template
        model.save_pretrained(home / name)
        processor.save_pretrained(home / name)
    return home


def read(speaker: Any, messages: list[Any], told: str = "") -> str:
    ids = speaker.going_on(messages, told).inputs["input_ids"][0]
    text: str = speaker.chat.processor.tokenizer.decode(ids)
    return text.replace("<image>", "")


@pytest.mark.parametrize("messages", [[SYSTEM, QUESTION], [QUESTION, QUESTION]])
def test_what_a_template_refuses_is_told_in_its_words(models: Path, messages: list[Any]) -> None:
    with pytest.raises(UsageError, match="must alternate user/assistant"):
        read(load(str(models / "strict")), messages)


def test_an_explanation_is_a_system_message_where_it_may_be(models: Path) -> None:
    loose, strict = (load(str(models / name)) for name in ("loose", "strict"))
    asked = about(frame(), "How far?")
    assert read(loose, asked, "Look.") == (
        "<|im_start|>system\nLook.<|im_end|>\n<|im_start|>user\nHow far?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    begun = "<|im_start|>user\nLook.\n\nHow far?<|im_end|>\n<|im_start|>assistant\n"
    assert read(strict, asked, "Look.") == begun
    assert read(strict, [QUESTION], "Look.") == begun
    later = [*asked, {"role": "assistant", "content": "2 m."}, QUESTION]
    assert read(strict, later, "Look.").startswith("<|im_start|>user\nLook.\n\nHow far?<|im_end|>")
    with pytest.raises(UsageError, match="must alternate user/assistant"):
        read(strict, [SYSTEM, *asked], "Look.")
    assert read(loose, [SYSTEM, *asked], "Look.").startswith(
        "<|im_start|>system\nBe brief.\n\nLook.<|im_end|>\n<|im_start|>user\n"
    )


def test_a_strict_model_measures_in_a_chat(
    models: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rgb, depth = (home / "frames" / kind / "0001.png" for kind in ("rgb", "depth"))
    given = ["chat", str(rgb), "--depth", str(depth), "--model", str(models / "strict")]
    monkeypatch.setattr(sys, "stdin", io.StringIO("How far?\nHow tall?\n"))
    assert main([*given, "--depth-tool", "text", "--max-tokens", "4"]) == 0
    heard = capsys.readouterr()
    assert len(heard.out.splitlines()) >= 2
    assert "calipers:" not in heard.err


REFUSED = [
    ("paligemma", asking(), "`images`"),
    ("strict", [SYSTEM, QUESTION], ALTERNATE),
    ("strict", [QUESTION, QUESTION], ALTERNATE),
]


@pytest.mark.parametrize("name", ["paligemma", "strict"])
def test_an_endpoint_says_what_is_refused(models: Path, name: str) -> None:
    own = {"calipers": {"depth": metres(2.0)}}
    more = ("--max-tokens", 4, "--depth-tool", "text")
    with process("--model", models / name, *more) as url, client(url) as http:
        ask = http.chat.completions.create
        for _, messages, words in (one for one in REFUSED if one[0] == name):
            for stream in (False, True):
                with pytest.raises(openai.BadRequestError) as error:
                    ask(model=name, messages=messages, stream=stream)
                assert words in error.value.message
        found = ask(model=name, messages=asking(png()), extra_body=own)
    assert found.choices[0].finish_reason == "length"


def test_explained_to_nobody_who_was_taught() -> None:
    model, processor = tiny_bases.qwen3_vl()
    row = replace(base("qwen3_vl"), pixels=(32 * 32, 1 << 20))
    speaker = HuggingSpeaker("q", model, Chat(processor, row), taught=True)
    seen = []
    speaker.going_on = lambda messages, told="": seen.append(told)  # type: ignore[assignment]
    for taught in (True, False):
        speaker.taught = taught
        with pytest.raises(TypeError):
            whole(saying(speaker, about(frame(), "How far?"), measuring(frame()), "text"))
    assert seen == ["", EXPLAINED]


def test_after_a_call_paligemma_goes_on_as_in_training() -> None:
    """The answer's tokens are 1 in ``token_type_ids``: they see what is before them, not behind."""
    model, processor = tiny_bases.paligemma()
    chat = Chat(processor, base("paligemma"))
    said = "Depth(0.25,0.50)=1500"
    batch = collate(chat, [(chat.pictures(frame()), [("How far?", said)])])
    backend = HuggingSpeaker("p", model, chat, taught=True).going_on(about(frame(), "How far?"))
    given: dict[str, Any] = {}

    def generate(**options: Any) -> Any:
        given.update(options)
        return options["input_ids"]

    backend.model = SimpleNamespace(generate=generate, generation_config=model.generation_config)
    list(backend(said))
    length = given["input_ids"].shape[1]
    for name in ("input_ids", "token_type_ids", "attention_mask"):
        assert given[name][0].tolist() == batch[name][0][:length].tolist(), name
    assert set(given["token_type_ids"][0].tolist()) == {0, 1}
