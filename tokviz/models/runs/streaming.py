"""Several answers to one question, in parallel or one after the other, yielded as they grow.

The tower runs once for all lanes that do not reduce inside it. Each lane writes its first tokens in
its own turn, so that the time of a step alone is measured and these tokens are exactly those of
`answer`. Then `next_steps` decides which lanes step in one forward (see `decoder/lane_batch.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tokviz.analysis import ANALYSES, analyse
from tokviz.budget import whole_number
from tokviz.capture import Capture
from tokviz.errors import InputError, TokvizError
from tokviz.interruption import Interrupted, check_stop, interrupted_by
from tokviz.models.decoder.drafts import Draft
from tokviz.models.decoder.lane_batch import Batch
from tokviz.models.loaded import Loaded
from tokviz.models.prepared import Prepared
from tokviz.models.runs.asked_frames import with_asked_frames
from tokviz.models.runs.build_trace import tower_arrays
from tokviz.models.runs.extra_forwards import ExtraForwards
from tokviz.models.runs.next_steps import next_steps
from tokviz.models.runs.preparing import encode, prepare
from tokviz.models.runs.run import Run
from tokviz.models.runs.sink_search import sink_dims
from tokviz.models.tower.vision import Vision
from tokviz.plans import Plan, as_plans
from tokviz.trace import Trace
from tokviz.trace.lane_view import LaneView

MAX_NEW_TOKENS = 1024
ORACLE_WORDS = 8
"""Number of tokens of the full answer over which the oracle's relevance map is summed."""
MAX_LANES = 8
ALONE_WORDS = 3
"""Number of tokens that every lane writes in its own turn before lanes are batched."""


def stream(
    loaded: Loaded,
    prepared: Prepared,
    plans: Sequence[Plan | Sequence[Plan] | str | None],
    max_new_tokens: int,
    capture: Capture | str | None = None,
    stop: threading.Event | None = None,
    strict: bool = False,
    together_after: int | None = ALONE_WORDS,
    shared: Vision | None = None,
) -> Iterator[list[LaneView]]:
    """Run several plans side by side; see `VLM.stream`. `shared` is the tower's run, if any."""
    max_new_tokens = check_length(max_new_tokens)
    asked, capture = as_plans(plans), Capture.of(capture)
    if not 1 <= len(asked) <= MAX_LANES:
        raise InputError(f"1 to {MAX_LANES} plans can run together, got {len(asked)}.")
    prepared = with_made_signals(loaded, prepared, asked, strict, stop)
    runs = lanes(loaded, prepared, asked, capture, max_new_tokens, shared, stop)
    views = [run.view for run in runs]
    for _ in write_answers(runs, max_new_tokens, stop, strict, together_after):
        views[0].previews = prepared.asked.previews  # made once, between two steps that are timed
        yield views
    if capture.controls:
        for run in runs:
            run.advance(partial(add_controls, run), strict)
        yield views


def answer(
    loaded: Loaded,
    images: Any,
    prompt: str,
    plan: Plan | Sequence[Plan] | str | None = None,
    max_new_tokens: int = 64,
    capture: Capture | str | None = None,
    stop: threading.Event | None = None,
) -> Trace:
    """Answer a question about images and return the trace of the run; see `VLM.answer`."""
    with loaded.guarded():
        prepared = prepare(loaded, images, prompt)
    *_, views = stream(loaded, prepared, [plan], max_new_tokens, capture, stop, strict=True)
    return views[0].trace  # type: ignore[return-value]


def in_turn(
    loaded: Loaded,
    prepared: Prepared,
    plans: Sequence[Plan | Sequence[Plan] | str | None],
    max_new_tokens: int,
    capture: Capture | str | None = None,
    stop: threading.Event | None = None,
) -> Iterator[list[LaneView]]:
    """Run any number of plans one after the other; see `VLM.in_turn`."""
    max_new_tokens = check_length(max_new_tokens)
    asked, capture = as_plans(plans), Capture.of(capture)
    prepared = with_made_signals(loaded, prepared, asked, strict=False, stop=stop)
    runs = lanes(loaded, prepared, asked, capture, max_new_tokens, stop=stop)
    views = [run.view for run in runs]
    while runs and not (stop is not None and stop.is_set()):
        for _ in write_answers([runs.pop(0)], max_new_tokens, stop, strict=False):
            yield views


