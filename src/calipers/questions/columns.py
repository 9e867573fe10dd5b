"""Questions of scenes as columns, the fast path, and as records.

Scenes are asked one by one; what was picked is kept as numbers. The text of all of them is put
together at the end, without a Python step for each question: a sentence is a row of positions in
one pool of texts (the words of templates, the forms of references, the lengths), and gathering the
pool at all positions gives the letters of all sentences in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from calipers.errors import UsageError
from calipers.questions.facts import Surveys
from calipers.questions.grammar import FORMS, capital, slot_values
from calipers.questions.registry import QUALITATIVE, TYPE_LIST, Mix, names_of, weights
from calipers.questions.sampling import Picks, generator, pick
from calipers.questions.writing import SLOTS, ZERO_OUTCOMES, Positions, book
from calipers.types import Bools, Doubles, Scene
from calipers.units import is_fine, say_length

CONCISE = 0.5
"""Share of short answers ("1.2 m") beside whole sentences."""

_IS_CHOICE = np.array([row.shape == "choice" for row in TYPE_LIST])
_GAP = [row.id for row in TYPE_LIST].index("gap")
_HAS_ZERO = np.array([row.id in ZERO_OUTCOMES for row in TYPE_LIST])


def ask_columns(
    scene: Scene,
    count: int,
    seed: int,
    types: Iterable[str] | None = None,
    mix: Mix | None = None,
    concise: float = CONCISE,
) -> dict[str, list[Any]]:
    """Ask up to `count` questions of the 43 types; the columns of the contract, by name.

    A pure function of its arguments: the same on any machine and in any order. Fewer questions come
    back only when the scene holds no more (one object alone has a height, a width, an elevation).

    Args:
        types: ask only these types.
        mix: share of qualitative questions (0.5), or a weight for each type.
        concise: share of short answers.

    Raises:
        UsageError: an unknown type, or a number outside its range.
    """
    asked = Asked(count, seed, types, mix, concise)
    asked.add(scene)
    return {name: column.to_pylist() for name, column in asked.columns().items()}


class _Source(NamedTuple):
    """What every question of a scene says of it; a whole scene would take room."""

    id: str
    image: str
    depth_image: str | None
    frame: str


class Asked:
    """Questions of many scenes: `add` picks those of one, `columns` writes those of all.

    >>> Asked(count=200, seed=0).columns()["question"].to_pylist()
    []
    """

    def __init__(
        self,
        count: int,
        seed: int,
        types: Iterable[str] | None = None,
        mix: Mix | None = None,
        concise: float = CONCISE,
    ) -> None:
        """Take the arguments of `ask_columns`; raise what it raises."""
        if count < 0 or not 0.0 <= concise <= 1.0:
            raise UsageError(
                f"wanted a count of 0 or more and concise in [0, 1], got {count}, {concise}"
            )
        self.count, self.seed, self.concise = count, seed, concise
        self._types = names_of(types)
        self._mix = tuple(mix.items()) if isinstance(mix, Mapping) else mix
        _shares(True, self._types, self._mix)
        self._parts: list[_Rows] = []

    def add(self, scene: Scene) -> None:
        """Pick the questions of a scene: a pure function of the scene and the arguments."""
        self.add_all([scene])

    def add_all(self, scenes: Iterable[Scene]) -> None:
        """Pick the questions of several scenes, in less time than one by one."""
        self._parts.append(self._rows(scenes))

    def _rows(self, scenes: Iterable[Scene]) -> _Rows:
        view = Surveys(scenes)
        kinds = [scene.gravity is not None for scene in view.scenes]
        shares = [_shares(level, self._types, self._mix) for level in kinds]
        rngs = [generator(self.seed, scene.id) for scene in view.scenes]
        every = np.array(shares).reshape(-1, len(TYPE_LIST))
        return _Rows.of(view, pick(view, every, book().counts, self.count, rngs))

    def columns(self) -> dict[str, pa.Array]:
        """The columns of the contract, by name and in order, of all scenes added so far."""
        rows = _Rows.joined(self._parts or [self._rows([])])
        return _columns(rows, self.seed, _write(rows, self.concise))


@lru_cache(maxsize=64)
def _shares(
    level: bool, types: tuple[str, ...] | None, mix: float | tuple[tuple[str, float], ...] | None
) -> Doubles:
    """The shares of types, remembered from scene to scene."""
    return weights(level, types, dict(mix) if isinstance(mix, tuple) else mix)


class _Rows(NamedTuple):
    """K questions about N objects of S scenes.

    Attributes:
        sources: of the scenes.
        names, positions: (N,) references of the objects, and their positions in their scenes.
        scene, number: (K,) which scene a question belongs to, and its place there.
        first, second: (K,) rows of A and B among the objects; equal where there is one.
        type, template: (K,) as in `Picks`.
        value, margin: (K,) exact values and their margins.
        outcome: (K,) positions in `writing.outcomes`.
        uniforms: (5, K) random numbers that choose answers: length, template, three for a value.
    """

    sources: list[_Source]
    names: list[str]
    positions: list[int]
    scene: Positions
    number: Positions
    first: Positions
    second: Positions
    type: Positions
    template: Positions
    value: Doubles
    margin: Doubles
    outcome: Positions
    uniforms: Doubles

    @classmethod
    def of(cls, view: Surveys, picks: Picks) -> _Rows:
        """Read what was picked, gaps included."""
        value, margin = picks.value.copy(), picks.margin
        first, second = view.first[picks.case], view.second[picks.case]
        gaps = picks.type == _GAP
        value[gaps] = view.gaps(first[gaps], second[gaps])
        states = (value > margin).astype(np.intp) - (value < -margin)
        zero = _HAS_ZERO[picks.type] & (value == 0)
        counts = np.bincount(picks.scene, minlength=len(view.scenes))
        return cls(
            sources=[_Source(s.id, s.image, s.depth_image, s.frame) for s in view.scenes],
            names=[item.reference or "" for item in view.items],
            positions=[k for objects in view.objects for k in objects],
            scene=picks.scene,
            number=np.arange(len(value)) - (counts.cumsum() - counts)[picks.scene],
            first=first,
            second=second,
            type=picks.type,
            template=picks.template,
            value=value,
            margin=margin,
            outcome=np.where(picks.type < QUALITATIVE, states, zero),
            uniforms=picks.uniforms,
        )

    @classmethod
    def joined(cls, parts: Sequence[_Rows]) -> _Rows:
        """Put the questions of several lots of scenes one after another."""
        scenes, objects = [0], [0]
        for part in parts:
            scenes.append(scenes[-1] + len(part.sources))
            objects.append(objects[-1] + len(part.names))

        def together(name: str, shifts: Sequence[int] | None = None) -> Any:
            arrays = [getattr(part, name) for part in parts]
            if shifts is not None:
                arrays = [array + shift for array, shift in zip(arrays, shifts)]
            return np.concatenate(arrays, axis=-1)

        return cls(
            sources=[source for part in parts for source in part.sources],
            names=[name for part in parts for name in part.names],
            positions=[place for part in parts for place in part.positions],
            scene=together("scene", scenes),
            number=together("number"),
            first=together("first", objects),
            second=together("second", objects),
            **{name: together(name) for name in cls._fields[7:]},
        )


class _Text(NamedTuple):
    """What was written: (K,) positions of templates in the book, and sentences."""

    question_at: Positions
    answer_at: Positions
    question: pa.Array
    answer: pa.Array


class _Pool:
    """Texts by their positions, each once, behind the words of templates."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._before = len(book().words)

    def put(self, texts: Iterable[str]) -> list[int]:
        """Add texts that are not there yet; return the positions of all."""
        places, before = self._places, self._before
        return [before + places.setdefault(text, len(places)) for text in texts]

    def array(self) -> pa.Array:
        """The words of templates and all texts, in order."""
        return pa.concat_arrays([_vocabulary().words, pa.array(list(self._places), pa.string())])


