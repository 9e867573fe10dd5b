"""calipers-nano: a reference RGB-D model of SpatialBot's shape (arXiv 2406.13642), to be read.

One small vision encoder sees two pictures, the colours and the depth packed as a picture; a
projector of two layers turns what it saw of a place in both into one token of a small language
model, which reads those tokens before the question::

    rgb   (3, H, W) ─┐
                     ├─ encoder ─ projector ─┐
    depth (3, H, W) ─┘                       │
                                    <image>…<image> + text ─ language model ─ answer

Pictures stand in the text at the token ``<image>``, once for each patch. (SpatialBot has tokens of
depth behind those of colour; a model of this size would first have to learn which belong
together.) Several
questions about one picture share it in training: each sees the pictures and itself, and its
positions go on from the pictures' (see `seen_by`), so what is computed for a question is what is
computed when it stands alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from calipers.errors import DataError, UsageError
from calipers.model.grounding import (
    ANSWERS_LOOK,
    IGNORED,
    looking_loss,
    naming_loss,
    seen_by,
)

PATCH = 16
"""Pixels of a side that become one token."""
PICTURES = 2
"""Colours, then depth."""
_PLACE_STD = 0.5
"""Of where a patch is, beside what is seen there: as strong, or places are learnt late."""
_START_STD = 0.09
"""Of a tiny language model's first weights: 0.02 is for widths in the thousands."""
_QUIET = 0.1
"""What a new layer says is so much weaker: louder, and it drowns where a patch is."""
_SLOWEST_TURN = 1e6
"""Base of the rotary positions: most of a head looks for things wherever they stand in the text."""

_WEIGHTS, _CONFIG = "model.safetensors", "config.json"


@dataclass(frozen=True, slots=True)
class NanoConfig:
    """What a calipers-nano is made of.

    Attributes:
        picture_wh: size of both pictures in pixels, multiples of 16.
        codec: how depth is packed, a name of `calipers.depth_codec`.
        width: of the encoder's tokens.
        layers, heads: of the encoder's transformer, after its convolutions.
        language: options of a `LlamaConfig`, the language model.
    """

    picture_wh: tuple[int, int] = (192, 144)
    codec: str = "log8"
    width: int = 192
    layers: int = 2
    heads: int = 6
    language: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(side < PATCH or side % PATCH for side in self.picture_wh):
            raise DataError(f"picture_wh: wanted multiples of {PATCH}, got {self.picture_wh}")

    @property
    def grid_wh(self) -> tuple[int, int]:
        """Patches side by side, and one above the other."""
        return self.picture_wh[0] // PATCH, self.picture_wh[1] // PATCH

    @property
    def patches(self) -> int:
        """Tokens of a frame."""
        return self.grid_wh[0] * self.grid_wh[1]


def tiny_language(vocabulary: int, width: int = 192, layers: int = 4) -> dict[str, Any]:
    """Options of a language model to train from scratch on two cores."""
    return {
        "vocab_size": vocabulary, "hidden_size": width, "intermediate_size": 2 * width,
        "num_hidden_layers": layers, "num_attention_heads": width // 32,
        "num_key_value_heads": width // 32, "max_position_embeddings": 4096,
        "tie_word_embeddings": True, "initializer_range": _START_STD,
        "rope_parameters": {"rope_type": "default", "rope_theta": _SLOWEST_TURN},
    }  # fmt: skip


