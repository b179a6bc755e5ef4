"""A row of lanes for print: the pictures of several answers on one scale, the answers below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tokviz.view.paper.sheet import SMALL, SOFT, TEXT, line_height, new_figure, wrapped
from tokviz.view.paper.view import (
    MARGIN,
    ViewPanel,
    colour_bar,
    draw_legend,
    draw_lines,
    draw_panel,
    legend_entries,
)
from tokviz.view.still import sheet

GAP = 0.08
"""Inches between two pictures."""
ACROSS = {"column": 2, "page": 4}
MAX_LINES = 6
"""Lines of an answer."""


@dataclass(frozen=True, eq=False)
class LanePanel:
    """One lane: its picture, its name, its answer."""

    panel: ViewPanel
    title: str
    words: Sequence[dict[str, Any]] = field(default_factory=tuple)
    "The answer's words as `compare_words` marks them."


def lanes_figure(
    lanes: Sequence[LanePanel], width: float, caption: str = "", across: int = 4
) -> Any:
    """Return a figure of several lanes in rows of at most `across`."""
    across = max(1, min(across, len(lanes)))
    inner = width - 2 * MARGIN
    wide = (inner - GAP * (across - 1)) / across
    papers = [sheet(one.panel.trace, 900) for one in lanes]
    talls = [wide * paper.token.shape[0] / paper.token.shape[1] for paper in papers]
    heads = [wrapped(lane.title, wide, TEXT) for lane in lanes]
    texts = [answer_lines(one, wide) for one in lanes]
    rows = [range(i, min(i + across, len(lanes))) for i in range(0, len(lanes), across)]
    heights = [
        max(len(heads[i]) for i in row) * line_height(TEXT) + 0.05
        + max(talls[i] for i in row) + 0.06
        + max(len(texts[i]) for i in row) * line_height() + 0.08
        for row in rows
    ]  # fmt: skip
    maps = any(one.panel.values is not None for one in lanes)
    entries = [] if maps else signs(lanes)
    below = wrapped(caption, inner)
    foot = (0.32 if maps else 0.2 if entries else 0.0) + line_height() * len(below)
    height = MARGIN + sum(heights) + foot + MARGIN
    figure = new_figure(width, height)
    top = height - MARGIN
    for row, tall_row in zip(rows, heights, strict=True):
        most = max(len(heads[i]) for i in row)
        for place, i in enumerate(row):
            x = MARGIN + place * (wide + GAP)
            write(figure, heads[i], x, top, (width, height), TEXT, "semibold")
            under = top - most * line_height(TEXT) - 0.05
            box = (x / width, (under - talls[i]) / height, wide / width, talls[i] / height)
            draw_panel(figure.add_axes(box), lanes[i].panel, papers[i], wide)
            write(figure, texts[i], x, under - talls[i] - 0.06, (width, height), SMALL)
        top -= tall_row
    if maps:
        shown = next(one.panel for one in lanes if one.panel.values is not None)
        colour_bar(figure, shown, (MARGIN, top - 0.1, inner, 0.08), (width, height))
        top -= 0.32
    elif entries:
        draw_legend(figure, entries, (MARGIN, top - 0.13), (width, height))
        top -= 0.2
    draw_lines(figure, below, MARGIN, top, (width, height))
    return figure


def signs(lanes: Sequence[LanePanel]) -> list[tuple[str, str]]:
    """Return the legend of all lanes together, without counts."""
    there = {sign for one in lanes for sign, _ in legend_entries(one.panel)}
    return [(sign, sign) for sign in ("kept", "merged", "pruned") if sign in there]


def answer_lines(lane: LanePanel, wide: float) -> list[str]:
    """Return an answer in lines, with the words that changed marked."""
    if lane.words and all(word["mark"] == "same" for word in lane.words):
        text = "".join((" " if word["lead"] else "") + word["text"] for word in lane.words)
    else:
        text = " ".join(marked(word) for word in lane.words)
    lines = wrapped(text, wide)
    return (
        lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], lines[MAX_LINES - 1] + " …"]
    )


def marked(word: dict[str, Any]) -> str:
    """Return a word of a compared answer: new ones in [brackets], those that are gone as −word."""
    text = str(word["text"])
    return {"added": f"[{text}]", "removed": f"−{text}"}.get(word["mark"], text)


def write(
    figure: Any,
    lines: Sequence[str],
    x: float,
    y: float,
    size: tuple[float, float],
    points: float,
    weight: str = "normal",
) -> None:
    """Write lines downwards from y; all in inches."""
    for number, line in enumerate(lines):
        figure.text(
            x / size[0], (y - line_height(points) * number) / size[1], line, fontsize=points,
            weight=weight, va="top", color=SOFT if points == SMALL else None,
        )  # fmt: skip


def highest(values: Sequence[np.ndarray | None]) -> float:
    """Return the largest finite number of several maps, for one scale; 1 where there is none."""
    found = [float(np.nanmax(one)) for one in values if one is not None and np.isfinite(one).any()]
    return max(found, default=1.0) or 1.0
