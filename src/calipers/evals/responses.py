"""The part of a model's response that is its answer."""

from __future__ import annotations

import json
import re

from calipers.thoughts import parted, spoken
from calipers.units import UNITS_M

_ANSWER_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_WHOLE_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_ANSWER_LINE = re.compile(
    r"(?:final answer|(?<![\w\"'])answer)\**\s*(?:is\b(?!\s+based\b)|[:=])\s*\**\s*(?=\S)",
    re.IGNORECASE,
)
_OBJECT = re.compile(r"(?:^|```(?:json)?)\s*(?=\{)", re.IGNORECASE)
_ANSWER_KEYS = ("final_answer", "answer", "distance", "value", "hour")


def final(text: str) -> str:
    """The part of a response that counts.

    What follows ``</think>``; of that the last ``<answer>…</answer>``, else the last
    ``\\boxed{…}``, else the "answer" of a JSON object, else what follows the last "answer:" or
    "the answer is" (not "is based on"). Of thoughts that do not end nothing counts but an
    ``<answer>…</answer>``.

    >>> final("<think>1 m?</think>So <answer>2 m</answer>"), final("First 1 m. Final answer: 3 m")
    ('2 m', '3 m')
    >>> final('{"answer": "2 m", "reasoning": "a door is 2.1 m"}'), final("<think>It is 1 m, or")
    ('2 m', '')
    """
    return finals(text)[0]


def finals(text: str) -> list[str]:
    """The part that counts, and behind it what follows earlier "answer:", the last one first.

    >>> finals("The answer is 2 m. This answer is an estimate.")
    ['an estimate.', '2 m. This']
    """
    if "<" in text or "◁" in text or "THINK]" in text:
        text, unended = parted(text)
        answers = _WHOLE_ANSWER if unended else _ANSWER_TAG
        tagged: list[str] = answers.findall(text + unended)
        if tagged or unended:
            return [_told(tagged[-1].strip()) if tagged else ""]
    if "{" in text:
        told = _boxed(text) if "boxed{" in text else _told(text)
        if told is not text:
            return [told.strip()]
    if "nswer" in text or "NSWER" in text:
        parts = [part.strip() for part in _ANSWER_LINE.split(text)[:0:-1] if part]
        return parts or [text.strip()]
    return [text.strip()]


def _boxed(text: str) -> str:
    """What the last box holds, with the braces in it."""
    start = place = text.rindex("boxed{") + len("boxed{")
    depth = 1
    while place < len(text) and depth:
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        place += 1
    return text[start : place - (depth == 0)].strip()


def _told(text: str) -> str:
    """The answer of a text that is a JSON object, or ends with one, with its unit."""
    if '"' not in text:
        return text
    for match in _OBJECT.finditer(text):
        try:
            found, _ = json.JSONDecoder().raw_decode(text, match.end())
        except (ValueError, RecursionError):
            continue
        key = next((key for key in _ANSWER_KEYS if key in found), None)
        if key is not None:
            value = found[key] if isinstance(found[key], str) else json.dumps(found[key])
            unit = "" if re.search("[A-Za-z]", value) else found.get("unit") or ""
            return f"{value} {unit}".strip()
    return text


_WORDLESS = re.compile(r"[^A-Za-z'\"′″°%²]*")
_NAMES = "|".join(sorted((unit for unit in UNITS_M if unit.isalpha()), key=len, reverse=True))
_UNIT = rf"({_NAMES})(?![A-Za-z²³^\d])(?<!\bin)"
_BEHIND = re.compile(
    rf"(?:</answer>|\\(?:text|mathrm|mbox)\b|\\[,;:! )\]]|[\s${{}}*)])+{_UNIT}", re.IGNORECASE
)
_NAMED = re.compile(rf"(?:\d\s?-?|\bin |\bunits?:? |\(){_UNIT}", re.IGNORECASE)
_NAME_OF = {metres: unit for unit, metres in reversed(UNITS_M.items()) if unit.isalpha()}


def with_unit(part: str, response: str, anywhere: bool) -> str:
    """A length that is said without a unit, with the one that stands elsewhere in the response.

    Args:
        part: of the response, what counts.
        response: the whole.
        anywhere: the unit may also be the only one that the response names, not only the one right
            behind the part.

    >>> with_unit("1.5", "The width is 1.5 m. Answer: 1.5", True)
    '1.5 m'
    """
    if not _WORDLESS.fullmatch(part):
        return part
    said = spoken(response)
    behind = _BEHIND.match(said, said.rfind(part) + len(part))
    if behind:
        return f"{part} {behind[1]}"
    named = {UNITS_M[unit.lower()] for unit in _NAMED.findall(said)} if anywhere else set()
    return f"{part} {_NAME_OF[named.pop()]}" if len(named) == 1 else part


_REFUSAL = re.compile(
    r"\b(?:sorry|can(?:no|['’])t|unable to|not able to|not possible|impossible|as an ai"
    r"|do(?:n['’]t| not) know|not sure|unsure|(?:un|not )known|no (?:idea|clue|way)|unclear"
    r"|undetermined|n/a"
    r"|insufficient|not enough|not visible|difficult to|hard to)\b|\bcannot be\b",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """Whether a text in which nothing could be read says that it gives no answer.

    >>> is_refusal("I'm sorry, I can't measure that."), is_refusal("far")
    (True, False)
    """
    return _REFUSAL.search(text) is not None
