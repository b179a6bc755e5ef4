"""Families that were added last, each with its kind of tokenizer, template and end tokens."""

import unicodedata
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import AddedToken

import tokviz
from tests.chat_forms import LATER_FORMS
from tests.models.tiny_words import PADDED, WORDS, byte_tokenizer_of, save
from tests.real_tokenizers import PUBLISHED
from tokviz.analysis.tam import explained_items
from tokviz.capture import Capture
from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.models.answer_text import AnswerText, special_tokens, word_marks
from tokviz.models.runs.asked_frames import letter_tokens
from tokviz.models.runs.commands import checked
from tokviz.plans import Plan
from tokviz.reduction import METHODS, method
from tokviz.testing.on_families import check_generate, generated, plan_of
from tokviz.text.characters import characters, units
from tokviz.text.words import character_spans, word_spans
from tokviz.view.words import token_words

pytestmark = pytest.mark.matrix

EACH_TIME = {("paddleocr_vl", ""), ("deepseek_vl", "published")}
"""Families with few visual tokens, of sentencepiece and of bytes; the others once a week."""
CASES = [*((name, "") for name in LATER_FORMS), *((name, "published") for name in PUBLISHED)]
"""Every family, and whether its vocabulary is a published one."""
WEEKLY = pytest.mark.weekly
ANSWER = "Giraffe 🔥 in 1990, don't: 日本 né 👨\u200d👩\u200d👧 x"
READ = ["Giraffe", "🔥", "in", "1990", ",", "don't", ":", "né", "👨\u200d👩\u200d👧", "x"]
QUESTIONS = [
    "what is it?", "\n what is it?", "...what?", "'quoted' words", "don't", "1990?", "日本 🔥?",
    "ne\u0301 é", "user", "Assistant: no", "a\n\nb", "▁under", "<b>bold</b>", "<think> aloud",
    "ﬁne №5 ①", "İstanbul", "<0x41>", "\u200bx", "[multimodal] a", "{{ bos }}", "is it a dog ?",
    ":", "you", "e", "is it a python?", "python python",
]  # fmt: skip
SCRIPTS = [
    "👩🏽\u200d🚀 🏳️\u200d🌈, 🇩🇪🇫🇷 👍🏿!",
    "1️⃣ ✌🏻 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "यह एक कुत्ता है। क्षत्रिय 1990",
    "สุนัขกำลังกินหญ้า น้ำ",
    "\u1112\u1161\u11ab\u1100\u1173\u11af 한국어 할머니",
    "这是一只长颈鹿，在1990年。龘𠮷野家は犬です。カタカナ",
    "هَذِهِ صُورَةٌ لِكَلْبٍ، أليس كذلك؟",
    "זוֹ תְּמוּנָה שֶׁל כֶּלֶב",
    "இது ஒரு நாய் এটি ক্ষ ෙක් ක්\u200dෂ ဒါက ខ្មែរ",
    "Đây là một con chó nhỏ, Это жираф, 1990-й и\u0301",
    "don’t isn't l'homme rock'n'roll 'tis 3.5 12:30 1,000,000 $5.99 2nd ½ ①",
    "def f(x):\n    return {'a': [1, 2]}\n\n\n\tx += 1  # ok\n",
    "two  blanks   three\t\ttabs   \n end ",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞A̴̵̜̰͔ͫ͗͢L a\u00a0b\u3000d soft\u00adhyphen zero\u200bwidth \ufeffbom",
    "_x_ <0x41> \\xf0 <b>",
]  # fmt: skip
"""Letters of several tokens, marks, joined emoji, blanks of every kind."""
BOXES = ("<|box_start|>", "<|box_end|>", "<|quad_start|>")
COMMANDS = ("<image>", "<|im_end|>", "<|image_pad|>", "</s>")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(case, marks=() if case in EACH_TIME else WEEKLY, id="-".join(case).strip("-"))
        for case in sorted(CASES)
    ],
)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def name(case):
    return case[0]


@pytest.fixture(scope="module")
def spoken(case, tmp_path_factory):
    """A tiny model with its family's kind of words, loaded from its folder."""
    name, published = case
    return tokviz.load(save(name, tmp_path_factory.mktemp(name), bool(published)))


@pytest.fixture(scope="module")
def small(cat):
    """count -> as many small pictures."""
    sizes = ((48, 48), (60, 48), (48, 64))
    return lambda count: [cat.resize(size) for size in sizes[:count]]


def ids_of(tokenizer, text):
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def composed(text):
    """What tokenizers make of a text that they compose, or write ▁ for blanks of."""
    return unicodedata.normalize("NFC", text).replace("▁", " ").strip()


