"""Filling a board on the model: every cell answers by itself, then scores the full answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from tokviz.errors import InputError, TokvizError
from tokviz.plans import Plan

from ..answering.answering import UPDATE_INTERVAL_S, journaled, picture_of, stopped_after
from ..answering.blind import without_picture
from ..answering.run_request import RunRequest
from ..answering.scored import scored
from ..runs.models import Models
from ..runs.runs import KeptRun
from ..runs.stops import Stop
from ..site import Site
from .request import BoardRequest
from .state import Board, progress_text

STOPPED = "Stopped: cells that are empty were not run."
TIME_OVER = "The time for one run is over: cells that are empty were not run."


def filling(
    site: Site, request: RunRequest, asked: BoardRequest, session: str
) -> Iterator[tuple[Board, str]]:
    """Fill a board; yield it as far as it is, with a sentence about its progress.

    Raises:
        TokvizError: the board cannot be filled at all; the message is for the visitor.
    """
    request = replace(request, image=picture_of(site, request))
    run = KeptRun(request.image, request.prompt, request.model)
    run.example, run.source = request.example, request.source
    board = Board(run, asked)
    run.board = board
    began = time.monotonic()
    with (
        journaled(site, request, session) as (flag, entry),
        stopped_after(request.seconds, flag),
    ):
        yield from _cells(site, request, board, flag, began)
        _blind(site.models, request, board, flag)
        entry.outcome = "stopped" if flag.is_set() else "done"
        if flag.is_set():
            board.stopped = TIME_OVER if flag.reason == "time" else STOPPED
    board.keep()
    site.runs.put(run)
    yield board, ""


def plans_of(asked: BoardRequest) -> list[Plan]:
    """Return the plan of each cell; raises InputError for options that are not allowed."""
    return [lane.plan() for lane in asked.lanes()]


def _cells(
    site: Site, request: RunRequest, board: Board, flag: Stop, began: float
) -> Iterator[tuple[Board, str]]:
    """Run all cells, the full answer first; yield a few times a second, and when one is done."""
    plans, last, known = [None, *plans_of(board.asked)], 0.0, -1
    with closing(scored(site.models, request, plans, None, flag)) as steps:
        for lanes in steps:
            board.full, board.cells = lanes[0], lanes[1:]
            if board.full.view.error:
                raise InputError(board.full.view.error)
            now, done = time.monotonic(), board.done + sum(x.prob is not None for x in board.cells)
            if done == known and now - last < 4 * UPDATE_INTERVAL_S:
                continue
            if done != known:
                board.keep()
                site.runs.put(board.run)
            known, last = done, now
            scoring = board.done == len(board.cells)
            yield board, progress_text(board, scoring, now - began)
    if board.full is None or board.full.view.trace is None:
        raise InputError("the board was stopped before the model had begun to answer.")


def _blind(models: Models, request: RunRequest, board: Board, flag: Stop) -> None:
    """Answer without the picture, where that is asked for and the run goes on."""
    trace = board.full.view.trace if board.full else None
    if not board.asked.blind or flag.is_set() or trace is None or not trace.t:
        return
    try:
        with closing(without_picture(models, request, trace, flag)) as found:
            board.blind = next(found, None)
    except TokvizError as error:
        board.stopped = f"Without the picture nothing could be asked: {error}"
