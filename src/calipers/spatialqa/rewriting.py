"""Facts into free conversation by a language model, and nothing taken from it that is not true.

The model sees a question and its answer and words both anew. What it says is kept only when every
number (with its unit), every name and every relation in it agrees with the fact; else the words of
the templates stay and the reason is counted:

===============  ===============================================================================
reason           what was wrong
===============  ===============================================================================
unusable         no JSON with one turn for each fact, twice
number           a number that the fact does not hold, or in another unit with another value; or
                 the answer does not tell the number asked for
name             an object of the fact is not named by its phrase, or another thing is
relation         a relation the fact does not speak of, or the opposite of what is true
answer           yes, no, or who it is, cannot be read from the answer, or is the wrong one
===============  ===============================================================================

The check is strict: a true sentence that it cannot read is rejected too.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from calipers.chat import ChatClient, Reply, UnusableError, user
from calipers.errors import DataError
from calipers.spatialqa.names import COLOURS, RELATED, VOCABULARY, plural
from calipers.spatialqa.table import SpatialQuestion
from calipers.spatialqa.writing import wordings
from calipers.stages.captions import read_caption
from calipers.types import Scene
from calipers.units import parse_length, tolerance

AT_ONCE = 6
"""Facts of one request."""
PROMPT = """Below are questions about one picture, each with its true answer. Write each anew as one
turn of a natural conversation between a user and an assistant, in free words of your own.
Keep every number with its unit, every point and every box exactly as it stands. Call every object
by exactly the phrase used. Add no fact, no object and no relation. Where the answer is yes or no,
begin the assistant's turn with it.
Answer with JSON only: [{"user": "...", "assistant": "..."}, ...], one for each, in this order.

