"""The page of comparisons with official code counts what was noted, and names what was not."""

import pytest

from scripts import compared_page
from tokviz.errors import InputError
from tokviz.reduction import METHODS

HEADS = "name\tequal\ttried\twhat\twhy\n"


def test_every_entry_with_public_code_is_counted_or_named():
    page = compared_page.page()
    for name, entry in METHODS.items():
        if entry.code and entry.verified:
            assert f"`{name}`" in page
    assert "| [`hawk`](methods.md#hawk) | 60 of 60 |" in page


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("hawk\t61\t60\tkept tokens\t\n", "61 of 60"),
        ("hawk\t59\t60\tkept tokens\t\n", "why hawk differs"),
        ("hawk\t60\t60\tkept tokens\tties\n", "why hawk differs"),
        ("hawks\t60\t60\tkept tokens\t\n", "'hawks'"),
    ],
)
def test_odd_counts_are_refused(row, message, tmp_path, monkeypatch):
    (tmp_path / "compared.tsv").write_text(HEADS + row)
    monkeypatch.setattr(compared_page, "COMPARED", tmp_path / "compared.tsv")
    with pytest.raises(InputError, match=message):
        compared_page.comparisons()
