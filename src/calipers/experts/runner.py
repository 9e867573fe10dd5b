"""Pictures through an expert: in batches, through the cache, and past what goes wrong.

Out of memory halves the batch, for good, and goes on. When a batch fails for another reason its
pictures are tried one by one, and a picture that fails alone gets a `Skip` in place of a result.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from calipers.errors import DataError, MissingExtraError, RunError, Skip, UsageError
from calipers.experts.base import DepthMap, Gravity, Proposal, TextSimilarity
from calipers.experts.cache import ABSENT, Cache, key_of, picture_hash, source_digest
from calipers.experts.choice import Choice, missing_package, revision_on_disk
from calipers.experts.table import Entry
from calipers.types import Frame

BATCH = 8
"""Pictures a call, until memory says less."""
EXPERT_FAILED = "expert_failed"
COUNTS = ("pictures", "calls", "cached", "failed")

_METHODS = {
    "filter": "score",
    "tagger": "tag",
    "objects": "propose",
    "masks": "segment",
    "captions": "describe",
    "depth": "estimate",
    "gravity": "down",
}
_KEPT: Mapping[str, Callable[[Any], bool]] = {
    "filter": lambda found: isinstance(found, dict),
    "tagger": lambda found: _all(found, str),
    "objects": lambda found: _all(found, Proposal),
    "masks": lambda found: isinstance(found, np.ndarray) and found.ndim == 3,
    "captions": lambda found: _all(found, str | None),
    "depth": lambda found: isinstance(found, DepthMap),
    "gravity": lambda found: isinstance(found, Gravity | None),
}
"""What a result from the cache must be; one of another kind is asked for again."""
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


class _FailureError(Exception):
    """An expert raised; the cause is what it raised."""


def load_expert(entry: Entry, device: str | None = None) -> Any:
    """Import an entry's adapter and load it.

    Raises:
        MissingExtraError: a package is not installed.
        MissingWeightsError: its weights are not there.
        UsageError: there is no such adapter, or it does not take these options.
        RunError: loading failed in another way.
    """
    package = missing_package(entry)
    if package in entry.modules and entry.install:
        raise UsageError(f"{entry.name} needs the package {package}: {entry.install}")
    adapter = _adapter(entry)
    if not hasattr(adapter, "load"):
        return adapter(**entry.options)
    try:
        return adapter.load(entry.id, revision=entry.revision, device=device, **entry.options)
    except (UsageError, MissingExtraError, RunError):
        raise
    except TypeError as error:
        raise UsageError(f"{entry.name}: cannot be loaded with {dict(entry.options)}: {error}") \
            from error  # fmt: skip
    except ImportError as error:
        raise MissingExtraError(f"{entry.name} ({error})", entry.needs or "models") from error
    except Exception as error:
        raise RunError(f"{entry.name}: could not be loaded: {error!r}") from error


def _adapter(entry: Entry) -> Any:
    module, _, name = entry.target.partition(":")
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        if error.name and module.startswith(error.name):
            raise UsageError(f"{entry.name}: no such module: {module}") from error
        raise MissingExtraError(f"{entry.name} ({error.name})", entry.needs or "models") from error
    except (AttributeError, ValueError) as error:
        raise UsageError(f"{entry.name}: wanted module:Class, got {entry.target!r}") from error


class Expert:
    """One expert of a run: loaded when its first uncached picture comes.

    Attributes:
        entry: its row of the table.
        counts: "pictures" run through it, "cached" results, "failed" pictures, "calls".
    """

    def __init__(
        self, entry: Entry, kept: Cache, device: str | None = None, batch: int = BATCH
    ) -> None:
        self.entry = entry
        self.counts: Counter[str] = Counter()
        self.batch = batch
        self._cache = kept
        self._device = device
        self._model: Any = None
        self._revision = revision_on_disk(entry)
        self._revision_kept: str | None = None
        self._told: dict[str, float] = {}

    @property
    def revision(self) -> str | None:
        """What is or will be loaded."""
        loaded: str | None = getattr(self._model, "revision", None)
        return loaded or self._revision or self._revision_kept

    @property
    def signature(self) -> str:
        """Name, and id and revision where there are, for the record of a scene."""
        parts = [self.entry.name]
        if self.entry.id:
            parts.append(self.entry.id)
        return " ".join(parts) + (f"@{self.revision}" if self.revision else "")

    def __call__(self, frames: Sequence[Frame], *inputs: Sequence[Any]) -> list[Any]:
        """One result a frame, in order; a `Skip` where the expert failed on it.

        Args:
            frames: with pixels.
            *inputs: what else the role's method takes, one item a frame.
        """
        keys = [self._key(f, row) for f, row in zip(frames, _rows(inputs, len(frames)))]
        found = [ABSENT if key is None else self._kept(key) for key in keys]
        todo = [i for i, result in enumerate(found) if result is ABSENT]
        self.counts["cached"] += len(found) - len(todo)
        columns = [[frames[i].rgb for i in todo], *([column[i] for i in todo] for column in inputs)]
        for i, result in zip(todo, self._in_batches(columns)):
            found[i] = result
            key = keys[i]
            if isinstance(result, Skip):
                self.counts["failed"] += 1
            elif key is not None:
                self._cache.put(key, {"result": result, "revision": self.revision})
        return found

    def take_usage(self) -> dict[str, float]:
        """What was used since the last call, of an adapter that counts it in its `usage`.

        See `calipers.chat.Usage`; empty for others and where nothing was used. There is no cost
        where no price was given.
        """
        used = getattr(self._model, "usage", None)
        if not is_dataclass(used) or isinstance(used, type):
            return {}
        now = {name: value for name, value in asdict(used).items() if value is not None}
        new = {name: value - self._told.get(name, 0) for name, value in now.items()}
        self._told = now
        return new if any(new.values()) else {}

    def _kept(self, key: str) -> Any:
        kept = self._cache.get(key)
        if not isinstance(kept, dict) or kept.keys() != {"result", "revision"}:
            return ABSENT
        if not _KEPT[self.entry.role](kept["result"]):
            return ABSENT
        self._revision_kept = kept["revision"]
        return kept["result"]

    def _key(self, frame: Frame, inputs: tuple[Any, ...]) -> str | None:
        if self._cache.folder is None or frame.rgb is None or self.entry.depth:
            return None
        if frame.pixels_hash is None:
            frame.pixels_hash = picture_hash(frame.rgb)
        what = (self.entry.role, self.entry.facts(), source_digest(self.entry.target))
        return key_of(*what, self._revision, frame.pixels_hash, list(inputs))

    def _in_batches(self, columns: Sequence[Sequence[Any]]) -> Iterator[Any]:
        start, count = 0, len(columns[0])
        while start < count:
            some = [column[start : start + self.batch] for column in columns]
            try:
                found = self._call(some)
            except _FailureError as error:
                found = self._again(error.__cause__, some)
            yield from found
            start += len(found)

    def _again(self, why: BaseException | None, some: list[Sequence[Any]]) -> list[Any]:
        """What a failed batch still gives; nothing when it is to be tried in smaller batches."""
        size = len(some[0])
        if size == 1:
            return [Skip(EXPERT_FAILED, f"{self.entry.name}: {_one_line(why)}")]
        if is_out_of_memory(why):
            self.batch = max(1, size // 2)
            _free_memory()
            return []
        return [self._alone([column[i : i + 1] for column in some]) for i in range(size)]

    def _alone(self, one: list[Sequence[Any]]) -> Any:
        try:
            return self._call(one)[0]
        except _FailureError as error:
            return self._again(error.__cause__, one)[0]

    def _call(self, some: Sequence[Sequence[Any]]) -> list[Any]:
        method = getattr(self.model(), _METHODS[self.entry.role])
        self.counts["calls"] += 1
        self.counts["pictures"] += len(some[0])
        try:
            return _complete(list(method(*some)), len(some[0]))
        except (UsageError, MissingExtraError, RunError):
            raise
        except Exception as error:
            raise _FailureError from error

    def model(self) -> Any:
        """The loaded adapter; raises what `load_expert` does."""
        if self._model is None:
            self._model = load_expert(self.entry, self._device)
        return self._model


def _complete(found: list[Any], count: int) -> list[Any]:
    if len(found) != count:
        raise DataError(f"{len(found)} results for {count} pictures")
    return found


def _all(found: Any, kind: Any) -> bool:
    return isinstance(found, list) and all(isinstance(item, kind) for item in found)


def _rows(inputs: Sequence[Sequence[Any]], count: int) -> Iterator[tuple[Any, ...]]:
    return zip(*inputs, strict=True) if inputs else iter([()] * count)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out, on the processor or on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)


def _free_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _one_line(error: BaseException | None) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__


@dataclass(frozen=True)
class Hiring:
    """All that a worker needs to hire the experts of a run.

    Attributes:
        choice: which experts.
        vocabulary: phrases to look for in every picture; empty for a tagger's and the caption's.
        cache: folder of results; None keeps none.
        device: as torch names it; None for the best there is.
        seed: decides the word limits of captions.
    """

    choice: Choice
    vocabulary: tuple[str, ...] = ()
    cache: Path | None = None
    device: str | None = None
    seed: int = 0


@dataclass
class Crew:
    """The experts of a worker."""

    hiring: Hiring
    experts: Mapping[str, tuple[Expert, ...]] = field(default_factory=dict)
    lacking: Counter[str] = field(default_factory=Counter)

    def all(self, role: str) -> tuple[Expert, ...]:
        """The experts of a role, best first; none when nobody is hired for it."""
        return self.experts.get(role, ())

    def first(self, role: str) -> Expert | None:
        """The expert of a role."""
        return next(iter(self.all(role)), None)

    def similarity(self) -> TextSimilarity | None:
        """Who compares captions; None for the default."""
        expert = self.first("similarity")
        return None if expert is None else expert.model()

    def missing(self, role: str) -> str:
        """Why nobody is hired for a role."""
        default = f"no {role} expert is configured"
        return self.hiring.choice.missing.get(role, default)

    def lack(self, role: str, pictures: int) -> None:
        """Count pictures for which nobody was hired for a role."""
        if pictures and role in self.hiring.choice.missing:
            self.lacking[role] += pictures

    def without(self, role: str, frames: Sequence[Frame]) -> list[Skip | None]:
        """Let frames go on without a role's expert, and count them."""
        self.lack(role, len(frames))
        return [None for _ in frames]

    def take_counts(self) -> dict[str, dict[str, Any]]:
        """What each expert did since the last call: "role/name" → counts, revision, usage.

        For a role whose expert is not there: "role" → how many pictures wanted it, and why not.
        """
        done: dict[str, dict[str, Any]] = {
            role: {"pictures": count, "why": self.missing(role)}
            for role, count in self.lacking.items()
        }
        self.lacking = Counter()
        for role, experts in self.experts.items():
            for expert in experts:
                if expert.counts:
                    counts = {name: expert.counts[name] for name in COUNTS}
                    facts: dict[str, Any] = {"revision": expert.revision}
                    if used := expert.take_usage():
                        facts["usage"] = used
                    done[f"{role}/{expert.entry.name}"] = counts | facts
                    expert.counts = Counter()
        return done


@lru_cache(maxsize=1)
def crew(hiring: Hiring) -> Crew:
    """The crew of this process; the last one is kept, so that models load once."""
    kept = Cache(hiring.cache)
    experts = {
        role: tuple(Expert(entry, kept, hiring.device) for entry in entries)
        for role, entries in hiring.choice.experts.items()
    }
    return Crew(hiring, experts)
