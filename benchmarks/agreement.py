"""python -m benchmarks.agreement [--write]: do importance scores agree with what removal shows?

Rank correlation (Spearman) of every importance score with leave-one-block-out and with Shapley
values of the same blocks, by real removal, over questions about held-out scenes: the maps of all
analyses, and the scores by which methods choose. Scores per token are summed over the tokens of a
block.
"""

import argparse
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import tokviz
from benchmarks.measured_model import add_model, as_typed, facts, scenes
from benchmarks.table import machine
from embedded.questions import Question, ask_place
from embedded.world import Scene
from tokviz.analysis import ANALYSES, Result, analyse
from tokviz.analysis.blocks import block_count, block_numbers
from tokviz.analysis.ranks import spearman
from tokviz.capture import Capture
from tokviz.catalog import marked
from tokviz.errors import TokvizError
from tokviz.models.before.prefill_input import make_prefill_input
from tokviz.models.runs.measured import measure
from tokviz.plans import plan
from tokviz.reduction import METHODS
from tokviz.trace import Trace

DOCS = Path(__file__).parents[1] / "docs/agreement.md"
ACROSS = 4
"""Blocks along the longer side of the grid, at least."""
SAMPLES = 4
"""Sampled orders in each half of the Shapley values."""
SHARE = 4
"""Methods are asked to keep one token in so many; their scores hardly depend on it."""
QUESTIONS = 25

Read = Callable[[Trace, Result], np.ndarray]


def over_answer(trace: Trace, result: Result) -> np.ndarray:
    """Return the main map, mean over answer tokens where there is one for each, [n]."""
    return np.asarray(result.values, np.float64).reshape(-1, trace.n).mean(0)


def norms(trace: Trace, result: Result) -> np.ndarray:
    """Return the norms that registers are told by, [n]."""
    return result["norm"].values


def answer_words(trace: Trace, result: Result) -> np.ndarray:
    """Return how sure the logit lens is of the answer's words at most, mean over them, [n]."""
    mine = np.isin(trace["readout_ids"], trace["answer_ids"])
    return result["peak"].values[mine].mean(0)


Score = tuple[str, dict[str, Any], Read]
SCORES: dict[str, Score] = {
    "Token Activation Map": ("tam", {}, over_answer),
    "the same, interference left in": ("tam", {"without_interference": False}, over_answer),
    "attention, all layers": ("attention", {}, over_answer),
    "attention times value length": ("attention_values", {}, over_answer),
    "attention against a general prompt": ("relative_attention", {}, over_answer),
    "localization heads": ("localization_heads", {}, over_answer),
    "attention rollout": ("rollout", {}, over_answer),
    "gradient relevance": ("relevance", {}, over_answer),
    "input × gradient": ("input_gradient", {}, over_answer),
    "integrated gradients": ("integrated_gradients", {"steps": 16}, over_answer),
    "[CLS] attention": ("cls_attention", {}, over_answer),
    "similarity to [CLS]": ("cls_similarity", {}, over_answer),
    "similarity to the answer": ("similarity_map", {}, over_answer),
    "logit lens, its best word": ("logit_lens", {}, over_answer),
    "logit lens, the answer's words": ("logit_lens", {}, answer_words),
    "norm after the tower": ("registers", {}, norms),
}
"""Name of a score -> the analysis, its options, and which of its arrays."""
WITH_SINKS: dict[str, Score] = {
    "attention without sinks": ("attention_without_sinks", {}, over_answer),
}
"""Scores that only a model with sink dimensions has."""
SINK_MAPS = ("sinks", "sink_stability")
"""Maps of what sinks are, not of what is important."""
REFERENCES = ("leave_out", "shapley")
NOT_HERE = ("decode_sets",)
"""No method of these runs chooses anew for each word."""
ORACLE = "relevance"
"""A method that chooses by an analysis which is in the table already."""


