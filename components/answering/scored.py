"""Lanes that answer by themselves, and then score the words of the full answer: P(word).

Each lane writes its own answer first. Where that differs from the full answer, the lane is made to
write the full answer, and what it thinks of every word is read off; where it is the same, its own
probabilities are those already.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tokviz.capture import Capture
from tokviz.errors import TokvizError
from tokviz.plans import Plan
from tokviz.trace import Trace
from tokviz.view.word_prob import forced_ids

from ..runs.models import Models
from ..runs.stops import Stop
from .run_request import RunRequest
from .streaming import stream_in_turn

if TYPE_CHECKING:
    from tokviz.models.vlm import LaneView

RECORDED = Capture(readout=False, sinks=False, tower=False)
"""What these lanes record: attention rows and candidates. A board has many lanes."""
DROPPED = ("attention_heads",)
"""Arrays that are not kept of a lane: the largest, which a cell does not show."""


@dataclass
class Scored:
    """One lane as far as it is known."""

    view: LaneView
    prob: np.ndarray | None = None
    "Probability of each token of the full answer after those before it, [t]."
    said: np.ndarray | None = None
    "bool [t], whether that token is the most probable one."

    @property
    def trace(self) -> Trace | None:
        """The lane's own run, without what is not kept."""
        return self.view.trace


def scored(
    models: Models,
    request: RunRequest,
    plans: Sequence[Plan | None],
    full: Trace | None,
    flag: Stop,
) -> Generator[list[Scored]]:
    """Run lanes one after the other and score them; yield all lanes as far as they are known.

    Args:
        models: with the request's model.
        request: with an opened picture.
        plans: one per lane; None is the full answer.
        full: the full answer, or None = it is the first of `plans`.
        flag: ends the work after the token that is being written.
    """
    found: list[Scored] = []
    with closing(answered(models, request, plans, flag)) as steps:
        for views in steps:
            found = [Scored(lightened(view)) for view in views]
            known = full or (views[0].trace if views else None)
            for one in found:
                take_own(one, known)
            yield found
    full = full or (found[0].view.trace if found else None)
    if full is None or flag.is_set():
        return
    again = [i for i, one in enumerate(found) if one.view.trace is not None and one.prob is None]
    forced = [forced_plan(plans[i], full) for i in again]
    limit = replace(request, limit=max(len(forced_ids(full)), 1))
    with closing(answered(models, limit, forced, flag)) as steps:
        for views in steps:
            for i, view in zip(again, views, strict=True):
                if found[i].prob is None and view.trace is not None:
                    read_off(found[i], view.trace, full)
                    yield found


def lightened(view: LaneView) -> LaneView:
    """Leave out of a lane's run what is not kept."""
    trace = view.trace
    if trace is not None and any(name in trace for name in DROPPED):
        kept = {name: one for name, one in trace.arrays.items() if name not in DROPPED}
        view.trace = replace(trace, arrays=kept)
    return view


def answered(
    models: Models, request: RunRequest, plans: Sequence[Plan | None], flag: Stop
) -> Generator[list[LaneView]]:
    """Run lanes one after the other, recording only what is kept of them."""
    if not plans:
        return
    steps = stream_in_turn(models, request, request.image, plans, flag, RECORDED)
    with closing(steps):
        yield from steps


def forced_plan(plan: Plan | None, full: Trace) -> Plan:
    """Return a plan that writes the full answer."""
    forced = Plan((), None, forced_ids(full))
    return plan.then(forced) if plan is not None else forced


def take_own(one: Scored, full: Trace | None) -> None:
    """Take the probabilities of a lane that has written the full answer by itself."""
    trace = one.view.trace
    if trace is None or full is None or "answer_prob" not in trace:
        return
    ids = forced_ids(full)
    if forced_ids(trace) == ids and trace.t == full.t:
        read_off(one, trace, full)


def read_off(one: Scored, trace: Trace, full: Trace) -> None:
    """Read what a run that wrote the full answer thought of each token."""
    ids = np.asarray(forced_ids(full))
    try:
        written, prob = trace["answer_ids"][: len(ids)], trace["answer_prob"][: len(ids)]
        best = trace["candidate_ids"][: len(ids), 0]
    except TokvizError:
        return
    if len(written) == len(ids) and (written == ids).all():
        one.prob, one.said = np.asarray(prob, np.float32), np.asarray(best == ids)
