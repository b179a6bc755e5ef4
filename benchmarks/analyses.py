"""What does each analysis cost? ``python -m benchmarks.analyses [--write]``

Every analysis of one answer of 20 tokens, by itself from the finished run;
the Token Activation Map against its full-vocabulary form at a large model's shape; the memory of
the stored rows. --write puts the tables into docs/analyses_cost.md. About two minutes on two cores.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import captum.attr  # noqa: F401  (its import belongs to no analysis)
import numpy as np
import torch

import tokviz
from benchmarks.measured_model import DESCRIBE, add_model, facts, scenes
from benchmarks.table import machine
from tokviz.analysis import ANALYSES, analyse
from tokviz.analysis.rank_filter import rank_gaussian_filter
from tokviz.capture import Capture
from tokviz.errors import MissingSignal
from tokviz.models.runs.analysing import forwards
from tokviz.trace import Trace
from tokviz.trace.layout import Layout, Tile
from tokviz.trace.to_file import layout_arrays

PAGE = Path(__file__).parents[1] / "docs/analyses_cost.md"
EXAMPLES = Path(__file__).parents[1] / "assets/examples"
TOKENS = 20
SAMPLING = ("leave_out", "shapley")
"""Analyses that run the model again for many sets of tokens; left out of the total."""
ROUNDS = 3
TAM_GRID, TAM_WIDTH, TAM_VOCABULARY = (34, 36), 1536, 150_000
TAM_PROMPT, TAM_ANSWER = 40, 36
"""Text tokens, all different."""
TAM_POSITIONS = TAM_GRID[0] * TAM_GRID[1] + TAM_PROMPT + TAM_ANSWER


class Shape(NamedTuple):
    """What the size of stored attention depends on."""

    name: str
    layers: int
    heads: int
    visual: int
    positions: int
    answer: int


SHAPES = (
    Shape("LLaVA-1.5-7B, 64 tokens", 32, 32, 576, 704, 64),
    Shape("Qwen2.5-VL-7B, 64 tokens", 28, 28, 4032, 4096, 64),
)


def stored_bytes(shape: Shape) -> int:
    """Return the bytes of the rows that a trace stores: head means, half precision."""
    return 2 * shape.answer * shape.layers * shape.visual


def whole_bytes(shape: Shape) -> int:
    """Return the bytes of layers x heads x positions x positions in half precision."""
    return 2 * shape.layers * shape.heads * shape.positions**2


def timed(work: Callable[[], Any], rounds: int) -> float:
    """Return the median seconds of some rounds."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def analysis_lines(vlm: Any, rounds: int) -> tuple[list[str], Trace]:
    """Measure every analysis; return the table's lines, and the run that they are about."""
    image = next(view.image for view in scenes(vlm, 30) if len(view.things) >= 4)

    def run() -> Trace:
        return vlm.answer(image, DESCRIBE, None, TOKENS, Capture.everything())

    trace = run()
    seconds = {"run": timed(run, rounds)}
    lines = [
        f"| the run itself, everything recorded | {seconds['run']:.3f} | |",
    ]
    for name, entry in ANALYSES.items():
        what = EXAMPLES if "folder" in entry.asks else image

        def work(name: str = name, what: Any = what) -> None:
            vlm.analyse(name, what, DESCRIBE, trace=trace)

        try:
            seconds[name] = timed(work, 1 if name in SAMPLING else rounds)
        except MissingSignal as error:
            lines.append(f"| `{name}` | not here: {error} | |")
            continue
        count = len(list(EXAMPLES.glob("*.png"))) if what is EXAMPLES else forwards(entry, trace)
        lines.append(f"| `{name}` | {seconds[name]:.3f} | {count} |")
    total = sum(value for name, value in seconds.items() if name not in SAMPLING)
    lines.append(f"| **all but {' and '.join(f'`{s}`' for s in SAMPLING)}** | **{total:.2f}** | |")
    return lines, trace


def tam_trace(states: torch.Tensor, head: torch.Tensor, ids: np.ndarray) -> Trace:
    """Return a run of the large shape, read out as the engine does: only the words' own rows."""
    rows, cols = TAM_GRID
    n, s = rows * cols, rows * cols + TAM_PROMPT
    prompt, answer = ids[:TAM_PROMPT], ids[TAM_PROMPT:]
    row, col = np.divmod(np.arange(n), cols)
    layout = Layout(
        sizes=((cols * 28, rows * 28),),
        tiles=(Tile(0, rows, cols, (0.0, 0.0, cols * 28.0, rows * 28.0)),),
        tile=np.zeros(n, np.int16),
        row=row.astype(np.int16),
        col=col.astype(np.int16),
        kind=np.zeros(n, np.uint8),
        position=np.arange(n, dtype=np.int32),
    )
    words = np.unique(ids)
    read = (states[:-1] @ head[torch.from_numpy(words)].T).numpy()
    return Trace(
        prompt="",
        answer="",
        model={"name": "shape", "family": "shape", "layers": 1},
        layout=layout,
        prompt_tokens=("x",) * s,
        answer_tokens=("x",) * len(answer),
        arrays={
            **layout_arrays(layout),
            "prompt_ids": np.concatenate([np.full(n, TAM_VOCABULARY), prompt]).astype(np.int32),
            "answer_ids": answer.astype(np.int32),
            "answer_prob": np.ones(len(answer), np.float32),
            "readout_ids": words.astype(np.int32),
            "readout": read,
        },
    )


