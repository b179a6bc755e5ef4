"""Every lesson is there in every language, checks the same, and names what the page names."""

import re
from types import SimpleNamespace

import pytest
import yaml

from components import i18n
from components.i18n import LANGUAGES, said, tables
from components.lessons import lesson_languages
from components.lessons.lesson_files import BLOCK, HEAD, STEP, read_lesson, read_lessons
from components.lessons.lesson_languages import (
    LessonTexts,
    checks,
    read_translations,
    same_steps,
)
from components.lessons.panel import HIGHLIGHT_AT, LessonHandlers, Work, answers
from components.runs.pictures import Sent
from components.runs.runs import FULL, KeptRun
from components.runs.stored_examples import StoredExamples
from components.screen import SKIP
from components.settings import Settings
from components.site import Site
from tests.view.fakes import fake_trace
from tokviz.shipped_files import ASSETS

HOME = ASSETS / "lessons"
LESSONS = read_lessons()
OTHERS = [code for code in LANGUAGES if code != "en"]
TRANSLATED = read_translations(HOME, LESSONS)
EACH = [(code, name) for code in OTHERS for name in LESSONS]
NOT_CHECKED = ("ask", "choose", "hint", "why")
"""Fields of a task that are texts."""
EMPHASISED = re.compile(r"\*\*(.+?)\*\*|(?<!\*)\*([^*]+?)\*(?!\*)|\"([^\"\n]+?)\"|“(.+?)”", re.S)
TERMS = {
    "vision tower", "lane", "banana", "the", "cloud", "read from", "attention sinks", "before",
    "visual", "at each visual token", "pruning", "merging", "faster", "slower", "nothing", "less",
    "no", "+", "whale",
}  # fmt: skip
"""What English lessons emphasise or quote that is no word of the page: terms, and words to type."""
RENAMED = {"keep": "Keep ", "about and options": "About and {options}"}
"""Words of the page in lessons that stand in the tables with a space or a number."""
TAB = SimpleNamespace(session_hash="tab", query_params={})


def source(code: str, name: str) -> str:
    return (HOME / ("" if code == "en" else code) / f"{name}.md").read_text("utf-8")


def bodies(text: str) -> list[str]:
    """Return the opening and the steps of a lesson file, with their titles."""
    parts = STEP.split(text[HEAD.match(text).end() :])
    return [parts[0], *map("\n".join, zip(parts[1::2], parts[2::2], strict=True))]


def test_every_lesson_is_there_in_every_language():
    names = sorted(path.stem for path in HOME.glob("*.md"))
    for code in OTHERS:
        assert sorted(path.stem for path in (HOME / code).glob("*.md")) == names
        assert sorted(TRANSLATED[code]) == names


@pytest.mark.parametrize(("code", "name"), EACH)
def test_a_translation_has_the_steps_the_blocks_and_the_checks_of_the_lesson(code, name):
    assert same_steps(LESSONS[name], TRANSLATED[code][name])
    for step, other in zip(LESSONS[name].steps, TRANSLATED[code][name].steps, strict=True):
        assert checks(step) == checks(other)
    blocks = [BLOCK.findall(source(one, name)) for one in ("en", code)]
    for (kind, text), (other_kind, other) in zip(*blocks, strict=True):
        fields, others = (yaml.safe_load(one) for one in (text, other))
        assert kind == other_kind
        assert list(fields) == list(others)
        for field in set(fields) - (set(NOT_CHECKED) if kind == "task" else set()):
            assert fields[field] == others[field], (name, field)


@pytest.mark.parametrize(("code", "name"), EACH)
def test_a_translation_keeps_numbers_code_links_and_paragraphs(code, name):
    kept = re.compile(r"`[^`\n]+`|https?://\S+|arXiv [0-9.]+|docs/\w+\.md|[0-9]+(?:\.[0-9]+)?|◂|▸")
    english, other = (bodies(source(one, name)) for one in ("en", code))
    for one, translated in zip(english, other, strict=True):
        missing = set(kept.findall(one)) - set(kept.findall(translated))
        assert not missing, (name, missing)
        prose = [BLOCK.sub("", text).strip().count("\n\n") for text in (one, translated)]
        assert prose[0] == prose[1], (name, one)


