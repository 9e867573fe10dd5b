"""Read points in a picture, in the notations that models write, and polygons."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_FLOAT = r"[-+]?(?:\d{1,9}(?:\.\d*)?|\.\d+)"
_PAIR = re.compile(rf"[(\[]\s*({_FLOAT})\s*(\\?%)?\s*,\s*({_FLOAT})\s*(?:\\?%)?\s*[)\]]")
_BARE_PAIR = re.compile(rf"\s*({_FLOAT})\s*(\\?%)?\s*,(?!\d{{3}}\b)\s*({_FLOAT})\s*(?:\\?%)?[\s.]*")
_X_AND_Y = re.compile(
    rf"\bx[\"']?\s*[:=]\s*({_FLOAT})\s*(\\?%)?\s*,?\s*[\"']?\by[\"']?\s*[:=]\s*({_FLOAT})"
)
_MOLMO = re.compile(rf"x\d*\s*=\s*[\"']\s*({_FLOAT})\s*[\"']\s+y\d*\s*=\s*[\"']\s*({_FLOAT})")
_MOLMO2 = re.compile(r"coords\s*=\s*[\"']([^\"']*)[\"']")
_KEYED = re.compile(r"([\"'])(point|point_2d|points)\1\s*:\s*(\[[-+\[\]()\s\d.,]*)")
_TAGGED = re.compile(r"<points?>([-+\[\]()\s\d.,]*)</points?>")
_SPACED_PAIR = re.compile(rf"\s*({_FLOAT})[\s,]+({_FLOAT})\s*")
_LOC = re.compile(r"(?<!>)<loc(\d{4})><loc(\d{4})>(?!<loc)")
POINT_SCALES = {"share": 1.0, "percent": 100.0, "thousandths": 1000.0}
"""What stands for the whole width and height, by the name of the notation."""
NOTATIONS = (*POINT_SCALES, "pixels")
"""How plain pairs of coordinates can be meant."""

Points = tuple[tuple[float, float], ...]


def read_points(
    text: str, notation: str = "share", size_wh: tuple[int, int] | None = None
) -> Points | None:
    """Points as shares of width and height, in the order of the text; None without any.

    Molmo's ``<point x= y=>`` are percent, Molmo 2's ``coords`` thousandths, PaliGemma's
    ``<loc0256><loc0512>`` y before x in parts of 1024. ``"point_2d"``, ``"points"`` and
    ``<point>…</point>`` are thousandths unless no number is beyond 1, and so is Gemini's
    ``"point"``, y before x; plain pairs are what `notation` says, or percent with their sign. A
    notation other than shares holds for the keys and tags too. Nothing is clipped: a point outside
    of the picture stays outside.

    Args:
        text: a model's answer.
        notation: one of `NOTATIONS`.
        size_wh: the picture's, which pixels are shares of; without it they are none.

    >>> read_points("[(0.5, 0.25), (1.2, 0)]"), read_points('[{"point_2d": [500, 250]}]')
    (((0.5, 0.25), (1.2, 0.0)), ((0.5, 0.25),))
    >>> read_points('[{"point": [250, 500]}]'), read_points("(50, 25)", "pixels", (100, 50))
    (((0.5, 0.25),), ((0.5, 0.5),))
    """
    found = _MOLMO.findall(text)
    if found:
        return tuple((float(x) / 100, float(y) / 100) for x, y in found)
    if places := _LOC.findall(text):
        return tuple((int(x) / 1024, int(y) / 1024) for y, x in places)
    coords = _MOLMO2.findall(text)
    if coords:
        return _molmo2(coords)
    whole = _whole(notation, size_wh)
    if whole is None:
        return None
    marked = _marked(text)
    if marked:
        plain = notation == "share" and any(abs(n) > 1 for pair in marked for n in pair)
        wide, high = (1000.0, 1000.0) if plain else whole
        return tuple((x / wide, y / high) for x, y in marked)
    return _plain_pairs(text, whole)


def _whole(notation: str, size_wh: tuple[int, int] | None) -> tuple[float, float] | None:
    """What stands for the whole width and height."""
    if notation == "pixels":
        return size_wh
    return (POINT_SCALES[notation], POINT_SCALES[notation])


def _marked(text: str) -> list[tuple[float, float]]:
    """Pairs behind a key or between tags; "point" has y before x."""
    found: list[tuple[float, float]] = []
    for _, key, inner in _KEYED.findall(text):
        pairs = [(float(x), float(y)) for x, _, y in _PAIR.findall(inner)]
        found += [(x, y) for y, x in pairs] if key == "point" else pairs
    for inner in _TAGGED.findall(text):
        alone = _SPACED_PAIR.fullmatch(inner)
        written = [alone.groups()] if alone else [(x, y) for x, _, y in _PAIR.findall(inner)]
        found += [(float(x), float(y)) for x, y in written]
    return found


def _plain_pairs(text: str, whole: tuple[float, float]) -> Points | None:
    r"""Pairs in brackets, else "x=…, y=…", else a pair that is the whole text.

    >>> _plain_pairs(r"$\left(50\%, 25\%\right)$", (1.0, 1.0)), _plain_pairs("5, 2", (10.0, 10.0))
    (((0.5, 0.25),), ((0.5, 0.2),))
    """
    if "\\" in text or "*" in text:
        text = text.replace("\\left", "").replace("\\right", "").replace("*", "")
    alone = _BARE_PAIR.fullmatch(text)
    pairs = _PAIR.findall(text) or _X_AND_Y.findall(text) or ([alone.groups()] if alone else [])
    wide, high = whole
    return (
        tuple(
            (float(x) / (100 if percent else wide), float(y) / (100 if percent else high))
            for x, percent, y in pairs
        )
        or None
    )


def _molmo2(coords: Sequence[str]) -> Points | None:
    """``coords="1 1 990 800 2 …;2 …"``: a picture's number, then triples of place, x and y."""
    found: list[tuple[float, float]] = []
    for text in ";".join(coords).split(";"):
        numbers = [float(n) for n in re.findall(_FLOAT, text)][1:]
        found += [(x / 1000, y / 1000) for x, y in zip(numbers[1::3], numbers[2::3])]
    return tuple(found) or None


def polygon(text: str) -> Points | None:
    """A polygon written as a list of pairs, in shares of width and height.

    >>> polygon("[(0, 0), (1, 0), (1, 1)]")
    ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    """
    try:
        pairs = json.loads(text.replace("(", "[").replace(")", "]"))
        corners = tuple((float(x), float(y)) for x, y in pairs)
    except (ValueError, TypeError):
        return None
    return corners if len(corners) > 2 else None
