"""Every text of the page's scripts and templates is there in every language."""

import re
from functools import partial

import pytest

from components.i18n import LANGUAGES, head_script, plain, tables, translated
from components.widgets.widget import ASSETS

OTHERS = [code for code in LANGUAGES if code != "en"]
CALL = re.compile(r'(?<![\w.])(?:t|key)\(\s*"((?:[^"\\]|\\.)*)"')
"""A text in a script: t("…"), or key("…") for a text that `t` gets later."""
MARKUP = re.compile(r">([^<>]*[A-Za-z][^<>]*)<")
ATTRIBUTE = re.compile(r'(?:aria-label|aria-roledescription|title)="([^"]+)"')
LABEL = re.compile(r'translated\(\s*"([^"]+)"')
COUNTED = re.compile(r'plural\([^;]*?"([a-z ]+)"\)')
FIELD = re.compile(r"\{\w+\}")


def used_texts() -> set[str]:
    """Return the English texts that scripts, templates and labels ask the tables for."""
    found: set[str] = set()
    for path in (ASSETS / "js").rglob("*.js"):
        text = path.read_text("utf-8")
        found |= set(CALL.findall(text))
        for one in COUNTED.findall(text):
            found |= {f"{{count}} {one}", f"{{count}} {one}s"}
    for path in (ASSETS / "js").rglob("*.html"):
        text = path.read_text("utf-8")
        found |= {part.strip() for part in MARKUP.findall(text)} | set(ATTRIBUTE.findall(text))
    for path in (ASSETS.parent / "components").rglob("*.py"):
        found |= set(LABEL.findall(path.read_text("utf-8")))
    return found


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_there_in_every_language(code):
    missing = sorted(used_texts() - set(tables()[code]))
    assert not missing


@pytest.mark.parametrize("code", OTHERS)
def test_translations_have_the_fields_and_the_spaces_of_the_english_text(code):
    fields = partial(FIELD.findall)
    for english, text in tables()[code].items():
        assert text.strip(), english
        assert sorted(fields(english)) == sorted(fields(text)), english
        assert len(set(tables())) == len(OTHERS)


def test_the_tables_have_the_same_texts():
    first, *rest = (set(table) for table in tables().values())
    assert all(table == first for table in rest)


def test_a_label_is_plain_english_in_errors():
    assert plain(translated("Your question")) == "Your question"
    assert plain("own") == "own"


def test_the_head_cannot_be_ended_by_a_translation():
    assert "</" not in head_script()
