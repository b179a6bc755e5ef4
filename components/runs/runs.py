"""The last runs, kept by the server under names that cannot be guessed, in limited memory.

A session holds only a run's name.
"""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from tokviz.trace import Trace

from ..widgets.payload_cache import PayloadCache
from .lane_request import LaneRequest
from .pictures import Shown, as_list

ROOM = 512 * 2**20
"""Bytes of traces that are kept for all users together."""
GONE = "This run is no longer kept on the server. Ask again."
FULL = -1
"""The lane of the full answer; the others count from 0."""


@dataclass
class KeptRun:
    """One question, its answers and their traces, as the server keeps it."""

    image: Shown | None
    "The picture, several, or a film."
    prompt: str
    model: str
    traces: dict[int, Trace] = field(default_factory=dict)
    "Lane number -> trace; FULL is the answer with all tokens."
    name: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    example: str = ""
    "Name of the stored example this is, or whose picture and question it has, or nothing."
    source: str = ""
    "Name of the stored example whose picture it has, whatever was asked about it, or nothing;"
    " of several pictures the names with commas between."
    cache: PayloadCache | None = field(default=None, repr=False)
    "Where the payloads of a stored example are kept; None = somebody ran this."
    lanes: dict[int, LaneRequest] = field(default_factory=dict)
    "Lane number -> what was asked of it."
    case: Any = None
    "What the hallucination desk found out about it: a `components.desk.cases.Case`."
    board: Any = None
    "The board of methods and budgets that this is: a `components.board.state.Board`."
    sweep: Any = None
    "The search for the fewest tokens that this is: a `components.compare.keep_sweep.KeepSweep`."
    drawn: dict[Any, Any] = field(default_factory=dict, repr=False)
    "What `computed_once` keeps of a stored run."
    file_note: str = ""
    "What the trace from a visitor's own file is, in a sentence; empty = no such file."
    truth: str = ""
    "The right answer of a stored example, where it is known."
    file: str = ""
    "Path of the picture inside the project, for stored examples."

    @property
    def stored(self) -> bool:
        """Whether this is a stored example itself, so that a link to any of its lanes opens."""
        return self.cache is not None

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        pictures = as_list(self.image) if self.image else []
        pixels = sum(4 * one.width * one.height for one in pictures)
        arrays = sum(a.nbytes for t in self.traces.values() for a in t.arrays.values())
        return pixels + arrays + sum(len(j) for t in self.traces.values() for j in t.images)


class Runs:
    """The last runs by name; the oldest are dropped when memory is short. Thread-safe."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, KeptRun] = OrderedDict()

    def put(self, run: KeptRun) -> KeptRun:
        """Keep a run; drop the oldest ones if there is no room."""
        with self._lock:
            self._runs[run.name] = run
            while len(self._runs) > 1 and sum(r.size for r in self._runs.values()) > self.room:
                self._runs.popitem(last=False)
        return run

    def get(self, name: str) -> KeptRun | None:
        """Return a run that is still kept."""
        with self._lock:
            if name in self._runs:
                self._runs.move_to_end(name)
            return self._runs.get(name)
