"""The page of the record names what there is, and nothing that there is not."""

import pytest

from scripts import record_page
from scripts.trained_page import methods
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


@pytest.mark.parametrize("paper", record_page.papers(), ids=lambda paper: paper["id"])
def test_every_paper_says_what_is_here(paper):
    assert record_page.what(paper) not in ("", "not here")


def test_a_trained_method_says_on_both_pages_what_it_does_and_what_is_nearest():
    trained = {row["title"]: row for row in methods() if row["title"]}
    for paper in record_page.papers():
        if paper["kind"] == "trained":
            row, text = trained[paper["title"]], record_page.what(paper)
            assert text.startswith(row["does"])
            assert ("nearest what-if" in text) == bool(row["here"])
            assert ("imported" in text) == (row["export"] != "none")


def test_nothing_of_a_paper_is_left_open():
    paper = {"kind": "promoted", "title": "A paper", "here": "", "note": ""}
    with pytest.raises(InputError, match="A paper"):
        record_page.what(paper)
    with pytest.raises(InputError, match=r"trained\.tsv"):
        record_page.what({"kind": "trained", "title": "A paper"})


def test_a_name_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="'no_such'"):
        record_page.found("no_such")
