"""Keep sweep: one method at many budgets, each answer written anew; where does it stay?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr

import tokviz
from components.answering import NO_IMAGE, PACE, PATIENCE, held
from components.ask_panel import stop
from components.asking import Request, ask_about, make_plan, read_plans
from components.borrowed import borrowed
from components.models import Models
from components.opened_lane import open_lane
from components.runs import FULL, RUNS, Run, Stop, shown_example, shown_picture
from components.sentences import sentence
from components.state import Site
from components.widget import Widget
from components.wiring import MODEL, QUICK, Screen
from tokviz.errors import InputError
from tokviz.images import open_image
from tokviz.plans import Plan
from tokviz.view.strip import cell, ladder, smallest, time_left

if TYPE_CHECKING:
    from tokviz.models.vlm import LaneView


class Strip(Widget):
    """A strip of budgets. Events: sweep {method, options}, halt {}, open {run, cell}."""

    script = "Strip"
    template = "strip.html"
    emits = ("sweep", "halt", "open")


@dataclass
class Sweep:
    """One sweep while it runs."""

    run: Run
    budgets: list[int]
    plan: Mapping[str, Any]
    began: float = field(default_factory=time.monotonic)

    @property
    def lanes(self) -> list[dict[str, Any]]:
        """Settings of every lane below all tokens."""
        return [{**self.plan, "keep": keep} for keep in self.budgets[1:]]

    def value(self, views: Sequence[LaneView], phase: str) -> dict[str, Any]:
        """Return what the strip shows of it."""
        full = views[0].text if views[0].done else None
        n, count = self.budgets[0], len(views)
        cells = [cell(k, n, v, full) for k, v in zip(self.budgets, views, strict=True)]
        done, spent = sum(bool(v.done) for v in views), time.monotonic() - self.began
        said = [f"{done} of {count} budgets", time_left(done, count, spent)]
        progress = ", ".join(filter(None, said)) if phase == "running" else ""
        return strip_value(
            phase, cells, smallest(cells), progress=progress, run=self.run.name, plan=self.plan
        )


def strip_value(
    phase: str = "empty",
    cells: Sequence[Mapping[str, Any]] = (),
    said: str = "",
    *,
    progress: str = "",
    error: str = "",
    run: str = "",
    plan: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the strip's value; phase is empty, running or done."""
    title = tokviz.METHODS[plan["method"]].title if plan else ""
    return {
        "phase": phase,
        "cells": list(cells),
        "said": said,
        "progress": progress,
        "error": error,
        "run": run,
        "title": title,
    }


def seconds_needed(
    models: Models, request: Request, image: Any, plans: Sequence[Plan | None], flag: Stop
) -> int:
    """Return how long to borrow a GPU for."""
    return 10 + int(0.06 * request.limit * len(plans))


@borrowed(seconds_needed)
def stream_in_turn(
    models: Models, request: Request, image: Any, plans: Sequence[Plan | None], flag: Stop
) -> Iterator[list[LaneView]]:
    """Run lanes one after the other. What goes in or comes out can be pickled (see `borrowed`)."""
    vlm = models.get(request.model)
    lanes = vlm.in_turn([image], request.prompt, plans, request.limit, stop=flag)
    with closing(lanes):
        yield from lanes


def sweeping(models: Models, request: Request, n: int, session: str) -> Iterator[dict[str, Any]]:
    """Yield values of the strip while one method runs at every budget.

    Args:
        models: where the model is.
        request: with one lane, whose budget is not looked at.
        n: visual tokens of the picture.
        session: whose stop button stops it.

    Raises:
        TokvizError: the sweep cannot be run; the message is for the visitor.
    """
    if not request.image:
        raise InputError(NO_IMAGE)
    image, plan = open_image(request.image), request.plans[0]
    sweep = Sweep(
        Run(image, request.prompt, request.model, example=request.example), ladder(n), plan
    )
    plans = [None, *map(make_plan, sweep.lanes)]
    last, deadline, views = 0.0, time.monotonic() + request.seconds, []
    with (
        held(request, session) as (flag, entry),
        closing(stream_in_turn(models, request, image, plans, flag)) as steps,
    ):
        for views in steps:
            now = time.monotonic()
            if views[0].error:
                raise InputError(views[0].error)
            if now > deadline:
                flag.set()
            if now > deadline + PATIENCE:
                break
            if now - last >= PACE:
                last = now
                yield sweep.value(views, "running")
        entry.outcome = "stopped" if flag.is_set() else "done"
    keep_traces(sweep, views)
    yield sweep.value(views, "done")


def keep_traces(sweep: Sweep, views: Sequence[LaneView]) -> None:
    """Remember what was run, so that a cell can be opened."""
    numbers = range(FULL, len(views) - 1)
    found = zip(numbers, views, strict=True)
    sweep.run.traces = {number: view.trace for number, view in found if view.trace is not None}
    sweep.run.plans = dict(enumerate(sweep.lanes))
    if FULL in sweep.run.traces:
        RUNS.put(sweep.run)


def count_tokens(session: str) -> int:
    """Return how many visual tokens the shown picture has.

    Raises:
        InputError: nothing has been asked yet.
    """
    run = RUNS.get(session or "")
    if run is None or FULL not in run.traces:
        raise InputError("ask a question first: the budgets come from the picture's tokens.")
    return run.traces[FULL].n


class Sweeping:
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
            sent = {"method": event._data.get("method"), "options": event._data.get("options")}
            plans = read_plans([sent | {"keep": 1}])
            make_plan(plans[0])
            picture, example = shown_picture(session), shown_example(session, prompt)
            asked = ask_about(self.site.settings, picture, prompt, model, plans, example)
            yield from sweeping(
                self.site.models, asked, count_tokens(session), str(request.session_hash)
            )
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and said in plain words
            yield strip_value("done", error=sentence(error))


def open_cell(event: gr.EventData) -> tuple[Any, ...]:
    """Show one cell's run as a lane of the comparison and in the big picture."""
    number = event._data.get("cell")
    lane = number - 1 if isinstance(number, int) and not isinstance(number, bool) else None
    return open_lane(event._data.get("run"), lane)


def keep_sweep() -> Strip:
    """Build the sweep."""
    with gr.Column(elem_classes="tv-section"):
        gr.HTML(
            "<h2>Keep sweep</h2><p>How few tokens hold the answer? One method at many budgets, the "
            "answer written anew at each; click a budget to look at its run.</p>",
            elem_classes="tv-title",
        )
        return Strip(strip_value(), elem_id="tv-strip")


def wire_sweep(site: Site, screen: Screen, strip: Strip) -> None:
    """Connect the sweep."""
    ask = screen.ask
    inputs = [ask.prompt, ask.model, screen.session]
    strip.sweep(Sweeping(site).sweep, inputs, strip, show_progress="hidden", **MODEL)
    strip.halt(stop, None, screen.show.notice, **QUICK)
    strip.open(open_cell, None, screen.outputs, **QUICK)
