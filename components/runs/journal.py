"""The log of runs for the operator: one line per run and a few counts, never what was asked.

A line says which model ran, with which methods, on how many visual tokens, for how long, and how
it ended. Prompts, answers, pictures, file names and addresses are not written; a visitor is told
apart by a hash that changes with every start of the server.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ..error_text import QuietFormatter

log = logging.getLogger("tokviz.runs")
SALT = secrets.token_bytes(16)
BUCKETS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Upper ends, in seconds, of the run-time histogram."""


@dataclass
class Entry:
    """One run of the model."""

    model: str
    visitor: str
    "Session name of the page; only its hash is kept."
    methods: list[str] = field(default_factory=list)
    visual_tokens: int = 0
    answer_tokens: int = 0
    seconds: float = 0.0
    outcome: str = "done"
    "done, stopped, refused (bad input) or failed."

    def __post_init__(self) -> None:
        self.visitor = hashlib.sha256(SALT + self.visitor.encode()).hexdigest()[:12]
        self.methods = [str(name)[:40] for name in self.methods]
        self.model = str(self.model)[:120]


class Journal:
    """Counts runs and writes a line for each; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.runs: dict[str, int] = {}
        self.tokens = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)

    def write(self, entry: Entry) -> None:
        """Keep an entry."""
        with self._lock:
            self.runs[entry.outcome] = self.runs.get(entry.outcome, 0) + 1
            self.tokens += entry.answer_tokens
            self.seconds += entry.seconds
            self.buckets[sum(entry.seconds > edge for edge in BUCKETS)] += 1
        log.info("run", extra={"entry": {**asdict(entry), "seconds": round(entry.seconds, 3)}})

    def collect(self) -> Iterable[Any]:
        """Yield the counts as metric families, in prometheus_client's collector protocol."""
        from prometheus_client.core import (  # noqa: PLC0415  an extra
            CounterMetricFamily,
            HistogramMetricFamily,
        )

        with self._lock:
            runs, tokens, total = dict(self.runs), self.tokens, self.seconds
            buckets = list(self.buckets)
        by_outcome = CounterMetricFamily("tokviz_runs", "Runs of a model.", labels=["outcome"])
        for outcome, count in sorted(runs.items()):
            by_outcome.add_metric([outcome], count)
        yield by_outcome
        yield CounterMetricFamily("tokviz_answer_tokens", "Tokens written.", value=tokens)
        edges = [str(edge) for edge in BUCKETS] + ["+Inf"]
        cumulated = [sum(buckets[: i + 1]) for i in range(len(buckets))]
        times = HistogramMetricFamily("tokviz_run_seconds", "Seconds a run took.")
        times.add_metric([], list(zip(edges, cumulated, strict=True)), total)
        yield times


class JsonLines(QuietFormatter):
    """One JSON object per log line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "entry", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