"""
_NUMBER = re.compile(r"(?<![\w.])(\d+(?:,\d{3})*(?:\.\d+)?)(\s*-?\s*([a-zA-Z\"'″′]+))?")
_WORDS = "two three four five six seven eight nine ten eleven twelve"
NUMBER_WORDS = {word: n for n, word in enumerate(_WORDS.split(), start=2)}
_NEGATION = re.compile(
    r"\b(?:no|not|none|zero|never|neither|nor|without|cannot|nothing|absent|nobody)\b|n['’]t\b",
    re.I,
)
_SAME = re.compile(r"\b(?:same|equal|equally|similar|identical|no clear)\b", re.I)
FAMILIES: Mapping[str, tuple[str, str]] = {
    "depth": (
        r"near|nearer|nearest|closer|closest|less deep|front|less depth|smaller|smallest",
        r"far|farther|farthest|further|furthest|behind|deeper|deepest|more distant|larger|greater",
    ),
    "across": (r"left|leftmost", r"right|rightmost"),
    "up": (r"above|over|higher|upper", r"below|under|underneath|beneath|lower"),
    "contact": (r"touch\w*|contact|reach\w*|grasp\w*", r"apart|separate\w*|gap"),
    "inside": (r"inside|within|in|contain\w*", r"outside|out of"),
    "support": (r"on|on top of|rest\w*|carr\w+|support\w*|stand\w*|lie|lies|lying", r"off"),
    "size": (
        r"bigger|larger|taller|wider|longer",
        r"smaller(?! depth| than at| than that)|shorter|narrower|thinner",
    ),
}
"""Families of relations: words for it and for its opposite."""
_COMPILED = {
    family: tuple(re.compile(rf"\b(?:{words})\b", re.I) for words in both)
    for family, both in FAMILIES.items()
}
_ALLOWED: Mapping[str, tuple[str, ...]] = {
    "nearer_point": ("depth",),
    "nearer_object": ("depth",),
    "depth_order": ("depth",),
    "depth_map_range": ("depth",),
    "object_depth": ("depth",),
    "contact": ("contact",),
    "reach": ("contact",),
    "inside": ("inside",),
    "on_top_of": ("support",),
}
_EVERYDAY = ("inside", "support")
"""Families whose words also serve other purposes ("in the picture", "on average"); not refused."""


class RejectedError(Exception):
    """A wording that does not agree with its fact; the text is one of the reasons."""


def rewrite(
    client: ChatClient, questions: Sequence[SpatialQuestion], scene: Scene
) -> tuple[list[SpatialQuestion], Counter[str]]:
    """Let a model word questions of one scene anew.

    Returns:
        The questions in their order, those reworded with the template ids "rewritten", and how many
        were "kept" and rejected by reason.

    Raises:
        EndpointError: the endpoint cannot be used at all.
    """
    made: list[SpatialQuestion] = []
    counts: Counter[str] = Counter()
    for start in range(0, len(questions), AT_ONCE):
        some = questions[start : start + AT_ONCE]
        try:
            turns = client.ask([user(_prompt(some))], partial(_turns, count=len(some)))
        except UnusableError:
            counts["unusable"] += len(some)
            made += some
            continue
        for question, turn in zip(some, turns):
            try:
                check(question, turn["user"], turn["assistant"], scene)
            except RejectedError as error:
                counts[str(error)] += 1
                made.append(question)
            else:
                counts["kept"] += 1
                made.append(reworded(question, turn["user"], turn["assistant"]))
    return made, counts


def _prompt(questions: Sequence[SpatialQuestion]) -> str:
    rows = [f"{n}. Q: {q.question}\n   A: {q.answer}" for n, q in enumerate(questions, start=1)]
    return PROMPT + "\n".join(rows)


def _turns(reply: Reply, count: int) -> list[dict[str, str]]:
    text = reply.text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        turns: Any = json.loads(text)
    except ValueError as error:
        raise UnusableError("it is not JSON") from error
    if not isinstance(turns, list) or len(turns) != count:
        raise UnusableError(f"wanted a list of {count} turns")
    for turn in turns:
        texts = [turn.get(role) for role in ("user", "assistant")] if isinstance(turn, dict) else []
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise UnusableError('every turn needs the texts "user" and "assistant"')
    return turns


def reworded(question: SpatialQuestion, asked: str, answered: str) -> SpatialQuestion:
    """The record with other words; calls of DepthAPI stay between them."""
    messages = question.messages
    if messages is not None:
        first, last = {**messages[0], "content": asked}, {**messages[-1], "content": answered}
        messages = [first, *messages[1:-1], last]
    return replace(
        question, question=asked, answer=answered, question_template="rewritten",
        answer_template="rewritten", messages=messages,
    )  # fmt: skip


def check(question: SpatialQuestion, asked: str, answered: str, scene: Scene) -> None:
    """Compare a wording with its fact.

    Raises:
        RejectedError: they do not agree.
    """
    _check_numbers(question, f"{asked} {answered}", answered)
    asked_names, answered_names = _masked(question, asked), _masked(question, answered)
    _check_names(question, f"{asked_names} {answered_names}", scene)
    _check_relations(question, asked_names, answered_names)
    _check_answer(question, answered_names)


def _numbers(text: str) -> tuple[list[tuple[float, float]], list[str]]:
    """Lengths with what they leave open, metres, and numbers without a unit."""
    lengths, bare = [], []
    for match in _NUMBER.finditer(text):
        try:
            said = match[0] if match[2] else ""
            lengths.append((parse_length(said), tolerance(said)))
        except DataError:
            bare.append(match[1].replace(",", ""))
    return lengths, bare


def _check_numbers(question: SpatialQuestion, text: str, answered: str) -> None:
    true, true_bare = _numbers(f"{question.question} {question.answer}")
    values = [length for length, _ in true]
    if question.value is not None:
        values.append(question.value)
    said, bare = _numbers(text)
    for length, open_ in said:
        if not any(abs(length - value) <= max(open_, 0.006 * value) for value in values):
            raise RejectedError("number")
    counts = {question.label} if question.type == "counting" else set[str | None]()
    if not set(bare) <= {*true_bare, *counts}:
        raise RejectedError("number")
    if _spelled(text) - _spelled(f"{question.question} {question.answer}") - counts:
        raise RejectedError("number")
    _check_told(question, answered)


def _check_told(question: SpatialQuestion, answered: str) -> None:
    """Whether the answer tells the number that was asked for."""
    lengths, bare = _numbers(answered)
    wanted, own = _numbers(question.answer)
    if question.kind == "quantitative" and len(lengths) < len(wanted):
        raise RejectedError("number")
    if question.type == "locate" and bare != own:
        raise RejectedError("number")
    told = {*_spelled(answered), *bare}
    if question.type == "counting" and question.label not in ("0", "1", *told):
        raise RejectedError("number")


def _spelled(text: str) -> set[str]:
    return {str(n) for word, n in NUMBER_WORDS.items() if re.search(rf"\b{word}\b", text, re.I)}


def _names(question: SpatialQuestion) -> list[str]:
    """The phrases of a fact, in the order of its letters; points for the types at points."""
    if question.type in ("counting", "existence", "object_from_depth"):
        return []
    if question.type == "nearer_point":
        return re.findall(r"\([\d.]+, [\d.]+\)", question.question)[:2]
    return question.objects


def _masked(question: SpatialQuestion, text: str) -> str:
    """The text with the fact's own phrases replaced by ⟦A⟧, ⟦B⟧, …, the longest first."""
    names = list(enumerate(_names(question)))
    for place, name in sorted(names, key=lambda row: -len(row[1])):
        token = f"⟦{'ABCDE'[place]}⟧"
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", token, text, flags=re.I)
    return text


