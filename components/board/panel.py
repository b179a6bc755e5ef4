"""The board: the panel, its handlers, and their wiring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr
import numpy as np

from tokviz.errors import InputError
from tokviz.trace import Trace
from tokviz.view.encode import pack
from tokviz.view.overlay import overlay_payload
from tokviz.view.words import text_tokens

from ..answering.run_request import RunRequest, ask_about
from ..answering.widget_values import charts, explorer
from ..error_text import error_text
from ..figures.making import saver
from ..runs.runs import FULL, GONE, KeptRun
from ..screen import MODEL, QUICK, Screen, StopButton, frame
from ..site import Site
from ..widgets.board import BoardWidget
from ..widgets.notice import notice
from ..widgets.section_title import section_title
from ..widgets.widget import event_payload
from .request import read_board
from .state import board_value
from .work import filling, plans_of

NOTHING_ASKED = "ask a question about a picture first: the board is about that picture and answer."


def asked_about(site: Site, session: str) -> tuple[RunRequest, int]:
    """Return the question of the run that a session shows, and how many tokens its picture has.

    Raises:
        InputError: nothing has been asked yet, or the run came from a file without a model.
    """
    run = site.run(session)
    if run is None or FULL not in run.traces or run.image is None or not run.model:
        raise InputError(NOTHING_ASKED)
    request = ask_about(
        site.settings, run.image, run.prompt, run.model, (), run.example, run.source
    )
    return request, run.traces[FULL].n


def cell_payload(run: KeptRun, lane: int) -> dict[str, Any]:
    """Return what the picture of one cell draws: fates, groups, and the mean attention [n]."""
    trace = run.traces[lane]
    payload = overlay_payload(trace, f"{run.name}:{lane}", slim=True)
    mean = mean_attention(trace)
    return payload | {"attention": None if mean is None else pack(mean[None, None], "f4")}


def mean_attention(trace: Trace) -> np.ndarray | None:
    """Return attention [n], mean over all layers and over the words of the answer, or None."""
    if "attention" not in trace or not trace.t:
        return None
    rows = trace["attention"][text_tokens(trace)].astype(np.float32)
    return np.nanmean(rows, (0, 1))


def server_functions(site: Site) -> list[Callable[[Any], Any]]:
    """Return the board's functions, by the names that its script calls."""

    def board_cell(asked: Any) -> dict[str, Any]:
        """Return {overlay} of one cell. `asked` is {run, lane}; lane -1 is the full answer."""
        sent = asked if isinstance(asked, Mapping) else {}
        run, lane = site.run(sent.get("run")), sent.get("lane")
        if run is None or type(lane) is not int or lane not in run.traces:
            return {"error": GONE}
        return {"overlay": cell_payload(run, lane)}

    return [board_cell, saver(site)]


class BoardHandlers:
    """The handlers that need the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def fill(
        self, session: str, event: gr.EventData, request: gr.Request
    ) -> Iterator[dict[str, Any]]:
        """Fill a board about the run that the page shows."""
        yield board_value(phase="running", progress="Waiting for the model …")
        board = None
        try:
            asked, n = asked_about(self.site, session)
            wanted = read_board(event_payload(event), n)
            plans_of(wanted)  # raises now what would be raised in a cell
            for step in filling(self.site, asked, wanted, str(request.session_hash)):
                board, progress = step
                yield board_value(board, "running", progress)
            yield board_value(board, "done")
        except Exception as error:  # noqa: BLE001  the page's edge: logged, and shown as a sentence
            yield board_value(board, "done", error=error_text(error))

    def reopen(self, event: gr.EventData) -> dict[str, Any]:
        """Show a board that the server still keeps; else nothing changes."""
        run = self.site.run(event_payload(event).get("run"))
        if run is None or run.board is None:
            return board_value()
        return board_value(run.board, "done")

    def open_cell(self, event: gr.EventData) -> tuple[Any, ...]:
        """Show one cell's run in the viewer; Compare stays as it is."""
        sent = event_payload(event)
        run, lane = self.site.run(sent.get("run")), sent.get("lane")
        if run is None or type(lane) is not int or lane not in run.traces:
            return frame(message=notice(GONE, "bad"))
        message = notice("Shown here: a cell of the board.")
        return frame(message=message, overlay=explorer(run, lane), figures=charts(run, lane))


def board_panel(site: Site) -> BoardWidget:
    """Build the panel."""
    with gr.Column(elem_classes="tv-section", elem_id="tv-board-section"):
        section_title(
            "Board",
            "Many methods at many budgets, side by side on one scale: what became of the tokens, "
            "which words changed, and how probable each word of the full answer still is.",
        )
        return BoardWidget(
            board_value(), server_functions=server_functions(site), elem_id="tv-board"
        )


def wire_board(site: Site, screen: Screen, board: BoardWidget) -> None:
    """Connect the panel."""
    handlers = BoardHandlers(site)
    board.fill(handlers.fill, screen.session, board, show_progress="hidden", **MODEL)
    board.halt(StopButton(site).stop, None, None, **QUICK)
    board.reopen(handlers.reopen, None, board, **QUICK)
    board.open(handlers.open_cell, None, screen.outputs, **QUICK)