def scores_of(layers: int, sinks: bool) -> dict[str, Score]:
    """Return the scores of a model: with single layers of it, and without its sinks if it has any.

    The layers are the first, the third (where FastV decides), the middle and the last one.
    """
    found = {}
    for layer in sorted({0, min(2, layers - 1), layers // 2, layers - 1}):
        last = " (the last)" if layer == layers - 1 else ""
        found[f"attention, layer {layer}{last}"] = ("attention", {"layer": layer}, over_answer)
    return SCORES | found | (WITH_SINKS if sinks else {})


def runs_asked() -> set[str]:
    """Return the kinds of further runs that the analyses of the table read."""
    names = [name for name, *_ in (*SCORES.values(), *WITH_SINKS.values())]
    return {ask for name in names for ask in ANALYSES[name].asks}


def analysis_scores(trace: Trace, further: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the maps of all analyses, one number per visual token."""
    sinks = all(name in trace and len(trace[name]) for name in ("sink_phi", "sink_dims"))
    scores = scores_of(int(trace.model["layers"]), sinks)
    for title, (name, options, read) in scores.items():
        asked = {key: further[key] for key in ANALYSES[name].asks}
        yield title, read(trace, analyse(name, trace, runs=asked, **options))


def method_scores(
    vlm: Any, image: Any, prompt: str, names: Iterable[str] = METHODS
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the scores that methods choose by, where they have one for every visual token."""
    with vlm.guarded():
        prepared = vlm.prepare(image, prompt)
        keep = max(prepared.asked.layout.n // SHARE, 1)
        plans = {name: plan(name, keep) for name in names if name != ORACLE}
        vision = vlm.encode(prepared, list(plans.values()), Capture.nothing())
        for name, chosen in plans.items():
            try:
                if chosen.at("language_model"):
                    score = measure(vlm, prepared, vision, chosen, 1).score
                else:
                    prefill_input = make_prefill_input(
                        vlm.family, vlm.model, prepared, vision, chosen
                    )
                    score = (
                        prefill_input.records[0].reduction.score if prefill_input.records else None
                    )
            except TokvizError:
                continue
            if score is not None and len(score) == len(prepared.asked.layout.position):
                yield f"`{name}`", score


def by_block(values: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Sum values [n] over blocks."""
    there = block >= 0
    return np.bincount(block[there], np.asarray(values, np.float64)[there])


def side_of(vlm: Any, image: Any, prompt: str) -> int:
    """Return the side of a block in tokens: 3 on a grid of 12 x 12, 6 on one of 24 x 24."""
    tile = vlm.prepare(image, prompt).asked.layout.tiles[0]
    return max(max(tile.rows, tile.cols) // ACROSS, 1)


def compare(vlm: Any, image: Any, prompt: str) -> dict[str, list[float]]:
    """Return score -> its correlation with each reference, for one question."""
    trace = vlm.answer(
        image,
        prompt,
        None,
        16,
        Capture.holding(("lens_ids",)),
    )
    further = vlm.further_runs(image, prompt, trace).supply({"score", *runs_asked()})
    given, side = {"score": further["score"]}, side_of(vlm, image, prompt)
    left_out = analyse("leave_out", trace, runs=given, side=side)["blocks"].values
    sampled = partial(analyse, "shapley", trace, runs=given, side=side, samples=SAMPLES)
    halves = [sampled(seed=seed)["blocks"].values for seed in (0, 1)]
    shapley = np.mean(halves, 0)
    block = block_numbers(trace.layout, side)
    found = {"Shapley, one half of the orders with the other": [np.nan, spearman(*halves)]}
    found["leave-one-out itself"] = [1.0, spearman(left_out, shapley)]
    rng = np.random.default_rng(0)
    scores = [("random numbers", rng.random(trace.n)), *analysis_scores(trace, further)]
    for name, values in [*scores, *method_scores(vlm, image, prompt)]:
        if np.isfinite(values).all():
            mine = by_block(values, block)
            found[name] = [spearman(mine, left_out), spearman(mine, shapley)]
    return found


def place_questions(vlm: Any, count: int) -> Iterator[tuple[Scene, Question]]:
    """Yield held-out scenes with a question where something is."""
    for view in scenes(vlm, count * 3):
        question = ask_place(view, random.Random(view.seed))
        if question is not None and count > 0:
            count -= 1
            yield view, as_typed(question)


def cell(values: np.ndarray) -> str:
    """Return mean and half of the 95 % interval of correlations; blank where there are none."""
    values = values[np.isfinite(values)]
    if not len(values):
        return ""
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():+.2f} ± {half:.2f}"


def table(found: Mapping[str, list[list[float]]]) -> str:
    """Return the Markdown table, the best agreement with Shapley first; equal rows are one."""
    lines = ["| Score | with leave-one-out | with Shapley |", "| --- | ---: | ---: |"]
    alike: dict[bytes, list[str]] = {}
    for name, pairs in found.items():
        alike.setdefault(np.array(pairs, np.float64).tobytes(), []).append(name)
    rows = {
        ", ".join(map(shown, names)): np.array(found[names[0]], np.float64)
        for names in alike.values()
    }
    for name in sorted(rows, key=lambda name: -float(np.nanmean(rows[name][:, 1]))):
        cells = [cell(column) for column in rows[name].T]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(score: str) -> str:
    """Return a row's name; a method that stands in for a published one is marked."""
    return marked(score.strip("`")) if score.startswith("`") else score


def missing(vlm: Any) -> str:
    """Return which maps have no row, and why."""
    names = NOT_HERE if vlm.sink_dims else (*NOT_HERE, *SINK_MAPS, "attention_without_sinks")
    why = "no method of these runs chooses anew for each word"
    why += "" if vlm.sink_dims else ", and this model has no sink dimensions"
    told = f"`{'` and `'.join(names)}` have no row: {why}." if names else ""
    return told + (" `sinks` and `sink_stability` tell what a sink is." if vlm.sink_dims else "")


def page(vlm: Any, questions: int) -> str:
    """Measure; return docs/agreement.md."""
    found: dict[str, list[list[float]]] = {}
    blocks = side = n = 0
    for view, question in place_questions(vlm, questions):
        for name, pair in compare(vlm, view.image, question.text).items():
            found.setdefault(name, []).append(pair)
        if not blocks:
            side = side_of(vlm, view.image, question.text)
            layout = vlm.prepare(view.image, question.text).asked.layout
            blocks, n = block_count(layout, side), layout.n
    return "\n".join(
        [
            "# Do importance scores agree with what removal shows?",
            "",
            f"`python -m benchmarks.agreement --write` writes this page. Measured on {facts(vlm)}.",
            f"Spearman's rank correlation over {blocks} blocks of {side} × {side} visual tokens,",
            f'mean and 95 % interval over {questions} questions ("Where is the ...?") about',
            "held-out scenes. Removal is real: the blocks' tokens do not enter the language model.",
            f"Shapley values are means over {2 * SAMPLES} sampled orders; how well one half of",
            "them agrees with the other says how much of a low number is their noise.",
            "",
            "A high number says that the score orders blocks as removal does *on this model*,",
            "whose attention was taught to mark things (see",
            "[its card](../assets/model/README.md)); on other models it",
            "has to be measured again. Rows in `type` are the scores by which methods choose,",
            f"at {max(n // SHARE, 1)} tokens; methods that score only what they keep have none.",
            missing(vlm),
            "",
            table(found),
            "",
            f"Machine: {machine()}.",
            "",
        ]
    )


def main() -> None:
    """Print the page; with --write put it into docs/."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    add_model(parser)
    parser.add_argument("--questions", type=int, default=QUESTIONS, help=f"default: {QUESTIONS}")
    parser.add_argument("--write", action="store_true", help="write docs/agreement.md")
    arguments = parser.parse_args()
    text = page(tokviz.load(arguments.model), arguments.questions)
    print(text)
    if arguments.write:
        DOCS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
