"""What a model says, apart from what it thinks aloud.

Thoughts stand between tags such as ``<think>``, Kimi's ``◁think▷`` or Magistral's ``[THINK]``.
"""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)(think|thinking|thought|reasoning)>", re.IGNORECASE)
_OTHER_TAGS = re.compile(r"◁(/?think)▷|\[(/?THINK)\]")


def parted(text: str) -> tuple[str, str]:
    """What is said, and thoughts that begin and do not end; those that end are in neither.

    Thoughts that end and do not begin began with the text.

    >>> parted("<think>3 m?</think>It is 2 m."), parted("3 m?</think>2 m"), parted("<think>So")
    (('It is 2 m.', ''), ('2 m', ''), ('', '<think>So'))
    >>> parted("◁think▷3 m?◁/think▷2 m"), parted("[THINK]3 m?[/THINK]2 m")
    (('2 m', ''), ('2 m', ''))
    """
    if "THINK]" in text or "◁" in text:
        text = _OTHER_TAGS.sub(lambda tag: f"<{tag[1] or tag[2]}>", text)
    if "<" not in text:
        return text, ""
    tags = list(_TAG.finditer(text))
    ends = {tag[2].lower(): tag.start() for tag in tags if tag[1]}
    said, place, inside = "", 0, ""
    for tag in tags:
        name = tag[2].lower()
        if inside:
            if tag[1] and name == inside:
                place, inside = tag.end(), ""
        elif tag[1]:
            said, place = "", tag.end()
        elif ends.get(name, 0) > tag.start():
            said, inside = said + text[place : tag.start()], name
    said += text[place:]
    begun = _TAG.search(said)
    return (said, "") if begun is None else (said[: begun.start()], said[begun.start() :])


def spoken(text: str) -> str:
    """What is said."""
    return parted(text)[0]
