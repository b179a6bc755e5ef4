"""Every text of the page's scripts and templates is there in every language."""

import ast
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from components.answering.widget_values import START_HINT, machine_line
from components.i18n import (
    LANGUAGES,
    SAID,
    head_script,
    plain,
    retold,
    said,
    saved_page_texts,
    table,
    tables,
    texts_script,
    told,
    told_sentences,
    translated,
)
from components.widgets.widget import ASSETS
from tests.components.said_texts import (
    bare,
    is_said,
    literals,
    of_analyses,
    of_methods,
    of_parts,
    raised,
)
from tests.view.fakes import fake_trace, pruned, stage
from tokviz.analysis.declare import GROUPS
from tokviz.reduction.method import PLACES
from tokviz.trace.lane_view import LaneView
from tokviz.view.lanes import lane_card
from tokviz.view.tables import AXIS_NAMES

OTHERS = [code for code in LANGUAGES if code != "en"]
CALL = re.compile(r'(?<![\w.])(?:t|key)\(\s*"((?:[^"\\]|\\.)*)"')
"""A text in a script: t("…"), or key("…") for a text that `t` gets later."""
MARKUP = re.compile(r">([^<>]*[A-Za-z][^<>]*)<")
ATTRIBUTE = re.compile(r'(?:aria-label|aria-roledescription|title)="([^"]+)"')
LABELS = ("translated", "section_title")
"""Functions of components/ whose texts are keys of the tables."""
BARE = re.compile(r'"?(aria-label|title|placeholder)"?: (["`][A-Z][^"`]* [^"`]*["`])')
"""A text of a script that no table translates."""
COUNTED = re.compile(r'plural\([^;]*?"([a-z ]+)"\)')
FIELD = re.compile(r"\{\w+\}")
BLOCK_FIELDS = re.compile(r"^(?:number|done): .*$", re.M)
"""Lines of a lesson's tasks that are no texts."""


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
        found |= set(labels(path))
    axes = {name.replace("_", " ") for name in AXIS_NAMES.values()}
    found |= set(told_sentences())
    return found | axes | set(GROUPS) | set(PLACES.values())


def labels(path: Path) -> Iterator[str]:
    """Yield the texts that a module of the page gives to the functions of LABELS."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in LABELS:
            for given in node.args:
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    yield given.value


def test_no_script_has_a_label_that_is_english_alone():
    found = {
        path.name: BARE.findall(path.read_text("utf-8")) for path in (ASSETS / "js").rglob("*.js")
    }
    assert not {name: texts for name, texts in found.items() if texts}


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
    assert all(b"</" not in texts_script(code) for code in OTHERS)


def lane(*stages, words=("a", " dog", ".")) -> LaneView:
    """A lane that is done, as the comparison shows it."""
    trace = fake_trace(6, 6, words, stages=stages)
    view = LaneView("lane", trace.answer, words, True, trace=trace, timings=dict(trace.timings))
    view.visual_tokens, view.kv_bytes = trace.reduction.m, 1000
    return view


def test_what_the_server_says_of_a_lane_is_among_the_told_sentences():
    card = lane_card(lane(stage(pruned(36, 9)), words=("a", " cat")), lane())
    said = [card["verdict"], START_HINT, machine_line([lane().trace])]
    for row in card["metrics"]:
        said += [row["name"], row["ratio"]]
    pattern = [re.sub(r"\\{\w+\\}", ".+", re.escape(text)) for text in told_sentences()]
    known = set(tables()["de"])
    for text in filter(None, said):
        assert text in known or any(re.fullmatch(one, text) for one in pattern), text


def said_keys(code: str) -> set[str]:
    """Return the server's texts that a language has, with nameless fields."""
    return {bare(text) for text in said(code)} | {bare(text) for text in tables()[code]}


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_that_the_server_may_say_is_there_in_every_language(code):
    errors = {text for _, text in raised()}
    wanted = errors | of_analyses() | of_parts() | of_methods()
    assert len(wanted) > 600
    known = said_keys(code)
    missing = sorted(text for text in wanted if bare(text) not in known)
    assert not missing


