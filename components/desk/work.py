"""The desk's work on the model: examine, force a word, search tokens, try mitigations.

Each is a generator of sentences about its progress; what it finds goes into the run's case.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np

import tokviz
from tokviz.analysis import analyse
from tokviz.errors import InputError
from tokviz.examine.counterfactual import Certificate, find_tokens
from tokviz.examine.diagnosis import Report, diagnose
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import mean_over_layers
from tokviz.trace.status import marked_title
from tokviz.view.desk import candidates
from tokviz.view.word_effects import token_probabilities

from ..answering.in_thread import Finished, reported
from ..answering.run_request import RunRequest
from ..answering.streaming import stream_in_turn
from ..answering.zero_gpu import on_zero_gpu
from ..runs.lane_request import BY_HAND, MAX_FORCED, MAX_FORCED_TEXT, LaneRequest
from ..runs.models import Models
from ..runs.runs import FULL, KeptRun
from ..runs.stops import Stop
from ..site import Site
from .cases import add_lane

SEARCH_SECONDS = 30.0
"""A search ends after so many seconds, with the best set found so far."""


def examine_seconds(models: Models, request: RunRequest, trace: Trace) -> int:
    """Return for how many seconds a GPU is needed: four control runs and every layer read."""
    return 20 + int(0.2 * trace.t)


@on_zero_gpu(examine_seconds)
def examine(models: Models, request: RunRequest, trace: Trace) -> Report:
    """Report on every word of a finished run.

    Raises:
        InputError: another model made it.
    """
    vlm = models.get(request.model)
    made, here = trace.model.get("name"), vlm.info["name"]
    if made != here:
        raise InputError(f"this run was made by {made}, and {here} is chosen: ask again first.")
    return diagnose(vlm, request.image, request.prompt, request.limit, trace)


def force(
    site: Site, request: RunRequest, run: KeptRun, flag: Stop, at: Any, token: Any
) -> Iterator[str]:
    """Put another word at one place of the answer and let the model continue from there."""
    full = run.traces[FULL]
    known = [one["id"] for one in _candidates(full, at)]
    if token not in known:
        raise InputError("choose one of the candidates of a word.")
    ids = [*full["answer_ids"][:at].tolist(), token]
    number = known.index(token)
    text = "".join([*full.pieces[:at], full.candidate_tokens[at][number]]).strip()
    lane = LaneRequest("", full.n, forced=ids, forced_text=text[-MAX_FORCED_TEXT:])
    yield "Continuing from the forced word …"
    trace = _answer(site.models, request, lane, flag)
    if trace is not None:
        run.case.forced[add_lane(site.runs, run, trace, lane)] = text


def _candidates(trace: Trace, at: Any) -> list[dict[str, Any]]:
    if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < trace.t:
        return []
    return candidates(trace, at)


def mitigate(site: Site, request: RunRequest, run: KeptRun, flag: Stop) -> Iterator[str]:
    """Answer again with every mitigation that can be used on this model."""
    names = [m.name for m in tokviz.MITIGATIONS.values() if m.kinds != ("diagnostic",)]
    n = run.traces[FULL].n
    for lane in run.case.mitigations:
        run.traces.pop(lane, None)
        run.case.probabilities.pop(lane, None)
    run.case.mitigations.clear()
    for number, name in enumerate(names):
        if flag.is_set():
            return
        yield f"{marked_title(tokviz.MITIGATIONS[name])}: {number + 1} of {len(names)}"
        lane = LaneRequest("", n, mitigation=name)
        trace = _answer(site.models, request, lane, flag)
        if trace is not None:
            added = add_lane(site.runs, run, trace, lane)
            run.case.mitigations[added] = name
            remember_probabilities(site.models, request, run, added, flag)


def search(site: Site, request: RunRequest, run: KeptRun, flag: Stop, kind: Any) -> Iterator[str]:
    """Search tokens whose removal changes the answer, or tokens that alone keep it."""
    if kind not in ("necessary", "sufficient"):
        raise InputError("kind must be necessary or sufficient.")
    full = run.traces[FULL]
    certificate = None
    limit = min(SEARCH_SECONDS, request.seconds)
    with closing(searched(site.models, request, full, kind, limit, flag)) as steps:
        for step in steps:
            if isinstance(step, Certificate):
                certificate = step
                continue
            runs, least = step
            message = f"{runs} answers written; smallest set so far: {least} tokens"
            yield f"{message} (at most {limit:.0f} s)"
    if certificate is None:
        return
    number = None
    kept = left_over(certificate, full.n)
    if certificate.found and len(kept):
        lane = LaneRequest(BY_HAND, len(kept), tokens=kept, n=full.n)
        trace = _answer(site.models, request, lane, Stop())
        number = None if trace is None else add_lane(site.runs, run, trace, lane)
        if number is not None:
            remember_probabilities(site.models, request, run, number, Stop())
    run.case.found[kind] = (certificate, number)


def left_over(certificate: Certificate, n: int) -> list[int]:
    """Return the tokens that are kept when a certificate is tried."""
    tokens = certificate.tokens
    kept = tokens if certificate.kind == "sufficient" else np.setdiff1d(np.arange(n), tokens)
    return [int(token) for token in kept]


def search_seconds(
    models: Models, request: RunRequest, trace: Trace, kind: str, limit: float, flag: Stop
) -> int:
    """Return for how many seconds a GPU is needed."""
    return 15 + int(limit)


@on_zero_gpu(search_seconds)
def searched(
    models: Models, request: RunRequest, trace: Trace, kind: Any, limit: float, flag: Stop
) -> Generator[tuple[int, int] | Certificate]:
    """Search in a thread; yield (runs so far, smallest set so far), then the certificate."""
    runs = models.get(request.model).further_runs(
        request.image, request.prompt, trace, request.limit
    )

    def work(report: Any) -> Certificate:
        return find_tokens(
            runs.answers, trace.n, maps_of(trace), kind,
            limit_s=limit, stop=flag, progress=report,
        )  # fmt: skip

    for step in reported(work, flag, "tokviz-search"):
        yield step.result if isinstance(step, Finished) else step


def maps_of(trace: Trace) -> list[np.ndarray]:
    """Return importance maps [n] to begin the search from: attention, Token Activation Map."""
    attention = mean_over_layers(trace["attention"].astype(np.float32).mean(0), 0)
    tam = analyse("tam", trace).values.sum(0)
    return [np.nan_to_num(one) for one in (attention, tam)]


def remember_probabilities(
    models: Models, request: RunRequest, run: KeptRun, lane: int, flag: Stop
) -> None:
    """Keep how probable each token of the examined answer is in a further run.

    A run that wrote another answer gets the examined one forced on it: one more run.
    """
    full = run.traces[FULL]
    found = token_probabilities(run.traces[lane], full)
    ids = full["answer_ids"].tolist() if "answer_ids" in full else []
    ids = ids[: len(ids) - (len(ids) - 1 in full.answer_marks)]  # an end token cannot be forced
    if found is None and 0 < len(ids) <= MAX_FORCED and not flag.is_set():
        asked = replace(run.lanes[lane], forced=ids)
        again = _answer(models, replace(request, limit=len(ids)), asked, flag)
        if again is not None and "answer_prob" in again:
            found = [float(p) for p in again["answer_prob"][: len(ids)]]
    if found is not None:
        run.case.probabilities[lane] = found


def _answer(models: Models, request: RunRequest, lane: LaneRequest, flag: Stop) -> Trace | None:
    """Run one lane; None when it cannot run or was stopped before it began."""
    steps = stream_in_turn(models, request, request.image, [lane.plan()], flag)
    trace = None
    with closing(steps):
        for (view,) in steps:
            trace = view.trace
    return trace
