"""One view for print: the picture, a map with its colour bar, or what became of the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from tokviz.matrix import KEPT, MERGED, PRUNED
from tokviz.trace import Trace
from tokviz.view.paper.sheet import SMALL, SOFT, line_height, new_figure, wrapped
from tokviz.view.still import GREY, OKABE_ITO, Sheet, colours, cover, scaled, sheet

MAX_SIDE = 1200
"""Longest side of the picture in pixels: about 360 to the inch in a column."""
MAX_STROKES = 6_000
"""Pruned tokens with a stroke each; of more the strokes would be one grey."""
MARGIN = 0.03
"""Inches around everything."""
BAR, BAR_GAP, BAR_INSET = 0.08, 0.05, 0.16


@dataclass(frozen=True, eq=False)
class ViewPanel:
    """One picture of one run."""

    trace: Trace
    values: np.ndarray | None = None
    "[n] the map; NaN = no number. None = no map."
    low: float = 0.0
    high: float = 1.0
    "Ends of the colour scale."
    scaling: str = "linear"
    label: str = ""
    "What the numbers are, beside the colour bar."
    fate: np.ndarray | None = None
    "[n] of KEPT, MERGED, PRUNED, or None."
    group: np.ndarray | None = None
    "[n] output token of each token."

    @property
    def share(self) -> np.ndarray | None:
        """Return the numbers as shares of the colour scale."""
        if self.values is None:
            return None
        if self.scaling == "rank":
            return scaled(self.values, "rank")
        span = self.high - self.low or 1.0
        share = np.clip((np.asarray(self.values, np.float32) - self.low) / span, 0, 1)
        return np.log1p(99 * share) / np.log(100) if self.scaling == "log" else share


def view_figure(panel: ViewPanel, width: float, caption: str = "", legend: bool = True) -> Any:
    """Return a figure of one view.

    Args:
        panel: what is drawn.
        width: in inches.
        caption: text below; "" = none.
        legend: say what the signs of pruned and merged tokens are.
    """
    paper = sheet(panel.trace, MAX_SIDE)
    inner = width - 2 * MARGIN
    high, wide = paper.token.shape
    tall = inner * high / wide
    entries = legend_entries(panel) if legend else []
    lines = wrapped(caption, inner)
    bar = 0.32 if panel.values is not None else 0.0
    keys = 0.19 if entries else 0.0
    height = (
        MARGIN + tall + bar + keys + line_height() * len(lines) + (0.06 if lines else 0) + MARGIN
    )
    figure = new_figure(width, height)
    top = height - MARGIN - tall
    axes = figure.add_axes((MARGIN / width, top / height, inner / width, tall / height))
    draw_panel(axes, panel, paper, inner)
    if bar:
        colour_bar(figure, panel, (MARGIN, top - BAR_GAP - BAR, inner, BAR), (width, height))
    below = top - bar
    if entries:
        draw_legend(figure, entries, (MARGIN, below - 0.15), (width, height))
    draw_lines(figure, lines, MARGIN, below - keys - 0.04, (width, height))
    return figure


def draw_panel(axes: Any, panel: ViewPanel, paper: Sheet, inches: float) -> None:
    """Draw a picture with its map or fates into axes that are `inches` wide."""
    share = panel.share
    pixels = pixels_of(paper, share, panel.fate, groups_of(panel))
    axes.imshow(pixels, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    if panel.fate is not None:
        draw_fates(axes, paper, panel.fate, groups_of(panel), inches)
    high, wide = paper.token.shape
    axes.set(xlim=(-0.5, wide - 0.5), ylim=(high - 0.5, -0.5))  # lines do not move the edges


def groups_of(panel: ViewPanel) -> np.ndarray:
    """Return the output token of each token, [n]; 0 where it is not known."""
    count = panel.trace.n
    return np.zeros(count, int) if panel.group is None else np.asarray(panel.group)


def pixels_of(
    paper: Sheet, share: np.ndarray | None, fate: np.ndarray | None, group: np.ndarray
) -> np.ndarray:
    """Return the picture uint8 [h, w, 3] with the map over it.

    Without a map pruned tokens are darkened, and merged ones have the colour of their group.
    """
    pixels, token = paper.pixels.copy(), paper.token
    inside = token >= 0
    if share is not None:
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        pixels = pixels * 0.25 + grey[..., None] * 0.75
        seen = inside & np.isfinite(share)[token]
        plain = np.nan_to_num(share)
        covered = (0.9 * cover(plain))[token[seen]][:, None]
        pixels[seen] = pixels[seen] * (1 - covered) + colours(plain)[token[seen]] * covered
    elif fate is not None:
        role = np.where(inside, fate[token], KEPT)
        pixels[role == PRUNED] = pixels[role == PRUNED] * 0.22 + 12
        tints = np.array(
            [[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in OKABE_ITO], np.float32
        )
        merged = role == MERGED
        tint = tints[np.maximum(group, 0) % len(OKABE_ITO)]
        pixels[merged] = pixels[merged] * 0.62 + tint[token[merged]] * 0.38
    return np.clip(pixels, 0, 255).astype(np.uint8)


def draw_fates(axes: Any, paper: Sheet, fate: np.ndarray, group: np.ndarray, inches: float) -> None:
    """Draw a stroke through each pruned token and an outline around each group, as vectors."""
    collections = import_module("matplotlib.collections")
    boxes = token_boxes(paper)
    gone = [boxes[i] for i in np.flatnonzero(fate == PRUNED).tolist() if i in boxes]
    if 0 < len(gone) <= MAX_STROKES:
        strokes = [((x0, y1), (x1, y0)) for x0, y0, x1, y1 in gone]
        thin = min(0.4, 0.12 + 0.3 * inches / np.sqrt(len(boxes)))
        axes.add_collection(
            collections.LineCollection(strokes, colors="#ffffff66", linewidths=thin)
        )
    edges = outline(paper.token, np.where(fate == MERGED, group + 1, 0))
    for colour, thick in (("#000000", 1.5), ("#ffffff", 0.7)):
        axes.add_collection(
            collections.LineCollection(edges, colors=colour, linewidths=thick, capstyle="round")
        )


def token_boxes(paper: Sheet) -> dict[int, tuple[int, int, int, int]]:
    """Return token -> (x0, y0, x1, y1) of its pixels on the sheet."""
    there = paper.token >= 0
    y, x = np.nonzero(there)
    token = paper.token[there]
    order = np.argsort(token, kind="stable")
    names, starts = np.unique(token[order], return_index=True)
    parts = zip(names, np.split(order, starts[1:]), strict=True)
    return {
        int(name): (x[at].min(), y[at].min(), x[at].max() + 1, y[at].max() + 1)
        for name, at in parts
    }


def outline(token: np.ndarray, area: np.ndarray) -> list[tuple[tuple[float, float], ...]]:
    """Return the lines between different areas as pairs of points, long ones joined.

    Args:
        token: int [h, w], token at each pixel, -1 = none.
        area: int [n], number of each token's area, 0 = none.
    """
    field = np.where(token >= 0, area[token], 0)
    field = np.pad(field, 1)
    down = runs_of(field[:, 1:] != field[:, :-1])
    across = runs_of((field[1:] != field[:-1]).T)
    found = [((x, y0 - 1), (x, y1 - 1)) for x, y0, y1 in down]
    return [tuple((a - 0.5, b - 0.5) for a, b in line) for line in found] + [
        ((x0 - 1.5, y - 0.5), (x1 - 1.5, y - 0.5)) for y, x0, x1 in across
    ]


def runs_of(edge: np.ndarray) -> list[tuple[int, int, int]]:
    """Return (column, first row, row after the last) of each run of True in [rows, columns]."""
    padded = np.pad(edge.T.astype(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)
    column, begin = np.nonzero(change == 1)
    _, end = np.nonzero(change == -1)
    return list(zip(column.tolist(), begin.tolist(), end.tolist(), strict=True))


def on_grey(steps: int = 256) -> Any:
    """Return the colour map as it looks over a grey picture."""
    share = np.linspace(0, 1, steps)
    covered = (0.9 * cover(share))[:, None]
    shown = colours(share) * covered + np.array(GREY, np.float32) * (1 - covered)
    return import_module("matplotlib.colors").ListedColormap(shown / 255)


def colour_bar(
    figure: Any,
    panel: ViewPanel,
    box: tuple[float, float, float, float],
    size: tuple[float, float],
) -> None:
    """Draw a colour bar with ticks and a label; box and size are in inches."""
    x, y, wide, high = box
    x, wide = x + BAR_INSET, wide - BAR_INSET  # the first tick's number is wider than its tick
    axes = figure.add_axes((x / size[0], y / size[1], 0.5 * wide / size[0], high / size[1]))
    axes.imshow(
        np.linspace(0, 1, 256)[None], aspect="auto", cmap=on_grey(), interpolation="nearest",
        extent=(0, 1, 0, 1),
    )  # fmt: skip
    axes.set_yticks([])
    places, names = bar_ticks(panel)
    axes.set_xticks(places, names)
    axes.tick_params(length=2, pad=1.5)
    figure.text(
        (x + 0.5 * wide + 0.24) / size[0], (y + high / 2) / size[1],
        (wrapped(panel.label, 0.5 * wide - 0.24) or [""])[0], fontsize=SMALL, va="center",
    )  # fmt: skip


def bar_ticks(panel: ViewPanel) -> tuple[list[float], list[str]]:
    """Return places in 0 to 1 and names of a colour bar's ticks."""
    if panel.scaling == "rank":
        return [0.0, 1.0], ["lowest", "highest"]
    places = [0.0, 0.5, 1.0]
    span = panel.high - panel.low
    if panel.scaling == "log":
        values = [panel.low + span * (100**place - 1) / 99 for place in places]
    else:
        values = [panel.low + span * place for place in places]
    return places, [f"{value:.3g}" for value in values]


