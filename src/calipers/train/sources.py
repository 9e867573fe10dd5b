"""Where samples come from: the runs and conversations of a recipe, asked and mixed.

Every source is an endless stream that its options and the seed decide, so the n-th sample of a run
is always the same one, and a run that goes on at step n reads past what it has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from calipers.blind import Balance
from calipers.errors import RunError
from calipers.io.exports.conversations import Choice
from calipers.io.exports.mentions import Mention, harmless, place
from calipers.io.exports.notations import NOTATIONS, Notation, corners
from calipers.io.scenes import read_scenes
from calipers.questions.sampling import generator
from calipers.stream import QuestionStream, epoch_seed
from calipers.train.data import Frames, Sample, Seen, Turns, scenes_of
from calipers.train.general import Conversation, read_general
from calipers.train.naming import Thing, shorten, things
from calipers.train.plain import draw, tell
from calipers.train.recipe import GeneralData, RunData
from calipers.types import Scene

WINDOW = 2048
"""So many samples are shuffled together."""
_FIELDS = ("id", "scene_id", "image", "depth_image", "question", "answer", "object_index")
_BALANCED = ("type", "objects", "question_template", "label", "value")

Measure = Callable[[Sample], int]
"""Tokens of a sample's questions and answers; pictures are not counted."""


def samples(
    data: Sequence[RunData | GeneralData],
    *,
    seed: int,
    turns: int,
    spatial_share: float,
    measure: Measure,
    notation: str = "thousand",
) -> Iterator[Sample]:
    """All sources of a recipe, mixed; endless.

    The next sample is always of the source that is furthest behind its share of the tokens; one
    without any (names alone) counts as one token. Spatial sources have `spatial_share` of them
    together when there is general data as well, in proportion to their weights.

    Args:
        data: the sources.
        seed: decides every random choice.
        turns: questions a sample, at most.
        spatial_share: of the tokens that `measure` counts.
        measure: tokens of a sample.
        notation: how boxes are written, a name of `NOTATIONS`.
    """
    streams = [_stream(source, seed, turns, NOTATIONS[notation]) for source in data]
    shares = _shares(data, spatial_share)
    spent = [0.0] * len(data)
    while True:
        behind = min((k for k, share in enumerate(shares) if share), key=spent.__getitem__)
        sample = next(streams[behind])
        spent[behind] += (measure(sample) or 1) / shares[behind]
        yield sample


def _shares(data: Sequence[RunData | GeneralData], spatial_share: float) -> list[float]:
    """Each source's share of the tokens."""
    spatial = [isinstance(source, RunData) for source in data]
    shares = {True: spatial_share, False: 1 - spatial_share} if len(set(spatial)) > 1 else {}
    total = {side: sum(s.weight for s, k in zip(data, spatial) if k is side) for side in spatial}
    return [shares.get(k, 1.0) * s.weight / total[k] for s, k in zip(data, spatial)]


def _stream(
    source: RunData | GeneralData, seed: int, turns: int, notation: Notation
) -> Iterator[Sample]:
    if isinstance(source, GeneralData):
        return _general(source, seed)
    ask = _ASKING[source.ask]
    return _epochs(lambda epoch: ask(source, seed, epoch, turns, notation), seed, str(source.run))


def _epochs(begin: Callable[[int], Iterator[Sample]], seed: int, name: str) -> Iterator[Sample]:
    """Epoch after epoch, shuffled a window at a time."""
    for epoch in count():
        stream, window = begin(epoch), 0
        while found := list(islice(stream, WINDOW)):
            order = generator(epoch_seed(seed, epoch), f"window {window}").permutation(len(found))
            yield from (found[k] for k in order)
            window += 1
        if not window:
            raise RunError(f"{name}: there is nothing to learn from")


def _questions(
    source: RunData, seed: int, epoch: int, turns: int, notation: Notation
) -> Iterator[Sample]:
    """An epoch of a run's questions, some about one picture together."""
    keep = None if source.balance is None else Balance.load(source.balance)
    stream = QuestionStream(
        source.run, seed=seed, questions_per_scene=source.questions_per_scene, types=source.types,
        mix=source.mix, epoch=epoch, rank=0, world_size=1, shuffle=False, split=source.split,
        keep=keep, fields=(*_FIELDS, *(_BALANCED if keep else ())),
    )  # fmt: skip
    frames, point = Frames.of(source), _Pointer(source, seed, notation)
    for name, rows in groupby(stream, itemgetter("scene_id")):
        asked = list(rows)
        order = generator(epoch_seed(seed, epoch), f"turns of {name}").permutation(len(asked))
        seen = frames.seen(asked[0]["image"], asked[0]["depth_image"])
        for first in range(0, len(order), turns):
            rows_now = [asked[k] for k in order[first : first + turns]]
            yield Sample(seen, [point(row) for row in rows_now], True)