def tam_lines(vocabulary: int, rounds: int) -> Iterator[str]:
    """Measure the map of every word of a 1,300-token sequence in both ways, and the filter."""
    rng, chance = np.random.default_rng(0), torch.Generator().manual_seed(0)
    states = torch.randn(TAM_POSITIONS, TAM_WIDTH, generator=chance)
    head = torch.randn(vocabulary, TAM_WIDTH, generator=chance)
    ids = rng.choice(vocabulary, TAM_PROMPT + TAM_ANSWER, replace=False)
    full = timed(lambda: (states @ head.T).relu_(), 1)
    ours = timed(lambda: tam_trace(states, head, ids), rounds)
    trace = tam_trace(states, head, ids)
    analysed = timed(lambda: analyse("tam", trace), rounds)
    words, size = len(trace["readout_ids"]), 4 * TAM_POSITIONS / 2**20
    yield f"| whole head at every position | {full * 1000:,.0f} ms | {size * vocabulary:,.0f} MiB |"
    yield f"| the words' rows alone | {ours * 1000:,.1f} ms | {size * words:,.2f} MiB |"
    yield f"| all maps from these, filter included | {analysed * 1000:,.1f} ms | |"
    yield f"| **multiplications, whole head / words' rows** | **{vocabulary / words:,.0f} ×** | |"
    yield f"| time, whole head / (words' rows + maps) | {full / (ours + analysed):,.0f} × | |"
    one, many = (rng.random((count, 36, 26), np.float32) for count in (1, 20))
    single = timed(lambda: rank_gaussian_filter(one), 20 * rounds)
    together = timed(lambda: rank_gaussian_filter(many), 5 * rounds) / len(many)
    yield f"| rank Gaussian filter, one map of 36 × 26 | {single * 1000:.2f} ms | |"
    yield f"| the same, per map of 20 at once | {together * 1000:.2f} ms | |"


def memory_lines(trace: Trace) -> Iterator[str]:
    """Return what the stored rows take, of the measured run and at two large shapes."""
    layers, heads = int(trace.model["layers"]), int(trace.model["heads"])
    s = len(trace.prompt_tokens)
    own = Shape("this run", layers, heads, trace.n, s + trace.t - 1, trace.t)
    for shape in (own, *SHAPES):
        stored = trace["attention"].nbytes if shape is own else stored_bytes(shape)
        whole = whole_bytes(shape)
        yield (
            f"| {shape.name} | {stored / 2**20:,.2f} MiB | {whole / 2**20:,.0f} MiB "
            f"| {stored / whole:.2%} |"
        )


def page(vlm: Any, rounds: int, vocabulary: int) -> str:
    """Measure everything; return docs/analyses_cost.md."""
    lines, trace = analysis_lines(vlm, rounds)
    return "\n".join(
        [
            "# What analyses cost",
            "",
            "`python -m benchmarks.analyses --write` writes this page. What each analysis means is",
            "in [the list of analyses](analyses.md).",
            "",
            "## Each analysis on the embedded model",
            "",
            f"Measured on {facts(vlm)}.",
            f"One picture, an answer of {trace.t} tokens, {trace.n} visual tokens. Each analysis",
            f"starts from the finished run, default options, median of {rounds} rounds (the two",
            "that try many sets of tokens: once). *Forwards* are passes of the model beyond the",
            "run; backward passes come on top where the analysis takes gradients. Image dependence",
            "finds its forwards done here, since the run recorded the controls.",
            "",
            "| Analysis | Seconds | Forwards |",
            "| --- | ---: | ---: |",
            *lines,
            "",
            "## The Token Activation Map at a large model's shape",
            "",
            f"Random states and head in float32: {TAM_POSITIONS:,} positions, width {TAM_WIDTH:,},",
            f"{vocabulary:,} words in the vocabulary, {TAM_PROMPT + TAM_ANSWER} different words in",
            "prompt and answer. Multiplications are counted from the shapes (a test counts those",
            f"of a real run): 500 times fewer up to {vocabulary // 500} different words. Times are",
            "measured side by side; the full-vocabulary form would take that of the maps on top.",
            "",
            "| What | Time | Memory |",
            "| --- | ---: | ---: |",
            *tam_lines(vocabulary, rounds),
            "",
            "## Memory of the stored rows",
            "",
            "Head means from answer to image in half precision, as a trace stores them, against",
            "all maps of the sequence. Single heads are stored only while they fit 2 MiB. The",
            "share is answer × visual / (heads × positions²), so a tiny model has a large one; the",
            "large shapes are computed, not run.",
            "",
            "| Run | Stored | Layers × heads × positions² | Share |",
            "| --- | ---: | ---: | ---: |",
            *memory_lines(trace),
            "",
            f"Machine: {machine()}.",
            "",
        ]
    )


def main() -> None:
    """Print the page; with --write put it into docs/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analyses", description=__doc__)
    add_model(parser)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--vocabulary", type=int, default=TAM_VOCABULARY, help="of the TAM rows")
    parser.add_argument("--write", action="store_true", help="write docs/analyses_cost.md")
    arguments = parser.parse_args()
    text = page(tokviz.load(arguments.model), arguments.rounds, arguments.vocabulary)
    print(text)
    if arguments.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
