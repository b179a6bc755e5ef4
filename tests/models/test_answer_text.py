"""An answer grows by whole letters, and its pieces are always the answer, with any tokenizer."""

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE, WordLevel
from transformers import AddedToken, PreTrainedTokenizerFast

import tokviz
from tests.models.tiny import TINY, byte_tokenizer, shake
from tests.real_tokenizers import MARKS, REAL, byte_level, mistral, wordpiece
from tokviz.models.answer_text import AnswerText, control_ids, word_marks
from tokviz.plans import Plan
from tokviz.text.words import word_spans
from tokviz.view.words import trace_words

TEXTS = [
    "a 🔥 grill", "日本 ok", "né", "की कीमत", "👨\u200d👩\u200d👧 x", "Giraffe", "1990", "don't",
    "ไม่มีแมว", "two  spaces\nand a line", "🇩🇪🇫🇷", "<loc0100> <box>",]  # fmt: skip
KINDS = {**REAL, "bytes": byte_tokenizer}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("text", TEXTS)
def test_letters_appear_whole_and_pieces_join_to_the_answer(kind, text):
    tokenizer = KINDS[kind]()
    said = AnswerText(tokenizer, word_marks(tokenizer), frozenset(range(5)))
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        before = said.text
        said.add(token)
        assert "\ufffd" not in said.text
        assert said.text.startswith(before), "nothing that was shown is taken back"
        assert text.startswith(said.text), "a letter waits until it is whole"
        assert "".join(said.pieces) == said.text
    said.close()
    assert said.text == text
    assert "".join(said.pieces) == text


@pytest.mark.parametrize("kind", sorted(REAL))
def test_bytes_that_are_no_text_are_written_as_bytes(kind):
    tokenizer = REAL[kind]()
    fire = tokenizer("é日ę", add_special_tokens=False)["input_ids"]
    every = [i for i in range(5, 400) if "\ufffd" in tokenizer.decode([i])]
    assert every
    said = AnswerText(tokenizer, word_marks(tokenizer), frozenset())
    for token in [every[-1], *fire, every[0], every[-1]]:
        said.add(token)
        assert "\ufffd" not in said.text
    said.close()
    assert "".join(said.pieces) == said.text
    assert "\ufffd" not in said.text
    assert "\\x" in said.text
    assert "é日ę" in said.text


def test_how_words_are_marked_is_told_from_the_vocabulary():
    made = {"mistral": mistral(), "byte_level": byte_level(), "wordpiece": wordpiece()}
    assert {name: word_marks(one) for name, one in made.items()} == MARKS
    words = WordLevel({"<unk>": 0, "a": 1, "dog": 2}, unk_token="<unk>")
    assert word_marks(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words))) == "word_level"


def test_the_shipped_model_speaks_in_pieces_of_words(shipped_model):
    """And its answers begin without the space that stands behind the prompt."""
    tokenizer = shipped_model.tokenizer
    assert word_marks(tokenizer) == "byte_level"
    assert "<unk>" not in tokenizer.tokenize("Zyzzyva, Ünïcödé 🔥")
    ids = tokenizer(" a camera in the top left", add_special_tokens=False)["input_ids"]
    said = shipped_model.answer_text()
    for token in ids:
        said.add(token)
    said.close()
    assert said.text == "a camera in the top left"
    spans = word_spans(said.pieces)
    assert ["".join(said.pieces[a:b]).strip() for a, b in spans] == said.text.split()
    assert any(b - a > 1 for a, b in spans), "camera has two tokens"


def test_wordpiece_answers_are_words():
    tokenizer = wordpiece()
    said = AnswerText(tokenizer, "wordpiece", frozenset())
    for token in tokenizer("a giraffe eats", add_special_tokens=False)["input_ids"]:
        said.add(token)
    assert said.pieces == ("a", " gi", "raf", "fe", " eats")