@pytest.mark.parametrize("kind", sorted(WORDS))
def test_tokens_of_every_kind_spell_whole_letters_and_words(kind):
    """Noise too: halves of letters, special tokens, rows of the head beyond the vocabulary."""
    tokenizer = byte_tokenizer_of(kind)()
    noise = np.random.default_rng(0).integers(len(tokenizer) + PADDED, size=(4, 16)).tolist()
    for ids in (ids_of(tokenizer, ANSWER), *noise):
        said = AnswerText(tokenizer, word_marks(tokenizer), frozenset())
        for at, token in enumerate(ids):
            before = said.text
            said.add(token)
            assert said.text.startswith(before)
            assert not any("\ufffd" in text for text in (said.text, *said.candidates(at, [token])))
        said.close()
        assert said.text.startswith(before)
        assert "".join(said.pieces) == said.text
        if ids not in noise:
            assert said.text == ANSWER
            assert words_of(said.pieces, word_spans(said.pieces)) == READ


@pytest.mark.parametrize("name", ["deepseek_vl", pytest.param("qwen3_5", marks=pytest.mark.weekly)])
def test_a_published_vocabulary_spells_every_script_in_whole_characters(name):
    tokenizer = PUBLISHED[name]([])
    marks = word_marks(tokenizer)
    assert marks == "byte_level"
    for text in SCRIPTS:
        said = AnswerText(tokenizer, marks, frozenset())
        for at, token in enumerate(ids_of(tokenizer, text)):
            before = said.text
            said.add(token)
            assert said.text.startswith(before)
            assert not any("\ufffd" in one for one in said.candidates(at, [token]))
        said.close()
        assert "".join(said.pieces) == said.text
        assert said.text in (text, unicodedata.normalize("NFC", text))
        ends = set(np.cumsum([0, *map(len, characters(said.text))]).tolist())
        places = np.cumsum([0, *map(len, said.pieces)])
        spans = character_spans(said.pieces)
        assert {int(places[at]) for span in spans for at in span} <= ends
        # a word is never cut, though a token may hold what stands after it
        inside = {at for a, b in units(said.text) for at in range(a + 1, b)}
        assert not inside & {int(places[a]) for a, _ in word_spans(said.pieces)}


def words_of(pieces, spans):
    """The words in which tokens are shown, Chinese ones joined: of these every token is one."""
    words = ["".join(pieces[a:b]).strip() for a, b in spans]
    chinese = [word for word in words if set(word) & set("日本")]
    assert "".join(chinese) == "日本"
    return [word for word in words if word not in chinese]


def test_an_answer_is_shown_in_whole_letters_and_words(spoken, small):
    ids = ids_of(spoken.tokenizer, ANSWER)
    before = ""
    plan = Plan((), forced=ids)
    length, capture = len(ids), Capture.nothing()
    for lanes in spoken.stream(small(1), "what is it?", [plan], length, capture):
        view = lanes[0]
        assert "\ufffd" not in view.text
        assert view.text.startswith(before)
        assert "".join(view.tokens) == view.text
        before = view.text
    trace = view.trace
    assert trace.answer == spoken.tokenizer.decode(ids).strip() == ANSWER
    again = tokviz.open_trace(trace.to_bytes())
    for one in (trace, again):
        assert "".join(one.answer_tokens) == "".join(one.pieces) == ANSWER
        assert words_of(one.pieces, one.word_spans) == READ
        chips = [chip["text"] for chip in token_words(one.pieces, one.answer_marks)]
        assert not any("\ufffd" in text for text in (*chips, *one.prompt_pieces))
        assert {"🔥", "👨\u200d👩\u200d👧"} <= set(chips)


def test_noise_is_written_as_bytes(spoken, small):
    """A random model writes halves of letters, end tokens and rows beyond the vocabulary."""
    with ending(spoken, None):
        trace = spoken.answer(small(1), "where?", None, 24, Capture.nothing())
    assert trace.t == 24
    assert "".join(trace.answer_tokens) == trace.answer
    texts = [text for row in trace.candidate_tokens for text in row]
    texts += [trace.answer, *trace.words.values(), *trace.prompt_pieces]
    assert not any("\ufffd" in text for text in texts)
    assert tokviz.open_trace(trace.to_bytes()).pieces == trace.pieces


@pytest.mark.parametrize(
    ("form", "shown"), [("template", 1), ("numbered", 3), ("question_first", 2)]
)
def test_the_users_words_are_found_by_their_place(spoken, name, small, monkeypatch, form, shown):
    monkeypatch.setattr(spoken.processor, "chat_template", getattr(LATER_FORMS[name], form))
    for question in QUESTIONS:
        asked = spoken.prepare(small(shown), question).asked
        said = spoken.tokenizer.decode(asked.prompt_ids[asked.own_rows])
        assert composed(said) == composed(question)
        assert asked.notes == (), question
        first, last = asked.layout.position[[0, -1]]
        before = form == "question_first"
        assert asked.own_rows[-1] < first if before else asked.own_rows[0] > last, question