class _Pointer:
    """Puts the boxes of objects behind their names, in a share of the questions."""

    def __init__(self, source: RunData, seed: int, notation: Notation) -> None:
        self.choice = Choice(boxes=source.boxes, seed=seed)
        self.notation = notation
        self.scenes = _boxes(source.run) if source.boxes else {}

    def __call__(self, row: Mapping[str, Any]) -> tuple[str, str]:
        question, answer = harmless(row["question"]), harmless(row["answer"])
        if not self.choice.takes(self.choice.boxes, "question", row["id"]):
            return question, answer
        size, objects = self.scenes[row["scene_id"]]
        said = place(question, [objects[index] for index in row["object_index"]])
        if isinstance(said, str):
            return said, answer
        return "".join(self._tell(piece, size) for piece in said), answer

    def _tell(self, piece: str | Mention, size_wh: tuple[int, int]) -> str:
        if isinstance(piece, str) or piece.box_xyxy is None:
            return str(piece)
        return f"{piece.name} {self.notation.write(piece.box_xyxy, size_wh)}"


def _boxes(run: Path) -> dict[str, tuple[tuple[int, int], list[Mention]]]:
    """Scene → its size and its objects' boxes."""
    found = {}
    for scene in read_scenes(run):
        size = (scene.width, scene.height)
        mentions = [
            Mention(harmless(item.reference or ""), corners(item.bbox, size), k)
            for k, item in enumerate(scene.objects, start=1)
        ]
        found[scene.id] = size, mentions
    return found


def _places(
    source: RunData, seed: int, epoch: int, turns: int, notation: Notation
) -> Iterator[Sample]:
    """Where each thing of a scene is in the picture, and how deep; each scene once an epoch."""
    for scene, seen in _scenes(source):
        found = place_turns(scene, notation, generator(epoch_seed(seed, epoch), f"of {scene.id}"))
        if found:
            yield Sample(seen, found[:turns], True, _things(scene, source))


def _plain(
    source: RunData, seed: int, epoch: int, turns: int, notation: Notation
) -> Iterator[Sample]:
    """Plain questions about a scene, and the names in it; each scene once an epoch."""
    for scene, seen in _scenes(source):
        rng = generator(epoch_seed(seed, epoch), f"of {scene.id}")
        asked = draw(scene, turns, rng, source.types)
        noise = 1 + source.noise * rng.standard_normal(len(asked))
        found = _things(scene, source)
        said = [
            (shorten(q.question, found, source.short, rng), tell(q, n, source.tool))
            for q, n in zip(asked, noise.tolist())
        ]
        if said:
            yield Sample(seen, said, True, found)


def _names(
    source: RunData, seed: int, epoch: int, turns: int, notation: Notation
) -> Iterator[Sample]:
    """What each thing of a scene is called; each scene once an epoch."""
    for scene, seen in _scenes(source):
        if found := _things(scene, source):
            yield Sample(seen, [], True, found)


def _things(scene: Scene, source: RunData) -> tuple[Thing, ...]:
    return tuple(things(scene, source.patches == "description"))


_ASKING = {"questions": _questions, "places": _places, "plain": _plain, "names": _names}


def _scenes(source: RunData) -> Iterator[tuple[Scene, Seen]]:
    """The scenes of a run, or of a part of it, and where their pictures are."""
    frames = Frames.of(source)
    for scene in scenes_of(source.run, source.split):
        yield scene, frames.seen(scene.image, scene.depth_image)


_ASKED = (
    ("Where is {}?",),
    ("What is at {}?",),
    ("How deep is {}?",),
)


def place_turns(scene: Scene, notation: Notation, rng: np.random.Generator) -> Turns:
    """Turns about single things: phrase → box, box → phrase, phrase → depth; in random order.

    Depth is the median-like `depth_center` of the thing, in metres with two decimals.
    """
    size = (scene.width, scene.height)
    turns: Turns = []
    for item in scene.objects:
        if item.reference is None or not item.lifted:
            continue
        box, name = notation.write(corners(item.bbox, size), size), harmless(item.reference)
        depth = f"{item.depth_center:.2f} m"
        for words, (given, told) in zip(_ASKED, ((name, box), (box, name), (name, depth))):
            turns.append((words[rng.integers(len(words))].format(given), told))
    return [turns[k] for k in rng.permutation(len(turns))]


def _general(source: GeneralData, seed: int) -> Iterator[Sample]:
    """Conversations of a file, epoch after epoch in another order."""
    rows = read_general(source.general, source.images)
    root = source.images or source.general.parent

    def begin(epoch: int) -> Iterator[Sample]:
        for k in generator(epoch_seed(seed, epoch), "general").permutation(len(rows)):
            yield _conversation(rows[k], root)

    return _epochs(begin, seed, str(source.general))


def _conversation(row: Conversation, root: Path) -> Sample:
    image, depth = [*row.images, None, None][:2]
    seen = None if image is None else Seen(root, image, depth, None)
    return Sample(seen, row.turns, False)