@pytest.mark.parametrize(("code", "name"), EACH)
def test_no_text_of_a_translation_is_the_english_one(code, name):
    lesson, other = LESSONS[name], TRANSLATED[code][name]
    assert lesson.title != other.title or name == "05-tam"  # the maps have no other name
    for step, translated in zip(lesson.steps, other.steps, strict=True):
        pairs = [(step.title, translated.title), (step.text, translated.text)]
        if step.task:
            pairs += [
                (getattr(step.task, field), getattr(translated.task, field))
                for field in ("ask", "hint", "why")
            ]
        assert not [one for one, text in pairs if one and one == text]


def page_word(text: str) -> str | None:
    """Return the key of the tables that a lesson's words are; None for words of no table."""
    bare = " ".join(text.split()).lower()
    keys = {key.strip().lower(): key for key in [*said("de"), *tables()["de"]]}
    return RENAMED.get(bare) or keys.get(bare)


def emphasised(text: str) -> list[str]:
    prose = re.sub(r"^\w+: ['\"](.*)['\"]$", r"\1", text, flags=re.M)  # YAML's quotes
    return [next(filter(None, found)) for found in EMPHASISED.findall(prose)]


@pytest.mark.parametrize("name", LESSONS)
def test_what_an_english_lesson_quotes_is_a_word_of_the_page(name):
    for words in emphasised(source("en", name)):
        bare = " ".join(words.split())
        is_question = bare.endswith(("?", "."))
        known = page_word(bare) or bare.lower() in TERMS or is_question
        assert known, f"{name}: “{bare}” is no word of the page"


@pytest.mark.parametrize(("code", "name"), EACH)
def test_words_of_the_page_have_the_pages_translation(code, name):
    """A button or tab that a lesson names is there under that name in the reader's language."""
    own = {**said(code), **tables()[code]}
    options = own["{count} options"].removeprefix("{count} ").removeprefix("个")
    for one, other in zip(*(bodies(source(c, name)) for c in ("en", code)), strict=True):
        plain = "".join(other.split()).lower()
        for words in emphasised(one):
            key = None if " ".join(words.split()).lower() in TERMS else page_word(words)
            if key is not None:
                wanted = own[key].replace("{options}", options.strip()).strip().lower()
                assert "".join(wanted.split()) in plain, (
                    f"{code} {name}: “{words}” is “{wanted}” on the page"
                )


def test_a_translation_that_fell_behind_is_left_out(tmp_path, caplog):
    text = "---\ntitle: T\n---\n## S\nText.\n```task\nask: Q\nchoose: [a, b]\nright: {right}\n```\n"
    (tmp_path / "de").mkdir()
    for name, right in (("one", 2), ("two", 1)):
        (tmp_path / f"{name}.md").write_text(text.replace("{right}", "1"))
        (tmp_path / "de" / f"{name}.md").write_text(text.replace("{right}", str(right)))
    (tmp_path / "de" / "gone.md").write_text(text.replace("{right}", "1"))
    lessons = read_lessons(tmp_path)
    assert list(read_translations(tmp_path, lessons)["de"]) == ["two"]
    assert "de/one.md" in caplog.text
    assert "de/gone.md" in caplog.text


@pytest.fixture
def german(monkeypatch):
    """Every event comes from a German reader."""
    for module in (lesson_languages, i18n):
        monkeypatch.setattr(module, "reader_language", lambda: "de")
    monkeypatch.setattr("components.lessons.panel.reader_language", lambda: "de")


@pytest.fixture(scope="module")
def site() -> Site:
    return Site(Settings(), StoredExamples())