def lanes(
    loaded: Loaded,
    prepared: Prepared,
    plans: Sequence[Plan | None],
    capture: Capture,
    max_new_tokens: int,
    shared: Vision | None = None,
    stop: threading.Event | None = None,
) -> list[Run]:
    """Return one run per plan, with the picture encoded once for all, or before.

    Raises:
        Interrupted: `stop` was set before the picture was encoded.
    """
    with loaded.guarded(), interrupted_by(stop):
        sinks = sink_dims(loaded) if capture.sinks else ()
        shared = shared or encode(loaded, prepared, plans, capture)
        tower = tower_arrays(shared, capture.heads_bytes) if capture.tower else {}
    return [
        Run(loaded, prepared, shared, tower, plan, capture, sinks, max_new_tokens) for plan in plans
    ]


def write_answers(
    runs: Sequence[Run],
    max_new_tokens: int,
    stop: threading.Event | None,
    strict: bool,
    together_after: int | None = None,
) -> Iterator[None]:
    """Write one token per lane and round until all lanes are done; yield after each step."""
    for run in runs:
        with interrupted_by(stop):
            run.advance(run.start, strict)
        yield
    with closing(Batch()) as batch:
        while going := [run for run in runs if not run.view.done]:
            stopped = stop is not None and stop.is_set()
            why = getattr(stop, "reason", "stopped") if stopped else "length"
            last = [run for run in going if stopped or len(run.tokens) >= max_new_tokens]
            for run in last:
                run.advance(partial(run.finish, why), strict)
            writing = [run for run in going if run not in last]
            steps = next_steps(runs, writing, together_after, max_new_tokens)
            for run in steps.alone:
                run.advance(run.step, strict)
            if steps.joined:
                step_together(steps.joined, batch, strict)
            yield


def step_together(joined: Sequence[tuple[Run, Draft]], batch: Batch, strict: bool) -> None:
    """Predict and write the next tokens of each lane; an error of the forward ends all lanes."""
    runs, drafts = zip(*joined, strict=True)
    try:
        with runs[0].loaded.guarded(goes_on=True):
            found = batch.step([run.lane for run in runs], drafts)
    except TokvizError as error:
        if strict:
            raise
        batch.close()
        for run in runs:
            run.fail(error)
        return
    for run, logits in zip(runs, found, strict=True):
        for row in logits:  # an end token is the last
            run.lane.next_token.take(row)
            run.advance(run.write, strict)


def with_made_signals(
    loaded: Loaded,
    prepared: Prepared,
    plans: Sequence[Plan | None],
    strict: bool,
    stop: threading.Event | None = None,
) -> Prepared:
    """Return the question with the signals `asked_yes` and `relevance`, if a plan needs them.

    Raises:
        Interrupted: `stop` was set meanwhile; it acts within one layer of a forward.
    """
    with interrupted_by(stop):
        prepared = with_asked_frames(loaded, prepared, plans, strict)
        if prepared.relevance is not None or not any(asks_relevance(plan) for plan in plans):
            return prepared
        return replace(prepared, relevance=oracle_relevance(loaded, prepared, strict, stop))


def oracle_relevance(
    loaded: Loaded, prepared: Prepared, strict: bool, stop: threading.Event | None = None
) -> tuple[np.ndarray, float] | None:
    """Return the gradient relevance [n] of the full run's first tokens, and its seconds.

    This is the oracle's signal: the analysis `relevance`, summed over the tokens. None if it cannot
    be computed (no answer, too little memory), so that other lanes continue.
    """
    began = time.perf_counter()
    try:
        *_, views = stream(loaded, prepared, [None], ORACLE_WORDS, stop=stop, strict=True)
        check_stop()
        trace: Trace = views[0].trace  # type: ignore[assignment]
        asked = ExtraForwards(loaded, prepared, trace).supply(ANALYSES["relevance"].asks)
        found = analyse("relevance", trace, runs=asked).values.sum(0).astype(np.float32)
    except Interrupted:
        raise
    except TokvizError:
        if strict:
            raise
        return None
    return found, time.perf_counter() - began


def add_controls(run: Run) -> None:
    """Score a finished lane's answer again with control images."""
    trace = run.view.trace
    if trace is None or not trace.t:
        return
    chosen = ExtraForwards(run.loaded, run.prepared, trace).control_prob()
    run.view.trace = replace(trace, arrays={**trace.arrays, "control_prob": chosen})


def asks_relevance(plan: Plan | None) -> bool:
    """Return whether a step of a plan needs the signal `relevance`."""
    entries = [step.entry for step in plan.steps] if plan else []
    return any(entry is not None and "relevance" in entry.needs for entry in entries)


def check_length(max_new_tokens: Any) -> int:
    """Return a length of answers as a whole number; raise InputError unless it is allowed."""
    count = whole_number(max_new_tokens)
    if count is None or not 1 <= count <= MAX_NEW_TOKENS:
        got = str(max_new_tokens)[:40]
        raise InputError(f"max_new_tokens must be 1 to {MAX_NEW_TOKENS}, got {got}.")
    return count