def test_no_translation_is_left_of_a_text_that_has_changed():
    known = {text.strip() for text in literals()}
    together = "\n".join(known)
    left = [text for text in said(OTHERS[0]) if not is_said(text, known, together)]
    assert not left


def test_the_tables_of_what_the_server_says_have_the_same_texts():
    first, *rest = (set(said(code)) for code in OTHERS)
    assert all(one == first for one in rest)
    for code in OTHERS:
        together = [text for name in SAID for text in table(code, name)]
        assert len(together) == len(set(together)), "a text stands in two tables"


@pytest.mark.parametrize("code", OTHERS)
def test_what_the_server_says_keeps_its_fields_and_its_code_names(code):
    for english, text in said(code).items():
        assert text.strip(), english
        assert sorted(FIELD.findall(english)) == sorted(FIELD.findall(text)), english
        assert text.count("`") == english.count("`"), english
        assert not {"<", ">"} & set(text) - set(english), "no markup comes from a translation"


def test_chinese_has_one_word_for_a_sink():
    """Buttons had 注意力汇, methods and analyses the English word, a menu 注意力汇点."""
    names = partial(re.sub, r"`[^`]*`", "")  # names in code stay as they are
    tables_of = [tables()["zh"], said("zh"), table("zh", "options")]
    texts = {names(english): names(text) for one in tables_of for english, text in one.items()}
    sink = re.compile(r"(?i)\bsinks?\b")
    sinks = {english: text for english, text in texts.items() if sink.search(english)}
    assert len(sinks) > 50
    assert not [english for english, text in sinks.items() if "汇" not in text]
    every = list(texts.values())
    for path in (ASSETS / "lessons" / "zh").glob("*.md"):
        every.append(BLOCK_FIELDS.sub("", path.read_text("utf-8")))
    assert not [text for text in every if sink.search(text) or "汇点" in text]


def test_an_error_is_told_with_its_fields_as_they_are():
    said_in_english = "cat.png is over 4 MB; send a smaller file."
    assert told(said_in_english, "de") == "cat.png ist größer als 4 MB; eine kleinere Datei senden."
    assert told(said_in_english, "en") == said_in_english
    assert told("<b>never heard</b>", "zh") == "<b>never heard</b>"
    assert told("3 tokens", "zh") == "3 个 token"
    assert told("answer tokens", "zh") == "answer tokens"


def test_words_of_answers_and_names_of_files_are_never_translated():
    assert told("“nothing” forced", "de") == "„nothing“ erzwungen"
    assert told("there is no file nothing.", "de") == "Es gibt keine Datei nothing."


def test_a_text_of_several_sentences_is_told_sentence_by_sentence():
    stopped = "It was cut off at the limit of tokens: there may have been more."
    said = retold(f"The answer changed: 1 new, 2 gone. {stopped}", "de")
    assert said.startswith("Die Antwort hat sich geändert: 1 neu, 2 weg. Sie wurde")
    assert retold("All tokens", "de") == "Alle Token"
    assert retold("Never heard of it. Nor of this.", "es") == "Never heard of it. Nor of this."


@pytest.mark.parametrize("code", OTHERS)
def test_what_the_stored_examples_say_is_told(code):
    index = json.loads((ASSETS / "traces" / "index.json").read_text("utf-8"))
    for entry in index:
        for text in filter(None, (entry.get("note"), entry.get("tag"))):
            assert told(text, code) != text, text
            assert entry.get("truth", "") in told(text, code) or text == entry.get("tag")


def test_a_saved_page_has_its_own_texts_without_those_of_the_menus():
    given = saved_page_texts("de")
    assert given["__tokvizTexts"]["Legend"] == "Legende"
    assert given["__tokvizLanguages"]["language"] == "de"
    assert len(json.dumps(given)) < len(texts_script("de"))
