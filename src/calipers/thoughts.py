"""What a model says, apart from what it thinks aloud between tags such as ``<think>``."""

from __future__ import annotations

import re

_TAG = "(think|thinking|thought|reasoning)"
_WHOLE = re.compile(rf"<{_TAG}>.*?</\1>", re.DOTALL | re.IGNORECASE)
_ENDED = re.compile(rf"^.*</{_TAG}>", re.DOTALL | re.IGNORECASE)
_BEGUN = re.compile(rf"<{_TAG}>.*$", re.DOTALL | re.IGNORECASE)


def parted(text: str) -> tuple[str, str]:
    """What is said, and thoughts that begin and do not end; those that end are in neither.

    >>> parted("<think>3 m?</think>It is 2 m."), parted("3 m?</think>2 m"), parted("<think>So")
    (('It is 2 m.', ''), ('2 m', ''), ('', '<think>So'))
    """
    if "<" not in text:
        return text, ""
    text = _ENDED.sub("", _WHOLE.sub("", text))
    begun = _BEGUN.search(text)
    return (text, "") if begun is None else (text[: begun.start()], begun[0])


def spoken(text: str) -> str:
    """What is said."""
    return parted(text)[0]
