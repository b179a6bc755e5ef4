"""One measured line, the machine it was measured on, and the Markdown table of all lines."""

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from scripts.write_docs import README, filled


class Row(NamedTuple):
    """One line of the table."""

    what: str
    value: str
    how: str


def machine() -> str:
    """Name processor, number of threads, accelerator and torch."""
    chip = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        chip = names[0].partition(": ")[2] if names else chip
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{chip}, {cores} cores, {torch.get_num_threads()} torch threads{gpu}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def markdown(rows: Iterable[Row], note: str) -> str:
    """Return the table with the machine under it."""
    head = [Row("What", "Measured", "How"), Row("---", "---:", "---")]
    lines = [f"| {row.what} | {row.value} | {row.how} |" for row in (*head, *rows)]
    return "\n".join([*lines, "", f"{note} Machine: {machine()}."])


def spread(milliseconds: Sequence[float]) -> str:
    """Return median and 95th percentile as text."""
    ordered = sorted(milliseconds)
    high = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"{statistics.median(ordered):.1f} ms (95 %: {high:.1f})"


def write(block: str) -> None:
    """Put the table between the bench markers of README.md."""
    README.write_text(filled(README.read_text(encoding="utf-8"), "bench", block), encoding="utf-8")
