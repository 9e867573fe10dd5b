"""`calipers reason --vlm FOLDER`: a model that `calipers train` wrote is asked beside the tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from scripted import wants  # noqa: E402

from calipers.cli import main  # noqa: E402
from calipers.model.answering import load  # noqa: E402
from calipers.model.nano import Nano, NanoConfig, tiny_language  # noqa: E402
from calipers.model.tokens import train_tokenizer  # noqa: E402
from calipers.reason.toolbox import LONGEST_SAID, cleaned  # noqa: E402
from calipers.samples import write_sample  # noqa: E402
from calipers.tools.opening import open_path  # noqa: E402
from chat_server import said, serving  # noqa: E402

QUESTION = "How tall is the first?"


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seen") / "frames"
    write_sample("rooms", folder, count=1, seed=3)
    return folder


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calipers-nano of random weights."""
    folder = tmp_path_factory.mktemp("nano") / "model"
    torch.manual_seed(0)
    tokenizer = train_tokenizer([QUESTION, "It is 40 cm tall."], 300)
    config = NanoConfig((48, 32), "log8", 24, 1, 2, tiny_language(len(tokenizer), 32, 2))
    Nano(config, tokenizer).eval().save_pretrained(folder)
    return folder


def test_a_folder_of_calipers_train_is_asked_about_the_picture(frames, nano, tmp_path, capsys):
    script = [
        wants(("ask_vlm", {"question": QUESTION})),
        wants(("locate", {})),
        said("NO ANSWER: enough"),
    ]
    why = tmp_path / "why.json"
    with serving(script) as server:
        asked = ("reason", str(frames), "How tall is it?", "--model", "scripted")
        more = ("--base-url", server.url, "--vlm", str(nano), "--json", str(why))
        assert main([*asked, *more]) == 1
    offered = [tool["function"]["name"] for tool in server.asked[0].body["tools"]]
    assert offered[-2:] == ["calculate", "ask_vlm"]
    assert capsys.readouterr().err.endswith("cannot be answered (enough)\n")
    call = json.loads(why.read_text("utf-8"))["turns"][0]["calls"][0]
    frame = open_path(frames.parent, frames.name, pixels=True).places.frame
    (answer,) = load(nano).texts([(frame, QUESTION)], 0.0)
    assert answer
    assert call["result"]["text"] == cleaned(answer, LONGEST_SAID)
    assert call["result"]["estimate"] is True


def test_a_folder_without_a_model_is_refused_in_one_line(frames, tmp_path, capsys):
    asked = (
        "reason",
        str(frames),
        "?",
        "--model",
        "scripted",
        "--base-url",
        "http://127.0.0.1:9/v1",
    )
    assert main([*asked, "--vlm", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(tmp_path) in error