def test_what_a_tokenizer_reads_as_a_command_is_refused(spoken, small):
    named = sorted(special_tokens(spoken.tokenizer).values(), key=len)  # Mistral's have a thousand
    for mark in [spoken.family.image_mark(spoken.processor), *COMMANDS, *named[:40], *named[-5:]]:
        if mark in BOXES:
            continue  # Qwen's marks of a place may be typed
        for question in (mark, f"{mark}what is it?", f"what is {mark} here?"):
            with pytest.raises(InputError, match="reads as a command"):
                spoken.prepare(small(1), question)


@pytest.mark.parametrize(
    ("like", "named", "typed"),
    [
        ("cohere2_vision", "<KEY>", "what is <\u212aEY>?"),
        ("qwen3_vl", "<KEY>", "<\u212aEY>"),
        ("gemma4", "<two▁words>", "<two words> here?"),
    ],
)
def test_a_command_that_a_tokenizer_makes_of_other_letters_is_refused(like, named, typed):
    """Tokenizers that compose letters, or write ▁ for blanks, find some tokens only after that."""
    tokenizer = byte_tokenizer_of(like)()
    processor = SimpleNamespace(image_token="[picture]")
    loaded = SimpleNamespace(tokenizer=tokenizer, processor=processor)
    assert checked(loaded, f" {typed}") == typed
    tokenizer.add_tokens([AddedToken(named, special=True, normalized=True)], special_tokens=True)
    # a placeholder is replaced wherever it stands, be it a special token or not
    for question in (typed, "what is [picture]?"):
        with pytest.raises(InputError, match="reads as a command"):
            checked(loaded, question)


@pytest.mark.parametrize(
    ("like", "tokens"),
    [("deepseek_vl", ["A", "ĠA"]), ("paddleocr_vl", ["A", "▁A"]), ("llava", ["▁A"])],
)
def test_the_letter_a_is_read_with_and_without_a_space_before_it(like, tokens):
    """Behind "Assistant:" DeepSeek-VL answers " A", and only "A" was read there."""
    loaded = SimpleNamespace(tokenizer=byte_tokenizer_of(like)())
    assert loaded.tokenizer.convert_ids_to_tokens(letter_tokens(loaded)) == tokens


def test_keeping_every_token_is_generate_with_the_familys_end_tokens(spoken, name, small):
    prepared = spoken.prepare(small(1), "What is it, don't guess: 1990 or 日本?")
    check_generate(spoken, prepared, plan_of("before", prepared.asked.layout.n), Capture.nothing())
    ends = spoken.tokenizer.convert_tokens_to_ids(list(LATER_FORMS[name].ends))
    assert spoken.model.generation_config.eos_token_id == ends
    with ending(spoken, None):
        ids = written(spoken, prepared)
    last = next(i for i in range(1, len(ids)) if ids[i] not in ids[:i])
    with ending(spoken, [*ends, ids[last]]):
        trace = spoken.answer(small(1), prepared.asked.prompt, None, len(ids), Capture.nothing())
    assert trace.finish == "end"
    assert trace["answer_ids"].tolist() == ids[:last]
    assert not set(trace.answer_tokens) & set(LATER_FORMS[name].special)


def written(vlm, prepared):
    """What transformers' own generate() writes."""
    return generated(vlm, prepared).sequences[0, len(prepared.asked.prompt_ids) :].tolist()


@contextmanager
def ending(vlm, ends):
    settings = vlm.model.generation_config
    before, settings.eos_token_id = settings.eos_token_id, ends
    yield
    settings.eos_token_id = before


@pytest.fixture
def text_given():
    """What a method gets as the question's embeddings, run after run."""
    given = []

    def decide(signals, keep):
        given.append(signals["text_llm"])
        return Reduction.select(np.arange(keep), len(signals["feats_post"]))

    needs = ("feats_post", "text_llm")
    method("reads-text", title="reads text", place="before", needs=needs)(decide)
    yield given
    METHODS.remove("reads-text")


def test_maps_and_methods_read_the_users_words(spoken, name, small, text_given):
    question = "Is it a dog, don't guess: 日本?"
    trace = spoken.answer(small(1), question, tokviz.plan("reads-text", keep=4), 2)
    items = explained_items(trace)
    own, marks = trace["own_rows"], trace.arrays.get("mark_rows", ())
    assert not {trace.prompt_tokens[row] for row in marks} & set(LATER_FORMS[name].special)
    assert items.rows[: items.prompt].tolist() == own.tolist()
    read = tokviz.analyse("tam", trace).labels["p"]
    assert composed("".join(read)) == question
    words = torch.from_numpy(trace["prompt_ids"][own].astype(np.int64))
    expected = spoken.model.get_input_embeddings()(words)
    assert text_given
    assert all(torch.equal(text, expected) for text in text_given)
