"""Prompts: real text passes unchanged, what a tokenizer reads as a command does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokviz.errors import InputError
from tokviz.prompts import check_prompt


@pytest.mark.parametrize(
    "text",
    [
        "is there a dog ?",
        "Was ist auf dem Bild? Größe, naïve, 写真に何がありますか",
        "family 👩‍👩‍👧 and flag 🇺🇳",
        "مرحبا",
        "two\nlines\tand a tab",
        "<script>alert(1)</script> <b>bold</b> 1 < 2 > 0 & more",
        "a <image file> is not a token, nor is image or <Image />",
        "cap <loc0012><seg003> of <|box_start|>(1,2)<|box_end|> /nothink",
        "x" * 8000,
    ],
)
def test_text_passes_unchanged(text):
    assert check_prompt(text) == text


def test_outer_space_and_control_characters_go():
    assert check_prompt("  is\0 there\x1b[0m\r\na dog ?\x7f \n") == "is there[0m\na dog ?"


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\0\0", None, 7])
def test_an_empty_prompt_is_refused(text):
    with pytest.raises(InputError, match="prompt"):
        check_prompt(text)


def test_a_hundred_thousand_characters_are_refused_with_both_numbers():
    with pytest.raises(InputError, match="100,000 characters; at most 8,000"):
        check_prompt("a" * 100_000)


@pytest.mark.parametrize(
    "token",
    ["<image>", "<|im_end|>", "<|image_pad|>", "</s>", "<IMG_CONTEXT>", "<image_soft_token>",
     "<start_of_turn>", "<row_1_col_2>", "<video>", "<pad>"],
)  # fmt: skip
def test_special_tokens_are_refused_by_name(token):
    with pytest.raises(InputError) as caught:
        check_prompt(f"what is {token} here ?")
    assert token in str(caught.value)


def test_a_special_token_cannot_be_hidden_behind_a_control_character():
    with pytest.raises(InputError, match="<image>"):
        check_prompt("<ima\0ge>")


def test_a_models_own_special_tokens_are_refused_too():
    assert check_prompt("say [SEP]") == "say [SEP]"
    with pytest.raises(InputError, match="SEP"):
        check_prompt("say [SEP]", special=["", "[SEP]"])


def test_half_a_character_is_refused():
    with pytest.raises(InputError, match="surrogate"):
        check_prompt("a \ud800 b")


@given(st.text())
def test_whatever_comes_out_can_be_sent_and_checked_again(text):
    try:
        once = check_prompt(text)
    except InputError:
        return
    assert once.encode()
    assert check_prompt(once) == once
