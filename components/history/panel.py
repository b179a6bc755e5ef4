"""The runs of this visit: open one again, or put several side by side.

The browser holds the cards; the server keeps the runs under names that cannot be guessed, until
their memory is needed (`components.runs.runs.Runs`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from ..answering.widget_values import charts, explorer, lane_of, stored_lanes
from ..runs.lane_request import MAX_LANES, LaneRequest
from ..runs.runs import FULL, GONE, KeptRun
from ..screen import QUICK, Screen, frame, show_run
from ..site import Site
from ..widgets.history import History
from ..widgets.notice import notice
from ..widgets.widget import event_payload

TOO_FEW = "Choose two runs or more to compare them."


class HistoryHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def wanted(self, sent: Any) -> tuple[KeptRun, int] | None:
        """Return a run and its lane, as a browser names them; None where it is not kept."""
        if not isinstance(sent, Mapping):
            return None
        run, lane = self.site.run(sent.get("run")), sent.get("lane")
        if run is None or type(lane) is not int or lane not in run.traces:
            return None
        return run, lane

    def open(self, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        """Show a run again; a run that is still writing is stopped."""
        found = self.wanted(event_payload(event))
        if found is None:
            return (gr.skip(), *frame(message=notice(GONE, "bad")))
        self.site.stops.leave(str(request.session_hash))
        run, lane = found
        message = notice("A run of this visit, opened again.")
        return (run.prompt, *show_run(run, lane, message=message))

    def put_beside(self, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
        """Show runs side by side under Compare: the first as the full answer."""
        asked = event_payload(event).get("runs")
        sent = asked[: MAX_LANES + 1] if isinstance(asked, list) else []
        found = [one for one in map(self.wanted, sent) if one is not None]
        if len(found) < 2:
            text = TOO_FEW if len(sent) < 2 else GONE
            return (gr.skip(), *frame(message=notice(text, "bad")))
        self.site.stops.leave(str(request.session_hash))
        run = self.site.runs.put(side_by_side(found))
        message = notice(f"{len(found)} runs of this visit side by side, under Compare.")
        shown = frame(
            run.name, message, explorer(run), stored_lanes(run), charts(run, FULL), running=False
        )
        return (run.prompt, *shown)


def side_by_side(found: list[tuple[KeptRun, int]]) -> KeptRun:
    """Return a run that has the first answer as its full one and the others as lanes."""
    first, lane = found[0]
    joined = KeptRun(first.image, first.prompt, first.model, {FULL: first.traces[lane]})
    joined.source, joined.file_note = first.source, first.file_note
    for number, (run, at) in enumerate(found[1:]):
        joined.traces[number] = run.traces[at]
        joined.lanes[number] = lane_request(run, at, first)
    return joined


def lane_request(run: KeptRun, lane: int, first: KeptRun) -> LaneRequest:
    """Return what was asked of a lane, with its question and model where they are others."""
    asked = run.lanes.get(lane) or lane_of(run.traces[lane])
    if lane == FULL:
        asked = LaneRequest("", run.traces[lane].n)
    other_prompt = run.prompt if run.prompt != first.prompt else ""
    other_model = run.model if run.model != first.model else None
    return replace(asked, prompt=asked.prompt or other_prompt, model=asked.model or other_model)


def history_panel() -> History:
    """Build the cards; there are none until something was run."""
    return History({}, elem_id="tv-history")


def wire_history(site: Site, screen: Screen, history: History) -> None:
    """Connect the cards."""
    handlers = HistoryHandlers(site)
    everything = [screen.ask.prompt, *screen.outputs]
    history.open(handlers.open, None, everything, **QUICK)
    history.compare(handlers.put_beside, None, everything, **QUICK)
