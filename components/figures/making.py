"""The figures that a browser can ask for; anybody can ask for anything, so all is checked."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tokviz.errors import InputError, TokvizError
from tokviz.trace import Trace
from tokviz.trace.layer_gaps import gap_sentence
from tokviz.view.paper import (
    FORMATS,
    BoardFigure,
    LanePanel,
    ViewPanel,
    board_figure,
    chart_figure,
    lanes_figure,
    saved,
    view_figure,
)
from tokviz.view.paper.lanes import highest
from tokviz.view.paper.sheet import width_of
from tokviz.view.result_chart import result_chart
from tokviz.view.result_view import chosen_array, map_rows
from tokviz.view.run_names import run_name
from tokviz.view.words import compare_words, text_tokens

from ..answering.widget_values import charts
from ..chart_language import in_language
from ..i18n import phrase, told
from ..runs.runs import FULL, GONE, KeptRun
from ..site import Site
from .asked import (
    BAD,
    Asked,
    array,
    caption_of,
    figure_language,
    file_name,
    label,
    lane_of_id,
    number,
    read_asked,
    run_of,
    whole_numbers,
)

SCALINGS = ("linear", "log", "rank")
CHARTS = ("layers", "words", "times")
MEAN_ATTENTION = "mean attention of the answer"
Made = tuple[Callable[[], Any], str]
"""(what draws the figure, name of the file)."""


def saver(site: Site) -> Callable[[Any], dict[str, str]]:
    """Return the function that every panel's script calls."""

    def save_figure(asked: Any) -> dict[str, str]:
        """Return a figure as {name, type, data} with the bytes in base64, or {error}.

        Args:
            asked: {kind, format, width, caption} and what the kind needs; kind is one of KINDS.
        """
        try:
            wanted = read_asked(asked)
            if wanted.sent.get("kind") not in tuple(KINDS):
                raise InputError(BAD)
            make, name = KINDS[str(wanted.sent["kind"])](site, wanted)
            data = saved(make, wanted.format)
        except TokvizError as error:
            return {"error": str(error)[:1].upper() + str(error)[1:]}
        return {
            "name": name,
            "type": FORMATS[wanted.format],
            "data": base64.b64encode(data).decode("ascii"),
        }

    return save_figure


def view(site: Site, asked: Asked) -> Made:
    """One view: the numbers and the fates are those that the browser shows."""
    run, lane = lane_of_id(site, asked.sent)
    trace, sent = run.traces[lane], asked.sent
    fate, group = array(sent.get("roles"), "u1", trace.n), array(sent.get("groups"), "i4", trace.n)
    if fate is not None and fate.max(initial=0) > 2:
        raise InputError(BAD)
    scaling = sent.get("scaling") if sent.get("scaling") in SCALINGS else "linear"
    what = label(sent.get("label"))
    panel = ViewPanel(
        trace,
        array(sent.get("values"), "f4", trace.n),
        number(sent.get("low"), 0.0),
        number(sent.get("high"), 1.0),
        str(scaling),
        what,
        fate,
        group,
    )
    caption = caption_of(run, trace, what, lane) if asked.caption else ""
    name = file_name(run, f"{lane_text(trace)} {label(sent.get('name')) or what}", asked)
    return (lambda: view_figure(panel, width_of(asked.width), caption)), name


def result_map(site: Site, asked: Asked) -> Made:
    """A map of an analysis: the mean of the chosen rows, or of all."""
    kept = site.results.get(asked.sent.get("result"))
    if kept is None:
        raise InputError(GONE)
    one = chosen_array(kept.result, kept.trace, asked.sent.get("array"))
    if one is None or one.kind != "map":
        raise InputError(BAD)
    values, _ = map_rows(one)
    chosen = [r for r in whole_numbers(asked.sent.get("rows")) if 0 <= r < len(values)]
    mean = np.nanmean(values[chosen] if chosen else values, 0)
    low, high = min(0.0, float(np.nanmin(mean))), float(np.nanmax(mean))
    title = told(kept.result.title, figure_language())
    panel = ViewPanel(kept.trace, mean, low, high, label=title)
    run = KeptRun(None, kept.trace.prompt, "")
    caption = caption_of(run, kept.trace, kept.result.meaning, FULL) if asked.caption else ""
    name = file_name(run, f"{lane_text(kept.trace)} {kept.result.name}", asked)
    return (lambda: view_figure(panel, width_of(asked.width), caption)), name


def lanes(site: Site, asked: Asked) -> Made:
    """The row of the comparison: the full answer and every lane."""
    run, _ = lane_of_id(site, asked.sent)
    looked, layer = asked.sent.get("pictures") == "looked", asked.sent.get("layer")
    numbers = sorted(run.traces)
    layer = layer if type(layer) is int and layer >= 0 else None
    if looked and layer is not None and (said := gap_sentence(run.traces[numbers[0]], layer)):
        raise InputError(said)
    maps = [attention_of(run.traces[i], layer) if looked else None for i in numbers]
    high, full = highest(maps), run.traces.get(FULL)
    panels = [
        LanePanel(
            panel_of(run.traces[i], values, high),
            lane_title(run.traces[i]),
            compared(run.traces[i], full if i != FULL else None),
        )
        for i, values in zip(numbers, maps, strict=True)
    ]
    across = 2 if asked.width == "column" else 4
    code = figure_language()
    what = phrase("What became of each token", code)
    if looked and layer is not None:
        what = phrase("Attention in layer {layer}", code, layer=layer)
    main = full or run.traces[numbers[0]]
    caption = caption_of(run, main, what) if asked.caption else ""
    name = file_name(
        run, f"compare {len(panels)} lanes {'attention' if looked else 'fates'}", asked
    )
    return (lambda: lanes_figure(panels, width_of(asked.width), caption, across)), name


