"""One run at a time in a folder.

On a disk the run holds a lock that ends with its process, however that ends. An object store has
no locks: there the run keeps a note ``.lock`` that it renews, and another run takes the folder when
the note is old. Two runs that start in the same second both write it and look again a little
later, so that one of them leaves. Should two ever slip through, they write the same rows.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any
from uuid import uuid4

from calipers.errors import RunError
from calipers.io.files import is_remote

RENEW_S = 15.0
OLD_S = 60.0
"""A note of that age is of a run that has ended."""
SETTLE_S = 1.0
NOTE = {"host", "process", "run", "at"}


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Lock:
    """Holds a folder until it is released.

    Raises:
        RunError: another run holds it.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self.busy = RunError(f"{folder}: another run is at work in this folder")
        self._file: IO[bytes] | None = None
        self._note = {"host": socket.gethostname(), "process": os.getpid(), "run": uuid4().hex}
        self._done = Event()
        if is_remote(folder):
            self._take()
        else:
            self._lock()

    def _lock(self) -> None:
        self._file = self.path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise self.busy from error

    def _take(self) -> None:
        held = self._read()
        if held is not None and not self._ended(held):
            raise RunError(
                f"{self.busy} (as {held['host']}, process {held['process']}, said "
                f"{time.time() - held['at']:.0f} s ago; after {OLD_S:.0f} s it counts as ended)"
            )
        self._write()
        time.sleep(SETTLE_S)
        found = self._read()
        if found is None or found["run"] != self._note["run"]:
            raise self.busy
        self._thread = Thread(target=self._renew, daemon=True)
        self._thread.start()

    def _ended(self, held: dict[str, Any]) -> bool:
        """Whether the run that wrote a note has ended."""
        if held["host"] == self._note["host"] and not _alive(held["process"]):
            return True
        return bool(time.time() - held["at"] > OLD_S)

    def _read(self) -> dict[str, Any] | None:
        with suppress(FileNotFoundError, ValueError):
            found = json.loads(self.path.read_text("utf-8"))
            return found if isinstance(found, dict) and set(found) >= NOTE else None
        return None

    def _write(self) -> None:
        self.path.write_text(json.dumps(self._note | {"at": time.time()}), "utf-8")

    def _renew(self) -> None:
        while not self._done.wait(RENEW_S):
            with suppress(OSError):  # the next one may get through
                self._write()

    def release(self) -> None:
        """Let the folder go."""
        if self._file is not None:
            self._file.close()
            return
        self._done.set()
        self._thread.join()
        with suppress(FileNotFoundError):
            self.path.unlink()
