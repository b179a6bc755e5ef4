"""A board for print: methods x budgets as small pictures, P(word) and what changed below each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokviz.view.paper.lanes import GAP, LanePanel, answer_lines, signs, write
from tokviz.view.paper.sheet import SMALL, line_height, new_figure, wrapped
from tokviz.view.paper.view import MARGIN, colour_bar, draw_legend, draw_lines, draw_panel
from tokviz.view.still import sheet

SIDE = 420
"""Pixels of a small picture."""
LINES = 2
"""Lines of what changed below a picture."""


@dataclass(frozen=True, eq=False)
class BoardFigure:
    """Rows and columns of a board."""

    rows: Sequence[str]
    "Titles of the methods."
    columns: Sequence[str]
    cells: Sequence[Sequence[LanePanel | None]]
    "Row by row; None = it was not run. A cell's title is its P(word)."


def board_figure(board: BoardFigure, width: float, caption: str = "") -> Any:
    """Return a figure of a board."""
    inner, label = width - 2 * MARGIN, min(0.9, width * 0.2)
    wide = (inner - label - GAP * len(board.columns)) / max(len(board.columns), 1)
    known = [one for row in board.cells for one in row if one is not None]
    papers = {id(one): sheet(one.panel.trace, SIDE) for one in known}
    shapes = [paper.token.shape for paper in papers.values()]
    tall = wide * max((h / w for h, w in shapes), default=1.0)
    below = {id(one): answer_lines(one, wide)[:LINES] for one in known}
    text = line_height() * (1 + max((len(lines) for lines in below.values()), default=0))
    row_height = tall + 0.04 + text + 0.07
    maps = any(one.panel.values is not None for one in known)
    entries = [] if maps else signs(known)
    under = wrapped(caption, inner)
    foot = (0.32 if maps else 0.2 if entries else 0.0) + line_height() * len(under)
    heads = [wrapped(title, wide, SMALL) for title in board.columns]
    head = line_height() * max(map(len, heads), default=1) + 0.06
    height = MARGIN + head + row_height * len(board.rows) + foot + MARGIN
    figure = new_figure(width, height)
    size, top = (width, height), height - MARGIN
    for place, lines in enumerate(heads):
        x = MARGIN + label + GAP + place * (wide + GAP)
        write(figure, lines, x, top, size, SMALL, "semibold")
    top -= head
    for title, cells in zip(board.rows, board.cells, strict=True):
        write(figure, wrapped(title, label, SMALL), MARGIN, top, size, SMALL, "semibold")
        for place, cell in enumerate(cells):
            if cell is None:
                continue
            x = MARGIN + label + GAP + place * (wide + GAP)
            paper = papers[id(cell)]
            h, w = paper.token.shape
            high = wide * h / w
            box = (x / width, (top - high) / height, wide / width, high / height)
            draw_panel(figure.add_axes(box), cell.panel, paper, wide)
            write(figure, [cell.title, *below[id(cell)]], x, top - high - 0.04, size, SMALL)
        top -= row_height
    if maps:
        shown = next(one.panel for one in known if one.panel.values is not None)
        colour_bar(figure, shown, (MARGIN, top - 0.1, inner, 0.08), size)
        top -= 0.32
    elif entries:
        draw_legend(figure, entries, (MARGIN, top - 0.13), size)
        top -= 0.2
    draw_lines(figure, under, MARGIN, top, size)
    return figure
