"""How long will a question wait at most? An upper limit, from what the latest runs really took.

Gradio tells who waits the mean of all runs since the start, times the runs before. That was too
short for most of 100 visitors during an attack, since refused questions and quiet hours lower the
mean. Here the runs before count as the slowest row of as many runs among the latest ones of their
very kind, and the sum is multiplied by how much of it visitors at a like place really waited.
docs/load_attack.md has how far the limit was from the time waited.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from itertools import accumulate
from math import inf
from pathlib import PurePath
from typing import Any
from weakref import WeakKeyDictionary

from gradio import Dropdown
from gradio.queueing import Event, EventQueue

RECENT = 50
"""Runs of a kind that count; older ones were under another load."""
OF_ONE = 5
"""Runs of one address among them: refused pictures of one sender must not shorten the limit."""
LOAD = 3.0
"""Factor between the slowest row of runs and the limit while little is known: more visitors may
come meanwhile, and their pages and uploads take time from the run. Measured: when 100 visitors and
an attack came to a quiet server at once, a run took 2.5 times as long as the runs before."""
ENOUGH = 10
"""Visitors at a like place whose waiting must be known before the factor may be below LOAD."""
MARGIN = 1.15
"""How far above the longest of their waits the limit stays."""
MAX_RATIOS = 100
MAX_KINDS = 200
NAMED = ("model", "method")
"""Labels of the inputs of an endpoint that say what kind of run it is."""
LISTS = ("plans", "methods", "budgets")
"""What the page sends of lists with an event: the more there are, the longer its run."""
FILMS = (".mp4", ".m4v", ".mov", ".webm")


def kind_of(event: Event) -> tuple[Any, ...]:
    """Return what kind of run an event asks for.

    Returns:
        Gradio's function; model and method; how many lanes, methods and budgets; and whether it is
        about a film.
    """
    body = event.data
    if body is None:
        return (event.fn,)
    pairs = list(zip(event.fn.inputs, body.data, strict=False))
    names = [one[:80] for block, one in pairs if isinstance(one, str) and names_it(block)]
    sent = body.event_data if isinstance(body.event_data, Mapping) else {}
    lengths = [len(one) if isinstance(one := sent.get(name), list) else 0 for name in LISTS]
    return (event.fn, *names, *lengths, any(is_film(value) for _, value in pairs))


def names_it(block: Any) -> bool:
    """Return whether an input says what kind of run it is."""
    return isinstance(block, Dropdown) or getattr(block, "label", "") in NAMED


def is_film(value: Any) -> bool:
    """Return whether an input is a film's file, by its ending."""
    path = value.get("path") if isinstance(value, Mapping) else None
    return isinstance(path, str) and PurePath(path).suffix.lower() in FILMS


class RunTimes:
    """Seconds that the latest runs of one kind took."""

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
        self.runs: OrderedDict[Any, RunTimes] = OrderedDict()
        "Kind, and (Gradio's function,) for all of its kinds -> the times of its runs."
        self.running: WeakKeyDictionary[Event, float] = WeakKeyDictionary()
        "Event -> when its run began, by the monotonic clock."
        self.expected: WeakKeyDictionary[Event, tuple[int, float]] = WeakKeyDictionary()
        "Event -> its place from 1 on, and the seconds that it was expected to wait."
        self.ratios: deque[tuple[str, int, float]] = deque(maxlen=MAX_RATIOS)
        "(visitor, place, time waited / time expected) of the latest who waited."

    def expect(self, event: Event, place: int, seconds: float | None) -> None:
        """Note at which place an event joined, and how long it was expected to wait there."""
        if seconds:
            self.expected[event] = (place, seconds)

    def began(self, event: Event) -> None:
        """Note that a run has begun."""
        self.running[event] = time.monotonic()

    def ended(self, event: Event, visitor: str, well: bool) -> None:
        """Add a run that has ended, and how long its visitor has waited for the end.

        Args:
            event: whose run it was.
            visitor: the address that asked.
            well: False for a run that failed, which says nothing about the time of others.
        """
        begun = self.running.pop(event, None)
        if begun is None or not well:
            return
        now = time.monotonic()
        for kind in {kind_of(event), (event.fn,)}:
            times = self.runs.setdefault(kind, RunTimes())
            times.add(visitor, now - begun)
            self.runs.move_to_end(kind)
        while len(self.runs) > MAX_KINDS:  # a stranger can name any number of models
            self.runs.popitem(last=False)
        if expected := self.expected.pop(event, None):
            place, seconds = expected
            self.ratios.append((visitor, place, (now - event.enqueue_time) / seconds))

    def factor(self, place: int) -> float:
        """Return the factor between the time that runs are expected to take and the limit.

        Waits at half to twice the place count: a single run varies more than a row of many, and a
        long line is another load than none.
        """
        near = [one for one in self.ratios if one[1] <= 2 * place and place <= 2 * one[1]]
        visits = Counter(visitor for visitor, _, _ in near)
        longest = max((ratio for _, _, ratio in near), default=0.0)
        if sum(min(count, OF_ONE) for count in visits.values()) < ENOUGH:
            return max(LOAD, longest)
        return max(1.0, MARGIN * longest)

    def limit_of_run(self, event: Event) -> float | None:
        """Return the seconds that a run takes at most, None where no such run has ended so far."""
        times = self.times_of(event)
        return None if times is None else self.factor(1) * times.slowest(1)

    def limits(self, line: EventQueue) -> Iterator[tuple[float | None, float | None]]:
        """Yield (seconds expected, seconds within which it is answered) of each waiting event."""
        for place, seconds in enumerate(self.seconds(line), start=1):
            yield seconds, None if seconds is None else self.factor(place) * seconds

    def seconds(self, line: EventQueue) -> Iterator[float | None]:
        """Yield what the rest of a running event, the events before and the own one take."""
        rest, before = self.rest_of_running(line), Counter[int]()
        workers, known, all_known = line.concurrency_limit or inf, {}, True
        for event in line.queue:
            times = self.times_of(event)
            all_known = all_known and times is not None
            if rest is None or times is None or not all_known:
                yield None
                continue
            known[id(times)] = times
            before[id(times)] += 1
            whole = sum(known[one].slowest(number) for one, number in before.items())
            own = times.slowest(1)
            yield rest + own + (whole - own) / workers

    def times_of(self, event: Event) -> RunTimes | None:
        """Return the times of an event's kind, else those of all kinds of its function."""
        return self.runs.get(kind_of(event)) or self.runs.get((event.fn,))

    def rest_of_running(self, line: EventQueue) -> float | None:
        """Return the seconds until a worker is free, None where a run's time is not known."""
        if line.current_concurrency != line.concurrency_limit:
            return 0.0
        ends = []
        for event, begun in list(self.running.items()):
            if event.concurrency_id != line.concurrency_id:
                continue
            times = self.times_of(event)
            if times is None:
                return None
            ends.append(begun + times.slowest(1))
        return max(0.0, min(ends) - time.monotonic()) if ends else 0.0
