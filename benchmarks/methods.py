"""How often is the answer still right on what each method leaves? `python -m benchmarks.methods`

One question per picture, so that every question is an independent trial: held-out scenes (the five
kinds with short answers in turn) and pictures of the easy-VQA test split. Each picture goes through
the tower once, each method decides on the same pictures, and an answer counts when it is exactly
right. A finished row is written at once, and a second call goes on where the first one stopped.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import tokviz
from benchmarks import batched
from benchmarks.rows import BLIND, FULL, ROWS, Row, append, read
from embedded import easyvqa
from embedded.evaluate import FIRST
from embedded.questions import ask
from embedded.world import scene
from tokviz.capture import Capture
from tokviz.cost import tokens_per_layer
from tokviz.errors import TokvizError
from tokviz.models.before.prefill_input import make_prefill_input
from tokviz.models.prepared import Prepared
from tokviz.models.runs.run import Run
from tokviz.models.runs.streaming import with_made_signals
from tokviz.models.tower.vision import Vision
from tokviz.plans import Plan, plan
from tokviz.reduction import METHODS, Stage
from tokviz.view.fates import tokens_left

KINDS = ("existence", "what", "place", "colour", "count")
SHARES = (100, 50, 25, 11, 5)
"""Budgets in per cent of the visual tokens."""
NEW_TOKENS = 4
"""The longest answer in these questions has two words."""


@dataclass(frozen=True)
class Asked:
    """One picture with its question, seen by the tower."""

    source: str
    "scenes or easyvqa."
    answer: str
    prepared: Prepared
    vision: Vision


@dataclass(frozen=True)
class Answered:
    """What one method made of one question."""

    text: str
    left: int
    "Visual tokens that the last layer saw."
    per_layer: float
    "Visual tokens per layer of the language model, mean."
    decide: float
    "Seconds."


def scene_questions(count: int) -> Iterator[tuple[Any, str, str]]:
    """Yield (picture, question, answer) of held-out scenes, the kinds in turn."""
    for number in range(count):
        view = scene(FIRST + number, "test")
        order = [*KINDS[number % len(KINDS) :], *KINDS]
        asked = (ask(view, kind, random.Random(view.seed)) for kind in order)
        question = next(one for one in asked if one is not None)
        yield view.image, question.text, question.answer


def easyvqa_questions(count: int) -> Iterator[tuple[Any, str, str]]:
    """Yield (picture, question, answer) of test pictures spread over the split."""
    known = easyvqa.pictures("test")
    for number in range(count):
        picture = known[number * len(known) // count]
        text, answer = picture.questions[number % len(picture.questions)]
        yield picture.image, text, answer


def see(vlm: Any, scenes: int, easy: int, plans: Sequence[Plan]) -> list[Asked]:
    """Encode every picture once, with all that the plans' methods read from the tower.

    For the oracle every picture is answered in full as well, and its relevance traced back.
    """
    found = []
    sources = {"scenes": scene_questions(scenes), "easyvqa": easyvqa_questions(easy)}
    for source, questions in sources.items():
        for image, text, answer in questions:
            with vlm.guarded():
                prepared = vlm.prepare([image], text)
            prepared = with_made_signals(vlm, prepared, plans, strict=True)
            with vlm.guarded():
                vision = vlm.encode(prepared, plans, Capture.nothing())
            found.append(Asked(source, answer, prepared, vision))
    return found


def outside(vlm: Any, asked: Sequence[Asked], chosen: Plan) -> list[Answered]:
    """Answer with a plan that acts before or inside the tower; the language model in batches."""
    with vlm.guarded():
        prefill_inputs = [
            make_prefill_input(vlm.family, vlm.model, a.prepared, a.vision, chosen) for a in asked
        ]
        texts = [one.text for one in batched.answers(vlm, prefill_inputs, NEW_TOKENS)]
    left = [len(one.features.tokens) for one in prefill_inputs]
    spent = [one.decide_seconds for one in prefill_inputs]
    return [Answered(*row) for row in zip(texts, left, map(float, left), spent, strict=True)]


def in_batches(chosen: Plan) -> bool:
    """Return whether nothing happens to visual tokens inside the language model."""
    unmerged = any(step.entry and step.entry.unmerges(step.options) for step in chosen.steps)
    inside_it = any(chosen.at(place) for place in ("picture", "language_model", "cache"))
    return not inside_it and not unmerged and chosen.mitigation is None


def inside(vlm: Any, asked: Sequence[Asked], chosen: Plan) -> list[Answered]:
    """Answer with a plan that acts in the language model or its cache, question by question."""
    layers, found = vlm.info["layers"], []
    for one in asked:
        run = Run(vlm, one.prepared, one.vision, {}, chosen, Capture.nothing())
        run.advance(run.start, strict=True)
        while not run.view.done:
            last = len(run.tokens) >= NEW_TOKENS
            run.advance(partial(run.finish, "length") if last else run.step, strict=True)
        seen = seen_per_layer(run, layers)
        spent = (run.view.timings or {})["decide"]
        found.append(Answered(run.view.text, seen[-1], statistics.mean(seen), spent))
    return found


def seen_per_layer(run: Run, layers: int) -> list[int]:
    """Return how many visual tokens each layer computed with, or attended to where it hides."""
    records = run.view.trace.stages  # type: ignore[union-attr]
    n = run.prepared.asked.layout.n
    if any(record.effect == "restart" for record in records):
        return [records[-1].reduction.m] * layers
    stages = [Stage(record.layer or 0, tokens_left(record.reduction)) for record in records]
    return tokens_per_layer(n, stages, layers)


def measure(vlm: Any, asked: Sequence[Asked], name: str, share: int, keep: int) -> Row:
    """Return the row of one method at one budget."""
    row = Row(name, share, keep)
    chosen = {FULL: Plan(()), BLIND: plan(mitigation="blind")}.get(name) or plan(name, keep)
    answer: Callable[..., list[Answered]] = outside if in_batches(chosen) else inside
    try:
        found = answer(vlm, asked, chosen)
    except TokvizError as error:
        return replace(row, error=str(error))
    right = [a.text == q.answer for a, q in zip(found, asked, strict=True)]

    def of(source: str) -> tuple[int, int]:
        marks = [r for r, q in zip(right, asked, strict=True) if q.source == source]
        return sum(marks), len(marks)

    row = replace(row, scenes=of("scenes"), easyvqa=of("easyvqa"))
    if name == BLIND:
        return row
    return replace(
        row,
        left=statistics.mean(a.left for a in found),
        per_layer=statistics.mean(a.per_layer for a in found),
        decide_ms=1000 * statistics.median(a.decide for a in found),
    )


def wanted(n: int) -> Iterator[tuple[str, int, int]]:
    """Yield (method, share, keep): all tokens and none once, then every method at every budget.

    keep = n is the identity for all but the methods that may choose fewer by themselves.
    """
    yield FULL, 100, n
    yield BLIND, 0, 0
    for share in SHARES:
        for name, entry in METHODS.items():
            if share < 100 or (entry.adaptive and entry.place != "language_model"):
                yield name, share, max(round(n * share / 100), 1)


def main() -> None:
    """Measure what is missing, and write one line per row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__)
    parser.add_argument(
        "--scenes", type=int, default=150, help="held-out scenes, one question each"
    )
    parser.add_argument("--easyvqa", type=int, default=150, help="test pictures, one question each")
    parser.add_argument("--rows", type=Path, default=ROWS, help="where the rows are written")
    parser.add_argument("--only", nargs="*", choices=[BLIND, *sorted(METHODS)], help="these alone")
    arguments = parser.parse_args()
    vlm = tokviz.load("embedded")
    done = {(row.method, row.share) for row in read(arguments.rows)}
    names = arguments.only or METHODS
    own = [name for name in names if name != BLIND]
    plans = [plan(name, 1) for name in own if {(name, s) for s in SHARES[1:]} - done]
    asked = see(vlm, arguments.scenes, arguments.easyvqa, plans)
    for name, share, keep in wanted(asked[0].prepared.asked.layout.n):
        if (name, share) in done or (arguments.only and name not in arguments.only):
            continue
        began = time.perf_counter()
        row = measure(vlm, asked, name, share, keep)
        append(row, arguments.rows)
        print(f"{name:16} {share:3} % {time.perf_counter() - began:6.1f} s  {row}", flush=True)


if __name__ == "__main__":
    main()