def board(site: Site, asked: Asked) -> Made:
    """A board, with the rows and the order that the browser shows."""
    run = run_of(site, asked.sent)
    if run.board is None:
        raise InputError(GONE)
    kept, looked = run.board, asked.sent.get("pictures") == "looked"
    rows = whole_numbers(asked.sent.get("rows"))
    order = [r for r in dict.fromkeys(rows) if 0 <= r < len(kept.asked.rows)]
    order = order or list(range(len(kept.asked.rows)))
    count = len(kept.asked.budgets)
    order = [r for r in order if any(r * count + column in run.traces for column in range(count))]
    table = kept.table(order, whole_numbers(asked.sent.get("words")))
    across, full = len(kept.asked.budgets), run.traces.get(FULL)
    numbers = [[row * across + column for column in range(across)] for row in order]
    maps = {
        i: attention_of(run.traces[i], None) if looked else None
        for row in numbers for i in row if i in run.traces
    }  # fmt: skip
    high = highest(list(maps.values()))
    cells = [
        [
            LanePanel(
                panel_of(run.traces[i], maps[i], high, MEAN_ATTENTION),
                text,
                changed(run.traces[i], full),
            )
            if i in maps
            else None
            for i, text in zip(row, texts, strict=True)
        ]
        for row, texts in zip(numbers, table.texts, strict=True)
    ]
    code = figure_language()
    drawn = BoardFigure(
        [told(row, code) for row in table.rows], [told(one, code) for one in table.columns], cells
    )
    caption = ""
    if asked.caption and full is not None:
        caption = caption_of(run, full, table.caption, FULL)
    what = f"board {len(order)}x{across} {'attention' if looked else 'fates'}"
    return (lambda: board_figure(drawn, width_of(asked.width), caption)), file_name(
        run, what, asked
    )


def chart(site: Site, asked: Asked) -> Made:
    """A chart of the page: of the viewer's run, of an analysis, or of the fewest tokens."""
    sent, width = asked.sent, width_of(asked.width)
    if sent.get("of") == "sweep":
        run = run_of(site, sent)
        drawn = run.sweep.chart() if run.sweep is not None else None
        what, caption = "p-word-over-tokens", "P(word) of the full answer's words over kept tokens"
        trace = run.traces.get(FULL)
    elif sent.get("of") == "analysis":
        kept = site.results.get(sent.get("result"))
        if kept is None:
            raise InputError(GONE)
        page = sent.get("page")
        page = page if type(page) is int else 0
        drawn = result_chart(kept.result, kept.trace, str(sent.get("array")), page)
        run, trace = KeptRun(None, kept.trace.prompt, ""), kept.trace
        what, caption = f"{kept.result.name} {label(sent.get('array'))}", kept.result.meaning
    else:
        run, lane = lane_of_id(site, sent)
        if sent.get("name") not in CHARTS:
            raise InputError(BAD)
        trace, what = run.traces[lane], str(sent["name"])
        drawn = charts(run, lane)[CHARTS.index(what)]
        caption = drawn.layout.title.text or ""
    if drawn is None:
        raise InputError("there is no such chart of this run.")
    below = caption_of(run, trace, caption, FULL) if asked.caption and trace is not None else ""
    shown = in_language(drawn, figure_language())
    return (lambda: chart_figure(shown, width, below)), file_name(run, what, asked)


KINDS: Mapping[str, Callable[[Site, Asked], Made]] = {
    "view": view,
    "map": result_map,
    "lanes": lanes,
    "board": board,
    "chart": chart,
}


def panel_of(
    trace: Trace, values: np.ndarray | None, high: float, text: str = "attention"
) -> ViewPanel:
    """Return the picture of one lane: a map on a common scale, or what became of the tokens."""
    if values is not None:
        return ViewPanel(trace, values, 0.0, high, label=told(text, figure_language()))
    whole = trace.reduction
    return ViewPanel(trace, fate=whole.fate, group=whole.group)


def attention_of(trace: Trace, layer: int | None) -> np.ndarray | None:
    """Return attention [n], mean over the answer's words, in one layer or over all."""
    if "attention" not in trace or not trace.t:
        return None
    rows = trace["attention"][text_tokens(trace)].astype(np.float32)
    rows = rows if layer is None else rows[:, min(layer, rows.shape[1] - 1)][:, None]
    return np.nanmean(rows, (0, 1))


def compared(trace: Trace, full: Trace | None) -> list[dict[str, Any]]:
    """Return the words of an answer, compared with the full one."""
    return compare_words(trace.answer, full.answer if full is not None else trace.answer)


def changed(trace: Trace, full: Trace | None) -> list[dict[str, Any]]:
    """Return only the words that changed; [] for the same answer."""
    return [word for word in compared(trace, full) if word["mark"] != "same"]


def lane_text(trace: Trace) -> str:
    """Return methods and budget for a file's name."""
    methods = "-".join(dict.fromkeys(stage.method for stage in trace.stages)) or "all"
    return f"{methods} {trace.reduction.m}of{trace.n}" if trace.stages else methods


def lane_title(trace: Trace) -> str:
    """Return the title of a lane: its methods and the tokens that are left."""
    code = figure_language()
    name = told(run_name(trace), code)
    name = name[:1].upper() + name[1:]
    whole, left = trace.whole_n, trace.reduction.m
    if trace.stages or whole > left:
        return phrase("{name}, {count} of {number}", code, name=name, count=left, number=whole)
    return f"{name}, {whole}"
