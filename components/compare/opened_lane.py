"""One lane of a run that stands elsewhere on the page, shown in Compare and in the big picture."""

from typing import Any

from components.notice import notice
from components.runs.runs import FULL, GONE, RUNS, Run
from components.runs.showing import charts, explorer, stored_lanes
from components.screen import frame


def open_lane(name: Any, lane: Any) -> tuple[Any, ...]:
    """Return the frame that shows one lane beside the full answer.

    Args:
        name: of a run, as a browser sends it.
        lane: its lane's number, FULL for the full answer.
    """
    run = RUNS.get(name) if isinstance(name, str) else None
    if run is None or type(lane) is not int or lane not in run.traces:
        return frame(said=notice(GONE, "bad"))
    numbers = [FULL] if lane == FULL else [FULL, lane]
    traces = {FULL + i: run.traces[number] for i, number in enumerate(numbers)}
    plans = {0: run.plans[lane]} if lane in run.plans else {}
    opened = Run(run.image, run.prompt, run.model, traces, plans=plans)
    opened.example, opened.source = run.example, run.source
    RUNS.put(opened)
    shown = max(traces)
    said = notice("Shown here and in Compare.")
    return frame(
        opened.name, said, explorer(opened, shown), stored_lanes(opened), charts(opened, shown)
    )
