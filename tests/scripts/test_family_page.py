"""The page of what runs on which family groups refusals and shows all that was tried."""

from scripts import family_page
from scripts.family_page import Attempt, grid
from tests.models.tiny_tiles import TINY_KIN, TINY_TILES
from tokviz.models.families.family import FAMILIES


def test_refusals_that_say_the_same_share_a_note():
    rows = [
        Attempt("method", "tome", "qwen2_vl", "ToMe: Qwen2-VL makes one visual token of 4."),
        Attempt("method", "tome", "gemma3", "ToMe: Gemma 3 makes one visual token of 16."),
        Attempt("method", "dymu", "gemma3", "DyMU needs thresholds."),
        Attempt("method", "dymu", "qwen2_vl"),
    ]
    notes = {}
    lines = grid(rows, notes).splitlines()
    assert lines[2:] == ["| `tome` | 1 | 1 |", "| `dymu` | 2 | ✓ |"]
    assert [number for number, _ in notes.values()] == [1, 2]


def test_every_kind_was_tried_on_every_family():
    rows = family_page.read()
    families = {row.family for row in rows}
    assert families == {one.name for one in FAMILIES.values()} | {*TINY_KIN, *TINY_TILES}
    assert {(row.family, row.kind) for row in rows} == {
        (family, kind) for family in families for kind in family_page.KINDS
    }
