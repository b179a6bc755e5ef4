"""How few tokens: P(word) over the tokens kept, for several methods, and where it breaks.

Each method answers at the budgets of a ladder, then at budgets in between, until the smallest is
found at which what must hold still holds. Compare is not touched.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from tokviz.budget import real_number
from tokviz.errors import InputError, TokvizError
from tokviz.plans import Plan
from tokviz.view.keeping import MODES, Criterion
from tokviz.view.strip import ladder, next_budget

from ..answering.answering import (
    STOP_GRACE_S,
    UPDATE_INTERVAL_S,
    journaled,
    picture_of,
    stopped_after,
)
from ..answering.blind import Blind, without_picture
from ..answering.run_request import RunRequest, ask_about_shown
from ..answering.scored import scored
from ..answering.widget_values import charts, explorer
from ..chart_language import for_reader
from ..error_text import error_text
from ..figures.making import saver
from ..runs.lane_request import SMALLER, LaneRequest
from ..runs.runs import FULL, GONE, KeptRun
from ..runs.stops import Stop
from ..screen import MODEL, QUICK, Screen, StopButton, frame
from ..site import Site
from ..widgets.notice import notice
from ..widgets.section_title import section_title
from ..widgets.strip import Strip
from ..widgets.widget import event_payload
from .sweep_state import KeepSweep, MethodSweep, strip_value

log = logging.getLogger(__name__)
MAX_METHODS = 6
"""Methods besides the baseline of a smaller picture."""
MAX_WORDS = 1000
"""Words of an answer that can be chosen."""
MAX_STEPS = 12
"""Budgets in between that are tried for one method."""


def sweeping(
    site: Site,
    request: RunRequest,
    n: int,
    lanes: Sequence[LaneRequest],
    criterion: Criterion | None,
    session: str,
    blind: bool = False,
) -> Iterator[KeepSweep]:
    """Yield a sweep while several methods run at every budget of the ladder and between.

    Args:
        site: with the model, and where the run is kept.
        request: the question.
        n: visual tokens of the picture.
        lanes: one per method, whose own `keep` is ignored.
        criterion: what must hold; None = the words that carry content.
        session: whose stop button stops it.
        blind: also answer without the picture.

    Raises:
        TokvizError: the sweep cannot be run; the message is for the visitor.
    """
    request = replace(request, image=picture_of(site, request))
    run = KeptRun(request.image, request.prompt, request.model)
    run.example, run.source = request.example, request.source
    sweep = KeepSweep(run, n, criterion)
    run.sweep = sweep
    deadline = sweep.began + request.seconds
    with (
        journaled(site, request, session) as (flag, entry),
        stopped_after(request.seconds, flag),
    ):
        for lane in lanes:
            if flag.is_set() and sweep.methods:
                break
            first = sum(len(one.budgets) for one in sweep.methods)
            sweep.methods.append(MethodSweep(lane, first))
            yield from _run_method(site, request, sweep, flag, deadline)
        if blind:
            sweep.blind = _without_picture(site, request, sweep, flag)
        entry.outcome = "stopped" if flag.is_set() else "done"
    sweep.keep()
    if FULL in run.traces:
        site.runs.put(run)
    yield sweep


def _without_picture(site: Site, request: RunRequest, sweep: KeepSweep, flag: Stop) -> Blind | None:
    """Return the answer without the picture; None where there is nothing to hold it against."""
    trace = sweep.full.view.trace if sweep.full else None
    if trace is None or not trace.t:
        return None
    try:
        with closing(without_picture(site.models, request, trace, flag)) as found:
            return next(found, None)
    except TokvizError as error:
        log.warning("nothing was asked without the picture: %s", error)
        return None


def _run_method(
    site: Site, request: RunRequest, sweep: KeepSweep, flag: Stop, deadline: float
) -> Iterator[KeepSweep]:
    """Run the newest method: the ladder, then budgets between the last that holds and the first
    that does not."""
    method = sweep.methods[-1]
    method.budgets = ladder(sweep.n)[1:]
    yield from _run_budgets(site, request, sweep, method.budgets, flag, deadline)
    for _ in range(MAX_STEPS):
        keep = None if flag.is_set() else next_budget(sweep.cells(method))
        if keep is None or keep in method.budgets:
            return
        method.budgets.append(keep)
        yield from _run_budgets(site, request, sweep, [keep], flag, deadline)


def _run_budgets(
    site: Site,
    request: RunRequest,
    sweep: KeepSweep,
    budgets: Sequence[int],
    flag: Stop,
    deadline: float,
) -> Iterator[KeepSweep]:
    """Run the newest method's last budgets; yield a few times a second."""
    method, last = sweep.methods[-1], 0.0
    before = list(method.lanes)
    full = sweep.full.view.trace if sweep.full else None
    plans: list[Plan | None] = [replace(method.lane, keep=keep).plan() for keep in budgets]
    plans = plans if full else [None, *plans]
    with closing(scored(site.models, request, plans, full, flag)) as steps:
        for lanes in steps:
            if full is None:
                sweep.full = lanes[0]
            method.lanes = [*before, *(lanes if full else lanes[1:])]
            if sweep.full is not None and sweep.full.view.error:
                raise InputError(sweep.full.view.error)
            now = time.monotonic()
            if now > deadline + STOP_GRACE_S:
                break
            if now - last >= UPDATE_INTERVAL_S:
                last = now
                yield sweep


