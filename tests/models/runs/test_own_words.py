"""The user's words in a prompt are found with any tokenizer and template, or the run says so."""

from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image
from tokenizers import AddedToken

from tests.chat_forms import FORMS
from tests.models.test_answer_text import model_with
from tests.real_tokenizers import REAL
from tokviz.models.answer_text import AnswerText
from tokviz.models.runs.own_words import BY_SPELLING, NOT_FOUND, own_rows

PICTURE = Image.new("RGB", (96, 96), "red")
PROMPTS = [
    "what is it?", "What is in the picture", "1990?", "?", "user", "ASSISTANT", "日本 🔥?", "a\nb",
    "is it a dog ?", "<b>bold</b>", "é", "  two  spaces",
]  # fmt: skip
LLAVA = (
    "{% for m in messages %}{{ m.role | upper }}: {% for c in m.content %}"
    "{% if c.type == 'image' %}<image>\n{% else %}{{ c.text | trim }}{% endif %}"
    "{% endfor %} {% endfor %}ASSISTANT:"
)
MISTRAL = (
    "{% for m in messages %}[INST] {% for c in m.content %}{% if c.type == 'image' %}<image>\n"
    "{% else %}{{ c.text }}{% endif %}{% endfor %} [/INST]{% endfor %}"
)
QUESTION_FIRST = (
    "{% for m in messages %}USER: {% for c in m.content %}{% if c.type != 'image' %}{{ c.text }}"
    "{% endif %}{% endfor %}\n<image>{% endfor %}\nASSISTANT:"
)
TEMPLATES = {"none": None, "llava": LLAVA, "mistral": MISTRAL, "first": QUESTION_FIRST}


class Letters:
    """A tokenizer for which every letter is a token, and which tells no offsets."""

    def decode(self, ids, skip_special_tokens=False):
        return "".join(map(chr, ids))


@pytest.mark.parametrize(
    ("prompt", "whole", "visual", "found", "notes"),
    [
        ("is it", "##User:is it A:", (0, 1), "is it", (BY_SPELLING,)),
        ("a", "a:##a b", (2, 3), "a", (BY_SPELLING,)),
        ("what", "##User:is it A:", (0, 1), "User:is it A:", (NOT_FOUND,)),
        ("it", "it##it it", (2, 3), "it", (BY_SPELLING,)),
    ],
    ids=["in a chat", "also before the image", "not there", "twice"],
)
def test_the_users_words_are_found_behind_the_image(prompt, whole, visual, found, notes):
    ids = np.array([ord(letter) for letter in whole])
    text = AnswerText(Letters(), "word_level", frozenset())
    rows, told = own_rows(Letters(), str, prompt, ids, np.array(visual), text)
    assert "".join(whole[row] for row in rows) == found
    assert int(rows[0]) == whole.index(found, visual[-1] + 1)
    assert told == notes


@pytest.fixture(scope="module", params=sorted(REAL))
def vlm(request):
    return model_with(REAL[request.param]())


def own_notes(asked):
    """What is said about the question's words; that there is no chat template is tested apart."""
    return tuple(note for note in asked.notes if "chat template" not in note)


def spelled(asked, tokenizer):
    return tokenizer.decode(asked.prompt_ids[asked.own_rows]).strip()


@pytest.mark.matrix
@pytest.mark.parametrize("template", sorted(TEMPLATES))
@pytest.mark.parametrize("prompt", PROMPTS)
def test_own_rows_spell_the_question(vlm, template, prompt, monkeypatch):
    monkeypatch.setattr(vlm.processor, "chat_template", TEMPLATES[template])
    asked = vlm.prepare(PICTURE, prompt).asked
    assert spelled(asked, vlm.tokenizer) == asked.prompt
    assert own_notes(asked) == ()


SPOKEN = [
    *(("mistral", name) for name in FORMS),
    ("byte_level", "qwen_vl"),
    ("byte_level", "llama3"),
]


