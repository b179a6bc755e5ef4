"""What the server remembers: the last runs, bounded, under names that cannot be guessed.

A session holds only a run's name. Stop flags are kept per session, so that a stop button reaches
the run that the same browser tab started and no other.
"""

import secrets
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from tokviz.errors import InputError
from tokviz.trace import Trace
from tokviz.trace.stages import FINISHES

ROOM = 512 * 2**20
"""Bytes of traces that are kept for all users together."""
GONE = "This run is no longer kept on the server. Ask again."
CLOSED = "the server is about to stop and takes no new questions. Ask again in a minute."
FULL = -1
"""The lane of the full answer; the others count from 0."""
MOST_LANES = 3


@dataclass
class Run:
    """One question and what came of it."""

    image: Image.Image | None
    prompt: str
    model: str
    traces: dict[int, Trace] = field(default_factory=dict)
    "Lane number -> trace; FULL is the answer with all tokens."
    name: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    example: str = ""
    "Name of the stored example this is, or whose picture and question it has, or nothing."
    source: str = ""
    "Name of the stored example whose picture it has, whatever was asked about it, or nothing."
    stored: bool = False
    "This is the stored example itself, so that a link to any of its lanes opens again."

    plans: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    "Lane number -> the settings it was run with, {method, keep, positions, options, tokens}."
    case: Any = None
    "What the hallucination desk found out about it: a `components.desk.cases.Case`."
    drawn: dict[Any, Any] = field(default_factory=dict, repr=False)
    "What was drawn of a stored run; it never changes, so everybody gets the same."
    file: str = ""
    "Path of the picture inside the project, for stored examples."

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        pixels = 4 * self.image.width * self.image.height if self.image else 0
        arrays = sum(a.nbytes for t in self.traces.values() for a in t.arrays.values())
        return pixels + arrays + sum(len(j) for t in self.traces.values() for j in t.images)


class Runs:
    """The last runs by name; the oldest go when room is short. Safe to use from many threads."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._pinned: dict[str, Run] = {}

    def pin(self, run: Run) -> None:
        """Keep a run for as long as the server runs (a stored example)."""
        self._pinned[run.name] = run

    def put(self, run: Run) -> Run:
        """Keep a run, forgetting the oldest ones if there is no room."""
        with self._lock:
            self._runs[run.name] = run
            while len(self._runs) > 1 and sum(r.size for r in self._runs.values()) > self.room:
                self._runs.popitem(last=False)
        return run

    def get(self, name: str) -> Run | None:
        """Return a run that is still kept."""
        with self._lock:
            if name in self._runs:
                self._runs.move_to_end(name)
            return self._runs.get(name) or self._pinned.get(name)


class Stop(threading.Event):
    """A stop flag. Pickled into another process of this machine it is raised there by a file."""

    path: Path | None = None
    reason = "stopped"
    "Why it was raised, a key of `tokviz.trace.stages.FINISHES`."
    left = False
    "Something newer is on the screen: nothing of this run is to be shown any more."

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        self.path = self.path or Path(tempfile.gettempdir(), f"tokviz-stop-{secrets.token_hex(8)}")
        if self.is_set():
            self.path.write_text(self.reason)
        return (FarStop, (self.path,))

    def set(self, reason: str = "stopped") -> None:
        """Raise the flag; the first reason given is the one that is told."""
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
class FarStop:
    """A stop flag as another process sees it."""

    path: Path

    def is_set(self) -> bool:
        """Return whether it was raised."""
        return self.path.exists()

    @property
    def reason(self) -> str:
        """Why it was raised, a key of `tokviz.trace.stages.FINISHES`."""
        told = self.path.read_text() if self.path.exists() else ""
        return told if told in FINISHES else "stopped"

    def set(self, reason: str = "stopped") -> None:
        """Raise it."""
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
        """Raise the flag; returns whether there was a run to stop."""
        with self._lock:
            flag = self._flags.get(session)
        if flag is not None:
            flag.set()
        return flag is not None

    def leave(self, session: str) -> None:
        """Stop a session's run and have nothing more of it shown: something newer is shown now."""
        with self._lock:
            flag = self._flags.get(session)
        if flag is not None:
            flag.left = True
            flag.set()

    def stop_all(self) -> bool:
        """Raise every flag and take no new runs: the server is to stop. Returns whether any ran."""
        with self._lock:
            self._closed = True
            for flag in self._flags.values():
                flag.set()
            return bool(self._flags)


RUNS = Runs()
STOPS = Stops()


def shown_example(session: str, prompt: str) -> str:
    """Return the stored example that a session shows, if the same question is asked again."""
    run = RUNS.get(session or "")
    return run.example if run and run.prompt.strip() == (prompt or "").strip() else ""


def shown_source(session: str) -> str:
    """Return the stored example whose picture a session shows, or nothing."""
    run = RUNS.get(session or "")
    return run.source if run else ""


def shown_picture(session: str) -> Image.Image | None:
    """Return the picture of the run that a session shows, if it is still kept."""
    run = RUNS.get(session or "")
    return run.image if run else None
