"""A run of the keep sweep or the desk, opened as a lane in Compare and in the viewer."""

from typing import Any

from ..answering.widget_values import charts, explorer, stored_lanes
from ..runs.runs import FULL, GONE, KeptRun
from ..screen import frame
from ..site import Site
from ..widgets.notice import notice


def open_lane(site: Site, name: Any, lane: Any) -> tuple[Any, ...]:
    """Return the frame that shows one lane beside the full answer.

    Args:
        site: where runs are kept.
        name: of a run, as a browser sends it.
        lane: its lane's number, FULL for the full answer.
    """
    run = site.run(name)
    if run is None or type(lane) is not int or lane not in run.traces:
        return frame(message=notice(GONE, "bad"))
    traces = {FULL: run.traces[FULL]} if FULL in run.traces else {}
    if lane != FULL:
        traces[0] = run.traces[lane]
    asked = {0: run.lanes[lane]} if lane in run.lanes else {}
    opened = KeptRun(run.image, run.prompt, run.model, traces, lanes=asked)
    opened.example, opened.source = run.example, run.source
    opened.file_note = run.file_note
    site.runs.put(opened)
    shown = max(traces)
    message = notice("Shown here and in Compare.")
    return frame(
        opened.name, message, explorer(opened, shown), stored_lanes(opened), charts(opened, shown)
    )
