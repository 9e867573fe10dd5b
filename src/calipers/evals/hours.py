"""Read an hour of the clock out of a text."""

from __future__ import annotations

import re

from calipers.evals.numerals import in_digits

_HOUR = r"(?<![\d.])(\d{1,2}(?:\.\d+)?)(?::(\d\d))?"
_CLOCK = re.compile(
    rf"(?:{_HOUR}\s*(?:o\s?['’`]?\s?clock)?\s*(?:[-–—~]|\b(?:to|or|and)\b)\s*)?"
    rf"{_HOUR}\s*-?\s*o\s?['’`]?\s?clock",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"\\(?:text|math)\w*\s*\{|[\\{}$]")
_HOUR_ALONE = re.compile(
    r"\W*(?:(?:about|around|approximately|roughly|at|direction|hour)\W+)*(\d{1,2})(?::(\d\d))?"
    r"(?:\.0*)?(?:\s*[ap]\.?m\.?)?\W*",
    re.IGNORECASE,
)
_NOT_AT = re.compile(r"(?:\b(?:not|than)|n['’]t)\s+(?:at\s+)?(?:the\s+)?$", re.IGNORECASE)
_GIVEN = re.compile(
    r"\b(?:if|when|where|while|with|as|relative to|facing|assuming|given|let)\s+(?:that\s+)?"
    r"(?:the\s+)?$",
    re.IGNORECASE,
)


def read_clock(text: str) -> float | None:
    """An hour from 0 up to 12 (12 o'clock is 0); of several the last one, of a range its middle.

    An hour after "not" does not count, nor one that is given ("if 12 o'clock is ahead") beside
    another; a number without "o'clock" counts only where it is the whole text.

    >>> read_clock("around the 10 o'clock direction"), read_clock("twelve o'clock"), read_clock("3")
    (10.0, 0.0, 3.0)
    >>> read_clock("between 11 and 1 o'clock"), read_clock("5 meters ahead")
    (0.0, None)
    """
    plain = in_digits(_MARKUP.sub("", text) if "\\" in text else text)
    found = [match for match in _CLOCK.finditer(plain) if not _said_before(_NOT_AT, match)]
    found = [match for match in found if not _said_before(_GIVEN, match)] or found
    if found:
        return _hour(found[-1])
    alone = _HOUR_ALONE.fullmatch(plain)
    return _on_dial(alone[1], alone[2]) if alone else None


def _said_before(words: re.Pattern[str], match: re.Match[str]) -> bool:
    return words.search(match.string, max(0, match.start() - 30), match.start()) is not None


def _hour(match: re.Match[str]) -> float | None:
    """The hour of a match, or the middle of a range by the shorter way; of opposite ones none."""
    last = _on_dial(match[3], match[4])
    between = "and" not in match[0].lower() or match.string[: match.start()].endswith("between ")
    first = _on_dial(match[1], match[2]) if match[1] and between else last
    if first is None or last is None:
        return None
    apart = (last - first + 6) % 12 - 6
    return None if apart == -6 else (first + apart / 2) % 12


def _on_dial(hours: str, minutes: str | None) -> float | None:
    hour = float(hours) + int(minutes or 0) / 60
    return hour % 12 if hour < 13 else None
