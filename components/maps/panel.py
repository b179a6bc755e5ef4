"""More maps: the panel, its handlers, and their wiring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from tokviz.analysis import Result
from tokviz.errors import InputError
from tokviz.view.result_chart import result_chart
from tokviz.view.result_view import OVERVIEW, chosen_array, map_payload, result_view

from ..answering.answering import journaled, stopped_after
from ..answering.in_thread import Finished
from ..answering.run_request import ask_about
from ..chart_language import for_reader
from ..error_text import error_text
from ..figures.making import saver
from ..runs.results import KeptResult, Results
from ..runs.runs import GONE, KeptRun
from ..runs.stops import Stop
from ..screen import MODEL, QUICK, Screen, StopButton
from ..site import Site
from ..widgets.maps import Maps
from ..widgets.section_title import section_title
from ..widgets.widget import event_payload
from .menu import analysis_menu, asked_cost
from .work import Wanted, analysed, from_run_alone, wanted

STOPPED = "Stopped: nothing of this analysis was kept."
MAX_PAGE = 2**31
"""What a browser asks for is sent back to it, and JSON holds no larger number for sure."""


@dataclass
class MapsPanel:
    """The panel."""

    maps: Maps
    chart: gr.Plot

    @property
    def outputs(self) -> list[Any]:
        """Return the outputs of every event, in the order of `shown`."""
        return [self.maps, self.chart]


def maps_value(phase: str = "empty", progress: str = "", error: str = "") -> dict[str, Any]:
    """Return the panel's value without a result; phase is empty, running or done."""
    return {"phase": phase, "progress": progress, "error": error, "result": None}


def shown(value: dict[str, Any], chart: Any = None) -> tuple[Any, Any]:
    """Return both outputs; without a chart its place is closed."""
    return value, gr.Plot(for_reader(chart), visible=chart is not None)


def with_result(name: str, kept: KeptResult, array: Any = "", page: int = 0) -> tuple[Any, Any]:
    """Return the outputs that show one array of a result, by default the first."""
    view = result_view(kept.result, kept.trace)
    first = view["arrays"][0]["name"] if view["arrays"] else ""
    known = [one["name"] for one in view["arrays"]]
    array = array if array in known else first
    chart = result_chart(kept.result, kept.trace, array, page)
    one = None if array == OVERVIEW else chosen_array(kept.result, kept.trace, array)
    is_map = one is not None and one.kind == "map"
    view |= {"id": name, "array": array, "page": page, "chart": chart is not None}
    view["map"] = map_payload(one, kept.result, kept.trace) if one is not None and is_map else None
    return shown(maps_value("done") | {"result": view}, chart)


def run_and_lane(site: Site, sent: Any) -> tuple[KeptRun, int]:
    """Return the run and lane that the viewer shows, by its payload's id; raises InputError."""
    found = site.lane(sent)
    if found is None:
        raise InputError(GONE)
    return found


def server_functions(site: Site) -> list[Callable[[Any], Any]]:
    """Return the panel's functions, by the names that its script calls."""

    def list_analyses(asked: Any) -> dict[str, Any]:
        """Return the menu for a run: {entries}, or {error}. `asked` is {id}."""
        try:
            run, lane = run_and_lane(site, asked.get("id") if isinstance(asked, Mapping) else "")
        except InputError as error:
            return {"error": str(error)}
        return {"entries": analysis_menu(run, run.traces[lane])}

    def cost_of(asked: Any) -> dict[str, str]:
        """Return {cost} of one analysis with options. `asked` is {id, name, options}."""
        try:
            sent = asked if isinstance(asked, Mapping) else {}
            run, lane = run_and_lane(site, sent.get("id"))
        except InputError:
            return {"cost": ""}
        return {"cost": asked_cost(sent.get("name"), run.traces[lane], sent.get("options"))}

    return [list_analyses, cost_of, saver(site)]


class MapsHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site, results: Results) -> None:
        self.site, self.results = site, results

    def make(self, event: gr.EventData, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        """Make an analysis of the run that the viewer shows, and show its first array."""
        yield shown(maps_value("running", "Waiting for the model …"))
        sent = event_payload(event)
        try:
            run, lane = run_and_lane(self.site, sent.get("id"))
            asked = wanted(
                sent.get("name"), sent.get("options") or {}, run.traces[lane], _plan(run, lane)
            )
            for step in self._steps(run, asked, str(request.session_hash)):
                if isinstance(step, Result):
                    kept = KeptResult(step, run.traces[lane])
                    yield with_result(self.results.put(kept), kept)
                else:
                    yield shown(maps_value("running", step))
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and shown as a sentence
            yield shown(maps_value("done", error=error_text(error)))

    def _steps(self, run: KeptRun, asked: Wanted, session: str) -> Iterator[str | Result]:
        """Yield how far the work is, then the result."""
        if not asked.needs_model:
            yield from_run_alone(asked)
            return
        request = ask_about(self.site.settings, run.image, run.prompt, run.model)
        if request.image is None:
            raise InputError("this run holds no picture that the model could be asked about again.")
        with journaled(self.site, request, session) as (flag, entry):
            with stopped_after(request.seconds, flag):
                result = None
                for step in self._heard(request, asked, flag):
                    if isinstance(step, Finished):
                        entry.outcome, result = "done", step.result
                    else:
                        yield step
            if result is not None:
                yield result

    def _heard(self, request: Any, asked: Wanted, flag: Stop) -> Iterator[str | Finished]:
        """Yield sentences, then what is finished; a stop becomes a sentence of its own."""
        try:
            with closing(analysed(self.site.models, request, asked, flag)) as steps:
                for step in steps:
                    if isinstance(step, Finished):
                        yield step
                    else:
                        yield f"{step[0]:,} of {step[1]:,} passes"
        except InputError:
            if flag.is_set():
                raise InputError(STOPPED) from None
            raise

    def show(self, event: gr.EventData) -> tuple[Any, Any]:
        """Show another array, or another page of it."""
        sent = event_payload(event)
        kept = self.results.get(sent.get("result"))
        if kept is None:
            return shown(maps_value("done", error="This result is no longer kept. Make it again."))
        page = sent.get("page")
        page = page if isinstance(page, int) and not isinstance(page, bool) else 0
        page = min(max(page, 0), MAX_PAGE)
        return with_result(str(sent["result"]), kept, sent.get("name"), page)


def _plan(run: KeptRun, lane: int) -> Any:
    """Return what a lane did with its tokens; None where it kept all, or nobody knows."""
    asked = run.lanes.get(lane)
    return asked.plan() if asked is not None else None


def maps_panel(site: Site) -> MapsPanel:
    """Build the panel."""
    with gr.Column(elem_classes="tv-section", elem_id="tv-more-maps"):
        section_title(
            "More maps",
            "Every analysis of the run that is shown above: as a map over the picture, a curve or "
            "a table. What it costs is said before.",
        )
        maps = Maps(maps_value(), server_functions=server_functions(site), elem_id="tv-maps")
        chart = gr.Plot(
            None, visible=False, show_label=False, container=False, elem_id="tv-maps-chart"
        )
    return MapsPanel(maps, chart)


def wire_maps(site: Site, screen: Screen, panel: MapsPanel) -> None:
    """Connect the panel."""
    handlers, maps = MapsHandlers(site, site.results), panel.maps
    maps.make(handlers.make, None, panel.outputs, show_progress="hidden", **MODEL)
    maps.show(handlers.show, None, panel.outputs, **QUICK)
    maps.halt(StopButton(site).stop, None, None, **QUICK)
