"""Charts of one run: where the attention goes per layer, and how sure each word was.

All share one look that reads on light and dark pages, and one viridis-like scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from tokviz.trace import Trace
from tokviz.trace.layer_gaps import layer_gaps
from tokviz.view.overlay_maps import image_share
from tokviz.view.words import trace_words

INK = "#7d8590"
"""Text and lines; readable on white and on near-black."""
TEAL, GOLD = "#21918c", "#b8860b"
MAX_WORDS = 80


def style(figure: go.Figure, title: str, x: str, y: str) -> go.Figure:
    """Give a figure the common look; a legend stands below, where no bar can be under it."""
    legend = len(figure.data) > 1
    figure.update_layout(
        title={"text": title, "x": 0, "font": {"size": 14}},
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 52, "r": 12, "t": 40, "b": 92 if legend else 44},
        height=308 if legend else 260,
        bargap=0.25,
        showlegend=legend,
        legend={"orientation": "h", "y": -0.3, "yanchor": "top", "x": 0},
    )
    grid = {"gridcolor": "rgba(125,133,144,0.25)", "zerolinecolor": "rgba(125,133,144,0.5)"}
    figure.update_xaxes(title=x, **grid)
    figure.update_yaxes(title=y, rangemode="tozero", **grid)
    return figure


def layer_chart(trace: Trace, sinks: np.ndarray | None = None) -> go.Figure:
    """Show, per decoder layer, how much attention the image gets and how much of it falls on sinks.

    Args:
        trace: a run with `mass` or `attention`.
        sinks: bool [l, n] or None.
    """
    figure = go.Figure()
    if "mass" in trace or "attention" in trace:
        share = image_share(trace).mean(0)
        figure.add_bar(
            x=list(range(len(share))), y=share.tolist(), name="on the image", marker_color=TEAL,
            hovertemplate="layer %{x}: %{y:.1%}<extra>on the image</extra>",
        )  # fmt: skip
        if sinks is not None and sinks.any() and "attention" in trace:
            on_sinks = (share * sink_share(trace, sinks)).tolist()
            figure.add_bar(
                x=list(range(len(share))), y=on_sinks, name="of which on sinks",
                marker={"color": GOLD, "pattern": {"shape": "x"}},
                hovertemplate="layer %{x}: %{y:.1%}<extra>on sinks</extra>",
            )  # fmt: skip
            figure.update_layout(barmode="overlay")
    figure.update_yaxes(tickformat=".0%")
    return style(figure, "Attention on the image, per layer", "layer", "share of all attention")


def sink_share(trace: Trace, sinks: np.ndarray) -> np.ndarray:
    """Return [l], the share of the image attention that falls on sinks, mean over the answer."""
    attention = np.nan_to_num(trace["attention"].astype(np.float32)).mean(0)
    total = attention.sum(1)
    share = (attention * sinks).sum(1) / np.where(total > 0, total, 1)
    share[list(layer_gaps(trace, len(share)))] = np.nan
    return share


def probability_chart(trace: Trace) -> go.Figure:
    """Show how probable each answer token was when it was chosen."""
    figure = go.Figure()
    if "answer_prob" in trace and trace.t:
        texts = [escape(word["text"]) for word in trace_words(trace)][:MAX_WORDS]
        figure.add_bar(
            x=list(range(len(texts))), y=trace["answer_prob"][:MAX_WORDS].tolist(),
            marker_color=TEAL, customdata=texts,
            hovertemplate="%{customdata}: %{y:.1%}<extra></extra>",
        )  # fmt: skip
        figure.update_xaxes(tickvals=list(range(len(texts))), ticktext=texts)
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return style(figure, "How sure the model was of each word", "", "probability")


def time_chart(names: Sequence[str], timings: Sequence[dict[str, float]]) -> go.Figure:
    """Show where each lane's time went, stacked by phase; steps of several lanes at once apart."""
    figure = go.Figure()
    phases = {"encode": "#440154", "decide": "#b8860b", "prefill": "#21918c", "decode": "#7ad151"}
    phases["shared steps"] = "#c8c8c8"
    for phase, colour in phases.items():
        values = [_phase(timing, phase) for timing in timings]
        if any(values):
            figure.add_bar(
                y=[escape(name) for name in names], x=values, name=phase, orientation="h",
                marker_color=colour, hovertemplate="%{y}: %{x:.3f} s<extra>" + phase + "</extra>",
            )  # fmt: skip
    figure.update_layout(barmode="stack")
    figure = style(figure, "Where the time went", "seconds", "")
    return figure.update_yaxes(autorange="reversed")


def _phase(timing: dict[str, float], phase: str) -> float:
    shared = timing.get("shared", 0.0)
    if phase == "shared steps":
        return shared
    return timing.get(phase, 0.0) - (shared if phase == "decode" else 0.0)


def escape(text: str) -> str:
    """Return a text that plotly shows as it is, not as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
