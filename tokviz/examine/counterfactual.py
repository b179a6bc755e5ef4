"""Which visual tokens does the answer depend on?

Necessary: a set whose removal changes the answer. Sufficient: a set that alone keeps the answer.
Both are searched by really removing tokens: first the most important tokens of the given maps, then
the best of these sets is reduced (delta debugging) until no single token can be left out. The
result is a certificate with the answers before and after. It need not be the smallest set, and
other sets may have the same effect.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tokviz.errors import InputError
from tokviz.evaluation.same_answer import same_answer
from tokviz.examine.faithfulness import order_of
from tokviz.interruption import Interrupted, interrupted_by

Answers = Callable[[list[np.ndarray]], Sequence[str]]
"Kept sets (ascending tokens) -> the answer with only those tokens, one text per set."
Kind = Literal["necessary", "sufficient"]
SearchProgress = Callable[[int, int], None]
"Called with the forwards done so far and the size of the smallest set so far."
BATCH = 8


@dataclass(frozen=True, eq=False)
class Certificate:
    """A set of visual tokens on which the answer depends, with the proof."""

    kind: Kind
    tokens: np.ndarray
    "Ascending; empty for a sufficient set if the answer needs no image."
    found: bool
    "False = there is no such set, since not even the set of all tokens is one."
    before: str
    "The answer with all tokens."
    after: str
    "The answer without the set (necessary) or with the set alone (sufficient)."
    minimal: bool
    "True = no single token can be left out of the set. False = the time ran out before."
    runs: int
    seconds: float

    def sentence(self) -> str:
        """Return the result in one sentence."""
        count = len(self.tokens)
        if not self.found:
            if self.kind == "necessary":
                return f"The answer stays {self.before!r} with every visual token removed."
            return f"The answer {self.before!r} could not be reproduced."
        if self.kind == "sufficient" and not count:
            return f"The answer {self.before!r} needs no visual token at all."
        limit = "" if self.minimal else " (the time ran out; a smaller set may do)"
        tokens, verb = ("token", "keeps") if count == 1 else ("tokens", "keep")
        if self.kind == "necessary":
            text = f"Removing {count} {tokens} turns {self.before!r} into {self.after!r}"
        else:
            text = f"{count} {tokens} alone {verb} the answer {self.before!r}"
        return f"{text}{limit}."


class Search:
    """Asks for answers in batches until the time limit, and stores them."""

    def __init__(
        self, answers: Answers, n: int, kind: Kind, same: Callable[[str, str], bool],
        limit_s: float, progress: SearchProgress | None, stop: threading.Event | None = None,
    ) -> None:  # fmt: skip
        """Args: as in `find_tokens`."""
        self.answers, self.n, self.kind, self.same = answers, n, kind, same
        self.began = time.monotonic()
        self.deadline = self.began + limit_s
        self.progress, self.stop, self.runs = progress, stop, 0
        self.known: dict[bytes, str] = {}
        self.smallest = n
        self.before = self.ask([np.arange(n)])[0]

    @property
    def out_of_time(self) -> bool:
        """Return whether the time limit is reached or the search was stopped."""
        stopped = self.stop is not None and self.stop.is_set()
        return stopped or time.monotonic() >= self.deadline

    def kept(self, tokens: np.ndarray) -> np.ndarray:
        """Return the kept tokens of a trial: without the set, or the set alone."""
        if self.kind == "sufficient":
            return np.sort(tokens)
        return np.setdiff1d(np.arange(self.n), tokens)

    def ask(self, kept: Sequence[np.ndarray]) -> list[str]:
        """Return the answers of kept sets."""
        keys = [tokens.astype(np.int64).tobytes() for tokens in kept]
        new = {k: t for k, t in zip(keys, kept, strict=True) if k not in self.known}
        if new:
            with interrupted_by(self.stop):
                texts = list(self.answers(list(new.values())))
            if len(texts) != len(new):
                raise InputError(f"answers must return {len(new)} texts, got {len(texts)}.")
            self.known |= dict(zip(new, texts, strict=True))
            self.runs += len(new)
        return [self.known[key] for key in keys]

    def answer_of(self, tokens: np.ndarray) -> str | None:
        """Return the answer of one trial; None if it is not known and the search was stopped."""
        try:
            return self.ask([self.kept(tokens)])[0]
        except Interrupted:
            return None

    def first_that_holds(self, sets: Sequence[np.ndarray]) -> int | None:
        """Return the index of the first set that is one; None if none is or the time is up."""
        for start in range(0, len(sets), BATCH):
            if self.out_of_time:
                return None
            batch = sets[start : start + BATCH]
            try:
                texts = self.ask([self.kept(tokens) for tokens in batch])
            except Interrupted:
                return None
            for offset, text in enumerate(texts):
                if self.same(text, self.before) == (self.kind == "sufficient"):
                    self.smallest = min(self.smallest, len(batch[offset]))
                    self._tell()
                    return start + offset
            self._tell()
        return None

    def _tell(self) -> None:
        if self.progress:
            self.progress(self.runs, self.smallest)


def find_tokens(
    answers: Answers,
    n: int,
    maps: Sequence[np.ndarray],
    kind: Kind,
    *,
    limit_s: float = 60.0,
    same: Callable[[str, str], bool] = same_answer,
    progress: SearchProgress | None = None,
    stop: threading.Event | None = None,
) -> Certificate:
    """Search a set of visual tokens that is necessary or sufficient for the answer.

    Args:
        answers: kept sets -> answers; called with at most BATCH sets at a time.
        n: number of visual tokens.
        maps: one or more importance maps [n]; good maps make the search shorter.
        kind: necessary or sufficient.
        limit_s: seconds after which the best set so far is returned.
        same: (answer, answer) -> whether they are the same.
        progress: called with (runs so far, size of the smallest set so far).
        stop: set it to end the search as at the time limit; answers that are being written are
            left out, between two layers of the model.

    Raises:
        Interrupted: it was stopped before the first answer was written.
        InputError: no map, or one of another length or with NaN.
    """
    orders = [order_of(one) for one in maps]
    if not orders or any(len(order) != n for order in orders):
        raise InputError(f"give at least one map of {n} numbers.")
    search = Search(answers, n, kind, same, limit_s, progress, stop)
    prefix = _shortest_prefix(search, orders)
    if prefix is None:
        everything = np.arange(n)
        after = search.answer_of(everything)
        found = after is not None and search.same(after, search.before) == (kind == "sufficient")
        return _certificate(search, everything if found else everything[:0], found, False)
    tokens, minimal = _shrink(search, prefix)
    return _certificate(search, tokens, True, minimal)


def _certificate(search: Search, tokens: np.ndarray, found: bool, minimal: bool) -> Certificate:
    tokens = np.sort(tokens)
    tried = tokens if found else np.arange(search.n)
    after = search.answer_of(tried) or ""
    seconds = time.monotonic() - search.began
    return Certificate(
        search.kind, tokens, found, search.before, after, minimal, search.runs, seconds
    )


def _shortest_prefix(search: Search, orders: list[np.ndarray]) -> np.ndarray | None:
    """Return the shortest prefix of an order that was found to be such a set, best token first."""
    sizes = sorted({0, *(2**i for i in range(search.n.bit_length())), search.n})
    ladder = [(size, order) for size in sizes for order in orders]
    place = search.first_that_holds([order[:size] for size, order in ladder])
    if place is None:
        return None
    size, order = ladder[place]
    low = max((s for s in sizes if s < size), default=0)
    while size - low > 1 and not search.out_of_time:
        steps = np.unique(np.linspace(low, size, BATCH + 2).astype(int)[1:-1])
        steps = steps[(steps > low) & (steps < size)]
        hit = search.first_that_holds([order[:step] for step in steps])
        if hit is None:
            low = int(steps[-1])
        else:
            low, size = int(steps[hit - 1]) if hit else low, int(steps[hit])
    return order[:size]


def _shrink(search: Search, tokens: np.ndarray) -> tuple[np.ndarray, bool]:
    """Leave out chunks, the least important first, until no single token can be left out.

    After a chunk was left out, the next chunk is tried, not the first again: chunks that were
    needed before are most likely still needed, and are tried once more at the end.
    """
    parts, begin = 2, 0
    while len(tokens):
        parts = min(parts, len(tokens))
        begin %= parts
        chunks = np.array_split(tokens, parts)[::-1]
        without = [tokens[~np.isin(tokens, chunk)] for chunk in chunks]
        hit = search.first_that_holds(without[begin:] + without[:begin])
        if hit is not None:
            begin = (begin + hit) % parts
            tokens, parts = without[begin], max(parts - 1, 2)
        elif search.out_of_time:
            return tokens, False
        elif parts == len(tokens):
            return tokens, True
        else:
            parts, begin = 2 * parts, 0
    return tokens, True


def smallest_keep(
    answer_at: Callable[[list[int]], Sequence[str]],
    n: int,
    *,
    least: int = 1,
    limit_s: float = 60.0,
    same: Callable[[str, str], bool] = same_answer,
    stop: threading.Event | None = None,
) -> tuple[int, dict[int, bool]]:
    """Find the smallest budget from which on a method's answer stays the same.

    First budgets of equal ratios are tried, then budgets between the last that changed the answer
    and the first from which on all tried ones keep it. Answers need not be monotone in the budget:
    the second value has every budget that was tried.

    Args:
        answer_at: budgets -> the method's answers; called with at most BATCH budgets at a time.
        n: number of visual tokens.
        least: smallest budget that is tried: a method may need one token for each picture.
        limit_s: seconds after which the best budget so far is returned.
        same: when two answers count as equal.
        stop: set it to end the search as if the time were up; answers that were being written
            are left out.

    Returns:
        The budget from which on every tried one keeps the answer, and all tried ones.

    Raises:
        Interrupted: it was stopped before the first answer was written.
    """
    deadline = time.monotonic() + limit_s

    def over() -> bool:
        return time.monotonic() >= deadline or stopped()

    def stopped() -> bool:
        return stop is not None and stop.is_set()

    before = answer_at([n])[0]
    if stopped():
        raise Interrupted("the search was stopped before the first answer was written.")
    tried = {n: True}

    def attempt(budgets: list[int]) -> None:
        for start in range(0, len(budgets), BATCH):
            if over():
                return
            batch = budgets[start : start + BATCH]
            try:
                texts = answer_at(batch)
            except Interrupted:
                return
            if stopped():  # some of the answers may have been cut off
                return
            tried.update({k: same(t, before) for k, t in zip(batch, texts, strict=True)})

    attempt(sorted({max(least, n >> i) for i in range(1, n.bit_length())}, reverse=True))
    while not over():
        failed = max((k for k, holds in tried.items() if not holds), default=least - 1)
        good = min(k for k in tried if k > failed)
        between = np.unique(np.linspace(failed, good, BATCH + 2).astype(int)[1:-1])
        fresh = [int(k) for k in between if failed < k < good and k not in tried]
        if not fresh:
            break
        attempt(fresh)
    failed = max((k for k, holds in tried.items() if not holds), default=0)
    return min(k for k in tried if k > failed), dict(sorted(tried.items()))