@pytest.fixture(scope="module", params=SPOKEN)
def spoken(request):
    """A model that speaks through a real tokenizer in the chat form of one family."""
    kind, name = request.param
    tokenizer = REAL[kind]()
    marks = [AddedToken(mark, special=True) for mark in FORMS[name].special]
    tokenizer.add_tokens(marks, special_tokens=True)
    vlm = model_with(tokenizer)
    vlm.processor.chat_template = FORMS[name].template
    return vlm, FORMS[name]


@pytest.mark.matrix
@pytest.mark.parametrize("prompt", ["what is it?", "user", "日本 🔥?", "a\nb", "Assistant: no"])
def test_own_rows_spell_the_question_in_every_familys_form(spoken, prompt):
    vlm, _ = spoken
    asked = vlm.prepare(PICTURE, prompt).asked
    assert spelled(asked, vlm.tokenizer) == asked.prompt
    assert asked.notes == ()


@pytest.mark.matrix
def test_an_answer_ends_at_any_of_the_familys_end_tokens(spoken):
    """They are in the generation config, and need not be the end token of config or tokenizer."""
    vlm, form = spoken
    ends = vlm.tokenizer.convert_tokens_to_ids(list(form.ends))
    whole = vlm.answer(PICTURE, "what is it?", max_new_tokens=4)
    assert (whole.finish, whole.t) == ("length", 4)
    ids = whole["answer_ids"].tolist()
    with ending(vlm, [*ends, ids[1]]):
        trace, theirs = vlm.answer(PICTURE, "what is it?", max_new_tokens=4), generated(vlm)
    assert trace.finish == "end"
    assert [*trace["answer_ids"].tolist(), ids[1]] == theirs
    assert not any(mark in trace.answer for mark in form.special)


@contextmanager
def ending(vlm, ends):
    vlm.model.generation_config.eos_token_id = ends
    yield
    vlm.model.generation_config.eos_token_id = None


def generated(vlm):
    inputs = vlm.prepare(PICTURE, "what is it?").inputs
    with vlm.guarded():
        out = vlm.model.generate(**inputs, max_new_tokens=4, do_sample=False, pad_token_id=3)
    return out[0, inputs["input_ids"].shape[1] :].tolist()


@pytest.mark.matrix
def test_a_tokenizer_without_offsets_is_read_by_its_spelling(vlm, monkeypatch):
    monkeypatch.setattr(type(vlm.tokenizer), "is_fast", False)
    asked = vlm.prepare(PICTURE, "what is in the picture?").asked
    assert spelled(asked, vlm.tokenizer) == "what is in the picture?"
    assert own_notes(asked) == (BY_SPELLING,)
    trace = vlm.answer(PICTURE, "what is in the picture?", max_new_tokens=1)
    assert BY_SPELLING in trace.notes
    assert vlm.unknown_words("what is it") == []


@pytest.mark.matrix
def test_a_template_may_change_the_letter_case(vlm, monkeypatch):
    lower = LLAVA.replace("| trim", "| trim | lower")
    monkeypatch.setattr(vlm.processor, "chat_template", lower)
    for fast in (True, False):
        monkeypatch.setattr(type(vlm.tokenizer), "is_fast", fast)
        asked = vlm.prepare(PICTURE, "What is it?").asked
        assert spelled(asked, vlm.tokenizer) == "what is it?"
        assert own_notes(asked) == (() if fast else (BY_SPELLING,))


@pytest.mark.matrix
def test_words_that_are_not_found_are_told(vlm, monkeypatch):
    upper = LLAVA.replace("| trim", "| replace('i', 'o')")
    monkeypatch.setattr(vlm.processor, "chat_template", upper)
    asked = vlm.prepare(PICTURE, "what is it?").asked
    after = int(asked.layout.position[-1]) + 1
    assert own_notes(asked) == (NOT_FOUND,)
    assert np.array_equal(asked.own_rows, np.arange(after, len(asked.prompt_ids)))
