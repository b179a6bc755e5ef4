"""Arrays of an analysis' result as charts: curves, or a grid with a colour bar."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tokviz.analysis import Result
from tokviz.trace import Trace
from tokviz.view.charts import TEAL, escape, style
from tokviz.view.result_view import (
    MAIN,
    OVERVIEW,
    Shown,
    alike,
    axis_text,
    chosen_array,
    names_along,
    on_page,
)

SERIES = (TEAL, "#b8860b", "#8250df", "#c2410c", "#2563eb", "#be185d", "#4d7c0f", "#64748b")
DASHES = ("solid", "dash", "dot", "dashdot")
"""Curves differ in dashes, too, so that they are told apart without colour."""
MAX_NAMES = 40
"""Ticks that are named one by one."""


def result_chart(result: Result, trace: Trace, name: str, page: int = 0) -> go.Figure | None:
    """Return the chart of one array of a result; None for a map, which lies over the picture.

    Args:
        result: of an analysis.
        trace: the run that it is about.
        name: of an array, or OVERVIEW; for any other the first one is drawn.
        page: the place along an axis of which one place is shown at a time.
    """
    together = alike(result, trace.n)
    if name == OVERVIEW and together:
        return small_multiples(result, trace, together)
    one = chosen_array(result, trace, name)
    if one is None or one.kind == "map":
        return None
    shown = on_page(one, result, page)
    what = result.title if one.name == MAIN else f"{result.title}: {one.text.partition(':')[0]}"
    what += f", {one.pages[min(max(page, 0), len(one.pages) - 1)]}" if one.pages else ""
    draw = curve if one.kind == "curve" else grid
    return draw(result, trace, shown, escape(what))


def columns_of(one: Shown, result: Result, trace: Trace) -> list[tuple[str, np.ndarray]]:
    """Return the named series of a curve; a single one has no name."""
    if one.values.ndim == 1:
        return [("", one.values)]
    names = names_along(one.letters[1], one.values.shape[1], result.labels, trace)
    return list(zip(names, one.values.T, strict=True))


def line(number: int, name: str, column: np.ndarray) -> go.Scatter:
    """Return one series; its dashes and marks differ too, so that it is told without colour."""
    return go.Scatter(
        x=list(range(len(column))), y=[float(y) if np.isfinite(y) else None for y in column],
        name=escape(name), legendgroup=name, mode="lines+markers",
        line={"color": SERIES[number % len(SERIES)], "dash": DASHES[number % len(DASHES)]},
        marker={"symbol": number, "size": 6},
    )  # fmt: skip


def curve(result: Result, trace: Trace, one: Shown, title: str) -> go.Figure:
    """Return one line per series of a curve."""
    columns = columns_of(one, result, trace)
    figure = go.Figure([line(i, name, column) for i, (name, column) in enumerate(columns)])
    figure = style(figure, title, axis_text(one.letters[0]), "")
    figure.update_layout(meta={"series": one.letters[-1]})
    ticks(figure.update_xaxes, names_along(one.letters[0], len(one.values), result.labels, trace))
    return figure.update_yaxes(rangemode="normal")


def small_multiples(result: Result, trace: Trace, together: list[Shown]) -> go.Figure:
    """Return several curves with the same axes, two beside each other, with one legend."""
    names = [result.title if one.name == MAIN else one.meaning or one.text for one in together]
    rows = -(-len(together) // 2)
    figure = make_subplots(rows, 2, subplot_titles=[escape(name) for name in names])
    for place, one in enumerate(together):
        for number, (name, column) in enumerate(columns_of(one, result, trace)):
            drawn = line(number, name, column).update(showlegend=place == 0)
            figure.add_trace(drawn, place // 2 + 1, place % 2 + 1)
    figure = style(figure, "", axis_text(together[0].letters[0]), "")
    figure.update_layout(meta={"series": together[0].letters[-1]})
    figure.update_annotations(font_size=13).update_yaxes(rangemode="normal")
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1 + 0.26 / rows}
    return figure.update_layout(height=80 + 190 * rows, margin_t=84, legend=legend, showlegend=True)


def grid(result: Result, trace: Trace, one: Shown, title: str) -> go.Figure:
    """Return values [y, x] as a grid of colours, its first row on top."""
    values, letters = one.values.astype(np.float64), one.letters
    figure = go.Figure(
        go.Heatmap(
            z=np.where(np.isfinite(values), values, np.nan).tolist(), colorscale="Viridis",
            colorbar={"thickness": 12, "len": 1},
            hovertemplate=f"{axis_text(letters[0])} %{{y}}, {axis_text(letters[1])} %{{x}}: "
            "%{z:.4g}<extra></extra>",
        )
    )  # fmt: skip
    figure = style(figure, title, axis_text(letters[1]), axis_text(letters[0]))
    ticks(figure.update_xaxes, names_along(letters[1], values.shape[1], result.labels, trace))
    ticks(figure.update_yaxes, names_along(letters[0], len(values), result.labels, trace))
    return figure.update_yaxes(autorange="reversed", rangemode="normal").update_layout(height=340)


def ticks(update: object, names: list[str]) -> None:
    """Name the places along an axis where they have names and there are not too many."""
    numbered = names == [str(number) for number in range(len(names))]
    if numbered or len(names) > MAX_NAMES:
        return
    shown = [escape(name[:24]) for name in names]
    update(tickvals=list(range(len(names))), ticktext=shown)  # type: ignore[operator]
