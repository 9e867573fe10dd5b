"""What masks teach a nano: where words look, against attention worked out apart."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from calipers.model.grounding import ANSWERS_LOOK, attention, looking_loss, naming_loss  # noqa: E402
from calipers.model.nano import Batch, Nano, NanoConfig, tiny_language  # noqa: E402
from calipers.model.tokens import Writer, train_tokenizer  # noqa: E402
from calipers.train.nano import collate  # noqa: E402

TURNS = [("Is the red can left of the can?", "yes"), ("How tall is the red can?", "0.30 m")]
NAMES = {"red can": 0, "can": 1}


@pytest.fixture(scope="module")
def nano() -> Nano:
    torch.manual_seed(0)
    tokenizer = train_tokenizer([text for turn in TURNS * 9 for text in turn], 300)
    config = NanoConfig((48, 32), "log8", 24, 1, 2, tiny_language(len(tokenizer), 128, 3))
    return Nano(config, tokenizer).eval()


@pytest.fixture
def batch(nano: Nano) -> Batch:
    row = Writer(nano.tokenizer, nano.config.patches).row(TURNS, names=NAMES)
    pictures = torch.randint(0, 255, (1, 2, 3, 32, 48), dtype=torch.uint8).numpy()
    made = collate([row], pictures, nano.tokenizer.pad_token_id)
    made.shares = torch.tensor([[[1.0, 0.5, 0, 0, 0, 0], [0, 0, 0, 0, 0.25, 0]]])
    return made


def states(nano: Nano, batch: Batch, **more: object) -> object:
    return nano.language.model(
        inputs_embeds=nano.embed(batch.tokens, batch.pictures),
        attention_mask=torch.where(attention_mask(batch), 0.0, -torch.inf),
        position_ids=batch.position, use_cache=False, output_hidden_states=True, **more,
    )  # fmt: skip


def attention_mask(batch: Batch) -> torch.Tensor:
    from calipers.model.grounding import seen_by

    return seen_by(batch.turn)


def test_words_of_a_name_are_found_the_longer_name_first(nano: Nano) -> None:
    row = Writer(nano.tokenizer, 6).row(TURNS, names=NAMES)
    spoken = [nano.tokenizer.decode([t]).strip() for t in row.tokens]
    tied = [(word, k) for word, k in zip(spoken, row.named) if k >= 0]
    assert tied == [("red", 0), ("can", 0), ("can", 1), ("red", 0), ("can", 0)]
    assert len(row.named) == len(row.tokens)
    assert set(Writer(nano.tokenizer, 6).row(TURNS).named) == {-1}


def test_attention_is_that_of_the_model(nano: Nano, batch: Batch) -> None:
    nano.language.set_attn_implementation("eager")
    with torch.no_grad():
        found = states(nano, batch, output_attentions=True)
        for number, whole in enumerate(found.attentions):
            ours = attention(nano.language, found.hidden_states, batch, number)
            assert ours.shape[1] == whole.shape[1] // 2
            assert torch.allclose(ours, whole[:, : ours.shape[1]], atol=1e-5)


def divergence(wanted: list[float], found: torch.Tensor) -> float:
    total = sum(wanted)
    shares = [part / total for part in wanted]
    return sum(p * math.log(p / q) for p, q in zip(shares, found.tolist()) if p)


def test_looking_is_compared_with_things_and_names(nano: Nano, batch: Batch) -> None:
    patches = nano.config.patches
    with torch.no_grad():
        found = states(nano, batch)
        loss = looking_loss(nano.language, found.hidden_states, batch).item()
        at = attention(nano.language, found.hidden_states, batch, 1)[0]
        shares = {0: [1.0, 0.5, 0, 0, 0, 0], 1: [0, 0, 0, 0, 0.25, 0]}
        named = [(k, thing) for k, thing in enumerate(batch.named[0].tolist()) if thing >= 0]
        off = [divergence(shares[t], head[k, :patches]) for k, t in named for head in at]
        at = attention(nano.language, found.hidden_states, batch, ANSWERS_LOOK)[0]
        labels, turn = batch.labels[0].tolist(), batch.turn[0].tolist()
        said = [k - 1 for k, label in enumerate(labels) if label != -100]
        first = {1: (0, 1), 2: (0, 0)}  # turn → what its question names first and second
        back = [
            divergence(
                [float((n, wanted) in named and turn[n] == turn[k]) for n in range(len(turn))],
                head[k],
            )
            for k in said
            for wanted, head in zip(first[turn[k]], at)
        ]
        assert len(at) == 2
    assert loss == pytest.approx(0.5 * (sum(off) / len(off) + sum(back) / len(back)), rel=1e-4)


def test_what_looks_away_learns_to_look(nano: Nano, batch: Batch) -> None:
    """Thirty steps on one picture bring nearly all of the attention to where it belongs."""
    model = Nano(nano.config, nano.tokenizer)
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(30):
        adam.zero_grad()
        model(batch).backward()
        adam.step()
    model.eval()
    with torch.no_grad():
        found = states(model, batch)
        loss = looking_loss(model.language, found.hidden_states, batch).item()
    assert loss < -math.log(0.9)


@pytest.mark.parametrize(
    ("words", "wanted"), [([[5], [6]], 0.5), ([[0], [0]], 0.5), ([[5], [0]], 1)]
)
def test_things_and_space_count_half_each(words: list[list[int]], wanted: float) -> None:
    """All scores alike, so that every word costs the same; a side that is not there costs none."""
    loss = naming_loss(torch.zeros(1, 2, 8), torch.tensor([words]), 0).item()
    assert loss == pytest.approx(wanted * math.log(8))


def test_without_names_in_the_questions_nothing_is_lost(nano: Nano, batch: Batch) -> None:
    batch.named[:] = batch.order[:] = -1
    with torch.no_grad():
        found = states(nano, batch)
        assert looking_loss(nano.language, found.hidden_states, batch).item() == 0