@pytest.mark.parametrize("kind", sorted(REAL))
def test_candidates_bring_their_space(kind):
    """Sentencepiece decoders take off the first space: "a" and "dog" became "adog"."""
    tokenizer = REAL[kind]()
    ids = tokenizer("a dog", add_special_tokens=False)["input_ids"]
    said = AnswerText(tokenizer, word_marks(tokenizer), frozenset())
    for token in ids:
        said.add(token)
    assert "".join(said.candidates(0, ids[:1])) == "a"
    assert said.candidates(1, ids[1:2])[0].startswith(" ")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_blanks_at_the_beginning_stay_while_a_letter_is_incomplete(kind):
    """Sentencepiece decoders take off one of them: it came and went with every byte."""
    tokenizer = KINDS[kind]()
    ids = tokenizer("   ΐ 🇩🇪", add_special_tokens=False)["input_ids"]
    said = AnswerText(tokenizer, word_marks(tokenizer), frozenset())
    for token in ids:
        before = said.text
        said.add(token)
        assert said.text.startswith(before)
    said.close()
    assert said.text == tokenizer.decode(ids)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_candidate_that_ends_a_letter_is_that_letter(kind):
    """The last byte of an emoji was listed as a byte, beside a chip with the emoji."""
    tokenizer = KINDS[kind]()
    said = AnswerText(tokenizer, word_marks(tokenizer), frozenset(range(5)))
    ids = tokenizer("a ΐ b", add_special_tokens=False)["input_ids"]
    other = tokenizer("a", add_special_tokens=False)["input_ids"][-1]
    for token in ids:
        said.add(token)
    said.close()
    pieces = list(said.pieces)
    listed = [said.candidates(at, [token, other]) for at, token in enumerate(ids)]
    assert [one for (one, _), piece in zip(listed, pieces, strict=True) if piece] == [
        piece for piece in pieces if piece
    ]
    assert {text.strip() for _, text in listed} == {"a"}
    assert all(
        text.startswith("\\x") for (text, _), piece in zip(listed, pieces, strict=True) if not piece
    )


def model_with(tokenizer, name="llava"):
    """A tiny model that speaks through another tokenizer."""
    torch.manual_seed(0)
    model, processor = TINY[name].build()
    processor.tokenizer = tokenizer
    image = tokenizer.convert_tokens_to_ids("<image>")
    model.config.image_token_id = image
    processor.image_token_id = image
    model.resize_token_embeddings(len(tokenizer))
    shake(model)
    model.generation_config.eos_token_id = None
    return tokviz.load((model, processor))


def forced(vlm, text):
    ids = tuple(vlm.tokenizer(text, add_special_tokens=False)["input_ids"])
    picture = Image.new("RGB", (96, 96), "red")
    return vlm.answer([picture], "what is it?", Plan((), forced=ids), len(ids))


@pytest.mark.parametrize("kind", sorted(REAL))
def test_a_trace_of_a_real_tokenizer_reads_as_people_read(kind):
    trace = forced(model_with(REAL[kind]()), "Giraffe 🔥 in 1990 don't")
    assert "".join(trace.answer_tokens) == trace.answer == "Giraffe 🔥 in 1990 don't"
    again = tokviz.open_trace(trace.to_bytes())
    for one in (trace, again):
        words = ["".join(one.pieces[a:b]).strip() for a, b in one.word_spans]
        assert words == ["Giraffe", "🔥", "in", "1990", "don't"]
        leads = [w["text"] for w in trace_words(one) if w["lead"] and not w["part"]]
        assert len(leads) <= 4
    texts = [t for row in trace.candidate_tokens for t in row] + list(trace.words.values())
    assert not any("\ufffd" in text for text in texts)
    assert trace.word_marks == MARKS[kind]


def test_special_tokens_that_are_content_are_shown_and_control_tokens_are_not():
    tokenizer = byte_level()
    places = [AddedToken("<loc0100>", special=True), AddedToken("<|box_start|>", special=True)]
    tokenizer.add_tokens(places, special_tokens=True)
    vlm = model_with(tokenizer)
    trace = forced(vlm, "<loc0100><|box_start|> cat")
    assert trace.answer == "<loc0100><|box_start|> cat"
    assert trace.answer_marks == ()
    ends = control_ids(tokenizer, vlm.processor, vlm.model)
    assert {tokenizer.convert_tokens_to_ids(t) for t in ("<s>", "</s>", "<pad>", "<image>")} <= ends
    marked = forced(vlm, "a</s> cat")
    assert (marked.answer, marked.answer_marks) == ("a cat", (1,))


def test_roles_that_a_config_class_fills_in_take_no_letters_from_an_answer():
    """Llama's config has 1 and 2 as <s> and </s>; in DeepSeek's vocabulary these are " and #."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    last = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>", pad_token="<|end|>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    vlm = model_with(last)
    text = vlm.model.config.get_text_config()
    assert last.convert_ids_to_tokens([text.bos_token_id, text.eos_token_id]) == ['"', "#"]
    trace = forced(vlm, 'say "a#b"<|end|>')
    assert trace.answer == "".join(trace.answer_tokens) == 'say "a#b"'
    assert trace.answer_marks == (9,)
