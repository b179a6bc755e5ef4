"""Notes, reasons and options of every method are there in every language, and none that is gone."""

import re
from collections.abc import Iterator

import pytest

from components.i18n import LANGUAGES, table, told
from tokviz.analysis.declare import ANALYSES
from tokviz.mitigation import MITIGATIONS
from tokviz.reduction import METHODS
from tokviz.reduction.run_status import declared_status
from tokviz.view.about import about, status_text
from tokviz.view.method_cards import LEFT_OUT

OTHERS = [code for code in LANGUAGES if code != "en"]
ENTRIES = [*METHODS.values(), *MITIGATIONS.values()]
PARAGRAPH = re.compile(r"\n\s*\n")
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|(?<!\w)\.[0-9]+")
NAMES = ("Reads", "Variants", "W", "Published")
"""Rows of "About" that are names of code, or are looked at apart."""


def one_line(text: str) -> str:
    """Return a text as assets/js/compare/about.js looks it up."""
    return " ".join(text.split())


def notes() -> Iterator[str]:
    """Yield the paragraphs of all notes."""
    for entry in ENTRIES:
        yield from filter(None, map(one_line, PARAGRAPH.split(entry.notes)))


def reasons() -> Iterator[str]:
    """Yield why methods and mitigations are at best not as published."""
    for entry in ENTRIES:
        status = declared_status(entry)
        yield from status.why if status is not None else ()


def options() -> set[str]:
    """Return the names and the choices of all options; choices that are numbers say themselves."""
    found = {"auto"}
    for entry in (*ENTRIES, *ANALYSES.values()):
        for option in entry.options.values():
            words = {str(choice) for choice in option.choices}
            found |= {option.name, *(word for word in words if not NUMBER.fullmatch(word))}
    return found


@pytest.mark.parametrize("code", OTHERS)
def test_every_note_and_reason_has_its_translation(code):
    wanted = {*notes(), *reasons()}
    assert len(wanted) > 230
    assert not sorted(text for text in wanted if told(text, code) == text)


@pytest.mark.parametrize("code", OTHERS)
def test_no_note_is_left_of_a_text_that_has_changed(code):
    assert not sorted(set(table(code, "notes")) - {*notes(), *reasons()})


@pytest.mark.parametrize("code", OTHERS)
def test_notes_keep_their_code_names_quotes_and_numbers(code):
    for english, text in table(code, "notes").items():
        plain = re.sub(r"(?<=[0-9]),(?=[0-9]{3}\b)", "", english)
        for kept in (re.compile(r"`[^`]+`"), re.compile(r'"[^"]+"'), NUMBER):
            assert set(kept.findall(plain)) == set(kept.findall(text)), english


@pytest.mark.parametrize("code", OTHERS)
def test_every_option_and_choice_has_its_name(code):
    named = table(code, "options")
    assert not sorted(options() - set(named)), "no translation"
    assert not sorted(set(named) - options()), "of an option that is gone"
    assert all(text.strip() for text in named.values())


@pytest.mark.parametrize("code", OTHERS)
def test_all_that_is_declared_of_a_method_is_told(code):
    for method in METHODS.values():
        for what, text in about(method):
            official = what == "Official code" and text.startswith(method.code or "?")
            same = what in NAMES or (official and not text.endswith("none stated"))
            assert same or told(text, code) != text, (method.name, text)
        for row in method.published:
            for text in (row.budget, row.source):
                same = code == "es" and text.endswith(" tokens")  # the word is the same
                assert same or told(text, code) != text, text
    for badge in LEFT_OUT.values():
        assert all(told(text, code) != text for text in badge)


@pytest.mark.parametrize("code", OTHERS)
def test_several_reasons_in_a_row_are_all_told(code):
    """One of them may hold the semicolon that stands between two."""
    for entry in ENTRIES:
        status = declared_status(entry)
        if status is None or not status.why:
            continue
        said = told(status_text(entry), code)
        for reason in status.why:
            assert told(reason, code) in said, entry.name
            assert reason not in said
    first = "no code is public and the positions are not stated; the paper takes the second "
    first += "decision one layer later"
    second = "the model was not trained with it"
    said = told(f"CATP: stand-in: {first}; {second}; my own reason.", code)
    for part in (told(first, code), told(second, code), "my own reason"):
        assert part in said


RUN_REASONS = [
    "cls_token = False, published: True",
    "layer = 3, by hand, not by the method's own rule",
    "its numbers are for LLaVA (llama with 32 heads), this model is qwen2 with 14 heads",
    "position ids: keep, published: repack",
    "its budget of 16 was reached, published: the image decides how many stay",
    "2 images, where the publication decides on one",
    "a visual token is several patches of the tower here, taken together",
    "the method's other part, apet_stage, was not run",
    "it decided on what fastervlm had left",
    "it acted on what fastv had left",
    "recv_attn was read in place of cls_attn",
    "it decides at layer 5 of 12, published: 13 of 32",
]
"""What runs on other models and with other settings say (tokviz/reduction/run_status.py)."""


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("reason", RUN_REASONS)
def test_what_makes_a_run_differ_is_told(code, reason):
    english = re.compile(r"\b(published|publication|layer|budget|decides|other part|had left)\b")
    assert told(reason, code) != reason
    said = told(f"X: decision as published, run differs: {reason}.", code)
    assert not english.search(said.replace("layer =", "")), said
