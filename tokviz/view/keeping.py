"""What must hold when tokens are removed, and at which budget it breaks.

Three things can be asked of a budget: chosen words of the full answer are still the first choice at
their places, or are at least so probable, or the whole answer is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from tokviz.view.charts import escape, style
from tokviz.view.result_chart import DASHES, SERIES

MODES = ("words", "probability", "answer")
BREAKS = "#c2410c"


@dataclass(frozen=True)
class Criterion:
    """What must hold."""

    mode: str = "words"
    "One of MODES."
    words: tuple[int, ...] = ()
    "Numbers of words of the full answer."
    threshold: float = 0.5
    "Least probability of each of them, for the mode probability."

    def holds(self, cell: Mapping[str, Any]) -> bool | None:
        """Return whether it holds in a cell with {same, prob, said}; None while not known."""
        if self.mode == "answer" or not self.words:
            return cell.get("same")
        rows = cell.get("said" if self.mode == "words" else "prob") or []
        if any(word >= len(rows) for word in self.words):
            return None
        if self.mode == "words":
            return all(rows[word] for word in self.words)
        return all(rows[word] >= self.threshold for word in self.words)

    def lowest(self, cell: Mapping[str, Any]) -> float | None:
        """Return the lowest P(word) of the chosen words in a cell; None while not known."""
        prob = cell.get("prob") or []
        found = [prob[word] for word in self.words if word < len(prob)]
        return min(found) if found else None

    def text(self, words: Sequence[str]) -> str:
        """Return what must hold, in words."""
        chosen = [f"“{words[word]}”" for word in self.words if word < len(words)]
        listed = ", ".join(chosen[:6]) + (f" and {len(chosen) - 6} more" if len(chosen) > 6 else "")
        if self.mode == "answer" or not chosen:
            return "the whole answer"
        if self.mode == "probability":
            return f"P of {listed} at least {self.threshold:.2f}"
        return listed


def judged(cells: Sequence[Mapping[str, Any]], criterion: Criterion) -> list[dict[str, Any]]:
    """Return cells with their state by a criterion: those that are done hold or change."""
    found = []
    for one in cells:
        state = str(one["state"])
        if state == "done":
            holds = criterion.holds(one)
            state = "scoring" if holds is None else "holds" if holds else "changes"
        found.append({**one, "state": state, "lowest": criterion.lowest(one)})
    return found


def breaking_point(cells: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
    """Return (least budget that holds with all larger ones, largest that does not), or None."""
    holds = {c["keep"] for c in cells if c["state"] == "holds"}
    changes = [c["keep"] for c in cells if c["state"] == "changes"]
    above = [keep for keep in holds if not changes or keep > max(changes)]
    return (min(above), max(changes)) if above and changes else None


def keep_chart(
    methods: Sequence[tuple[str, Sequence[Mapping[str, Any]]]],
    criterion: Criterion,
    words: Sequence[str],
    blind: float | None = None,
) -> go.Figure:
    """Draw P(word) over kept tokens, one line per method, with the point where it breaks.

    Args:
        methods: title and judged cells of each.
        criterion: what must hold.
        words: of the full answer.
        blind: the lowest P without the picture, drawn as a level; None = not known.
    """
    figure = go.Figure()
    for number, (title, cells) in enumerate(methods):
        known = sorted((c for c in cells if c["lowest"] is not None), key=lambda c: c["keep"])
        colour = SERIES[number % len(SERIES)]
        figure.add_scatter(
            x=[c["keep"] for c in known], y=[c["lowest"] for c in known], name=escape(title),
            mode="lines+markers",
            line={"color": colour, "dash": DASHES[number % len(DASHES)]},
            marker={"symbol": number, "size": 6},
            hovertemplate="%{x} tokens: P %{y:.3f}<extra>" + escape(title) + "</extra>",
        )  # fmt: skip
        point = breaking_point(cells)
        there = next((c for c in known if point and c["keep"] == point[1]), None)
        if there is not None:
            figure.add_scatter(
                x=[there["keep"]], y=[there["lowest"]], mode="markers+text",
                text=[f"breaks at {there['keep']}"], textposition="top left", cliponaxis=False,
                marker={"symbol": "x", "size": 12, "color": colour}, showlegend=False,
                hovertemplate="here it no longer holds<extra></extra>",
            )  # fmt: skip
    if blind is not None:
        figure.add_hline(
            y=blind, line={"dash": "dash", "width": 1}, annotation_text="without the picture"
        )
    if criterion.mode == "probability":
        figure.add_hline(y=criterion.threshold, line={"dash": "dot", "color": BREAKS})
    several = len(criterion.words) > 1
    y = "lowest P(word)" if several else "P(word)"
    named = Criterion("words", criterion.words).text(words)
    figure = style(figure, escape(f"P(word) of {named}"), "tokens kept", y)
    named_ticks = ticks(methods)
    figure.update_xaxes(type="log", tickvals=named_ticks, ticktext=list(map(str, named_ticks)))
    return figure.update_yaxes(range=[0, 1.03]).update_layout(height=320, showlegend=True)


def ticks(methods: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> list[int]:
    """Return budgets that are named below the chart: about every halving."""
    keeps = sorted({c["keep"] for _, cells in methods for c in cells}, reverse=True)
    named: list[int] = []
    for keep in keeps:
        if not named or keep <= named[-1] / 1.6:
            named.append(keep)
    return named