class Encoder(nn.Module):
    """Pictures → tokens: three convolutions, then a small transformer.

    No norm stands between the convolutions: one over a whole picture takes away how deep it is.
    """

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        half, quarter = max(1, config.width // 2), max(1, config.width // 4)
        self.stem = nn.Sequential(
            nn.Conv2d(3, quarter, 4, stride=4), nn.GELU(),
            nn.Conv2d(quarter, half, 3, stride=2, padding=1), nn.GELU(),
            nn.Conv2d(half, config.width, 3, stride=2, padding=1),
        )  # fmt: skip
        self.place = nn.Parameter(_PLACE_STD * torch.randn(1, config.patches, config.width))
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, 3 * config.width, 0.0, "gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode (N, 3, H, W) uint8 pictures as (N, patches, width) tokens."""
        light = pictures.to(self.place.dtype) / 127.5 - 1
        found = self.stem(light.contiguous(memory_format=torch.channels_last))
        tokens: Tensor = self.layers(found.flatten(2).transpose(1, 2) + self.place)
        normed: Tensor = self.norm(tokens)
        return normed


class Projector(nn.Module):
    """What was seen of a place in both pictures → a token of the language model: two layers."""

    def __init__(self, width: int, out: int, grid_wh: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(PICTURES * width, out), nn.GELU(), nn.Linear(out, out)
        )
        self.norm = nn.RMSNorm(out)
        self.column = nn.Parameter(_PLACE_STD * torch.randn(1, grid_wh[0], out))
        self.row = nn.Parameter(_PLACE_STD * torch.randn(grid_wh[1], 1, out))

    def forward(self, tokens: Tensor) -> Tensor:
        """Project (B, 2, patches, width) to (B, patches, out): what is seen, wherever it is."""
        projected: Tensor = self.norm(self.layers(tokens.transpose(1, 2).flatten(2)))
        return projected

    def places(self) -> Tensor:
        """Where the patches are, (patches, out), to be added."""
        return (self.row + self.column).flatten(0, 1)


@dataclass(slots=True)
class Batch:
    """What is learnt from at once; B pictures (RGB and depth), T tokens each.

    Attributes:
        pictures: (B, 2, 3, H, W) uint8.
        tokens: (B, T) int64.
        labels: (B, T) int64, the token itself where it is part of an answer, else `IGNORED`.
        turn: (B, T) int64, 0 for what all questions see, then 1, 2, …; -1 for padding.
        position: (B, T) int64.
        named: (B, T) int64, the number of the thing that a token is part of the name of, else -1.
        order: (B, T) int64, 0 where that is the first thing that a question names, then 1, 2, …
        words: what the patches show, as of `Named`.
        shares: (B, things, patches) float32, how much of each patch each thing covers; None learns
            neither what patches show nor where words look.
    """

    pictures: Tensor
    tokens: Tensor
    labels: Tensor
    turn: Tensor
    position: Tensor
    named: Tensor
    order: Tensor
    words: Tensor | None = None
    shares: Tensor | None = None

    def to(self, device: str | torch.device) -> Batch:
        """The same on another device."""
        given = {name: getattr(self, name) for name in self.__slots__}
        return replace(self, **{k: v.to(device) for k, v in given.items() if v is not None})

    @property
    def size(self) -> int:
        """How many tokens are computed, padding left out."""
        return int((self.turn >= 0).sum())


@dataclass(slots=True)
class Named:
    """Pictures and what their patches show; see `calipers.train.naming`.

    Attributes:
        pictures: (B, 2, 3, H, W) uint8.
        words: (B, patches, W) int64, tokens of the words; `IGNORED` after the last.
    """

    pictures: Tensor
    words: Tensor

    def to(self, device: str | torch.device) -> Named:
        """The same on another device."""
        return Named(self.pictures.to(device), self.words.to(device))

    @property
    def size(self) -> int:
        """How many tokens are computed."""
        return self.words.shape[0] * self.words.shape[1]


class Nano(nn.Module):
    """The model and its tokenizer.

    Args:
        config: its sizes.
        tokenizer: must know ``<image>``, ``<eos>`` and ``<pad>``.
        language: a language model to go on from; None makes one of random weights.
    """

    TYPE = "calipers-nano"
    """What its config calls it."""

    def __init__(
        self,
        config: NanoConfig,
        tokenizer: PreTrainedTokenizerFast,
        language: LlamaForCausalLM | None = None,
    ) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.encoder = Encoder(config)
        self.language = language or new_language(config.language)
        self.projector = Projector(config.width, self.language.config.hidden_size, config.grid_wh)
        self.image_token = int(tokenizer.convert_tokens_to_ids("<image>"))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.encoder.place.device

    def parts(self) -> dict[str, nn.Module]:
        """What can be trained or frozen by itself."""
        return {"vision": self.encoder, "projector": self.projector, "language": self.language}

    def show(self, pictures: Tensor) -> Tensor:
        """Turn (B, 2, 3, H, W) pictures into (B, patches, hidden): what is seen of each patch."""
        found = self.encoder(pictures.flatten(0, 1))
        shown: Tensor = self.projector(found.unflatten(0, (len(pictures), PICTURES)))
        return shown

    def see(self, pictures: Tensor) -> Tensor:
        """Turn (B, 2, 3, H, W) pictures into (B, patches, hidden) tokens: what is where."""
        return self.show(pictures) + self.projector.places()

    def embed(self, tokens: Tensor, pictures: Tensor) -> Tensor:
        """Embed (B, T) tokens, with what is seen in pictures at the places of ``<image>``."""
        return self._placed(tokens, self.see(pictures))

    def _placed(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Embed (B, T) tokens, with what was seen at the places of ``<image>``.

        Raises:
            DataError: a row has not as many ``<image>`` as its pictures have patches, so that
                pictures would be lost.
        """
        embedded: Tensor = self.language.get_input_embeddings()(tokens)
        places = tokens == self.image_token
        counts, wanted = places.sum(1), self.config.patches
        if (counts != wanted).any():
            raise DataError(f"wanted {wanted} tokens <image> a row, got {counts.tolist()}")
        return embedded.masked_scatter(places[..., None], seen.flatten(0, 1).to(embedded.dtype))

    def forward(self, batch: Batch | Named) -> Tensor:
        """The mean loss of the labelled tokens, and of what the masks teach; a scalar."""
        shown = self.show(batch.pictures)
        if isinstance(batch, Named):
            return self._naming(shown, batch.words)
        found = self.language.model(
            inputs_embeds=self._placed(batch.tokens, shown + self.projector.places()),
            attention_mask=seen_by(batch.turn),
            position_ids=batch.position,
            use_cache=False,
            output_hidden_states=batch.shares is not None,
        )
        labels = batch.labels[:, 1:]
        learnt = labels != IGNORED
        scores = self.language.lm_head(found.last_hidden_state[:, :-1][learnt])
        loss = F.cross_entropy(scores.float(), labels[learnt])
        if batch.words is not None:
            loss = loss + self._naming(shown, batch.words)
        if batch.shares is not None and len(self.language.model.layers) > ANSWERS_LOOK:
            loss = loss + looking_loss(self.language, found.hidden_states, batch)
        return loss

    def _naming(self, shown: Tensor, words: Tensor) -> Tensor:
        return naming_loss(self.language.lm_head(shown), words, self.tokenizer.pad_token_id)

    @torch.inference_mode()
    def generate(self, prompts: list[list[int]], pictures: Tensor, **options: Any) -> list[str]:
        """Continue prompts, each about its own pictures.

        Args:
            prompts: N prompts' tokens, see `tokens.Writer.prompt`.
            pictures: (N, 2, 3, H, W) uint8.
            **options: of transformers' ``generate``; greedy and 48 tokens by default.

        Returns:
            The N texts that come after the prompts.
        """
        pad, longest = self.tokenizer.pad_token_id, max(map(len, prompts))
        rows = [[pad] * (longest - len(p)) + p for p in prompts]
        mask = [[0] * (longest - len(p)) + [1] * len(p) for p in prompts]
        device = self.device
        tokens = torch.tensor(rows, device=device)
        options = {"max_new_tokens": 48, "do_sample": False} | options
        found = self.language.generate(
            inputs_embeds=self.embed(tokens, pictures.to(device)),
            attention_mask=torch.tensor(mask, device=device),
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=pad,
            **options,
        )
        return [text.strip() for text in self.tokenizer.batch_decode(found, True)]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights (safetensors only), config and tokenizer into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = asdict(self.config) | {"language": self.language.config.to_diff_dict()}
        save_file(untied(self), folder / _WEIGHTS, {"format": "pt"})
        text = json.dumps({"model_type": self.TYPE, **config}, indent=1)
        (folder / _CONFIG).write_text(text, encoding="utf-8")
        self.tokenizer.save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Nano:
        """Read what `save_pretrained` wrote; the model is in evaluation mode.

        Raises:
            UsageError: the folder holds no calipers-nano.
        """
        folder = Path(folder)
        if not (folder / _CONFIG).exists():
            raise UsageError(f"{folder}: holds no model (no {_CONFIG})")
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
        if config.pop("model_type", None) != cls.TYPE:
            raise UsageError(f"{folder}: holds another model than a calipers-nano")
        config["picture_wh"] = tuple(config["picture_wh"])
        model = cls(NanoConfig(**config), PreTrainedTokenizerFast.from_pretrained(folder))
        found = load_file(folder / _WEIGHTS)
        missing = set(untied(model)) ^ set(found)
        if missing:
            raise UsageError(f"{folder}: its weights are of another model: {sorted(missing)[:3]}")
        model.load_state_dict(found, strict=False)
        return model.eval()


def new_language(options: dict[str, Any]) -> LlamaForCausalLM:
    """A language model of random weights, with keys that are queries (a token first looks at those
    that are like it, a word at the patches that show it) and layers that say little."""
    language = LlamaForCausalLM(LlamaConfig(**options))
    with torch.no_grad():
        for layer in language.model.layers:
            heads = layer.self_attn
            if heads.k_proj.weight.shape == heads.q_proj.weight.shape:
                heads.k_proj.weight.copy_(heads.q_proj.weight)
            for said in (heads.o_proj, layer.mlp.down_proj):
                said.weight.mul_(_QUIET)
    return language


def untied(model: Nano) -> dict[str, Tensor]:
    """All weights by name, each once: an output layer that is the embedding's is left out."""
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    if model.language.config.tie_word_embeddings:
        state.pop("language.lm_head.weight", None)
    return state
