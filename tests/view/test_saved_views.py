"""Files of one run: a web page, a film, a still."""

import json
import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFont

from tests.view.fakes import fake_trace, merged, pruned, stage, tiled_trace
from tokviz.errors import InputError
from tokviz.view import page_file
from tokviz.view.overlay import overlay_payload
from tokviz.view.page_file import page_html, save_page
from tokviz.view.run_facts import facts_line
from tokviz.view.still import colours, draw, scaled, sheet
from tokviz.view.walk import Frame, caption, footer, walk_frames, walk_gif

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def test_a_page_is_one_file_that_fetches_nothing_and_runs_no_text(tmp_path):
    trace = fake_trace(words=(EVIL, " dog"), prompt=EVIL, stages=(stage(pruned(6, 2), EVIL),))
    save_page(trace, tmp_path / "run.html", view={"layer": 1})
    text = (tmp_path / "run.html").read_text("utf-8")
    assert "alert(1)</script>" not in text
    assert "<img src=x" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)=[\"']?https?:", text)
    (data,) = re.findall(r'id="run">(.*?)</script>', text, re.S)
    assert json.loads(data)["prompt"] == EVIL
    assert json.loads(data)["view"] == {"layer": 1}


def test_a_large_run_still_fits_and_says_what_was_left_out(monkeypatch):
    trace = fake_trace(24, 24, ("w",) * 40, layers=12)
    text = page_html(overlay_payload(trace, "x"))
    assert len(text.encode()) <= page_file.MAX_BYTES
    monkeypatch.setattr(page_file, "MAX_BYTES", len(text.encode()) - 100)
    assert "Left out to keep this file small" in page_html(overlay_payload(trace, "x"))
    monkeypatch.setattr(page_file, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="too large"):
        page_html(overlay_payload(trace, "x"))


def test_the_walk_shows_each_stage_at_its_layer():
    first = stage(pruned(6, 4, 1))
    second = replace(stage(pruned(4, 2, 2), "fastv", "language_model"), layer=2)
    trace = fake_trace(stages=(first, second))
    frames = walk_frames(trace)
    assert frames == [
        Frame(-1, None), Frame(0, None), Frame(0, 0), Frame(0, 1), Frame(1, 2), Frame(1, 3)
    ]  # fmt: skip
    assert caption(trace, frames[4]) == "layer 2\n2 of 6 visual tokens"
    assert caption(trace, frames[1]).startswith("FasterVLM, before")


def test_the_film_has_one_frame_per_step():
    film = Image.open(BytesIO(walk_gif(fake_trace(stages=(stage(merged(6, 2)),)), side=120)))
    assert film.n_frames == 6
    assert film.size[0] == 120


def test_the_film_says_what_the_run_is_about():
    trace = fake_trace(stages=(stage(merged(6, 2)),))
    lines = footer(trace, 100, ImageFont.load_default(size=12))
    assert " ".join(lines) == facts_line(trace)
    assert len(lines) > 2


def test_every_image_and_tile_lies_on_the_sheet():
    paper = sheet(tiled_trace(), 60)
    seen = np.bincount(paper.token[paper.token >= 0], minlength=14)
    assert (seen > 0).all()
    assert seen[:4].std() < seen[:4].mean() * 0.1
    columns = np.array([np.where(paper.token == i)[1].mean() for i in range(4, 12)])
    assert columns[:4].mean() < columns[4:].mean()
    assert columns[0] < columns[1]


def test_fates_can_be_told_apart_on_a_still():
    trace = fake_trace(6, 6, stages=(stage(merged(36, 3)),))
    plain, fates = draw(trace, side=120), draw(trace, side=120, fates=True)
    assert plain.size == fates.size
    assert np.abs(np.asarray(plain, int) - np.asarray(fates, int)).mean() > 5
    with pytest.raises(InputError):
        draw(trace, np.zeros(3))


def test_scales_run_from_nothing_to_the_highest():
    values = np.array([0, 1, 10, np.nan], np.float32)
    np.testing.assert_allclose(scaled(values), [0, 0.1, 1, np.nan], rtol=1e-6)
    np.testing.assert_allclose(scaled(values, "rank"), [1 / 3, 2 / 3, 1, np.nan], rtol=1e-6)
    assert scaled(values, "log")[1] > scaled(values)[1]
    assert colours(np.array([0.0, 1.0])).tolist() == [[68, 1, 84], [253, 231, 37]]
    with pytest.raises(InputError):
        scaled(values, "wild")


def test_a_page_may_have_its_texts_in_another_language():
    """They are there before the scripts, some of which look texts up as they are read."""
    texts = {"__tokvizTexts": {"Legend": "Legende </script>"}}
    page = page_html(overlay_payload(fake_trace(), "x"), texts=texts, language="de")
    assert '<html lang="de">' in page
    assert "Legende \\u003c/script>" in page
    assert page.index('id="texts"') < page.index("Object.assign(globalThis, JSON.parse")
    plain = page_html(overlay_payload(fake_trace(), "x"))
    assert 'id="texts"' not in plain
    assert '<html lang="en">' in plain
