"""The colours of objects, the same in the report and in figures."""

from __future__ import annotations

COLOURS = (
    "#4c9be8", "#ffb000", "#2fbf71", "#ff5d5d", "#b07cff", "#00c2c7", "#ff8ad1", "#b5d334",
    "#d9822b", "#7fd6ff", "#e8e337", "#d1477f", "#8fa3ff", "#00a37a", "#ffc9a3", "#9c6b4f",
    "#c9a7eb", "#7bb662", "#f0568c", "#a5b4c3",
)  # fmt: skip
"""Twenty colours that differ in hue and lightness; a number stands beside every use of one."""


def colour(index: int) -> str:
    """The colour of object `index` as #rrggbb; after twenty they come again.

    >>> colour(21)
    '#ffb000'
    """
    return COLOURS[index % len(COLOURS)]


def ink_on(background: str) -> str:
    """Black or white, whichever is easier to read on `background` (#rrggbb).

    >>> ink_on("#ffb000"), ink_on("#0f766e")
    ('#10151c', '#ffffff')
    """
    red, green, blue = (int(background[at : at + 2], 16) for at in (1, 3, 5))
    return "#10151c" if 0.299 * red + 0.587 * green + 0.114 * blue > 115 else "#ffffff"
