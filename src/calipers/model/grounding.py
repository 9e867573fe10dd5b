"""What a calipers-nano is taught beside answers: what a patch shows, and where a word looks.

The encoders and language models of the papers come with both: SigLIP was taught on captions which
words a patch goes with, and a language model of billions of weights has learnt to look things up.
A model from scratch does not find this out by answers alone in hours of one core (docs/log.md), but
masks say it at once. So the token of a patch learns to be like the words of the thing that covers
it; the words of a name, in one layer, to look at the patches of what they name; and what answers,
in the next, to look at the names that the question holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb, repeat_kv

if TYPE_CHECKING:
    from calipers.model.nano import Batch

IGNORED = -100
"""The label of a token that is not learnt."""
NAMES_LOOK, ANSWERS_LOOK = 1, 2
"""The layers in which names look at things, and answers at names."""
_WEIGHT = 0.5
"""Of either way of looking, beside the loss of answers."""
_LEAST = 1e-6


def seen_by(turn: Tensor) -> Tensor:
    """Which token sees which: (B, T) turns → (B, 1, T, T) bool.

    A token sees those before it that all see (turn 0) or that are of its own turn, and itself.

    >>> seen_by(torch.tensor([[0, 1, 2]]))[0, 0].int().tolist()
    [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    """
    size = turn.shape[1]
    earlier = torch.ones(size, size, dtype=torch.bool, device=turn.device).tril()
    allowed = (turn[:, None, :] == 0) | (turn[:, None, :] == turn[:, :, None])
    return (allowed & earlier)[:, None]


def naming_loss(scores: Tensor, words: Tensor, space: int) -> Tensor:
    """The loss of saying what each patch shows; a scalar.

    Args:
        scores: (B, patches, vocabulary), the output layer's of the patches' tokens.
        words: (B, patches, W) int64, tokens of the words; `IGNORED` after the last.
        space: the token of what no thing covers. Things and the space between them count half each.
    """
    said = F.log_softmax(scores.float(), -1).gather(2, words.clamp(min=0))
    empty = words == space
    parts = (said[(words != IGNORED) & ~empty], said[empty])
    return -sum((part.mean() for part in parts if len(part)), said.new_zeros(())) / 2


def looking_loss(language: LlamaForCausalLM, states: tuple[Tensor, ...], batch: Batch) -> Tensor:
    """The loss of looking where the masks say, of half of the heads; a scalar.

    It is how far a token's attention is from what is wanted (Kullback and Leibler's divergence):
    for the words of a name, patches as each holds of the thing, so that what is read there on
    average is the middle of the thing, finer than a patch; for all that answers a question, the
    names in it, of the first head the first name, of the second the second (or last), and so on,
    so that what is compared arrives apart.

    Args:
        language: has a layer `ANSWERS_LOOK`.
        states: hidden states before each layer, (B, T, hidden).
        batch: with `named`, `order` and `shares`; patches are the first tokens of its rows.
    """
    assert batch.shares is not None
    patches = batch.shares.shape[2]
    row, at = (batch.named >= 0).nonzero(as_tuple=True)
    things = batch.shares[row, batch.named[row, at], None]
    at_things = attention(language, states, batch, NAMES_LOOK)[row, :, at, :patches]
    row, at = (batch.labels.roll(-1, 1) != IGNORED).nonzero(as_tuple=True)
    same = batch.turn[row] == batch.turn[row, at, None]
    order = batch.order[row].where(same, -1)[:, None]
    at_names = attention(language, states, batch, ANSWERS_LOOK)[row, :, at]
    head = torch.arange(at_names.shape[1], device=order.device)[:, None]
    wanted = head.minimum(order.amax(-1, keepdim=True))
    names = (order == wanted) & (order >= 0)
    return _WEIGHT * (_off(at_things, things) + _off(at_names, names))


def _off(attention: Tensor, wanted: Tensor) -> Tensor:
    """How far (M, H, K) attention is from what is wanted; tokens that nothing is wanted of are
    left out.

    >>> round(_off(torch.tensor([[[0.25, 0.75]]]), torch.tensor([[[False, True]]])).item(), 4)
    0.2877
    >>> round(_off(torch.tensor([[[0.25, 0.75]]]), torch.tensor([[[2.0, 2.0]]])).item(), 4)
    0.1438
    """
    known = wanted.sum(-1, dtype=attention.dtype)
    part = wanted / known[..., None].clamp(min=_LEAST)
    off = torch.xlogy(part, part) - part * attention.clamp(min=_LEAST).log()
    there = off.sum(-1)[(known > 0).expand(off.shape[:-1])]
    return there.mean() if len(there) else attention.new_zeros(())


def attention(
    language: LlamaForCausalLM, states: tuple[Tensor, ...], batch: Batch, number: int
) -> Tensor:
    """Who looks at whom in the first half of a layer's heads: (B, heads / 2, T, T), rows sum to 1.

    Args:
        language, states, batch: as of `looking_loss`.
        number: of the layer, from 0.
    """
    layer = language.model.layers[number]
    heads, found = layer.self_attn, layer.input_layernorm(states[number])
    turned = language.model.rotary_emb(found, batch.position)
    shape = (*found.shape[:2], -1, heads.head_dim)
    q, k = (part(found).view(shape).transpose(1, 2) for part in (heads.q_proj, heads.k_proj))
    half = max(1, q.shape[1] // 2)
    q, k = apply_rotary_pos_emb(q, repeat_kv(k, heads.num_key_value_groups), *turned)
    scores = heads.scaling * q[:, :half] @ k[:, :half].transpose(2, 3)
    shares: Tensor = scores.masked_fill(~seen_by(batch.turn), -torch.inf).softmax(-1)
    return shares
