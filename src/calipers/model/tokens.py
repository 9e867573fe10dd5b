"""Text ↔ tokens for calipers-nano: a tokenizer made of the questions, and what a prompt looks like.

Digits are tokens of their own, so that 0.86 is four tokens whatever the number, and lengths can be
learnt from few examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from calipers.model.grounding import IGNORED
from calipers.tools.protocol import ANSWERED

SPECIAL = ("<pad>", "<eos>", "<image>")


def train_tokenizer(texts: Iterable[str], size: int = 2048) -> PreTrainedTokenizerFast:
    """Make a byte-level BPE tokenizer of some texts; any text can be written with it.

    Args:
        texts: questions and answers as they will be learnt.
        size: most tokens it may have.

    >>> tokenizer = train_tokenizer(["The chair is 86 cm tall."] * 9)
    >>> tokenizer.tokenize(" chair 868 cm")
    ['Ġchair', 'Ġ', '8', '6', '8', 'Ġcm']
    """
    tokenizer = Tokenizer(models.BPE())
    split = [pre_tokenizers.Digits(individual_digits=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*split, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>",
        additional_special_tokens=["<image>"], clean_up_tokenization_spaces=False,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Template:
    """What stands before questions and answers; few tokens, for all of them are computed."""

    question: str = "\n"
    answer: str = " ="


TEMPLATE = Template()


@dataclass(slots=True)
class Row:
    """The tokens of one picture and its questions; lists of one length (see `nano.Batch`)."""

    tokens: list[int]
    labels: list[int]
    turn: list[int]
    position: list[int]
    named: list[int]
    order: list[int]


class Writer:
    """Writes pictures' places, questions and answers as tokens.

    Args:
        tokenizer: of the model.
        patches: tokens of a frame's pictures.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, patches: int) -> None:
        self.tokenizer = tokenizer
        self.prefix: list[int] = [tokenizer.convert_tokens_to_ids("<image>")] * patches

    def prompt(self, question: str) -> list[int]:
        """The tokens before an answer, the pictures' included."""
        return self.prefix + self.tokens(_asked(question))

    def measure(self, turns: Sequence[tuple[str, str]]) -> int:
        """How many tokens the questions and answers are."""
        return len(self.row(turns).tokens) - len(self.prefix)

    def row(
        self,
        turns: Sequence[tuple[str, str]],
        apart: bool = True,
        names: Mapping[str, int] = MappingProxyType({}),
    ) -> Row:
        """The tokens of a picture with questions and answers; answers and their ends are learnt,
        what the DepthAPI says in them is not.

        Args:
            turns: question and answer.
            apart: whether a question sees none of the others; else it sees those before it.
            names: what things are called → their numbers, to be found in the questions.
        """
        start = len(self.prefix)
        tokens, labels = list(self.prefix), [IGNORED] * start
        turn, position, named, order = [0] * start, list(range(start)), [-1] * start, [-1] * start
        for number, (question, answer) in enumerate(turns, start=1):
            start = start if apart else len(tokens)
            asked, thing = self._named(question, names)
            said, learnt = answer_tokens(self.tokenizer, " " + answer)
            said, learnt = ([*found, self.tokenizer.eos_token_id] for found in (said, learnt))
            tokens += asked + said
            named += thing + [-1] * len(said)
            order += _order(thing) + [-1] * len(said)
            labels += [IGNORED] * len(asked) + learnt
            turn += [number if apart else 1] * (len(asked) + len(said))
            position += range(start, start + len(asked) + len(said))
        return Row(tokens, labels, turn, position, named, order)

    def _named(self, question: str, names: Mapping[str, int]) -> tuple[list[int], list[int]]:
        """The tokens of a question, and which name each is part of; -1 for none. Longer names go
        first."""
        if not names:
            tokens = self.tokens(_asked(question))
            return tokens, [-1] * len(tokens)
        longest = sorted(names, key=len, reverse=True)
        pattern = rf"\b(?:{'|'.join(map(re.escape, longest))})\b"
        text = _asked(question)
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        named = [-1] * len(found["input_ids"])
        for match in re.finditer(pattern, text):
            for k, (start, end) in enumerate(found["offset_mapping"]):
                if start < match.end() and end > match.start():
                    named[k] = names[match[0]]
        return found["input_ids"], named

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text, and nothing around them."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return found


def answer_tokens(tokenizer: Any, answer: str) -> tuple[list[int], list[int]]:
    """The tokens of an answer, and its labels: `IGNORED` where the DepthAPI speaks.

    A token that holds the end of the call as well is the model's.

    Args:
        tokenizer: a fast one of transformers.
        answer: what the model says, with what it was told on the way.

    >>> tokenizer = train_tokenizer(["Depth(0.25,0.50)=1500 mm"])
    >>> tokens, labels = answer_tokens(tokenizer, "Depth(0.25,0.50)=1500 mm")
    >>> tokenizer.decode([token for token in labels if token != IGNORED])
    'Depth(0.25,0.50)= mm'
    """
    told = [match.span(2) for match in ANSWERED.finditer(answer)]
    found = tokenizer(answer, add_special_tokens=False, return_offsets_mapping=bool(told))
    tokens: list[int] = found["input_ids"]
    labels = list(tokens)
    for k, (start, end) in enumerate(found["offset_mapping"] if told else ()):
        if any(first <= start and end <= last for first, last in told):
            labels[k] = IGNORED
    return tokens, labels


def _asked(question: str) -> str:
    return TEMPLATE.question + question + TEMPLATE.answer


def _order(named: Sequence[int]) -> list[int]:
    """Things by the order in which they are named; -1 stays.

    >>> _order([-1, 5, 5, -1, 2, 5])
    [-1, 0, 0, -1, 1, 0]
    """
    first = {thing: k for k, thing in enumerate(dict.fromkeys(t for t in named if t >= 0))}
    return [first.get(thing, -1) for thing in named]
