"""Keep sweep: one method at many budgets, to find how few tokens still give the full answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

import tokviz
from tokviz.errors import InputError
from tokviz.plans import Plan
from tokviz.trace.status import marked_title
from tokviz.view.strip import cell, ladder, next_budget, smallest, time_left

from ..answering.answering import NO_IMAGE, STOP_GRACE_S, UPDATE_INTERVAL_S, journaled
from ..answering.run_request import RunRequest, ask_about_shown
from ..answering.streaming import stream_in_turn
from ..error_text import error_text
from ..runs.lane_request import LaneRequest, read_lanes
from ..runs.models import Models
from ..runs.runs import FULL, KeptRun
from ..runs.stops import Stop
from ..screen import MODEL, QUICK, Screen, StopButton
from ..site import Site
from ..widgets.strip import Strip
from ..widgets.widget import event_payload
from .opened_lane import open_lane

if TYPE_CHECKING:
    from tokviz.models.vlm import LaneView


@dataclass
class KeepSweep:
    """One sweep while it runs: the ladder's budgets first, then those that narrow it down."""

    run: KeptRun
    budgets: list[int]
    lane: LaneRequest
    "What is asked at every budget; its own `keep` is ignored."
    views: list[LaneView] = field(default_factory=list)
    "One per budget that has been begun, in the order of `budgets`; the first is all tokens."
    began: float = field(default_factory=time.monotonic)

    @property
    def lanes(self) -> list[LaneRequest]:
        """What is asked of every lane below all tokens."""
        return [replace(self.lane, keep=keep) for keep in self.budgets[1:]]

    @property
    def cells(self) -> list[dict[str, Any]]:
        """One per budget, most tokens first."""
        full = self.views[0].text if self.views and self.views[0].done else None
        pairs = enumerate(zip(self.budgets, self.views, strict=False), start=FULL)
        found = [
            cell(keep, self.budgets[0], view, full) | {"lane": number}
            for number, (keep, view) in pairs
        ]
        return sorted(found, key=lambda one: one["keep"], reverse=True)

    def value(self, phase: str) -> dict[str, Any]:
        """Return the strip's value."""
        cells = self.cells
        progress = self._progress() if phase == "running" else ""
        conclusion = smallest(cells)
        run, method = self.run.name, self.lane.method
        return strip_value(phase, cells, conclusion, progress=progress, run=run, method=method)

    def _progress(self) -> str:
        count, done = len(self.views), sum(bool(view.done) for view in self.views)
        if count > len(ladder(self.budgets[0])):
            return f"Narrowing it down: {self.budgets[-1]} tokens"
        spent = time.monotonic() - self.began
        return ", ".join(
            filter(None, [f"{done} of {count} budgets", time_left(done, count, spent)])
        )


def strip_value(
    phase: str = "empty",
    cells: Sequence[Mapping[str, Any]] = (),
    conclusion: str = "",
    *,
    progress: str = "",
    error: str = "",
    run: str = "",
    method: str = "",
) -> dict[str, Any]:
    """Return the strip's value; phase is empty, running or done."""
    title = marked_title(tokviz.METHODS[method]) if method else ""
    return {
        "phase": phase,
        "cells": list(cells),
        "conclusion": conclusion,
        "progress": progress,
        "error": error,
        "run": run,
        "title": title,
    }


def sweeping(site: Site, request: RunRequest, n: int, session: str) -> Iterator[dict[str, Any]]:
    """Yield values of the strip while one method runs at every budget of the ladder and between.

    Args:
        site: with the model, and where the run is kept.
        request: with one lane, whose own `keep` is ignored.
        n: visual tokens of the picture.
        session: whose stop button stops it.

    Raises:
        TokvizError: the sweep cannot be run; the message is for the visitor.
    """
    if not request.image:
        raise InputError(NO_IMAGE)
    request = replace(request, image=site.pictures.open(request.image))
    run = KeptRun(request.image, request.prompt, request.model)
    run.example, run.source = request.example, request.source
    sweep = KeepSweep(run, ladder(n), request.lanes[0])
    deadline = sweep.began + request.seconds
    with journaled(site, request, session) as (flag, entry):
        plans: list[Plan | None] = [None, *(lane.plan() for lane in sweep.lanes)]
        yield from _run_budgets(site.models, request, sweep, plans, flag, deadline)
        while not flag.is_set():
            keep = next_budget(sweep.cells)
            if keep is None or keep in sweep.budgets:
                break
            sweep.budgets.append(keep)
            plans = [sweep.lanes[-1].plan()]
            yield from _run_budgets(site.models, request, sweep, plans, flag, deadline)
        entry.outcome = "stopped" if flag.is_set() else "done"
    keep_traces(site, sweep)
    yield sweep.value("done")