def test_the_panel_speaks_the_readers_language(german, site):
    teaching = LessonHandlers(site, LESSONS, TRANSLATED)
    shown = teaching.choose("02-attention", TAB)
    assert shown[3].startswith("### 1 von 3: Ein Wort, eine Schicht")
    assert shown[4].value.startswith("**Aufgabe.** In welchen Schichten")
    choices = shown[5].choices
    assert "in manchen Schichten" in choices[1][0]
    said = teaching.check(["02-attention", 0], "", choices[1][0], None)
    assert said.startswith("✅ Richtig. In Schicht 6")
    assert teaching.check(["02-attention", 0], "", choices[0][0], None).startswith("➡️ Noch nicht.")


def test_the_page_opens_with_a_menu_and_a_teachers_page_in_the_readers_language(german, site):
    opened = LessonHandlers(site, LESSONS, TRANSLATED).open_page(TAB)
    titles = [title for title, _ in opened[2].choices]
    assert titles[0] == "Was ist ein visuelles Token? (5 Min.)"
    assert "**Für Lehrende.** 11 Lektionen" in opened[3]
    assert "führt das kleine Modell aus" in opened[3]
    overview = LessonTexts(LESSONS, TRANSLATED).overview()
    assert not re.search(r"\b(the|and|lessons|needs)\b", overview)


def test_an_english_page_opens_as_it_was_built(site):
    opened = LessonHandlers(site, LESSONS, TRANSLATED).open_page(TAB)
    assert opened[2] == opened[3] == opened[0]  # all three stay as they are


def test_a_page_in_another_language_opens_at_the_step_with_its_answer(german, site):
    query = {"lesson": "02-attention", "step": "1", "given": "2"}
    request = SimpleNamespace(session_hash="tab", query_params=query)
    opened = LessonHandlers(site, LESSONS, TRANSLATED).open_page(request)
    assert opened[1] == ["02-attention", 0]
    assert opened[2].value == "02-attention"
    assert opened[5].value.startswith("in manchen Schichten")


def test_a_page_in_another_language_leads_back_to_the_work_before_the_lesson(german, site):
    """The button was gone after a switch of the language, although the run was still kept."""
    teaching = LessonHandlers(site, LESSONS, TRANSLATED)
    run = site.runs.put(KeptRun(None, "what ?", "m", {FULL: fake_trace()}))
    begun = teaching.begin("02-attention", None, run.name, "what ?", None, Sent(), TAB)
    handed = begun[HIGHLIGHT_AT - 2]["work"]
    query = {"lesson": "02-attention", "step": "1", "work": handed}
    opened = teaching.open_page(SimpleNamespace(session_hash="tab", query_params=query))
    assert opened[-2].visible
    assert opened[-1] == Work(run.name, "what ?", None)
    assert opened[HIGHLIGHT_AT - 2]["work"] == run.name  # for one more language
    for lacking in ({"work": "gone"}, {"work": ""}, {"lesson": "none"}):
        request = SimpleNamespace(session_hash="tab", query_params=query | lacking)
        assert teaching.open_page(request)[-2:] == (SKIP, SKIP)


@pytest.mark.parametrize(
    ("given", "chosen", "typed"),
    [("2", "b", None), ("3", None, None), ("", None, None), ("<b>", None, None)],
)
def test_only_an_answer_of_the_task_is_given_back(given, chosen, typed):
    text = "---\ntitle: T\n---\n## S\n```task\nask: Q\nchoose: [a, b]\nright: 1\n```\n"
    assert answers(read_lesson("t", text).steps[0].task, given) == (chosen, typed)


@pytest.mark.parametrize(
    ("given", "typed"), [("12", 12.0), ("3.5", 3.5), ("", None), ("1e9", None)]
)
def test_a_typed_number_is_given_back(given, typed):
    text = "---\ntitle: T\n---\n## S\n```task\nask: Q\nnumber: visual_tokens\n```\n"
    assert answers(read_lesson("t", text).steps[0].task, given) == (None, typed)
