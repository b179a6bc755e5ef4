"""Charts of a sweep: accuracy over budget, and over measured time with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from tokviz.time_ratio import TimeRatio, time_ratio
from tokviz.view.charts import INK, escape, style
from tokviz.view.numbers import percent

PALETTE = ("#440154", "#21918c", "#b8860b", "#3b528b", "#5ec962", "#c2452d", "#7d8590", "#8b5fbf")
"""Lines also differ by DASHES and SYMBOLS, without colour."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star")


@dataclass(frozen=True)
class Estimate:
    """A mean over questions with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """One model with one method and budget, over all questions of one kind of measure."""

    model: str
    method: str
    "With its options; empty = all tokens."
    budget: str
    tokens_left: float
    "Mean over questions."
    questions: int
    quality: Estimate
    seconds: float
    "Median time to the first token."
    seconds_total: float
    kv_bytes: float
    details: tuple[tuple[str, float], ...] = ()
    "Further numbers for the table, by name."
    times: Mapping[str, float] = field(default_factory=dict)
    "Question -> seconds to the first token; settings of one question are run one after another."
    positions: str = ""
    "What is done to the position ids of the tokens that are left, in words; empty = all are left."
    prefill_share: float | None = None
    "The prefill's arithmetic relative to that of the whole prompt, by formula, mean."

    def against(self, other: Point) -> TimeRatio | None:
        """Compare the times to the first token, question by question; None = too few of them."""
        both = [q for q in self.times if q in other.times]
        return time_ratio([self.times[q] for q in both], [other.times[q] for q in both])

    @property
    def series(self) -> str:
        """The line that the point belongs to."""
        return self.method or "all tokens"


def over_budget(points: Sequence[Point], name: str) -> go.Figure:
    """Draw one line per method over the visual tokens left, with confidence intervals."""
    figure = go.Figure()
    for number, series in enumerate(series_of(points)):
        own = sorted((p for p in points if p.series == series), key=lambda p: p.tokens_left)
        figure.add_scatter(
            x=[p.tokens_left for p in own], y=[p.quality.value for p in own],
            error_y=bars(own), name=escape(series), mode="lines+markers",
            line={"color": colour(number), "dash": DASHES[number % len(DASHES)]},
            marker={"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8},
            customdata=[hover(p) for p in own],
            hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    return tall(style(figure, f"{name} over budget", "visual tokens left (mean)", name))


def over_time(points: Sequence[Point], name: str) -> go.Figure:
    """Draw quality over the measured time to the first token, with the Pareto front."""
    figure = go.Figure()
    for number, series in enumerate(series_of(points)):
        own = [p for p in points if p.series == series]
        figure.add_scatter(
            x=[p.seconds for p in own], y=[p.quality.value for p in own], error_y=bars(own),
            name=escape(series), mode="markers",
            marker={"color": colour(number), "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 9},
            customdata=[hover(p) for p in own],
            hovertemplate="%{customdata}<extra></extra>",
        )  # fmt: skip
    front = staircase(pareto(points))
    figure.add_scatter(
        x=[p.seconds for p in front], y=[p.quality.value for p in front], mode="lines",
        name="not beaten", line={"color": INK, "shape": "hv", "width": 1}, hoverinfo="skip",
    )  # fmt: skip
    title = f"{name} over measured time"
    return tall(style(figure, title, "seconds to the first token (median)", name))


def pareto(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats in both time and quality, fastest first.

    A point is beaten by one of at least its quality that is clearly faster: over the questions of
    both, the spread of the ratio of their times lies below 1.
    """
    front = [p for p in points if not any(beats(other, p) for other in points)]
    return sorted(front, key=lambda p: (p.seconds, -p.quality.value))


def beats(point: Point, other: Point) -> bool:
    """Return whether a point is clearly faster than another, and no worse."""
    if point is other or point.quality.value < other.quality.value:
        return False
    ratio = point.against(other)
    return ratio is not None and ratio.verdict == "faster"


def staircase(front: Sequence[Point]) -> list[Point]:
    """Return those of a front, fastest first, that are better than all faster ones."""
    steps: list[Point] = []
    for point in front:
        if not steps or point.quality.value > steps[-1].quality.value:
            steps.append(point)
    return steps


def series_of(points: Sequence[Point]) -> list[str]:
    """Return the names of the lines, all tokens first."""
    return sorted({p.series for p in points}, key=lambda s: (s != "all tokens", s))


def bars(points: Sequence[Point]) -> dict:
    """Return plotly's error bars."""
    return {
        "type": "data", "symmetric": False, "thickness": 1,
        "array": [p.quality.high - p.quality.value for p in points],
        "arrayminus": [p.quality.value - p.quality.low for p in points],
    }  # fmt: skip


def hover(p: Point) -> str:
    """Return the hover text of a point."""
    value, low, high = (percent(x, 1) for x in (p.quality.value, p.quality.low, p.quality.high))
    return (
        f"{escape(p.series)} {escape(p.budget)}: {value} ({low} to {high}, {p.questions} questions)"
        "<br>"
        f"{p.tokens_left:.0f} tokens, {p.seconds:.3f} s to the first token"
    )


def colour(number: int) -> str:
    """Return the colour of a line."""
    return PALETTE[number % len(PALETTE)]


def tall(figure: go.Figure) -> go.Figure:
    """Give a chart the size of a report, and its quality in percent."""
    below = {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.22, "yanchor": "top"}
    figure.update_layout(height=460, showlegend=True, legend=below)
    return figure.update_yaxes(tickformat=".0%", rangemode="normal")
