"""The outputs that every event writes to, and how a run's progress becomes values for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.ask_widgets import AskPanel
from components.compare_widgets import ComparePanel
from components.look.charts import NumbersPanel
from components.look.panel import ShowPanel
from components.notice import notice
from components.runs.answering import Progress, answer
from components.runs.asking import Request
from components.runs.runs import FULL, Run
from components.runs.showing import charts, explorer, stored_lanes, with_plans
from components.sentences import sentence
from components.state import Site

SKIP = gr.skip()
MODEL: dict[str, Any] = {
    "concurrency_limit": 1,
    "concurrency_id": "model",
    "api_visibility": "private",
}
"""Settings that every event which runs the model shares: they take turns."""
QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Settings of events that only show what is there."""


@dataclass
class Screen:
    """The whole page as outputs."""

    session: gr.State
    show: ShowPanel
    compare: ComparePanel
    numbers: NumbersPanel
    ask: AskPanel

    @property
    def outputs(self) -> list[Any]:
        """Return the outputs of `frame`, in its order."""
        return [
            self.session,
            self.show.notice,
            self.show.overlay,
            self.compare.lanes,
            *self.numbers.outputs,
            self.ask.stop,
        ]


def frame(
    session: Any = SKIP,
    said: Any = SKIP,
    overlay: Any = SKIP,
    lanes: Any = SKIP,
    figures: Any = (SKIP, SKIP, SKIP),
    running: bool | None = None,
) -> tuple[Any, ...]:
    """Return values for `Screen.outputs`; what is not named stays as it is."""
    stop = SKIP if running is None else gr.Button(interactive=running)
    return (session, said, overlay, lanes, *figures, stop)


def show_run(
    run: Run, lane: int = FULL, view: Any = None, said: Any = None, plans: Any = None
) -> tuple[Any, ...]:
    """Return the frame that shows a finished run; `plans` may ask for other lanes than it has."""
    return frame(
        session=run.name,
        said=said or notice(),
        overlay=explorer(run, lane, view),
        lanes=with_plans(stored_lanes(run), plans),
        figures=charts(run, lane),
        running=False,
    )


def play(
    site: Site, request: Request, session: str, lane: int | None = None, view: Any = None
) -> Iterator[tuple[Any, ...]]:
    """Run the model and yield frames; whatever goes wrong becomes a sentence in the notice.

    Args:
        site: where the models are.
        request: what to ask.
        session: whose stop button stops it.
        lane: the one that the big picture shows in the end, if it has an answer; None = all tokens.
        view: how to look at it then.
    """
    yield frame(said=notice("Starting …", "busy"), running=True)
    try:
        for step in answer(site.models, request, session):
            yield _frame_of(step, lane, view)
    except Exception as error:  # noqa: BLE001  the page's edge: logged, and said in plain words
        yield frame(said=notice(sentence(error), "bad"), running=False)


def _frame_of(step: Progress, lane: int | None, view: Any) -> tuple[Any, ...]:
    said = notice(step.text, step.kind)
    if step.run is None:
        return frame(
            said=said,
            overlay=step.picture if step.picture is not None else SKIP,
            lanes=step.lanes if step.lanes is not None else SKIP,
        )
    shown = lane if lane in step.run.traces else FULL
    return frame(
        session=step.run.name,
        said=said,
        overlay=explorer(step.run, shown, view),
        lanes=step.lanes,
        figures=charts(step.run, shown),
        running=False,
    )
