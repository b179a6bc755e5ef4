"""What does a prefill cost after each method? `python -m benchmarks.prefills`

The limit is a plain prefill of a prompt that was as short from the start: no method can be faster
on what it leaves. Plain prefills are timed at several lengths and joined by straight lines, so that
a method which shortens the prompt on the way is compared layer by layer with what it had left.
Methods take turns, so that a busy moment hits all of them, and the median of the rounds counts.
Rows go to docs/prefills.jsonl, from which `make docs` writes docs/prefills.md.
"""

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tokviz
from benchmarks.engine import picture, random_llava
from benchmarks.measured_model import add_model, facts
from benchmarks.table import machine
from tokviz.capture import Capture
from tokviz.cost import tokens_seen
from tokviz.errors import TokvizError
from tokviz.matrix import Reduction
from tokviz.plans import Plan, chosen
from tokviz.reduction import METHODS
from tokviz.trace import Trace

ROWS = Path(__file__).parents[1] / "docs" / "prefills.jsonl"
LENGTHS = 8
"""Plain prefills that are timed, from one visual token to all."""
PROMPT = "describe the image ."


@dataclass(frozen=True)
class Prefill:
    """One method's prefill, or why it could not run."""

    method: str
    left: int = 0
    "Visual tokens that the last layer computes with."
    milliseconds: float = 0.0
    "Prefill, decisions inside the language model apart."
    of_limit: float = 0.0
    "Times the plain prefill of as many tokens in each layer."
    of_full: float = 0.0
    "Times the plain prefill with all tokens."
    formula: float = 0.0
    "The arithmetic of the whole prompt, relative to all tokens, by the cost model."
    decide_ms: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Conditions:
    """What all rows of a table share."""

    n: int
    keep: int
    rounds: int
    model: str
    machine: str


def ask(vlm: Any, image: Any, plan: Plan | None) -> Trace:
    """Answer with one word and look at nothing."""
    return vlm.answer([image], PROMPT, plan, 1, Capture.nothing())


def limit(trace: Trace, layers: int, lengths: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the seconds of a plain prefill with as many visual tokens in each layer."""
    counts = tokens_seen(trace.stages, trace.n, layers)
    return float(np.interp(counts, lengths, seconds).sum()) / layers


def measure(vlm: Any, names: Sequence[str], keep: int, rounds: int) -> tuple[list[Prefill], int]:
    """Return a row for each method, and the number of visual tokens."""
    image = picture()
    n = ask(vlm, image, None).n
    lengths = sorted({max(round(n * i / (LENGTHS - 1)), 1) for i in range(LENGTHS)})
    plans: dict[Any, Plan | None] = {
        length: chosen(Reduction.select(range(length), n)) if length < n else None
        for length in lengths
    }
    plans |= {name: tokviz.plan(name, keep=keep) for name in names}
    refused: dict[str, str] = {}
    traces: dict[Any, list[Trace]] = defaultdict(list)
    for number in range(rounds + 1):
        for key, plan in plans.items():
            if key in refused:
                continue
            try:
                trace = ask(vlm, image, plan)
            except TokvizError as error:
                refused[key] = str(error)
                continue
            if number:  # the first round warms up
                traces[key].append(trace)
    typical = {
        key: statistics.median(run.timings["prefill"] for run in runs)
        for key, runs in traces.items()
    }
    plain = [typical[length] for length in lengths]
    rows = [
        Prefill(name, error=refused[name])
        if name in refused
        else row(name, traces[name], typical[name], vlm.info["layers"], lengths, plain)
        for name in names
    ]
    return rows, n


def row(
    name: str,
    runs: list[Trace],
    seconds: float,
    layers: int,
    lengths: Sequence[int],
    plain: Sequence[float],
) -> Prefill:
    """Return one method's row."""
    trace = runs[-1]
    return Prefill(
        name,
        tokens_seen(trace.stages, trace.n, layers)[-1],
        round(1000 * seconds, 2),
        round(seconds / limit(trace, layers, lengths, plain), 3),
        round(seconds / plain[-1], 3),
        round(trace.model["prefill_share"]["whole_prompt"], 3),
        round(1000 * statistics.median(run.timings["decide"] for run in runs), 2),
    )


def main() -> None:
    """Measure all removing methods and write the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prefills", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    add_model(parser)
    parser.add_argument(
        "--random", action="store_true", help="a larger one of random weights in its place"
    )
    parser.add_argument("--only", nargs="*", choices=sorted(METHODS), help="these methods alone")
    parser.add_argument("--rows", type=Path, default=ROWS, help="where the rows are written")
    arguments = parser.parse_args()
    vlm = tokviz.load(arguments.model)
    vlm = random_llava(vlm) if arguments.random else vlm
    names = arguments.only or sorted(name for name, entry in METHODS.items() if entry.removes)
    n = ask(vlm, picture(), None).n
    rows, n = measure(vlm, names, max(n // 4, 1), arguments.rounds)
    shared = Conditions(n, max(n // 4, 1), arguments.rounds, str(facts(vlm)), machine())
    lines = [json.dumps(asdict(one), ensure_ascii=False) for one in (shared, *rows)]
    arguments.rows.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for one in rows:
        print(one)


if __name__ == "__main__":
    main()
