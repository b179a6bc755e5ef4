"""The page of the trained methods says whose code is whose, and where none was found."""

import re

import pytest

from scripts import trained_page
from scripts.trained_page import NOT_FOUND, TRAINED, check_code, methods
from tokviz.errors import InputError


def cut(line):
    return dict(zip(HEADS, line.split("\t"), strict=True))


HEADS, *ROWS = (line for line in TRAINED.read_text(encoding="utf-8").split("\n") if line)
HEADS = HEADS.split("\t")
ROWS = [cut(line) for line in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_method_has_code_and_licence_or_says_that_none_was_found(row):
    """Of 45 rows 33 had no repository and 35 no licence, and the page called it "not looked up"."""
    if row["code"] == NOT_FOUND:
        assert not row["licence"]
    else:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", row["code"])
        assert row["licence"]


def test_the_page_names_the_methods_whose_repository_was_not_found():
    page = trained_page.page()
    missing = [row["name"] for row in methods() if row["code"] == NOT_FOUND]
    assert f"No official repository was found for {', '.join(missing)}." in page
    assert page.count(f"| {NOT_FOUND} |") == len(missing)
    assert "not looked up" not in page
    assert trained_page.without_code([{"name": "A", "code": "b/c"}]) == ""


def test_a_repository_comes_with_its_licence():
    page = trained_page.page()
    assert "[IBM/CrossViT](https://github.com/IBM/CrossViT), Apache-2.0 |" in page
    assert "[Hao840/ADEM-VL](https://github.com/Hao840/ADEM-VL), none stated |" in page


@pytest.mark.parametrize(
    ("code", "licence"), [("", ""), ("a/b", ""), ("somewhere", "MIT"), (NOT_FOUND, "MIT")]
)
def test_an_incomplete_row_is_refused(code, licence):
    with pytest.raises(InputError, match=r"docs/trained\.tsv"):
        check_code({"name": "A method", "code": code, "licence": licence})
