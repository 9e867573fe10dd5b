"""What a question asks about, by the forms that published questions have.

Read are the names after "between", after the "of" of a measure ("the height of …"), after "How
many" and after "How tall is". A question of another form has none, and is guessed as its tags are.
"""

from __future__ import annotations

import re

_ASKED = re.compile(
    r"\bhow many\b|\bhow (?:tall|high|wide|long|deep|thick|big|large) (?:is|are)\b|\bbetween\b"
    r"|\b(?:height|width|length|depth|depth value|thickness|diameter|size|area"
    r"|longest dimension(?: \([^)]*\))?) of (?!the longest dimension\b)",
    re.IGNORECASE,
)
_END = re.compile(r"[,;:?.(\n]")
_ARTICLE = re.compile(r"^(?:the|an?|this|these|those)\s+", re.IGNORECASE)
_CLAUSE = re.compile(
    r" (?:near|far|(?:that|which|on|with|in|to|of (?:the|an?)|from|at|by|next|behind|under|above"
    r"|below|beside|is|are|can (?:you|we|be)|do|does|there|you)\b)"
)
"""What begins a clause that tells a thing from others: "nearest to us", "on the table"."""


def head(name: str) -> str:
    """The last word before a clause that tells a thing from others.

    >>> head("red mug on the table"), head("lamp farthest to the left"), head("chairs")
    ('mug', 'lamp', 'chairs')
    """
    found = _CLAUSE.search(name)
    return (name[: found.start()] if found else name).rpartition(" ")[2]


def asked_about(question: str) -> list[str]:
    """The names of what a question asks about, in small letters and in order of the alphabet.

    >>> asked_about("What is the gap between the sofa and a coffee table (in meters)?")
    ['coffee table', 'sofa']
    >>> asked_about("How many chair(s) are in this room?"), asked_about("Where is it?")
    (['chair'], [])
    """
    found = _ASKED.search(question)
    if found is None:
        return []
    rest = _END.split(question[found.end() :].strip(), maxsplit=1)[0].casefold()
    parts = rest.split(" and ") if found[0].casefold() == "between" else [rest]
    names = (_ARTICLE.sub("", part.strip()) for part in parts)
    return sorted(name for name in names if name)


def heads(question: str) -> str:
    """The same, each by its last word before a clause.

    >>> heads("What is the height of the black chair next to the sofa?")
    'chair'
    """
    return " ".join(sorted(head(name) for name in asked_about(question)))
