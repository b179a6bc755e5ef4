"""Figures for print: sizes in points and inches, embedded fonts, nothing that needs colour."""

import re
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.view.fakes import fake_trace, merged, pruned, stage, tiled_trace
from tokviz.errors import InputError
from tokviz.view.charts import layer_chart, probability_chart, time_chart
from tokviz.view.paper import (
    BoardFigure,
    LanePanel,
    ViewPanel,
    board_figure,
    chart_figure,
    lanes_figure,
    saved,
    view_figure,
)
from tokviz.view.paper.sheet import DPI, SMALL, TEXT, drawing
from tokviz.view.paper.view import outline
from tokviz.view.words import compare_words

pytest.importorskip("matplotlib")
SIDE = 36


def reduced(by, method):
    trace = fake_trace(6, 6, (" a", " cat", "."), stages=(stage(by, method),))
    whole = trace.reduction
    return ViewPanel(trace, fate=whole.fate, group=whole.group)


def a_map():
    trace = fake_trace(6, 6)
    values = trace["attention"].astype(np.float32).mean((0, 1))
    return ViewPanel(trace, values, 0.0, float(values.max()), label="share of attention")


def texts(figure):
    """Every text of a figure with its size in points."""
    found = figure.findobj(lambda one: hasattr(one, "get_fontsize") and one.get_text())
    return [(one.get_text(), one.get_fontsize()) for one in found]


FIGURES = {
    "map": lambda: view_figure(a_map(), 3.3, "Question: “what ?”."),
    "fates": lambda: view_figure(reduced(merged(SIDE, 5), "visionzip"), 3.3),
    "tiles": lambda: view_figure(ViewPanel(tiled_trace()), 3.3),
    "lanes": lambda: lanes_figure([lane(9), lane(18)], 3.3, "", 2),
    "board": lambda: board_figure(
        BoardFigure(["FastV"], ["18", "9"], [[lane(18), None]]), 6.9, "caption"
    ),
    "layers": lambda: chart_figure(layer_chart(fake_trace(6, 6)), 3.3),
    "words": lambda: chart_figure(probability_chart(fake_trace(6, 6)), 3.3),
    "times": lambda: chart_figure(time_chart(["all"], [{"encode": 1.0, "decode": 2.0}]), 6.9),
}


def lane(keep):
    panel = reduced(pruned(SIDE, keep), "fastv")
    return LanePanel(panel, f"FastV, {keep}", compare_words(panel.trace.answer, "a dog."))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_the_width_that_was_asked_and_text_of_7_to_9_points(name):
    with drawing():
        figure = FIGURES[name]()
        assert figure.get_figwidth() in (3.3, 6.9)
        sizes = {size for text, size in texts(figure) if text.strip()}
    assert sizes <= {SMALL, TEXT}
    assert min(sizes, default=7) >= 7
    assert max(sizes, default=9) <= 9


def test_a_pdf_embeds_its_font_and_is_the_same_every_time():
    found = saved(FIGURES["map"], "pdf")
    assert found.startswith(b"%PDF")
    assert b"/FontFile2" in found
    assert found == saved(FIGURES["map"], "pdf")
    width = re.search(rb"/MediaBox \[ 0 0 ([0-9.]+) ", found)
    assert float(width[1]) == pytest.approx(3.3 * 72, abs=0.1)
    streams = re.findall(rb"stream\r?\n(.*?)endstream", found, re.DOTALL)
    assert any(b"BT" in unpacked(one) for one in streams)  # text is text


def unpacked(stream):
    try:
        return zlib.decompress(stream.strip(b"\r\n"))
    except zlib.error:
        return b""


def test_an_svg_needs_no_font_and_a_png_has_its_resolution():
    lines = saved(FIGURES["fates"], "svg").decode()
    assert "<text" not in lines
    assert "Click" not in lines
    picture = Image.open(BytesIO(saved(FIGURES["map"], "png")))
    assert picture.width == round(3.3 * DPI)


def test_pruned_tokens_are_darker_in_grey_and_merged_ones_have_outlines():
    figure = Image.open(BytesIO(saved(FIGURES["lanes"], "png"))).convert("L")
    assert np.asarray(figure).min() < 60
    token = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    edges = outline(token, np.array([1, 2]))
    between = {((1.5, -0.5), (1.5, 1.5))}
    assert between <= set(edges)


@pytest.mark.parametrize("kind", ["gif", "", None])
def test_another_kind_of_file_is_refused_by_name(kind):
    with pytest.raises(InputError, match="kind of figure"):
        saved(FIGURES["map"], kind)
