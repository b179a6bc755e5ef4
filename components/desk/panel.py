"""Debug a hallucination: the evidence for each word, and what would have changed the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr

from tokviz.errors import InputError

from ..answering.answering import journaled
from ..answering.run_request import RunRequest, ask_about
from ..compare.opened_lane import open_lane
from ..error_text import error_text
from ..runs.runs import FULL, GONE, KeptRun
from ..runs.stops import Stop
from ..screen import MODEL, QUICK, Screen, StopButton
from ..site import Site
from ..widgets.desk import Desk
from ..widgets.section_title import section_title
from ..widgets.widget import event_payload
from . import work as desk_work
from .cases import case_value, new_case
from .saving import server_functions

Work = Callable[[RunRequest, KeptRun, Stop], Iterator[str]]


def desk_value(
    run: KeptRun | None = None, phase: str = "done", progress: str = "", error: str = ""
) -> dict[str, Any]:
    """Return the desk's value; without a case there is only the button to begin."""
    case = case_value(run) if run is not None and run.case is not None else None
    return {"phase": phase, "progress": progress, "error": error, "case": case}


class DeskHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def examine(self, model: str, session: str, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Report on every word of the answer that is shown."""
        yield desk_value(
            phase="running", progress="Reading the answer again with control pictures …"
        )
        try:
            run = self.site.run(session)
            if run is None or FULL not in run.traces or run.image is None:
                raise InputError("ask a question about a picture first, then examine the answer.")
            asked = ask_about(self.site.settings, run.image, run.prompt, model)
            trace = run.traces[FULL]
            with journaled(self.site, asked, str(request.session_hash)):
                report = desk_work.examine(self.site.models, asked, trace)
            example = self.site.stored.all.get(run.example)
            note = example.note if example is not None and example.run is run else ""
            truth = example.truth if example is not None else ""
            case = new_case(self.site.runs, run, model, trace, report, note, truth)
            yield desk_value(case)
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and shown as a sentence
            yield desk_value(error=error_text(error))

    def force(self, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Continue the answer from another word."""
        sent = event_payload(event)
        work = partial(self._work(desk_work.force), at=sent.get("at"), token=sent.get("token"))
        yield from self.job(sent.get("run"), work, request)

    def search(self, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Search the tokens that the answer depends on."""
        work = partial(self._work(desk_work.search), kind=event_payload(event).get("kind"))
        yield from self.job(event_payload(event).get("run"), work, request)

    def mitigate(self, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Answer again with every mitigation."""
        yield from self.job(
            event_payload(event).get("run"), self._work(desk_work.mitigate), request
        )

    def _work(self, function: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
        return partial(function, self.site)

    def job(self, name: Any, work: Work, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Do some work on a case; yield how far it is."""
        run = self.site.run(name)
        if run is None or run.case is None:
            yield desk_value(error=GONE)
            return
        yield desk_value(run, "running", "Waiting for the model …")
        try:
            asked = ask_about(self.site.settings, run.image, run.prompt, run.model)
            with journaled(self.site, asked, str(request.session_hash)) as (flag, entry):
                for message in work(asked, run, flag):
                    yield desk_value(run, "running", message)
                entry.outcome = "stopped" if flag.is_set() else "done"
            yield desk_value(run)
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and shown as a sentence
            yield desk_value(run, error=error_text(error))

    def open_run(self, event: gr.EventData) -> tuple[Any, ...]:
        """Show one further run of a case as a lane and in the viewer."""
        sent = event_payload(event)
        return open_lane(self.site, sent.get("run"), sent.get("lane"))


def desk_panel(site: Site) -> Desk:
    """Build the desk."""
    with gr.Column(elem_classes="tv-section", elem_id="tv-debug"):
        section_title(
            "Debug a hallucination",
            "Which words may be made up, what is the evidence for each, and what would have "
            "changed the answer? For the run shown above.",
        )
        functions = server_functions(site)
        return Desk(desk_value(), server_functions=functions, elem_id="tv-desk")


def wire_desk(site: Site, screen: Screen, desk: Desk) -> None:
    """Connect the desk."""
    handlers, quiet = DeskHandlers(site), {"show_progress": "hidden"} | MODEL
    desk.examine(handlers.examine, [screen.ask.model, screen.session], desk, **quiet)
    desk.force(handlers.force, None, desk, **quiet)
    desk.search(handlers.search, None, desk, **quiet)
    desk.mitigate(handlers.mitigate, None, desk, **quiet)
    desk.halt(StopButton(site).stop, None, None, **QUICK)
    desk.open(handlers.open_run, None, screen.outputs, **QUICK)
