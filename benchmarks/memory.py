"""Does the server's memory stay flat over many short runs?

A server of its own that may remember only a few runs (TOKVIZ_RUNS_MB), so that the store of runs
is full after the first of them and whatever grows later is a leak. Half of the runs come by the
endpoint for programs, half by the page's own button, and every few runs another visitor asks.
"""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import NormalDist
from urllib.parse import urlparse

import numpy as np
from gradio_client import Client, handle_file

from benchmarks.page import served
from benchmarks.tab import Tab
from benchmarks.table import Row

SAMPLES = 20
ROOM_MB, WORDS = 4, 3
"""Memory for runs, and new tokens per answer, of the server that is measured."""
QUESTION = "describe the image ."
Sample = tuple[int, float]


def measured(picture: Path, runs: int) -> tuple[list[Sample], float]:
    """Ask again and again; return (runs so far, MiB that the server holds) and the seconds."""
    limits = {
        "TOKVIZ_RUNS_MB": ROOM_MB,
        "TOKVIZ_MAX_NEW_TOKENS": WORDS,
        "TOKVIZ_REQUESTS_PER_MINUTE": 10**9,
    }
    began = time.perf_counter()
    with served(**{name: str(value) for name, value in limits.items()}) as address:
        samples = list(asked(address, picture, runs))
    return samples, time.perf_counter() - began


def asked(address: str, picture: Path, runs: int) -> Iterator[Sample]:
    """Yield the memory before the first run and after each of SAMPLES parts of the runs."""
    server, part = listener(urlparse(address).port or 0), max(1, runs // SAMPLES)
    yield 0, resident(server)
    for done in range(0, runs, part):
        client = Client(address, verbose=False, analytics_enabled=False, download_files=False)
        tab = Tab(address)
        for number in range(part):
            if number % 2:
                *_, last = tab.queued("submit", [None, QUESTION, "embedded", None], None)
                if not last.get("success"):
                    raise SystemExit("the page's own question was not answered")
            else:
                client.predict(
                    handle_file(str(picture)), QUESTION, "", "", 0, {}, api_name="/answer"
                )
        tab.close()
        client.close()
        yield done + part, resident(server)


def slope(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return MiB per 100 runs over the second half, and the half width of its 95 % interval.

    The straight line through the samples by least squares; Student's t by its series in 1 / df.
    """
    half = [sample for sample in samples if sample[0] >= samples[-1][0] / 2]
    runs, mib = np.array(half, float).T
    runs, free = (runs - runs.mean()) / 100, len(half) - 2
    if free < 1:
        return 0.0, math.inf
    rise = float(runs @ mib / (runs @ runs))
    left = mib - mib.mean() - rise * runs
    normal = NormalDist().inv_cdf(0.975)
    student = normal + (normal**3 + normal) / (4 * free)
    return rise, student * math.sqrt(float(left @ left) / free / float(runs @ runs))


def row(samples: Sequence[Sample], seconds: float) -> Row:
    """Return the line about memory."""
    rise, give = slope(samples)
    line = ", ".join(f"{runs}: {mib:.0f}" for runs, mib in samples)
    how = (
        f"second half, 95 % interval; runs of {WORDS} words, {ROOM_MB} MB for the runs that are "
        f"remembered; MiB after runs: {line}; {seconds:.0f} s"
    )
    return Row(
        f"memory over {samples[-1][0]} runs", f"{rise:+.2f} ± {give:.2f} MiB / 100 runs", how
    )


def sentence(samples: Sequence[Sample]) -> str:
    """Say what the figures mean."""
    rise, give = slope(samples)
    runs = samples[-1][0]
    if rise - give <= 0:
        return f"Over {runs:,} runs no growth of the server's memory can be told from noise."
    return f"Memory grows by {rise - give:.2f} to {rise + give:.2f} MiB in 100 runs, over {runs:,}."


def listener(port: int) -> int:
    """Return the process that listens on a port of this machine (Linux)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    inodes = {
        line.split()[9]
        for line in lines
        if line.split()[3] == "0A" and int(line.split()[1].split(":")[1], 16) == port
    }
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target[8:-1] in inodes and target.startswith("socket:["):
            return int(link.parts[2])
    raise SystemExit(f"nothing listens on port {port}")


def resident(process: int) -> float:
    """Return the MiB of memory that a process holds (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
