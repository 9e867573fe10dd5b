"""What a model says without what it thinks aloud."""

from __future__ import annotations

import re

_TAG = "(think|thinking|thought)"
_WHOLE = re.compile(rf"<{_TAG}>.*?</\1>", re.DOTALL | re.IGNORECASE)
_ENDED = re.compile(rf"^.*</{_TAG}>", re.DOTALL | re.IGNORECASE)
_BEGUN = re.compile(rf"<{_TAG}>.*$", re.DOTALL | re.IGNORECASE)


def spoken(text: str) -> str:
    """A text without thoughts: what is in think tags, before one that ends, behind one that begins.

    >>> spoken("<think>3 m?</think>It is 2 m."), spoken("3 m?</think>2 m"), spoken("<think>So")
    ('It is 2 m.', '2 m', '')
    """
    if "<" not in text:
        return text
    return _BEGUN.sub("", _ENDED.sub("", _WHOLE.sub("", text)))
