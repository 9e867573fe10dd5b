"""Read which option a text says, by its letter or its words."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from calipers.evals.numerals import in_digits, upright
from calipers.evals.responses import is_refusal

_OPTION = re.compile(r"\(?\b([A-Z])[.):]\s*([^\n]*?)(?=\s*\(?\b[A-Z][.):]\s|\n|$)")
_LEADING = re.compile(r"\W*(?:option |choice )?\(?([A-Za-z])(?:[.):,\]}]|\W*$)", re.IGNORECASE)
_ALONE = re.compile(r"\W*(?:option |choice )?([A-Za-z])\W*", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\(([A-Za-z])\)")
_LETTER = re.compile(
    r"(?<![\w'’])(?:([B-HJ-Z])|(A|I)(?!['’]|\s+(?!is\b|or\b|and\b)[a-z]))(?![\w'’])"
)
"""An option's letter; "A" before a word is an article, and "I" a person."""
_NAMING = re.compile(r"(?<![\w'’])([A-Z])(?![\w'’])")
_SPOKEN_OF = re.compile(
    r"\b[A-Z]\s+(?:is|was|lies|sits|looks|seems|appears|has)\s+(?!(?:the )?(?:correct|right))"
)

_HEDGED = re.compile(
    r"\W*(?:option |choice )?([A-Z])\W*?(?:[,/;&]|\bor\b|\band\b)\W*(?:option |choice )?([A-Z])"
    r"(?![\w'’]|\s+(?!or\b|and\b)[a-z])",
    re.IGNORECASE,
)
"""Two letters at the start, neither of them marked as the answer."""
_DENIED = r"(?i:(?:\b(?:not|than|instead of|unlike)|n['’]t)\s+(?:be\s+)?(?:the\s+|an?\s+)?)"
_ONE = r"(?i:(?:options?|choices?|points?)\s+)?\(?[A-Z]\b\)?"
_NOT_CHOSEN = re.compile(
    rf"{_DENIED}{_ONE}"
    rf"|{_ONE}(?:(?:,|\s+and|\s+or)+\s+{_ONE})*\s+(?:is|are|was|were|seems|looks)"
    r"(?:n['’]t|\s+(?:also\s+|clearly\s+)?(?:not|wrong|incorrect|false|ruled))\b"
    r"|\b(?:because|since|whereas|while)\b[^.\n]*"
)
"""Letters after "not" or "than", those that are wrong, and reasons."""
_NOT_SAID = re.compile(f"{_DENIED}$")
_THAT_ONE = re.compile(r"\b(?!(?:is|only|just|exactly|see|count)\b)\w+\s+one\b", re.IGNORECASE)
"""A thing, and no number: "the one", "the other one"."""
_SENTENCE = re.compile(r"[.!]\s|\n")


def options(question: str) -> dict[str, str]:
    """Letters and words of the options in a question.

    >>> options("Where is it? A. on the left B. on the right")
    {'A': 'on the left', 'B': 'on the right'}
    """
    return {letter: words.strip(" ,;") for letter, words in _OPTION.findall(question)}


def read_option(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the option that a text says, by letter or by words; None unless it is one.

    A letter that the text starts with, or that is a line of its own, goes before others, one in
    brackets before the rest, a letter before words, and words that hold other options' words
    before those. What is denied ("not A", "A is wrong") or given as a reason does not count. Where
    the options' words name things by letters ("A is closer"), they go before a letter in a
    sentence, which is none where it is what the sentence speaks of.

    >>> choices = {"A": "on the left", "B": "on the right"}
    >>> [read_option(t, choices) for t in ("(B)", "b", "B. on the right", "On the left.", "A or B")]
    ['B', 'B', 'B', 'A', None]
    >>> read_option("Not sure", {"A": "Yes", "B": "No"}) is None
    True
    >>> points = {"A": "A is closer", "B": "B is closer"}
    >>> [read_option(t, points) for t in ("A is closer than B", "A is farther", "It is A.", "(B)")]
    ['A', None, 'A', 'B']
    """
    plain = upright(text)
    known = choices.keys() or set("ABCDEF")
    marked = _marked_letter(plain, known)
    if marked:
        return marked if marked in known else None
    if first := _SENTENCE.search(text):
        start = text[: first.start()].casefold().strip(" .*\n")
        for letter, words in choices.items():
            if start == words.casefold().strip(" ."):
                return letter
    if _letters(plain, known):
        naming = any(letter in known for w in choices.values() for letter in _NAMING.findall(w))
        said = _by_words(text.casefold(), choices) if naming else None
        plain = _NOT_CHOSEN.sub(" ", plain)
        letters = set() if said else _letters(plain, known)
        if letters:
            unclear = len(letters) > 1 or (naming and _SPOKEN_OF.search(plain))
            return None if unclear else letters.pop()
    return _by_words(text.casefold(), choices) or _by_count(text, choices)


def _letters(text: str, known: Collection[str]) -> set[str]:
    """The options' letters in brackets, else all that stand alone."""
    found: set[str] = set(map(str.upper, _IN_BRACKETS.findall(text))) if "(" in text else set()
    found &= set(known)
    return found or {a or b for a, b in _LETTER.findall(text)} & set(known)


def _marked_letter(text: str, known: Collection[str]) -> str | None:
    """The letter that a text starts with or has as its first or last line; "?" for two."""
    first = _LEADING.match(text)
    if first and first[1].upper() in known and not _hedges(text, known):
        return first[1].upper()
    if "\n" not in text:
        return None
    lines = text.strip().splitlines()
    found = [line[1].upper() for line in map(_ALONE.fullmatch, (lines[0], lines[-1])) if line]
    said = set(found) & set(known)
    return None if not said else said.pop() if len(said) == 1 else "?"


def _hedges(text: str, known: Collection[str]) -> bool:
    """Whether a text starts with two letters of options."""
    if re.search(r"\b(?:or|and|/)\b", text[:12]):
        return True
    both = _HEDGED.match(text)
    return both is not None and both[1].upper() != both[2].upper() and both[2].upper() in known


def _by_words(text: str, choices: Mapping[str, str]) -> str | None:
    """The one option whose words stand in the text, outside of longer options' words."""
    found = []
    for key, words in sorted(choices.items(), key=lambda item: -len(item[1])):
        folded = words.casefold().strip(" .")
        if _stands(text, folded):
            found.append(key)
            text = text.replace(folded, "\0")
    return found[0] if len(found) == 1 else None


def _stands(text: str, words: str) -> bool:
    """Whether words stand in a text, not as parts of others, and not denied."""
    spot = text.find(words) if words else -1
    while spot >= 0:
        end = spot + len(words)
        apart = not text[max(spot - 1, 0) : spot].isalnum() and not text[end : end + 1].isalnum()
        if apart and not _NOT_SAID.search(text, max(0, spot - 20), spot):
            return True
        spot = text.find(words, spot + 1)
    return False


def _by_count(text: str, choices: Mapping[str, str]) -> str | None:
    """The option that is the only number said, in words, where all of them are numbers."""
    if not choices or not all(words.strip().isdecimal() for words in choices.values()):
        return None
    if re.search(r"\d", text) or is_refusal(text):
        return None
    said = re.findall(r"[\d.]+", in_digits(_THAT_ONE.sub(" ", text)))
    found = [letter for letter, words in choices.items() if [words.strip()] == said]
    return found[0] if len(found) == 1 else None