def legend_entries(panel: ViewPanel) -> list[tuple[str, str]]:
    """Return (sign, text) for what became of tokens."""
    if panel.fate is None:
        return []
    counts = [int((panel.fate == one).sum()) for one in (KEPT, MERGED, PRUNED)]
    groups = len(set(panel.group[panel.fate == MERGED].tolist())) if panel.group is not None else 0
    texts = (
        ("kept", f"kept {counts[0]}"),
        ("merged", f"merged {counts[1]} into {groups}"),
        ("pruned", f"pruned {counts[2]}"),
    )
    return [entry for entry, count in zip(texts, counts, strict=True) if count]


def draw_legend(
    figure: Any,
    entries: Sequence[tuple[str, str]],
    at: tuple[float, float],
    size: tuple[float, float],
) -> None:
    """Draw a sign and a text for each entry, in one line."""
    patches = import_module("matplotlib.patches")
    lines = import_module("matplotlib.lines")
    (x, y), (width, height) = at, size
    for sign, text in entries:
        face = {"kept": "#c9d3dc", "merged": f"#{OKABE_ITO[1]}", "pruned": "#1b1d24"}[sign]
        figure.add_artist(
            patches.Rectangle(
                (x / width, y / height), 0.16 / width, 0.1 / height, facecolor=face,
                edgecolor="#000000", linewidth=1.2 if sign == "merged" else 0.5,
                transform=figure.transFigure,
            )
        )  # fmt: skip
        if sign == "pruned":
            figure.add_artist(
                lines.Line2D(
                    (x / width, (x + 0.16) / width), (y / height, (y + 0.1) / height),
                    color="white", linewidth=0.5, transform=figure.transFigure,
                )
            )  # fmt: skip
        figure.text(
            (x + 0.2) / width, (y + 0.05) / height, text, fontsize=SMALL, va="center_baseline"
        )
        x += 0.3 + 0.058 * len(text)


def draw_lines(
    figure: Any, lines: Sequence[str], x: float, y: float, size: tuple[float, float]
) -> None:
    """Write lines of small text downwards from y; all in inches."""
    for number, line in enumerate(lines):
        figure.text(
            x / size[0], (y - line_height() * number) / size[1], line, fontsize=SMALL,
            color=SOFT, va="top",
        )  # fmt: skip
