"""How often is the answer still right on what each method leaves? `python -m benchmarks.methods`

Every method decides once per picture and budget, and what it leaves is answered under both position
policies: with the ids that the tokens had, and renumbered without gaps. An answer counts when it is
exactly right. The most useful rows come first (a quarter of the tokens, then a ninth), a finished
row is written at once, and a second call goes on where the first one stopped. Two calls with other
`--shares` can work at the same time on one file.
"""

import argparse
import hashlib
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import tokviz
from benchmarks.batched import fits
from benchmarks.measured_model import add_model, facts
from benchmarks.policies import Known, entering, policies_of, said
from benchmarks.questions import Asked, longest, see, with_signals
from benchmarks.rows import BLIND, FULL, ROWS, Row, Sample, append, begin, read
from benchmarks.same_choice import decided
from tokviz.capture import Capture
from tokviz.cost import tokens_per_layer
from tokviz.errors import TokvizError
from tokviz.models.before.prefill_input import PrefillInput, make_prefill_input
from tokviz.models.runs.run import Run
from tokviz.plans import Plan, plan
from tokviz.reduction import METHODS, Stage
from tokviz.trace.stages import StageRecord
from tokviz.view.fates import tokens_left

SHARES = (25, 11, 50, 5)
"""Budgets in per cent of the visual tokens, in the order in which they are measured."""
ORACLE = "relevance"
"""Has seen the answer, and costs seconds per picture: measured last."""


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
    choice: bytes = b""
    "Digest of what was decided."


class Bench:
    """The model, its questions, and the answers that are known already."""

    def __init__(self, vlm: Any, asked: Sequence[Asked]) -> None:
        """Args: `asked` the questions, seen by the tower with all that the methods read."""
        self.vlm, self.asked = vlm, list(asked)
        self.known: Known = {}
        self.new_tokens = longest(vlm, asked)

    def whole(self) -> list[Answered]:
        """Answer with all visual tokens."""
        vlm = self.vlm
        with vlm.guarded():
            inputs = [
                make_prefill_input(vlm.family, vlm.model, one.prepared, one.vision, Plan(()))
                for one in self.asked
            ]
            texts = said(vlm, inputs, self.known, self.new_tokens)
        return [outcome(one, text) for one, text in zip(inputs, texts, strict=True)]

    def outside(self, name: str, keep: int) -> dict[str, list[Answered]]:
        """Answer what a method leaves before the language model, under each policy."""
        inputs = entering(self.vlm, self.asked, name, keep)
        plain = [one for several in inputs.values() for one in several if fits(one)]
        with self.vlm.guarded():
            texts = iter(said(self.vlm, plain, self.known, self.new_tokens))
        return {
            policy: [
                outcome(entered, next(texts))
                if fits(entered)
                else self.alone(one, plan(name, keep, policy))
                for one, entered in zip(self.asked, several, strict=True)
            ]
            for policy, several in inputs.items()
        }

    def alone(self, one: Asked, chosen: Plan) -> Answered:
        """Answer one question by the engine, with a plan that acts anywhere."""
        run = Run(self.vlm, one.prepared, one.vision, {}, chosen, Capture.nothing())
        run.advance(run.start, strict=True)
        while not run.view.done:
            last = len(run.tokens) >= self.new_tokens
            run.advance(partial(run.finish, "length") if last else run.step, strict=True)
        seen = seen_per_layer(run, self.vlm.info["layers"])
        records = run.view.trace.stages  # type: ignore[union-attr]
        spent = (run.view.timings or {})["decide"]
        return Answered(run.view.text, seen[-1], statistics.mean(seen), spent, choice_of(records))


def outcome(entered: PrefillInput, text: str) -> Answered:
    """Return an answer to what entered the language model and stayed in all its layers."""
    left = len(entered.features.tokens)
    return Answered(text, left, left, entered.decide_seconds, choice_of(entered.records))


def choice_of(records: Iterable[StageRecord]) -> bytes:
    """Return a digest of what was decided, and where."""
    found = hashlib.sha256()
    for record in records:
        where = repr((record.place, record.layer, record.effect))
        found.update(where.encode() + decided(record.reduction))
    return found.digest()


def seen_per_layer(run: Run, layers: int) -> list[int]:
    """Return how many visual tokens each layer computed with, or attended to where it hides."""
    records = run.view.trace.stages  # type: ignore[union-attr]
    n = run.prepared.asked.layout.n
    if any(record.effect == "restart" for record in records):
        return [records[-1].reduction.m] * layers
    stages = [Stage(record.layer or 0, tokens_left(record.reduction)) for record in records]
    return tokens_per_layer(n, stages, layers)


