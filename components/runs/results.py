"""The last results of analyses, kept by the server under names that cannot be guessed."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from tokviz.analysis import Result
from tokviz.trace import Trace

ROOM = 96 * 2**20
"""Bytes of results that are kept for all visitors together."""


@dataclass(frozen=True)
class KeptResult:
    """A result and the run that it is about."""

    result: Result
    trace: Trace

    @property
    def size(self) -> int:
        """Bytes of its arrays; the run's own are counted where the run is kept."""
        arrays = [self.result.values, *(part.values for part in self.result.parts.values())]
        return sum(np.asarray(array).nbytes for array in arrays)


class Results:
    """The last results by name; the oldest are dropped when memory is short. Thread-safe."""

    def __init__(self, room: int = ROOM) -> None:
        self.room = room
        self._lock = threading.Lock()
        self._results: OrderedDict[str, KeptResult] = OrderedDict()

    def put(self, kept: KeptResult) -> str:
        """Keep a result and return its name."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._results[name] = kept
            while len(self._results) > 1 and self._bytes() > self.room:
                self._results.popitem(last=False)
        return name

    def get(self, name: object) -> KeptResult | None:
        """Return a result that is still kept."""
        if not isinstance(name, str):
            return None
        with self._lock:
            if name in self._results:
                self._results.move_to_end(name)
            return self._results.get(name)

    def _bytes(self) -> int:
        return sum(kept.size for kept in self._results.values())
