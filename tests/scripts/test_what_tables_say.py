"""Tables that compare methods say of every row what a reader must know: read as a whole."""

import json
import re
from pathlib import Path

import pytest

import tokviz
from benchmarks.rows import read
from scripts import accuracy_page
from tokviz.catalog import POLICIES, marked
from tokviz.view.method_cards import method_card, mitigation_card

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("assets/**/*.md")])
STAND_INS = {
    name
    for registry in (tokviz.METHODS, tokviz.MITIGATIONS)
    for name, entry in registry.items()
    if not entry.verified
}
OF_OTHER_NAMES = ("analyses.md", "analyses_cost.md", "signals.md", "sweep_rows.md")
"""Pages whose rows are analyses, signals or columns; `relevance` is one of these as well."""
ROWS = {(row.method, row.share, row.positions): row for row in read()}
SAME = [*accuracy_page.same_choice(ROWS), *accuracy_page.same_figures(ROWS)]


def rows(page):
    """The rows of a page's tables, cells stripped."""
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_there_are_stand_ins_and_pages():
    assert len(STAND_INS) > 5
    assert len(PAGES) > 20


METHOD_PAGES = [page for page in PAGES if page.name not in OF_OTHER_NAMES]


@pytest.mark.parametrize("page", METHOD_PAGES, ids=lambda page: page.name)
def test_a_stand_in_is_marked_in_every_row_that_names_it(page):
    bare = [
        cells[:3]
        for cells in rows(page)
        for name in re.findall(r"`(\w+)`|^(\w+)$", " ".join(cells[:1]))
        if set(name) & STAND_INS and "stand-in" not in " ".join(cells)
    ]
    assert bare == []


def test_mitigations_are_marked_in_their_own_column():
    for cells in rows(ROOT / "docs" / "mitigations.md"):
        named = re.search(r"\w+", cells[2])
        if named and named[0] in STAND_INS:
            assert "stand-in" in cells[2]


@pytest.mark.parametrize(
    "page", ["docs/accuracy.md", "docs/hallucination.md", "docs/mitigations.md"]
)
def test_every_row_with_an_accuracy_names_its_position_policy(page):
    for cells in rows(ROOT / page):
        measured = re.search(r"\d+\.\d \(\d", " ".join(cells))
        if measured and "of" not in cells[0]:
            said = " ".join(cells)
            # without the picture no visual token has a position
            without = re.fullmatch(r"all( \d+)?", cells[1]) or "no picture" in cells[:2]
            assert without or any(word in said for word in POLICIES.values()), cells


def test_every_method_was_compared_with_the_others():
    """Methods that came later once stood in the tables as if their choice were their own."""
    found = json.loads(accuracy_page.SAME.read_text("utf-8"))
    assert {*found["compared"], *found["refused"]} == {*tokviz.METHODS} - {"relevance"}


def test_methods_with_the_same_w_are_marked_as_one_piece_of_evidence():
    assert SAME
    page = (ROOT / "docs" / "accuracy.md").read_text("utf-8")
    measured = {name for name, *_ in ROWS}
    for group in SAME:
        for name in measured.intersection(group):
            heads = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
            lines = [head for head in heads if f"`{name}`" in head]
            others = [other for other in group if other != name]
            assert lines
            assert all(f"`{o}`" in line for line in lines for o in others), (name, lines)


def test_the_page_and_json_say_it_too():
    for name in STAND_INS & set(tokviz.METHODS):
        assert method_card(tokviz.METHODS[name])["verified"] is False
        assert marked(name).endswith("(stand-in)")
    for name in STAND_INS & set(tokviz.MITIGATIONS):
        assert mitigation_card(tokviz.MITIGATIONS[name])["verified"] is False
    assert accuracy_page.policy([next(iter(tokviz.METHODS))]) in (
        *POLICIES.values(),
        "kept (nothing is removed)",
    )