def measure(bench: Bench, name: str, share: int, keep: int) -> list[Row]:
    """Return the rows of one method at one budget, one for each position policy."""
    row = Row(name, share, keep)
    if name == FULL:
        return [filled(row, bench.asked, bench.whole())]
    if name == BLIND:
        blind = plan(mitigation="blind")
        found = [bench.alone(one, blind) for one in bench.asked]
        return [replace(filled(row, bench.asked, found), left=0, per_layer=0, decide_ms=0)]
    try:
        if name == ORACLE:
            bench.asked = with_signals(bench.vlm, bench.asked, plan(name, keep))
        if METHODS[name].place in ("tower", "before"):
            answers = bench.outside(name, keep)
        else:
            (policy,) = policies_of(name)
            chosen = plan(name, keep)
            answers = {policy: [bench.alone(one, chosen) for one in bench.asked]}
    except TokvizError as error:
        return [replace(row, positions=policy, error=str(error)) for policy in policies_of(name)]
    return [
        filled(replace(row, positions=policy), bench.asked, found)
        for policy, found in answers.items()
    ]


def filled(row: Row, asked: Sequence[Asked], found: Sequence[Answered]) -> Row:
    """Return a row with what was counted."""
    right = [a.text.strip() == q.answer for a, q in zip(found, asked, strict=True)]

    def of(source: str) -> tuple[int, int]:
        marks = [r for r, q in zip(right, asked, strict=True) if q.source == source]
        return sum(marks), len(marks)

    return replace(
        row,
        scenes=of("scenes"),
        easyvqa=of("easyvqa"),
        left=statistics.mean(a.left for a in found),
        per_layer=statistics.mean(a.per_layer for a in found),
        decide_ms=1000 * statistics.median(a.decide for a in found),
        marks="".join("01"[one] for one in right),
        choice=hashlib.sha256(b"".join(a.choice for a in found)).hexdigest()[:16],
    )


def wanted(n: int, shares: Sequence[int] = SHARES) -> Iterator[tuple[str, int, int]]:
    """Yield (method, share, keep): all tokens and none once, then every method at every budget.

    keep = n is the identity for all but the methods that may choose fewer by themselves. Cheap rows
    come first within a budget, and the oracle comes after all budgets.
    """
    yield FULL, 100, n
    yield BLIND, 0, 0
    places = ("picture", "tower", "before", "language_model", "cache")
    names = sorted(METHODS, key=lambda name: places.index(METHODS[name].place))
    own = [name for name in names if name != ORACLE]
    adaptive = [x for x in own if METHODS[x].adaptive and METHODS[x].place in ("tower", "before")]
    for share in (100, *shares):
        for name in adaptive if share == 100 else own:
            yield name, share, max(round(n * share / 100), 1)
    for share in shares:
        yield ORACLE, share, max(round(n * share / 100), 1)


def run(bench: Bench, todo: Sequence[tuple[str, int, int]], path: Path) -> None:
    """Measure, and write each row as soon as it is there."""
    for name, share, keep in todo:
        began, spent = time.perf_counter(), time.process_time()
        rows = measure(bench, name, share, keep)
        for row in rows:
            append(row, path)
        took, used = time.perf_counter() - began, time.process_time() - spent
        print(
            f"{name:16} {share:3} % {took:6.1f} s, CPU {used:6.1f} s  {summary(rows)}", flush=True
        )


def summary(rows: Sequence[Row]) -> str:
    """Return what the rows of one method and budget say, in one line."""
    if rows[0].error:
        return rows[0].error
    said = [f"{r.positions or 'all'} {sum(r.scenes[:1])}+{sum(r.easyvqa[:1])}" for r in rows]
    return f"{', '.join(said)} right of {rows[0].scenes[1]}+{rows[0].easyvqa[1]}"


def main() -> None:
    """Measure what is missing, and write one line per row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__)
    add_model(parser)
    parser.add_argument("--scenes", type=int, default=60, help="held-out scenes, one question each")
    parser.add_argument("--easyvqa", type=int, default=40, help="test pictures, one question each")
    parser.add_argument("--shares", type=int, nargs="*", choices=SHARES, default=SHARES)
    parser.add_argument("--rows", type=Path, default=ROWS, help="where the rows are written")
    parser.add_argument("--only", nargs="*", choices=[BLIND, *sorted(METHODS)], help="these alone")
    arguments = parser.parse_args()
    vlm = tokviz.load(arguments.model)
    model = facts(vlm)
    begin(Sample(model, arguments.scenes, arguments.easyvqa), arguments.rows)
    done = {(row.method, row.share) for row in read(arguments.rows)}
    names = arguments.only or [FULL, BLIND, *METHODS]
    todo = [
        (name, share, keep)
        for name, share, keep in wanted(model.tokens, arguments.shares)
        if name in names and (name, share) not in done
    ]
    plans = [plan(name, 1) for name in dict.fromkeys(name for name, *_ in todo) if name in METHODS]
    if todo:
        run(Bench(vlm, see(vlm, arguments.scenes, arguments.easyvqa, plans)), todo, arguments.rows)


if __name__ == "__main__":
    main()
