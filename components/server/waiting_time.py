"""How long will a question wait at most? An upper limit, from what the latest runs really took.

Gradio tells who waits the mean of all runs since the start, times the runs before. That was too
short for most of 100 visitors during an attack, since refused questions and quiet hours lower the
mean. Here the runs before count as the slowest row of as many runs among the latest ones, and the
sum is multiplied by how much longer than that the latest visitors really waited.
docs/load_attack.md has how far the limit was from the time waited.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from itertools import accumulate
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

from gradio.queueing import Event, EventQueue

RECENT = 100
"""Runs of an event, and visitors, that count; older ones were under another load."""
OF_ONE = 5
"""Runs of one address among them: refused pictures of one sender must not shorten the limit."""
LOAD = 1.5
"""Least factor between the slowest row of runs and the limit: more visitors may come meanwhile, and
their pages and uploads take time from the run."""


class RunTimes:
    """Seconds that the latest runs of one event took."""

    def __init__(self) -> None:
        self.latest: deque[tuple[str, float]] = deque()
        "(visitor, seconds), the oldest first."
        self.rows: list[float] = [0.0]
        "Seconds of the slowest 0, 1, 2 ... runs in a row."

    def add(self, visitor: str, seconds: float) -> None:
        """Add one run."""
        mine = [one for one in self.latest if one[0] == visitor]
        if len(mine) >= OF_ONE:
            self.latest.remove(mine[0])
        self.latest.append((visitor, seconds))
        if len(self.latest) > RECENT:
            self.latest.popleft()
        sums = list(accumulate((one[1] for one in self.latest), initial=0.0))
        self.rows = [
            max(end - begin for begin, end in zip(sums, sums[width:], strict=False))
            for width in range(len(sums))
        ]

    def slowest(self, number: int) -> float:
        """Return the seconds of the slowest `number` runs in a row, of more than there were too."""
        most = len(self.rows) - 1
        return self.rows[number] if number <= most else self.rows[most] * number / most


class WaitingTimes:
    """What the events of a queue took, and the limits that follow from it."""

    def __init__(self) -> None:
        self.runs: defaultdict[Any, RunTimes] = defaultdict(RunTimes)
        "Gradio's function -> the times of its runs."
        self.expected: WeakKeyDictionary[Event, float] = WeakKeyDictionary()
        "Event -> seconds that the runs before it and its own were expected to take."
        self.ratios: deque[float] = deque(maxlen=RECENT)
        "Time waited / time expected, of the latest visitors who waited."

    @property
    def factor(self) -> float:
        """The factor between the time that runs are expected to take and the limit."""
        return max([LOAD, *self.ratios])

    def expect(self, event: Event, limit: float | None) -> None:
        """Note the limit that an event was told when it joined."""
        if limit:
            self.expected[event] = limit / self.factor

    def ended(self, event: Event, visitor: str, seconds: float) -> None:
        """Add a run that has ended well, and how long its visitor has waited for the end."""
        self.runs[event.fn].add(visitor, seconds)
        if expected := self.expected.pop(event, 0.0):
            self.ratios.append((time.monotonic() - event.enqueue_time) / expected)

    def limit_of_run(self, fn: Any) -> float | None:
        """Return the seconds that one run takes at most, None where none has ended so far."""
        return self.factor * self.runs[fn].slowest(1) if fn in self.runs else None

    def limits(self, line: EventQueue) -> Iterator[float | None]:
        """Yield the seconds within which each waiting event is answered; None = not known."""
        return (None if one is None else self.factor * one for one in self.seconds(line))

    def seconds(self, line: EventQueue) -> Iterator[float | None]:
        """Yield what the rest of a running event, the events before and the own one take."""
        rest, before = self.rest_of_running(line), Counter[Any]()
        workers = line.concurrency_limit or inf
        for event in line.queue:
            before[event.fn] += 1
            if rest is None or any(fn not in self.runs for fn in before):
                yield None
                continue
            own = self.runs[event.fn].slowest(1)
            whole = sum(self.runs[fn].slowest(number) for fn, number in before.items())
            yield rest + own + (whole - own) / workers

    def rest_of_running(self, line: EventQueue) -> float | None:
        """Return the seconds until a worker is free, None where a run's time is not known."""
        if line.current_concurrency != line.concurrency_limit:
            return 0.0
        ends = []
        for fn, starts in line.start_times_per_fn.items():
            if fn not in self.runs:
                return None
            ends += [start + self.runs[fn].slowest(1) for start in starts]
        return max(0.0, min(ends) - time.time()) if ends else 0.0
