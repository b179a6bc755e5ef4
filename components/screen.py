"""The widgets of the page as handlers see them, and their values while a run goes on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from tokviz.errors import Stopped

from .answering.answering import PageUpdate, answer
from .answering.run_request import RunRequest
from .answering.widget_values import charts, explorer, with_lanes
from .chart_language import for_reader
from .error_text import error_text
from .runs.runs import FULL, KeptRun
from .site import Site
from .widgets.examples import Examples
from .widgets.explorer import Overlay
from .widgets.gallery import Gallery
from .widgets.lanes import Lanes
from .widgets.notice import Notice, notice
from .widgets.safe_upload import SafeImage

SKIP = gr.skip()
MODEL: dict[str, Any] = {
    "concurrency_limit": 1,
    "concurrency_id": "model",
    "api_visibility": "private",
}
"""Settings of every event that runs the model: such events take turns."""
QUICK: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""Settings of events that need no model: they do not wait in the queue."""


@dataclass
class ModelPicker:
    """The list of models, the card of the chosen one, and its download."""

    model: gr.Dropdown
    card: gr.HTML
    fetch: gr.Button
    stop: gr.Button
    most: gr.Number
    "The most visual tokens of one picture."
    kept: gr.BrowserState
    "The chosen model, as this browser remembers it."

    @property
    def outputs(self) -> list[Any]:
        """What changes when a model is chosen."""
        return [self.model, self.card, self.fetch]


@dataclass
class SeveralPanel:
    """Several pictures, or a film, in place of one picture."""

    sent: gr.State
    "A `components.runs.pictures.Sent`."
    upload: gr.UploadButton
    gallery: Gallery


@dataclass
class AskPanel:
    """The left column: picture, question, examples, stored traces."""

    image: SafeImage
    prompt: gr.Textbox
    picker: ModelPicker
    ask: gr.Button
    stop: gr.Button
    examples: Examples
    trace: gr.UploadButton
    several: SeveralPanel

    @property
    def model(self) -> gr.Dropdown:
        """The list of models."""
        return self.picker.model


@dataclass
class ShowPanel:
    """The middle: the notice and the viewer."""

    notice: Notice
    overlay: Overlay


@dataclass
class ComparePanel:
    """The comparison."""

    lanes: Lanes


@dataclass
class NumbersPanel:
    """The charts of the answer that the viewer shows."""

    layers: gr.Plot
    words: gr.Plot
    times: gr.Plot

    @property
    def outputs(self) -> list[gr.Plot]:
        """Return them in the order of `charts`."""
        return [self.layers, self.words, self.times]


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
    message: Any = SKIP,
    overlay: Any = SKIP,
    lanes: Any = SKIP,
    figures: Any = (SKIP, SKIP, SKIP),
    running: bool | None = None,
) -> tuple[Any, ...]:
    """Return values for `Screen.outputs`; what is not named stays as it is."""
    stop = SKIP if running is None else gr.Button(interactive=running)
    return (session, message, overlay, lanes, *map(for_reader, figures), stop)


def show_run(
    run: KeptRun, lane: int = FULL, view: Any = None, message: Any = None, lanes: Any = None
) -> tuple[Any, ...]:
    """Return the frame that shows a finished run, with `lanes` instead of its own if given."""
    return frame(
        session=run.name,
        message=message or notice(),
        overlay=explorer(run, lane, view),
        lanes=with_lanes(run, lanes),
        figures=charts(run, lane),
        running=False,
    )


def run_and_show(
    site: Site, request: RunRequest, session: str, lane: int | None = None, view: Any = None
) -> Iterator[tuple[Any, ...]]:
    """Run the model and yield frames; whatever goes wrong becomes a sentence in the notice.

    Args:
        site: with the models, and where the run is kept.
        request: what to ask.
        session: whose stop button stops it.
        lane: the one that the viewer shows in the end, if it has an answer; None = all tokens.
        view: how the viewer shows it.
    """
    yield frame(message=notice("Starting …", "busy"), running=True)
    try:
        over = False
        for update in answer(site, request, session):
            over = update.run is not None
            yield _frame_of(update, lane, view)
        if not over:  # the visitor left: Gradio sends the last values once more at the end
            yield frame()
    except Stopped as error:
        yield frame(message=notice(error_text(error), "warn"), running=False)
    except Exception as error:  # noqa: BLE001  the page's edge: logged, and shown as a sentence
        yield frame(message=notice(error_text(error), "bad"), running=False)


def _frame_of(update: PageUpdate, lane: int | None, view: Any) -> tuple[Any, ...]:
    message = notice(update.text, update.kind)
    if update.run is None:
        return frame(
            message=message,
            overlay=update.picture if update.picture is not None else SKIP,
            lanes=update.lanes if update.lanes is not None else SKIP,
        )
    shown = lane if lane in update.run.traces else FULL
    return frame(
        session=update.run.name,
        message=message,
        overlay=explorer(update.run, shown, view),
        lanes=update.lanes,
        figures=charts(update.run, shown),
        running=False,
    )


class StopButton:
    """The handler of every stop button.

    It changes nothing on the page: its reply may come after the stopped run's last update, which it
    would replace. The page's scripts show "Stopping …" at the press, until that update comes.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def stop(self, request: gr.Request) -> None:
        """Stop this tab's run after the layer that is being computed."""
        self.site.stops.stop(str(request.session_hash))

    def closed(self, request: gr.Request) -> None:
        """Stop the run and the download of a tab that was closed: nobody reads them."""
        self.site.stops.leave(str(request.session_hash))
        self.site.stops.stop(f"{request.session_hash} loads")