def _run_budgets(
    models: Models,
    request: RunRequest,
    sweep: KeepSweep,
    plans: Sequence[Plan | None],
    flag: Stop,
    deadline: float,
) -> Iterator[dict[str, Any]]:
    """Run the last budgets of a sweep; yield values of the strip."""
    before, last = list(sweep.views), 0.0
    with closing(stream_in_turn(models, request, request.image, plans, flag)) as steps:
        for views in steps:
            now = time.monotonic()
            sweep.views = [*before, *views]
            if sweep.views[0].error:
                raise InputError(sweep.views[0].error)
            if now > deadline:
                flag.set("time")
            if now > deadline + STOP_GRACE_S:
                break
            if now - last >= UPDATE_INTERVAL_S:
                last = now
                yield sweep.value("running")


def keep_traces(site: Site, sweep: KeepSweep) -> None:
    """Remember what was run, so that a cell can be opened."""
    found = enumerate(sweep.views, start=FULL)
    sweep.run.traces = {number: view.trace for number, view in found if view.trace is not None}
    sweep.run.lanes = dict(enumerate(sweep.lanes))
    if FULL in sweep.run.traces:
        site.runs.put(sweep.run)


def count_tokens(site: Site, session: str) -> int:
    """Return how many visual tokens the shown picture has.

    Raises:
        InputError: nothing has been asked yet.
    """
    run = site.run(session)
    if run is None or FULL not in run.traces:
        raise InputError("ask a question first: the budgets come from the picture's tokens.")
    return run.traces[FULL].n


class SweepHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def sweep(
        self,
        prompt: str,
        model: str,
        session: str,
        event: gr.EventData,
        request: gr.Request,
    ) -> Iterator[dict[str, Any]]:
        """Run one method at many budgets on the picture that is shown."""
        yield strip_value("running", progress="Waiting for the model …")
        try:
            sent = event_payload(event)
            lane = {"method": sent.get("method"), "options": sent.get("options"), "keep": 1}
            lanes = read_lanes([lane])
            lanes[0].plan()  # raises now what would be raised at every budget
            asked = ask_about_shown(self.site, session, prompt, model, lanes)
            n = count_tokens(self.site, session)
            yield from sweeping(self.site, asked, n, str(request.session_hash))
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and shown as a sentence
            yield strip_value("done", error=error_text(error))

    def open_cell(self, event: gr.EventData) -> tuple[Any, ...]:
        """Show one cell's run as a lane of the comparison and in the viewer."""
        sent = event_payload(event)
        return open_lane(self.site, sent.get("run"), sent.get("lane"))


def keep_sweep() -> Strip:
    """Build the sweep."""
    with gr.Column(elem_classes="tv-section", elem_id="tv-sweep"):
        gr.HTML(
            "<h2>How few tokens?</h2><p>A keep sweep: one method answers at many budgets, then at "
            "budgets in between, to find the smallest at which the answer stays the same. Click "
            "a budget to see its run.</p>",
            elem_classes="tv-title",
        )
        return Strip(strip_value(), elem_id="tv-strip")


def wire_sweep(site: Site, screen: Screen, strip: Strip) -> None:
    """Connect the sweep."""
    ask, handlers = screen.ask, SweepHandlers(site)
    inputs = [ask.prompt, ask.model, screen.session]
    strip.sweep(handlers.sweep, inputs, strip, show_progress="hidden", **MODEL)
    strip.halt(StopButton(site).stop, None, None, **QUICK)
    strip.open(handlers.open_cell, None, screen.outputs, **QUICK)
