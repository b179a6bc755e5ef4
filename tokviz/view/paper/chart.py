"""A chart of the page, made with plotly, for print: bars, lines and grids.

Only what the page's charts use is carried over. Colours differ in lightness, lines in dashes and
marks, bars in hatches, so that a print in grey can be read.
"""

from __future__ import annotations

import html
from importlib import import_module
from typing import Any

import numpy as np
import plotly.graph_objects as go

from tokviz.view.paper.sheet import SMALL, SOFT, line_height, new_figure, wrapped
from tokviz.view.paper.view import MARGIN, draw_lines

DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
MARKS = ("o", "s", "D", "^", "v", "P", "X", "*")
HATCHES = ("", "////", "....", "xxxx", "----")
TURNED = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
"""How long names of ticks are written."""


def chart_figure(source: go.Figure, width: float, caption: str = "") -> Any:
    """Return a figure of a chart.

    Args:
        source: a plotly figure of bars, lines or grids, also with several axes.
        width: in inches.
        caption: text below; "" = none.
    """
    places = sorted({trace_axes(one) for one in source.data}) or [("x", "y")]
    across = 2 if len(places) > 1 and width > 4 else 1
    rows = -(-len(places) // across)
    each = width / across
    tall = min(max(each * 0.62, 1.5), 2.9) + (0.35 if has_long_names(source) else 0.0)
    lines = wrapped(caption, width - 2 * MARGIN)
    named = [one.name for one in source.data if one.name and one.showlegend is not False]
    legend = 0.22 * -(-len(set(named)) // max(int(width / 1.1), 1)) if len(set(named)) > 1 else 0.0
    foot = line_height() * len(lines) + (0.05 if lines else 0.0) + legend
    height = tall * rows + foot
    figure = new_figure(width, height)
    handles: dict[str, Any] = {}
    for number, axes_names in enumerate(places):
        row, column = divmod(number, across)
        left, right = side_margins(source, axes_names)
        top, bottom = 0.2, 0.42 + (0.35 if has_long_names(source) else 0.0)
        box = (
            (column * each + left) / width,
            (height - (row + 1) * tall + bottom) / height,
            (each - left - right) / width,
            (tall - top - bottom) / height,
        )
        axes = figure.add_axes(box)
        handles |= draw_axes(figure, axes, source, axes_names)
    if legend:
        figure.legend(
            handles.values(), [plain(name) for name in handles], loc="lower left",
            bbox_to_anchor=(MARGIN / width, (foot - legend) / height), frameon=False,
            ncols=max(int(width / 1.1), 1), handlelength=2.2, columnspacing=1.2, borderpad=0.1,
        )  # fmt: skip
    draw_lines(figure, lines, MARGIN, foot - legend, (width, height))
    return figure


def side_margins(source: go.Figure, names: tuple[str, str]) -> tuple[float, float]:
    """Return inches left and right of a pair of axes: for names of ticks, and for a colour bar."""
    own = [one for one in source.data if trace_axes(one) == names]
    texts = [str(one) for one in layout_axis(source, names[1]).ticktext or ()]
    texts += [str(y) for one in own if getattr(one, "orientation", None) == "h" for y in one.y]
    longest = max((len(plain(text)[:18]) for text in texts), default=4)
    titled = 0.2 if layout_axis(source, names[1]).title.text else 0.06
    return 0.12 + titled + 0.062 * longest, 0.42 if any(o.type == "heatmap" for o in own) else 0.1


def trace_axes(trace: Any) -> tuple[str, str]:
    """Return the names of a trace's axes, such as ("x2", "y2")."""
    return getattr(trace, "xaxis", None) or "x", getattr(trace, "yaxis", None) or "y"


def layout_axis(source: go.Figure, name: str) -> Any:
    """Return the layout of an axis by its short name: "x2" is xaxis2."""
    return source.layout[f"{name[0]}axis{name[1:]}"]


def draw_axes(figure: Any, axes: Any, source: go.Figure, names: tuple[str, str]) -> dict[str, Any]:
    """Draw every trace of one pair of axes; return what the legend shows, by name."""
    handles: dict[str, Any] = {}
    own = [one for one in source.data if trace_axes(one) == names]
    bottom: dict[Any, float] = {}
    for number, one in enumerate(own):
        if one.type == "heatmap":
            draw_grid(figure, axes, one)
        elif one.type == "bar":
            handle = draw_bars(axes, one, number, source.layout.barmode, bottom)
            if one.name:
                handles[one.name] = handle
        elif one.type == "scatter":
            handle = draw_line(axes, one, number)
            if one.name and one.showlegend is not False:
                handles[one.name] = handle
    finish(axes, source, names)
    return handles


def draw_bars(axes: Any, one: Any, number: int, mode: str | None, bottom: dict[Any, float]) -> Any:
    """Draw bars; stacked ones begin where the last ones ended."""
    level = one.orientation == "h"
    keys, sizes = (one.y, one.x) if level else (one.x, one.y)
    start = [bottom.get(key, 0.0) if mode == "stack" else 0.0 for key in keys]
    for key, size in zip(keys, sizes, strict=True):
        bottom[key] = bottom.get(key, 0.0) + (size or 0.0)
    style = {"color": one.marker.color or "#21918c", "edgecolor": "#14181d", "linewidth": 0.3}
    style["hatch"] = HATCHES[number % len(HATCHES)] if number else ""
    names = [plain(str(key)) if isinstance(key, str) else key for key in keys]
    if level:
        return axes.barh(names, sizes, left=start, height=0.7, **style)
    return axes.bar(names, sizes, bottom=start, width=0.75, **style)


def draw_line(axes: Any, one: Any, number: int) -> Any:
    """Draw a line with marks, or marks with texts."""
    y = [np.nan if value is None else value for value in one.y]
    if "lines" not in (one.mode or "lines"):
        handle = axes.plot(one.x, y, "X", color=one.marker.color or "#14181d", markersize=6,
                           markeredgecolor="white", markeredgewidth=0.5)[0]  # fmt: skip
        for x, value, text in zip(one.x, y, one.text or [""] * len(y), strict=False):
            axes.annotate(
                plain(str(text or "")), (x, value), xytext=(5, 4 - 5 * number), fontsize=SMALL,
                textcoords="offset points",
            )  # fmt: skip
        return handle
    mark = one.marker.symbol if isinstance(one.marker.symbol, int) else number
    return axes.plot(
        one.x, y, DASHES.get(one.line.dash or "solid", "-"), color=one.line.color or "#21918c",
        marker=MARKS[mark % len(MARKS)], clip_on=False,
    )[0]  # fmt: skip


def draw_grid(figure: Any, axes: Any, one: Any) -> None:
    """Draw a grid of colours with its colour bar."""
    values = np.asarray(one.z, np.float64)
    shown = axes.imshow(values, aspect="auto", cmap="viridis", interpolation="nearest")
    x0, y0, wide, high = axes.get_position().bounds
    place = figure.add_axes((x0 + wide * 1.03, y0, 0.07 / figure.get_figwidth(), high))
    bar = figure.colorbar(shown, cax=place)
    bar.solids.set_edgecolor("face")
    bar.outline.set_linewidth(0.4)


def finish(axes: Any, source: go.Figure, names: tuple[str, str]) -> None:
    """Give axes their titles, ticks, ranges and scale."""
    ticker = import_module("matplotlib.ticker")
    grid = any(one.type == "heatmap" for one in source.data)
    for name, axis in (("x", layout_axis(source, names[0])), ("y", layout_axis(source, names[1]))):
        getattr(axes, f"set_{name}label")(plain(axis.title.text or ""))
        if axis.type == "log":
            getattr(axes, f"set_{name}scale")("log")
            getattr(axes, f"{name}axis").set_minor_locator(ticker.NullLocator())
        if axis.tickvals is not None:
            texts = [plain(str(text))[:18] for text in axis.ticktext or axis.tickvals]
            turned = name == "x" and sum(map(len, texts)) > 40
            how = TURNED if turned else {}
            getattr(axes, f"set_{name}ticks")(list(axis.tickvals), texts, **how)
        if axis.tickformat and "%" in axis.tickformat:
            getattr(axes, f"{name}axis").set_major_formatter(ticker.PercentFormatter(1.0, 0))
        if axis.range is not None:
            low, high = (10**v for v in axis.range) if axis.type == "log" else axis.range
            getattr(axes, f"set_{name}lim")(low, high)
        if axis.autorange == "reversed" and not grid:  # the first row of a grid is on top already
            getattr(axes, f"invert_{name}axis")()
        elif whole_numbers(source, names, name) and axis.tickvals is None and axis.type != "log":
            locator = ticker.MaxNLocator(nbins=8, integer=True)
            getattr(axes, f"{name}axis").set_major_locator(locator)
    for shape in source.layout.shapes or ():
        if shape.y0 == shape.y1 and shape.y0 is not None:
            axes.axhline(shape.y0, color=SOFT, linestyle=":", linewidth=0.8)
    if not grid:
        axes.spines[["top", "right"]].set_visible(False)
    number = int(names[0][1:] or 1) - 1
    titles = [note.text for note in source.layout.annotations or ()]
    if len(titles) > number and len({trace_axes(one) for one in source.data}) > 1:
        axes.set_title(plain(titles[number]), loc="left")


def whole_numbers(source: go.Figure, names: tuple[str, str], name: str) -> bool:
    """Return whether everything along an axis lies at whole numbers, such as layers."""
    found = [getattr(one, name, None) for one in source.data if trace_axes(one) == names]
    values = [value for array in found if array is not None for value in array]
    return bool(values) and all(type(value) is int for value in values)


def has_long_names(source: go.Figure) -> bool:
    """Return whether the ticks below are texts that must be turned."""
    texts = source.layout.xaxis.ticktext or ()
    return sum(len(str(text)[:18]) for text in texts) > 40


def plain(text: str) -> str:
    """Return a text that was escaped for plotly as it is."""
    return html.unescape(text)