def count_tokens(site: Site, session: str) -> int:
    """Return how many visual tokens the shown picture has.

    Raises:
        InputError: nothing has been asked yet.
    """
    run = site.run(session)
    if run is None or FULL not in run.traces:
        raise InputError("ask a question first: the budgets come from the picture's tokens.")
    return run.traces[FULL].n


def read_methods(sent: Any) -> list[LaneRequest]:
    """Return one lane per method that a browser sent as [{method, options}].

    Raises:
        InputError: none, too many, or one that cannot be run.
    """
    if not isinstance(sent, list) or not all(isinstance(one, Mapping) for one in sent):
        raise InputError("the methods must be a list of {method, options}.")
    count = sum(one.get("method") != SMALLER for one in sent)
    if not 1 <= len(sent) <= count + 1 <= MAX_METHODS + 1:
        raise InputError(f"choose 1 to {MAX_METHODS} methods, got {len(sent)}.")
    named = [
        {"method": one.get("method"), "options": one.get("options"), "keep": 1} for one in sent
    ]
    lanes = [LaneRequest.from_json(one) for one in named]
    for lane in lanes:
        if lane.by_hand or lane.method == "":
            raise InputError("choose methods of the list.")
        lane.plan()  # raises now what would be raised at every budget
    return lanes


def read_criterion(sent: Any) -> Criterion | None:
    """Return what must hold, as a browser sent it; None = the words that carry content."""
    if not isinstance(sent, Mapping) or sent.get("mode") not in MODES:
        return None
    words, threshold = sent.get("words"), sent.get("threshold")
    listed = words if isinstance(words, list) else []
    whole = [w for w in listed if type(w) is int and 0 <= w < MAX_WORDS]
    given = real_number(threshold) if isinstance(threshold, (int, float)) else None
    share = 0.5 if given is None else min(max(given, 0.0), 1.0)
    return Criterion(str(sent["mode"]), tuple(whole[:MAX_WORDS]), share)


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
    ) -> Iterator[tuple[Any, Any]]:
        """Run methods at many budgets on the picture that is shown."""
        yield strip_value("running", progress="Waiting for the model …"), gr.Plot(visible=False)
        found, chart = None, None
        try:
            sent = event_payload(event)
            lanes, held = read_methods(sent.get("methods")), read_criterion(sent.get("held"))
            n = count_tokens(self.site, session)
            asked = ask_about_shown(self.site, session, prompt, model)
            visitor, blind = str(request.session_hash), sent.get("blind") is True
            steps = sweeping(self.site, asked, n, lanes, held, visitor, blind)
            for found in steps:
                yield found.value("running"), gr.skip()
            if found is not None:
                chart = found.chart()
                yield found.value("done"), gr.Plot(for_reader(chart), visible=chart is not None)
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and shown as a sentence
            value = found.value("done") if found is not None else strip_value("done")
            yield value | {"error": error_text(error)}, gr.skip()

    def judge(self, event: gr.EventData) -> tuple[Any, Any]:
        """Judge what was run by something else that must hold."""
        sent = event_payload(event)
        run = self.site.run(sent.get("run"))
        if run is None or run.sweep is None:
            return strip_value("done", error=GONE), gr.skip()
        run.sweep.criterion = read_criterion(sent.get("held"))
        chart = run.sweep.chart()
        return run.sweep.value("done"), gr.Plot(for_reader(chart), visible=chart is not None)

    def open_cell(self, event: gr.EventData) -> tuple[Any, ...]:
        """Show one cell's run in the viewer; Compare stays as it is."""
        sent = event_payload(event)
        run, lane = self.site.run(sent.get("run")), sent.get("lane")
        if run is None or type(lane) is not int or lane not in run.traces:
            return frame(message=notice(GONE, "bad"))
        message = notice("Shown here: a budget of “How few tokens?”.")
        return frame(message=message, overlay=explorer(run, lane), figures=charts(run, lane))


@dataclass
class SweepPanel:
    """The panel."""

    strip: Strip
    chart: gr.Plot


def keep_sweep(site: Site) -> SweepPanel:
    """Build the sweep."""
    with gr.Column(elem_classes="tv-section", elem_id="tv-sweep"):
        section_title(
            "How few tokens?",
            "Say what must hold: chosen words of the answer, or their probability. Each method "
            "then answers at many budgets, to find the smallest at which it still holds. Compare "
            "stays as it is.",
        )
        strip = Strip(strip_value(), server_functions=[saver(site)], elem_id="tv-strip")
        chart = gr.Plot(
            None, visible=False, show_label=False, container=False, elem_id="tv-sweep-chart"
        )
    return SweepPanel(strip, chart)


def wire_sweep(site: Site, screen: Screen, panel: SweepPanel) -> None:
    """Connect the sweep."""
    ask, handlers, strip = screen.ask, SweepHandlers(site), panel.strip
    inputs, outputs = [ask.prompt, ask.model, screen.session], [panel.strip, panel.chart]
    strip.sweep(handlers.sweep, inputs, outputs, show_progress="hidden", **MODEL)
    strip.judge(handlers.judge, None, outputs, **QUICK)
    strip.halt(StopButton(site).stop, None, None, **QUICK)
    strip.open(handlers.open_cell, None, screen.outputs, **QUICK)
