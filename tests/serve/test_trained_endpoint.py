"""A base that Calipers trained, run by another server: what that server gets is what was learnt."""

from __future__ import annotations

import io
import json
import string
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
hf = pytest.importorskip("transformers")

from serving_processes import asking, client, metres, png, process  # noqa: E402
from transformers.models.gemma3.image_processing_pil_gemma3 import (  # noqa: E402
    Gemma3ImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (  # noqa: E402
    Qwen2VLImageProcessorPil,
)

import tiny_bases  # noqa: E402
from calipers.cli import main  # noqa: E402
from calipers.model import answering  # noqa: E402
from calipers.model.bases import base  # noqa: E402
from calipers.model.hugging import Chat  # noqa: E402
from calipers.model.speakers import about, load  # noqa: E402
from calipers.serve.asking import measuring, saying, whole  # noqa: E402
from calipers.types import Frame  # noqa: E402
from chat_server import said, serving, streamed  # noqa: E402

WIDTH, HEIGHT = 1280, 720


def frame() -> Frame:
    """A step from 1 to 5 m, with a hole in it."""
    rgb = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    depth = np.where(np.arange(WIDTH) < WIDTH // 2, 1, 5).astype(np.float32)[None].repeat(HEIGHT, 0)
    depth[300:420, 600:700] = np.nan
    return Frame("a", "a", WIDTH, HEIGHT, rgb=rgb, depth_m=depth)


def folder_of(folder: Path, model_type: str = "qwen3_vl", **settings: Any) -> Path:
    """What `calipers train` writes, without weights and processor."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "calipers.json").write_text(json.dumps({"codec": "log8", "see": "rgbd"} | settings))
    return folder


@pytest.fixture
def qwen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Chat]:
    """The folder of a trained Qwen3-VL, and how it read in training."""
    processor = tiny_bases.qwen3_vl()[1]
    monkeypatch.setattr(answering, "load_processor", lambda source: processor)
    return folder_of(tmp_path / "qwen"), Chat(processor, base("qwen3_vl"))


def pictures_in(body: dict[str, Any]) -> list[Image.Image]:
    lists = [m["content"] for m in body["messages"] if isinstance(m["content"], list)]
    urls = [p["image_url"]["url"] for parts in lists for p in parts if p["type"] == "image_url"]
    return [Image.open(io.BytesIO(b64decode(url.partition(",")[2]))) for url in urls]


def rendered(chat: Chat, body: dict[str, Any]) -> str:
    """What a server makes of a request with the model's own chat template."""
    for message in body["messages"]:
        given = message["content"]
        parts = [{"type": "text", "text": given}] if isinstance(given, str) else given
        image = {"type": "image"}
        message["content"] = [p if p["type"] == "text" else image for p in parts]
    text: str = chat.processor.apply_chat_template(
        body["messages"], tokenize=False, add_generation_prompt=True
    )
    return text


def test_the_server_gets_what_training_wrote(qwen: tuple[Path, Chat]) -> None:
    folder, chat = qwen
    turns = [("How far is the <image>?", "2 m."), ("How tall is it?", "")]
    messages = [*about(frame(), turns[0][0]), {"role": "assistant", "content": "2 m."},
                {"role": "user", "content": turns[1][0]}]  # fmt: skip
    with serving([said("1 m")]) as server:
        speaker = load("m", base_url=server.url, trained=str(folder))
        whole(saying(speaker, messages, measuring(frame()), "text"))
    body = server.asked[0].body
    shown = [np.asarray(picture) for picture in pictures_in(body)]
    for sent, wanted in zip(shown, chat.pictures(frame()), strict=True):
        np.testing.assert_array_equal(sent, np.asarray(wanted))
    assert shown[0].shape == (704, 1280, 3)
    assert np.unique(shown[1]).tolist() == [0, 111, 189]
    trained = "".join(piece.text for piece in chat.pieces(turns, 2)[:-1])
    assert rendered(chat, body) == trained
    assert speaker.taught
    assert "mm_processor_kwargs" not in body


def test_qwens_processor_leaves_the_codes_as_they_are(qwen: tuple[Path, Chat]) -> None:
    """The server runs it with the bounds that Qwen3-VL comes with."""
    images = Qwen2VLImageProcessorPil(
        patch_size=16, merge_size=2, size={"shortest_edge": 65536, "longest_edge": 1 << 24},
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    with serving([said("1 m")]) as server:
        speaker = load("m", base_url=server.url, trained=str(qwen[0]))
        whole(saying(speaker, about(frame(), "How far?")))
    depth = pictures_in(server.asked[0].body)[1]
    pixels = images(images=[depth], return_tensors="np")["pixel_values"]
    assert np.unique(np.round((pixels * 0.5 + 0.5) * 255)).tolist() == [0, 111, 189]


def test_a_trained_model_goes_on_in_its_own_message(qwen: tuple[Path, Chat]) -> None:
    acts = [streamed("It is Depth(0.25,0.5)"), streamed(", so 1 m.")]
    with serving(acts) as server:
        speaker = load("m", base_url=server.url, trained=str(qwen[0]))
        found = whole(saying(speaker, about(frame(), "How far?"), measuring(frame()), "text"))
    assert found.text == "It is Depth(0.25,0.5)=1000, so 1 m."
    first, second = (asked.body for asked in server.asked)
    assert [m["role"] for m in first["messages"]] == ["user"]
    assert "continue_final_message" not in first
    assert second["messages"][1:] == [
        {"role": "assistant", "content": "It is Depth(0.25,0.5)=1000"}
    ]
    assert (second["continue_final_message"], second["add_generation_prompt"]) == (True, False)


def gemma3(folder: Path) -> None:
    """Write a Gemma 3 processor of pictures of 56 pixels, with a strict chat template."""
    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>",
             "image_token": "<image_soft_token>"}  # fmt: skip
    letters = [*string.ascii_letters, *string.digits, *string.punctuation, "\u2581", "\n"]
    known = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *letters]
    tokenizer = hf.GemmaTokenizer(
        vocab={token: k for k, token in enumerate(known)}, merges=[],
        model_specific_special_tokens=named,
    )  # fmt: skip
    images = Gemma3ImageProcessorPil(size={"height": 56, "width": 56})
    hf.Gemma3Processor(images, tokenizer, chat_template="{{ x }}").save_pretrained(folder)


def test_answers_of_a_served_model_that_was_trained_with_the_tool(
    home: Path, tmp_path: Path
) -> None:
    """The folder says what is seen, and that the model writes ``Depth(x,y)``."""
    folder = folder_of(tmp_path / "gemma", "gemma3", tool=True)
    gemma3(folder)
    line = {"id": 1, "image": "rgb/0001.png", "depth": "depth/0001.png", "question": "How far?"}
    (tmp_path / "q.jsonl").write_text(json.dumps(line))
    out, acts = tmp_path / "a.jsonl", [streamed("Depth(0.5,0.1)"), streamed(" mm")]
    given = ["answer", str(tmp_path / "q.jsonl"), "--frames", str(home / "frames"), "--out"]
    with serving(acts) as server:
        more = ["--model", "m", "--base-url", server.url, "--trained", str(folder)]
        assert main([*given, str(out), *more]) == 0
    assert json.loads(out.read_text())["text"] == "Depth(0.5,0.1)=3000 mm"
    assert [picture.size for picture in pictures_in(server.asked[0].body)] == [(56, 56)] * 2
    record = json.loads((tmp_path / "a.jsonl.run.json").read_text())
    assert (record["trained"], record["depth_tool"]) == (str(folder), "text")


def test_before_a_trained_model_pictures_of_requests_are_fitted(tmp_path: Path) -> None:
    """Depth is packed from the metres that came, behind colours of the same size."""
    folder = folder_of(tmp_path / "gemma", "gemma3")
    gemma3(folder)
    own = {"calipers": {"depth": metres(2.0)}}
    with serving([said("2 m")]) as behind:
        given = ("--model", "m", "--base-url", behind.url, "--trained", folder)
        with process(*given) as url, client(url) as http:
            http.chat.completions.create(model="m", messages=asking(png()), extra_body=own)
    rgb, depth = map(np.asarray, pictures_in(behind.asked[0].body))
    assert (rgb.shape, depth.shape) == ((56, 56, 3), (56, 56, 3))
    assert np.unique(rgb.reshape(-1, 3), axis=0).tolist() == [[90, 60, 30]]
    assert len(np.unique(depth)) == 1
    assert behind.asked[0].texts == ["user: RGB:  Depth:  \n How far is the red box?"]


def test_adapters_are_read_as_their_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        answering, "load_processor", lambda source: SimpleNamespace(chat_template="x")
    )
    under = folder_of(tmp_path / "base", "internvl")
    folder = folder_of(tmp_path / "adapters", see="rgb", codec="linear8")
    (folder / "config.json").unlink()
    named = {"base_model_name_or_path": f"../{under.name}"}  # begins at the adapters' folder
    (folder / "adapter_config.json").write_text(json.dumps(named))
    speaker: Any = load("m", base_url="http://127.0.0.1:9/v1", trained=str(folder))
    assert (speaker.see, speaker.codec, speaker.tool) == ("rgb", "linear8", False)
    assert speaker.trained.base.model_type == "internvl"
    assert speaker.client.extra["mm_processor_kwargs"] == {"crop_to_patches": False}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "wanted a folder that calipers train wrote"),
        ("calipers-nano", "a calipers-nano runs on this machine alone"),
        ("paligemma", "paligemma has no chat template, and endpoints take chats"),
        ("morse", "no base of type 'morse' is known"),
    ],
)
def test_what_cannot_be_asked_as_trained(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(answering, "load_processor", lambda source: SimpleNamespace())
    folder = folder_of(tmp_path / "a", name)
    if name == "nothing":
        (folder / "calipers.json").unlink()
    more = ["--base-url", "http://127.0.0.1:9/v1", "--trained", str(folder)]
    assert main(["serve", "--model", "m", *more]) == 2
    assert message in capsys.readouterr().err
    assert main(["serve", "--model", "m", *more[2:]]) == 2
    assert "trained: goes with base_url" in capsys.readouterr().err
