"""calipers-nano: who sees whom, what is learnt, and that it is the same after a reload."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from calipers.errors import DataError, UsageError  # noqa: E402
from calipers.model.grounding import seen_by  # noqa: E402
from calipers.model.nano import Batch, Nano, NanoConfig, tiny_language  # noqa: E402
from calipers.model.pictures import both  # noqa: E402
from calipers.model.tokens import Writer, train_tokenizer  # noqa: E402
from calipers.train.nano import collate  # noqa: E402

TURNS = [("Is it tall?", "Yes."), ("How far is it?", "About 2.5 m."), ("Is it red?", "No.")]


@pytest.fixture(scope="module")
def nano() -> Nano:
    torch.manual_seed(0)
    tokenizer = train_tokenizer([text for turn in TURNS for text in turn], 300)
    config = NanoConfig((48, 32), "log8", 24, 1, 2, tiny_language(len(tokenizer), 32, 2))
    return Nano(config, tokenizer).eval()


@pytest.fixture(scope="module")
def writer(nano: Nano) -> Writer:
    return Writer(nano.tokenizer, nano.config.patches)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, 2, 3, 32, 48), dtype=np.uint8)


def batch(nano: Nano, writer: Writer, turns: list[list[tuple[str, str]]]) -> Batch:
    rows = [writer.row(some) for some in turns]
    return collate(rows, pictures(len(rows)), nano.tokenizer.pad_token_id)


def test_a_question_sees_the_pictures_and_itself() -> None:
    turn = torch.tensor([[0, 0, 1, 1, 2, -1]])
    assert seen_by(turn)[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]


def test_exactly_answers_and_their_ends_are_learnt(nano: Nano, writer: Writer) -> None:
    row = writer.row(TURNS)
    said = [token for token, label in zip(row.tokens, row.labels) if label != -100]
    assert all(label in (-100, token) for token, label in zip(row.tokens, row.labels))
    assert nano.tokenizer.decode(said) == " Yes.<eos> About 2.5 m.<eos> No.<eos>"


def test_what_the_depth_tool_says_is_not_learnt(nano: Nano, writer: Writer) -> None:
    told = "Depth(0.25,0.50)=1500 Depth(0.60,0.40)=no reading No."
    row = writer.row([("Is A nearer?", told)])
    said = [token for token, label in zip(row.tokens, row.labels) if label != -100]
    assert nano.tokenizer.decode(said) == " Depth(0.25,0.50) Depth(0.60,0.40) No.<eos>"
    assert nano.tokenizer.decode(row.tokens[6:]) == f"\nIs A nearer? = {told}<eos>"


def test_a_prompt_is_the_patches_and_the_question(nano: Nano, writer: Writer) -> None:
    assert nano.tokenizer.decode(writer.prompt("Why?")) == "<image>" * 6 + "\nWhy? ="


def test_a_token_is_of_one_place_in_both_pictures(nano: Nano) -> None:
    found = torch.randn(1, 2, 6, 24)
    before = nano.projector(found)
    for picture in (0, 1):
        other = found.clone()
        other[0, picture, 4] += 1
        changed = (nano.projector(other) != before).any(2)[0]
        assert changed.tolist() == [False, False, False, False, True, False]


def test_how_deep_a_picture_is_reaches_the_tokens(nano: Nano) -> None:
    flat = torch.full((2, 2, 3, 32, 48), 60, dtype=torch.uint8)
    flat[1, 1] = 120
    near, far = nano.encoder.stem(flat[:, 1] / 127.5 - 1)
    assert (near - far).abs().amax() > 0.01


def test_questions_learnt_together_are_learnt_as_if_alone(nano: Nano, writer: Writer) -> None:
    together = nano(batch(nano, writer, [TURNS])).item()
    rows = [writer.row([turn]) for turn in TURNS]
    counts = [sum(label != -100 for label in row.labels) for row in rows]
    same = np.repeat(pictures(1), 3, axis=0)
    alone = [
        nano(collate([row], same[k : k + 1], nano.tokenizer.pad_token_id)).item()
        for k, row in enumerate(rows)
    ]
    assert together == pytest.approx(np.average(alone, weights=counts), abs=1e-5)


def test_padding_changes_nothing(nano: Nano, writer: Writer) -> None:
    short = nano(batch(nano, writer, [TURNS[:1]])).item()
    padded = batch(nano, writer, [TURNS[:1], TURNS])
    padded.labels[1] = -100
    assert nano(padded).item() == pytest.approx(short, abs=1e-5)


def test_a_chained_conversation_sees_its_earlier_turns(writer: Writer) -> None:
    row = writer.row(TURNS[:2], apart=False)
    assert set(row.turn) == {0, 1}
    assert row.position == list(range(len(row.tokens)))


def test_a_picture_that_would_be_lost_is_refused(nano: Nano, writer: Writer) -> None:
    cut = batch(nano, writer, [TURNS])
    cut.tokens[0, 5] = 7
    with pytest.raises(DataError, match=r"wanted 6 tokens <image> a row, got \[5\]"):
        nano(cut)


def test_what_is_generated_depends_on_the_pictures_not_on_the_neighbours(
    nano: Nano, writer: Writer
) -> None:
    prompts = [writer.prompt(question) for question, _ in TURNS]
    seen = torch.from_numpy(pictures(3))
    together = nano.generate(prompts, seen, max_new_tokens=6)
    alone = [
        nano.generate([p], seen[k : k + 1], max_new_tokens=6)[0] for k, p in enumerate(prompts)
    ]
    assert together == alone
    with torch.no_grad():
        one, other = (nano.see(torch.from_numpy(pictures(1, seed))) for seed in (0, 1))
    assert (one - other).abs().max() > 1e-3


def test_a_saved_model_is_the_same_and_only_safetensors(
    nano: Nano, writer: Writer, tmp_path: Path
) -> None:
    nano.save_pretrained(tmp_path / "m")
    again = Nano.from_pretrained(tmp_path / "m")
    some = batch(nano, writer, [TURNS])
    assert again.config.picture_wh == (48, 32)
    assert again(some).item() == nano(some).item()
    assert {p.suffix for p in (tmp_path / "m").iterdir()} == {".json", ".safetensors"}


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no model"):
        Nano.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UsageError, match="another model"):
        Nano.from_pretrained(tmp_path)


def test_depth_is_resized_in_metres_before_it_is_packed() -> None:
    """A step from 1 to 9 m, halved: packed pixels are those of 1 and 9 m, none between."""
    depth = np.where(np.arange(8) < 3, 1, 9)[None].repeat(4, 0).astype(np.float32)
    rgb = np.full((4, 8, 3), 200, np.uint8)
    packed = both(rgb, depth, (4, 2), "packed24")
    millimetres = packed[1].astype(int)[0] * 65536 + packed[1][1].astype(int) * 256 + packed[1][2]
    assert set(millimetres.ravel().tolist()) == {1000, 9000}
    assert packed[0].min() == packed[0].max() == 200


@pytest.mark.parametrize(("see", "lit"), [("rgbd", [1, 1]), ("rgb", [1, 0]), ("nothing", [0, 0])])
def test_what_is_not_to_be_seen_is_black(see: str, lit: list[int]) -> None:
    rgb, depth = np.full((4, 4, 3), 9, np.uint8), np.ones((4, 4), np.float32)
    assert [int(one.any()) for one in both(rgb, depth, (4, 4), "log8", see)] == lit