def _write(rows: _Rows, concise: float) -> _Text:
    """Choose answers, say lengths and put all sentences together."""
    pages, pool = book(), _Pool()
    question = pages.first[rows.type] + rows.template
    group = (rows.type, rows.outcome, (rows.uniforms[0] >= concise).astype(np.intp))
    variant = (rows.uniforms[1] * pages.answer_counts[group]).astype(np.intp)
    answer = pages.answer_first[group] + variant
    said, fine = _say(rows, pool)
    answer = np.where(fine, pages.plain[answer], answer)
    forms = _forms(rows.names, pool)
    slots, turned = _slots(forms, rows.first, rows.second), _IS_CHOICE[rows.type]
    turned &= rows.outcome < 0
    filled = slots.copy()
    filled[turned] = _slots(forms, rows.second[turned], rows.first[turned])
    filled[:, -1] = said
    texts = pool.array()
    return _Text(
        question,
        answer,
        _sentences(texts, pages.question_pieces[question], slots),
        _sentences(texts, pages.answer_pieces[answer], filled),
    )


def _say(rows: _Rows, pool: _Pool) -> tuple[Positions, Bools]:
    """Positions (K,) of lengths in the pool, and whether a length is too fine for "about"."""
    measured = np.flatnonzero(rows.type >= QUALITATIVE)
    says = zip(rows.value[measured].tolist(), rows.uniforms[2:, measured].T.tolist())
    texts = [say_length(metres, say) for metres, say in says]
    fine_texts = {text for text in set(texts) if is_fine(text)}
    said, fine = np.zeros(len(rows.type), np.intp), np.zeros(len(rows.type), np.bool_)
    said[measured] = pool.put(texts)
    fine[measured] = [text in fine_texts for text in texts]
    return said, fine


