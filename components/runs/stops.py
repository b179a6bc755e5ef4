"""Stop flags, one per session, so that a stop button stops the run of its own tab."""

import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tokviz.errors import InputError
from tokviz.trace.stages import FINISHES

CLOSED = "the server is about to stop and takes no new questions. Ask again in a minute."


class Stop(threading.Event):
    """A stop flag. A copy pickled into another process of this machine is set through a file."""

    path: Path | None = None
    reason = "stopped"
    "Why it was set, a key of `tokviz.trace.stages.FINISHES`."
    left = False
    "The visitor has opened something else: nothing of this run is shown any more."

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        self.path = self.path or Path(tempfile.gettempdir(), f"tokviz-stop-{secrets.token_hex(8)}")
        if self.is_set():
            self.path.write_text(self.reason)
        return (StopInOtherProcess, (self.path,))

    def set(self, reason: str = "stopped") -> None:
        """Set the flag; the first reason given is kept."""
        if not self.is_set():
            self.reason = reason
        super().set()
        if self.path is not None:
            self.path.write_text(self.reason)

    def forget(self) -> None:
        """Delete the file, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class StopInOtherProcess:
    """A stop flag as another process sees it."""

    path: Path

    def is_set(self) -> bool:
        """Return whether it was set."""
        return self.path.exists()

    @property
    def reason(self) -> str:
        """Why it was set, a key of `tokviz.trace.stages.FINISHES`."""
        reason = self.path.read_text() if self.path.exists() else ""
        return reason if reason in FINISHES else "stopped"

    def set(self, reason: str = "stopped") -> None:
        """Set it."""
        if not self.path.exists():
            self.path.write_text(reason)


class Stops:
    """One stop flag per session that has a run, the newest run's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flags: dict[str, Stop] = {}
        self._closed = False

    @contextmanager
    def run(self, session: str) -> Iterator[Stop]:
        """Hold a session's flag for one run; an older run of that session is stopped.

        Raises:
            InputError: the server is to stop, and takes no new runs.
        """
        flag = Stop()
        with self._lock:
            if self._closed:
                raise InputError(CLOSED)
            old = self._flags.get(session)
            self._flags[session] = flag
        if old is not None:
            old.set()
        try:
            yield flag
        finally:
            flag.forget()
            with self._lock:
                if self._flags.get(session) is flag:
                    del self._flags[session]

    @property
    def running(self) -> int:
        """Return how many sessions have a run."""
        return len(self._flags)

    def stop(self, session: str) -> bool:
        """Set the flag; return whether there was a run to stop."""
        with self._lock:
            flag = self._flags.get(session)
        if flag is not None:
            flag.set()
        return flag is not None

    def leave(self, session: str) -> None:
        """Stop a session's run and show nothing more of it: the visitor opened something else."""
        with self._lock:
            flag = self._flags.get(session)
        if flag is not None:
            flag.left = True
            flag.set()

    def stop_all(self) -> bool:
        """Set every flag and take no new runs: the server is to stop. Return whether any ran."""
        with self._lock:
            self._closed = True
            for flag in self._flags.values():
                flag.set()
            return bool(self._flags)
