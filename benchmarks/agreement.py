"""python -m benchmarks.agreement [--write]: do importance scores agree with what removal shows?

Rank correlation (Spearman) of every importance score with leave-one-block-out and with Shapley
values of the same blocks, by real removal, mean over questions about held-out scenes. Scores per
token are summed over the tokens of a block.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tokviz
from embedded.evaluate import held_out
from embedded.questions import ask_place
from tokviz.analysis import analyse
from tokviz.analysis.blocks import block_count, block_numbers
from tokviz.analysis.ranks import spearman
from tokviz.capture import Capture
from tokviz.trace import Trace

DOCS = Path(__file__).parents[1] / "docs/agreement.md"
SIDE = 3
SAMPLES = 8
REFERENCES = ("leave_out", "shapley")


def scores(trace: Trace, runs: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every importance score by name, one number per visual token."""
    yield "Token Activation Map", analyse("tam", trace).values.mean(0)
    yield "attention, all layers", analyse("attention", trace).values.mean(0)
    layers = trace["attention"].shape[1]
    for layer in (0, layers // 2, layers - 1):
        yield f"attention, layer {layer}", analyse("attention", trace, layer=layer).values.mean(0)
    yield "[CLS] attention", trace["cls_attention"][int(trace.model["feature_layer"])]
    yield "similarity to [CLS]", analyse("cls_similarity", trace).values
    yield "similarity to the answer", analyse("similarity_map", trace).values.mean(0)
    yield "feature norm", trace["feature_norm"][int(trace.model["feature_layer"])]
    further = runs.supply(("maps", "gradients", "forward", "features"))
    maps = {"maps": further["maps"]}
    yield "attention rollout", analyse("rollout", trace, runs=maps).values.mean(0)
    chefer = maps | {"gradients": further["gradients"]}
    yield "gradient relevance", analyse("relevance", trace, runs=chefer).values.mean(0)
    graph = {name: further[name] for name in ("forward", "features")}
    yield "input x gradient", analyse("input_gradient", trace, runs=graph).values
    found = analyse("integrated_gradients", trace, runs=graph, steps=16)
    yield "integrated gradients", found.values
    rng = np.random.default_rng(0)
    yield "random", rng.random(trace.n)


def by_block(values: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Sum values [n] over blocks."""
    there = block >= 0
    return np.bincount(block[there], np.asarray(values, np.float64)[there])


def compare(vlm: Any, image: Any, prompt: str) -> dict[str, list[float]]:
    """Return score -> its correlation with each reference, for one question."""
    trace = vlm.answer(image, prompt, None, 16, Capture())
    runs = vlm.further_runs(image, prompt, trace)
    given = runs.supply(("score",))
    truth = [
        analyse("leave_out", trace, runs=given, side=SIDE)["blocks"].values,
        analyse("shapley", trace, runs=given, side=SIDE, samples=SAMPLES)["blocks"].values,
    ]
    block = block_numbers(trace.layout, SIDE)
    found = {
        name: [spearman(by_block(values, block), one) for one in truth]
        for name, values in scores(trace, runs)
    }
    return found | {"leave-one-out itself": [1.0, spearman(*truth)]}


def measured(count: int) -> tuple[str, int]:
    """Return the Markdown table over some questions, and the number of blocks."""
    vlm = tokviz.load("embedded")
    rows: dict[str, list[list[float]]] = {}
    blocks = done = 0
    for view in held_out(count * 3):
        question = ask_place(view, random.Random(view.seed))
        if question is None or done == count:
            continue
        done += 1
        for name, pair in compare(vlm, view.image, question.text).items():
            rows.setdefault(name, []).append(pair)
        blocks = blocks or block_count(vlm.prepare(view.image, question.text).asked.layout, SIDE)
    lines = ["| Score | with leave-one-out | with Shapley |", "| --- | ---: | ---: |"]
    order = sorted(rows, key=lambda name: -float(np.nanmean(rows[name], 0)[1]))
    for name in order:
        values = np.array(rows[name])
        mean, error = np.nanmean(values, 0), np.nanstd(values, 0) / np.sqrt(len(values))
        cells = [f"{m:+.2f} ± {e:.2f}" for m, e in zip(mean, error, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines), blocks


def main() -> None:
    """Print the table; with --write also put it into docs/agreement.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--write", action="store_true", help="write docs/agreement.md")
    arguments = parser.parse_args()
    table, blocks = measured(arguments.questions)
    text = (
        "# Do importance scores agree with what removal shows?\n\n"
        "Written by `python -m benchmarks.agreement --write`. Spearman's rank correlation over "
        f"{blocks} blocks of {SIDE} × {SIDE} visual tokens, mean ± standard error over "
        f'{arguments.questions} questions ("where is the ...?") about held-out scenes, embedded '
        f"model. Shapley values from {SAMPLES} sampled orders, so no score can reach 1 there.\n\n"
        f"{table}\n"
    )
    print(text)
    if arguments.write:
        DOCS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