def _forms(names: Sequence[str], pool: _Pool) -> Positions:
    """Positions (2, N, 8) in the pool of the `FORMS` of each name, without and with a capital."""
    places = {name: k for k, name in enumerate(dict.fromkeys(names))}
    forms = np.array([pool.put(_spellings(name)) for name in places], np.intp)
    rows = [places[name] for name in names]
    return forms.reshape(-1, 2, len(FORMS))[rows].swapaxes(0, 1)


@lru_cache(maxsize=2048)
def _spellings(name: str) -> tuple[str, ...]:
    forms = slot_values(name)
    return (*forms, *map(capital, forms))


def _slots(forms: Positions, first: Positions, second: Positions) -> Positions:
    """Fill the `SLOTS` (K, 33) of sentences about these objects; the value stays empty (0)."""
    plain, capitals = forms
    slots = np.zeros((len(first), SLOTS), np.intp)
    sources = (plain[first], plain[second], capitals[first], capitals[second])
    slots[:, :-1] = np.concatenate(sources, axis=1)
    return slots


def _sentences(texts: pa.Array, pieces: Positions, slots: Positions) -> pa.Array:
    """Write K sentences from their pieces (K, L) as in `Book.question_pieces`."""
    filled = np.take_along_axis(slots, np.minimum(pieces, SLOTS - 1), axis=1)
    return _strung(texts, np.where(pieces < SLOTS, filled, pieces - SLOTS))


def _strung(texts: pa.Array, places: Positions) -> pa.Array:
    """Join the texts at each row of `places` (K, L) to one text.

    >>> _strung(pa.array(["", "a", "bc"]), np.array([[1, 2], [2, 0]])).to_pylist()
    ['abc', 'bc']
    """
    if not places.size:
        return pa.array([], pa.string())
    gathered = texts.take(pa.array(places.ravel()))
    _, offsets, letters = gathered.buffers()
    ends = np.frombuffer(offsets, np.int32)[: places.size + 1 : places.shape[1]]
    return pa.StringArray.from_buffers(len(places), pa.py_buffer(ends.tobytes()), letters)


class _Vocabulary(NamedTuple):
    """Texts that are known beforehand: of each type, of labels (three a type), of templates."""

    words: pa.Array
    ids: pa.Array
    kinds: pa.Array
    labels: pa.Array
    question_ids: pa.Array
    answer_ids: pa.Array


@cache
def _vocabulary() -> _Vocabulary:
    labels = [label for row in TYPE_LIST for label in row.labels or (None,) * 3]
    return _Vocabulary(
        words=pa.array(book().words),
        ids=pa.array([row.id for row in TYPE_LIST]),
        kinds=pa.array([row.kind for row in TYPE_LIST]),
        labels=pa.array(labels, pa.string()),
        question_ids=pa.array(book().question_ids),
        answer_ids=pa.array(book().answer_ids),
    )


def _columns(rows: _Rows, seed: int, text: _Text) -> dict[str, pa.Array]:
    """All columns in the order of the contract."""
    known, sources, type = _vocabulary(), rows.sources, pa.array(rows.type)
    measures = rows.type >= QUALITATIVE

    def of_scene(values: Iterable[str | None]) -> pa.Array:
        return pa.array(values, pa.string()).take(pa.array(rows.scene))

    return {
        "id": _ids(rows),
        "scene_id": of_scene(source.id for source in sources),
        "image": of_scene(source.image for source in sources),
        "depth_image": of_scene(source.depth_image for source in sources),
        "type": known.ids.take(type),
        "kind": known.kinds.take(type),
        "question": text.question,
        "answer": text.answer,
        "objects": _of_objects(rows, pa.array(rows.names, pa.string())),
        "object_index": _of_objects(rows, pa.array(rows.positions, pa.int32())),
        "value": pa.array(rows.value, pa.float64(), mask=~measures),
        "unit": pa.array([None, "m"], pa.string()).take(pa.array(measures.astype(np.intp))),
        "label": known.labels.take(pa.array(3 * rows.type + rows.outcome % 3)),
        "frame": of_scene(source.frame for source in sources),
        "margin": pa.array(rows.margin, pa.float64()),
        "question_template": known.question_ids.take(pa.array(text.question_at)),
        "answer_template": known.answer_ids.take(pa.array(text.answer_at)),
        "seed": pa.array(np.full(len(rows.type), seed, np.int64)),
    }


def _ids(rows: _Rows) -> pa.Array:
    """``<scene id>#<number>``."""
    most = int(rows.number.max(initial=-1)) + 1
    texts = [source.id for source in rows.sources] + [f"#{number}" for number in range(most)]
    places = np.stack((rows.scene, len(rows.sources) + rows.number), axis=1)
    return _strung(pa.array(texts, pa.string()), places)


def _of_objects(rows: _Rows, values: pa.Array) -> pa.Array:
    """Lists of what each question's one or two objects have."""
    both = np.stack((rows.first, rows.second), axis=1)
    two = rows.first != rows.second
    there = np.stack((np.ones_like(two), two), axis=1)
    ends = np.concatenate(([0], np.cumsum(1 + two)))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values.take(pa.array(both[there])))
