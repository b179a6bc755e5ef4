"""The page of the record names what there is, and nothing that there is not."""

import pytest

from scripts import record_page
from tokviz.analysis import ANALYSES
from tokviz.errors import InputError


def test_every_paper_has_a_kind_and_its_names_exist():
    papers = record_page.papers()
    assert len(papers) == len({paper["id"] for paper in papers}) == 100
    assert {paper["kind"] for paper in papers} == set(record_page.KINDS)
    for paper in papers:
        assert paper["title"]
        for name in paper["here"].split():
            assert record_page.found(name)


def test_the_word_of_a_stand_in_is_on_the_page():
    page = record_page.page()
    assert "[`fopru`](methods.md#fopru), stand-in" in page
    assert f"[`tam`](analyses.md#tam), {ANALYSES['tam'].exactness}" in page
    assert "For Pixel-Grounded Understanding | nothing to show" in page


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="'no_such'"):
        record_page.found("no_such")
