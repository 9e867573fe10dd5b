"""The sessions that a service holds open, each behind a name that cannot be guessed."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from calipers.errors import UsageError
from calipers.tools.results import ToolError
from calipers.tools.session import Session


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service takes from strangers.

    Attributes:
        upload_bytes: of one upload, all its parts together.
        record_bytes: of its JSON.
        upload_s: within which the whole of a request must have come.
        uploads_at_once: that are received or decoded at the same time.
        pixels: of one picture or depth map.
        objects: of one picture.
        mask_pixels: objects times pixels of one picture.
        call_bytes: of the JSON of one call.
        waiting: calls that wait for a free thread; more are refused.
        sessions: open at the same time.
        sessions_a_client: of one network address.
        all_pixels: of all open sessions together.
        idle_s: after which an unused session is closed.
    """

    upload_bytes: int = 64_000_000
    record_bytes: int = 4_000_000
    upload_s: float = 30.0
    uploads_at_once: int = 8
    pixels: int = 16_000_000
    objects: int = 256
    mask_pixels: int = 400_000_000
    call_bytes: int = 1_000_000
    waiting: int = 64
    sessions: int = 256
    sessions_a_client: int = 64
    all_pixels: int = 256_000_000
    idle_s: float = 900.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}: wanted more than 0, got {getattr(self, name)}")


@dataclass(slots=True)
class _Kept:
    session: Session
    owner: str
    pixels: int
    used_at: float


class Store:
    """Open sessions by name; may be used by many threads.

    Args:
        limits: how many, how large, how long.
        clock: seconds that only grow.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            self._forget_idle()
            return len(self._kept)

    def check_room(self, owner: str) -> None:
        """See that a client may open one more, before anything is read for it.

        Raises:
            ToolError: ``too_many_sessions`` (the client's own) or ``full`` (all together).
        """
        with self._lock:
            self._check(owner, 1)

    def add(self, session: Session, owner: str) -> str:
        """Keep a session and name it.

        Raises:
            ToolError: as `check_room`.
        """
        width, height = session.places.size_wh
        with self._lock:
            self._check(owner, width * height)
            name = secrets.token_urlsafe(16)
            self._kept[name] = _Kept(session, owner, width * height, self._clock())
            return name

    def get(self, name: str) -> Session:
        """The session of that name, which now counts as used.

        Raises:
            ToolError: ``unknown_session``.
        """
        with self._lock:
            self._forget_idle()
            if name not in self._kept:
                raise ToolError("unknown_session", "no such session is open")
            kept = self._kept[name]
            kept.used_at = self._clock()
            return kept.session

    def drop(self, name: str) -> None:
        """Close a session.

        Raises:
            ToolError: ``unknown_session``.
        """
        self.get(name)
        with self._lock:
            self._kept.pop(name, None)

    def _check(self, owner: str, pixels: int) -> None:
        self._forget_idle()
        own = sum(kept.owner == owner for kept in self._kept.values())
        if own >= self.limits.sessions_a_client:
            raise ToolError("too_many_sessions", f"you have {own} sessions open; close one")
        used = sum(kept.pixels for kept in self._kept.values())
        if len(self._kept) >= self.limits.sessions or used + pixels > self.limits.all_pixels:
            raise ToolError("full", "no room for another session; try again later")

    def _forget_idle(self) -> None:
        latest = self._clock() - self.limits.idle_s
        idle = [name for name, kept in self._kept.items() if kept.used_at < latest]
        for name in idle:
            del self._kept[name]