def _check_names(question: SpatialQuestion, masked: str, scene: Scene) -> None:
    if not all(f"⟦{letter}⟧" in masked for letter, _ in zip("ABCDE", _names(question))):
        raise RejectedError("name")
    own = f"{question.question} {question.answer} {question.label or ''}".lower()
    known = {read_caption(item.caption).head for item in scene.objects}
    known |= set(VOCABULARY) | {word for group in RELATED for word in group if len(word) > 3}
    said = {word for word in known if word and re.search(rf"\b{word}s?\b", masked.lower())}
    said -= {"picture", "photo", "print", "display", "case", "block", "object", "light", "watch"}
    if any(not re.search(rf"\b{word}", own) for word in said):
        raise RejectedError("name")
    if question.type in ("counting", "existence"):
        _check_kind(question, masked)


def _check_kind(question: SpatialQuestion, text: str) -> None:
    """Whether the kind that is asked for is still the one named, with its colour."""
    kind = _kind(question)
    words, forms = re.findall(r"[a-z]+", text.lower()), {kind, plural(kind)}
    if not any(re.search(rf"\b{re.escape(form)}\b", text, re.I) for form in forms):
        raise RejectedError("name")
    if COLOURS & set(words) - set(kind.split()):
        raise RejectedError("name")


def _kind(question: SpatialQuestion) -> str:
    """What the template's placeholder stands for in the question: "red mug", "boxes"."""
    ask, number = question.question_template.split(".")[1:]
    template = wordings()[question.type].questions[ask][int(number.removeprefix("q")) - 1]
    before, _, after = re.sub(r"\{names?\}", "\0", template).partition("\0")
    name = question.question[len(before) : len(question.question) - len(after)]
    return re.sub(r"^an? ", "", name)


def _check_relations(question: SpatialQuestion, asked: str, answered: str) -> None:
    allowed = (*_ALLOWED.get(question.type, ()), *_EVERYDAY)
    own = f"{_masked(question, question.question)} {_masked(question, question.answer)}"
    for family, both in _COMPILED.items():
        for pattern in both:
            unknown = family not in allowed and not pattern.search(own)
            if unknown and pattern.search(f"{asked} {answered}"):
                raise RejectedError("relation")
    if question.type in ("nearer_point", "nearer_object") and question.label != "same":
        _check_winner(question, answered)


def _check_winner(question: SpatialQuestion, answered: str) -> None:
    """Each clause "A … nearer" must have the right subject."""
    near, far = _COMPILED["depth"]
    for sentence in re.split(r"[.!?](?!\d)\s*|,? (?:and|while|whereas|but) ", answered):
        for pattern, true in ((near, question.label), (far, _other(question.label))):
            word = pattern.search(sentence)
            subject = re.search(r"⟦([AB])⟧", sentence[: word.start()]) if word else None
            if word and subject is None:
                subject = re.search(r"⟦([AB])⟧", sentence[word.end() :])
            if word and (subject is None or subject[1] != true):
                raise RejectedError("relation")


def _other(label: str | None) -> str:
    return "B" if label == "A" else "A"


def _check_answer(question: SpatialQuestion, answered: str) -> None:
    negated = bool(_NEGATION.search(answered))
    letters = re.findall(r"⟦([A-E])⟧", answered)
    if question.label in ("yes", "no"):
        first = re.match(r"\W*(yes|no)\b", answered, re.I)
        denies = _NEGATION.search(answered[first.end() :] if first else answered)
        if first is None or first[1].lower() != question.label:
            raise RejectedError("answer")
        if question.label == "yes" and denies:
            raise RejectedError("answer")
    elif question.label == "same":
        if not _SAME.search(answered):
            raise RejectedError("answer")
    elif question.type in ("nearer_point", "nearer_object"):
        if negated or not letters or _SAME.search(answered):
            raise RejectedError("answer")
        if not any(p.search(answered) for p in _COMPILED["depth"]) and set(letters) != {
            question.label
        }:
            raise RejectedError("answer")
    elif question.type == "depth_order":
        if list(dict.fromkeys(letters)) != (question.label or "").split(","):
            raise RejectedError("answer")
    elif (
        question.type == "object_from_depth" and (question.label or "?") not in answered.lower()
    ) or (question.type == "counting" and (question.label == "0") != negated):
        raise RejectedError("answer")
