"""A run in a notebook cell."""

import html
import re
from html.parser import HTMLParser

from tests.view.fakes import fake_trace, merged, stage
from tokviz.view import notebook

EVIL = '"></iframe><script>alert(1)</script><img src=x onerror=alert(2)>'


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_a_trace_shows_itself_in_a_frame_that_reaches_nothing():
    trace = fake_trace(words=(EVIL, " dog"), prompt=EVIL, stages=(stage(merged(6, 2), EVIL),))
    (tag, attributes), beside = Tags(trace._repr_html_()).found
    assert tag == "iframe"
    assert beside == ("script", {})
    assert trace._repr_html_().endswith(notebook.FIT)
    assert attributes["sandbox"].split() == ["allow-scripts", "allow-downloads"]
    assert not set(attributes) & {"src", "onload"}
    page = attributes["srcdoc"]
    assert "default-src 'none'" in page
    assert "alert(1)</script>" not in page
    assert "<img src=x" not in page
    assert html.escape(EVIL[:50]) in page


def test_a_long_answer_gets_a_higher_frame_where_no_script_runs():
    short, long = fake_trace(), fake_trace(words=("word ",) * 100, prompt="what " * 200)
    assert notebook.likely_height(long) > notebook.likely_height(short) + 300


def test_a_notebook_is_not_filled_and_a_run_too_large_says_so(monkeypatch):
    large = fake_trace(24, 24, ("w",) * 64, layers=32, heads=4)
    assert len(large._repr_html_()) < 1.1 * notebook.MAX_BYTES
    monkeypatch.setattr(notebook, "MAX_BYTES", 1000)
    assert re.fullmatch("<p>this run is too large .*</p>", large._repr_html_())


def test_the_text_of_a_trace_is_one_line_whatever_it_holds():
    trace = fake_trace(24, 24, ("word\n",) * 40, layers=12, stages=(stage(merged(576, 9)),))
    assert len(repr(trace)) < 250
    assert "\n" not in repr(trace)
    assert "576 visual tokens, 153 left" in repr(trace)
