"""Figures that a browser asks for: what it may ask, names of files, captions."""

import base64

import numpy as np
import pytest

from components.figures import asked
from components.figures.making import KINDS, saver
from components.runs.runs import FULL, KeptRun
from components.site import Site
from tests.view.fakes import fake_trace, picture, pruned, stage

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def site():
    return Site()


@pytest.fixture(scope="module")
def run(site):
    lane = fake_trace(6, 6, (" a", " cat"), stages=(stage(pruned(36, 9), "fastv"),))
    return site.runs.put(
        KeptRun(picture(), "what ?", "embedded", {FULL: fake_trace(6, 6), 0: lane})
    )


def packed(values, dtype):
    return base64.b64encode(np.asarray(values, dtype).tobytes()).decode()


def ask(site, **sent):
    return saver(site)({"format": "svg", "width": "column", "caption": False} | sent)


@pytest.mark.slow
def test_a_view_is_drawn_from_the_numbers_that_the_browser_shows(site, run):
    values = packed(np.arange(36), "<f4")
    found = ask(site, kind="view", id=f"{run.name}:-1", values=values, low=0, high=35,
                label="attention, layer 2", name="attention, layer 2")  # fmt: skip
    assert found["name"] == "tokviz-picture-all-attention-layer-2-column.svg"
    assert base64.b64decode(found["data"]).startswith(b"<?xml")
    fates = packed(np.zeros(36), "u1")
    found = ask(site, kind="view", id=f"{run.name}:0", roles=fates, name="fates", width="page")
    assert found["name"] == "tokviz-picture-fastv-9of36-fates-page.svg"


@pytest.mark.parametrize("pictures", ["fates", "looked"])
def test_the_row_of_lanes_is_one_figure(site, run, pictures):
    found = ask(site, kind="lanes", id=f"{run.name}:0", pictures=pictures, layer=1, caption=True)
    shows = "attention" if pictures == "looked" else "fates"
    assert found["name"] == f"tokviz-picture-compare-2-lanes-{shows}-column.svg"


@pytest.mark.parametrize("name", ["layers", "words", "times"])
def test_the_charts_of_a_run_are_figures(site, run, name):
    assert "data" in ask(site, kind="chart", of="run", id=f"{run.name}:0", name=name)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        [],
        {},
        {"kind": "view"},
        {"kind": "view", "format": "gif"},
        {"kind": "view", "width": "mile"},
        {"kind": "view", "id": "../x:0"},
        {"kind": "view", "id": "RUN:-1", "values": "!!"},
        {"kind": "view", "id": "RUN:-1", "values": packed([1, 2], "<f4")},
        {"kind": "view", "id": "RUN:-1", "values": 5},
        {"kind": "view", "id": "RUN:-1", "roles": packed([9] * 36, "u1")},
        {"kind": "board", "run": "RUN"},
        {"kind": "chart", "id": "RUN:-1", "name": "x"},
        {"kind": "chart", "of": "sweep", "run": "RUN"},
        {"kind": "chart", "of": "analysis", "result": "x"},
        {"kind": "map", "result": {}},
        {"kind": "nothing"},
    ],
)
def test_anything_else_is_a_sentence(site, run, sent):
    if isinstance(sent, dict):
        sent = {k: v.replace("RUN", run.name) if k in ("id", "run") else v for k, v in sent.items()}
        sent = {"format": "svg", "width": "column"} | sent
    assert set(saver(site)(sent)) == {"error"}


def test_every_kind_is_named_on_the_page():
    assert set(KINDS) == {"view", "map", "lanes", "board", "chart"}


@pytest.mark.parametrize(
    ("code", "fonts", "said"),
    [
        ("de", True, "Frage: „"),
        ("es", False, "Pregunta: «"),
        ("zh", True, "问题：“"),
        ("zh", False, "Question: “"),
    ],
)
def test_a_caption_is_in_the_readers_language_where_a_font_has_its_letters(
    run, monkeypatch, code, fonts, said
):
    monkeypatch.setattr(asked, "reader_language", lambda: code)
    monkeypatch.setattr(asked, "has_chinese", lambda: fonts)
    lane = next(number for number in run.traces if number != FULL)
    trace = run.traces[lane]
    caption = asked.caption_of(run, trace, "What became of each token", lane)
    assert said in caption
    assert run.prompt in caption
    assert trace.answer in caption
    assert f"{trace.reduction.m}" in caption
    english = "What became of each token"
    assert (english in caption) is (said == "Question: “")
