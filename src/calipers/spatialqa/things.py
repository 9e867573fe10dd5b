"""High level, by what things are: how many, is there one, where."""

from __future__ import annotations

from collections.abc import Iterator

from calipers.spatialqa.finding import Finding, Look
from calipers.spatialqa.names import NUMBERS, VOCABULARY, Names, a_or_an, plural

MOST_ABSENT = 8


def _names(look: Look) -> Names:
    return Names(look.scene, look.similarity)


def absent_names(look: Look, names: Names, most: int = MOST_ABSENT) -> list[str]:
    """Names of things that are surely not there, of other scenes where they are at hand."""
    others = [str(name) for name in look.rng.permutation(sorted(look.vocabulary))]
    common = [str(name) for name in look.rng.permutation(VOCABULARY)]
    return names.absent([*others[: 4 * most], *common])[:most]


def counting(look: Look) -> Iterator[Finding]:
    """How many of a kind there are; of one in five kinds none."""
    names = _names(look)
    found = names.counted()
    for kind, places in found.items():
        yield _counted(names.title(kind), places)
    for kind in absent_names(look, names, most=(len(found) + 3) // 4):
        yield _counted(kind, ())


def _counted(kind: str, places: tuple[int, ...]) -> Finding:
    count = len(places)
    said = NUMBERS[count] if count < len(NUMBERS) else str(count)
    slots = {"name": kind, "names": plural(kind), "count": said, "one": a_or_an(kind)}
    outcome = ("none", "one")[count] if count < 2 else "many"
    return Finding("counting", "many", outcome, slots, object_index=places, label=str(count))


def existence(look: Look) -> Iterator[Finding]:
    """Whether there is one of a kind; as many that are not there as are, some by their colour."""
    names = _names(look)
    there = names.counted()
    for kind, places in there.items():
        yield _exists(names.title(kind), places)
    wrong = [str(name) for name in look.rng.permutation(names.miscoloured())]
    for name in wrong[: max(1, len(there) // 3)]:
        yield _exists(name, ())
    for name in absent_names(look, names, most=len(there)):
        yield _exists(name, ())


def _exists(name: str, places: tuple[int, ...]) -> Finding:
    label = "yes" if places else "no"
    slots = {"name": a_or_an(name)}
    return Finding("existence", "exists", label, slots, object_index=places, label=label)


def locate(look: Look) -> Iterator[Finding]:
    """Where an object is in the picture; the label is its box."""
    for k in look.named:
        box = look.box_text(k)
        slots = {"A": look.reference(k), "box": box}
        yield Finding("locate", "where", "box", slots, object_index=(k,), label=box)
