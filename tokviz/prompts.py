"""Checks of prompts from untrusted users: the model must read them as text.

Any script, emoji and HTML passes unchanged (views escape it). Only strings that the tokenizer turns
into special tokens are refused, such as placeholders of a picture or the end of a turn. (Which of a
tokenizer's own these are: `tokviz.models.runs.commands`.)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from tokviz.errors import InputError

MAX_PROMPT = 8000
"Characters."

SPECIAL = re.compile(
    # <|image_pad|>, <|im_end|>, <|endoftext|> ...; not what marks a place, which users type
    r"<\|(?!(?:object_ref|box|quad|point)_(?:start|end)\|>)[^<>|\s]{1,40}\|>"
    r"|<(?:image|video|img|/img|s|/s|unk|pad|bos|eos|IMG_CONTEXT|image_soft_token|"
    r"(?:start|end)_of_(?:turn|image|utterance)|fake_token_around_image|global-img|"
    r"row_\d+_col_\d+)>"
)
"""Strings that the tokenizers of the supported families turn into one special token."""


def check_prompt(text: str, special: Iterable[str] = ()) -> str:
    """Return the checked prompt.

    Args:
        text: the user's text.
        special: further special tokens of this model's tokenizer.

    Returns:
        The text without control characters (line breaks and tabs stay) and outer white space.

    Raises:
        InputError: empty, over MAX_PROMPT characters, not valid Unicode, or with special tokens.
    """
    if not isinstance(text, str):
        raise InputError(f"the prompt must be text, got {type(text).__name__}.")
    if len(text) > MAX_PROMPT:
        raise InputError(
            f"the prompt has {len(text):,} characters; at most {MAX_PROMPT:,} are allowed."
        )
    text = "".join(c for c in re.sub(r"\r\n?", "\n", text) if _is_text(c)).strip()
    if not text:
        raise InputError("the prompt is empty: type a question about the picture.")
    found = SPECIAL.search(text)
    token = found.group() if found else next((s for s in special if s and s in text), None)
    if token:
        raise InputError(is_command(token))
    return text


def is_command(token: str) -> str:
    """Return the sentence about a special token in a prompt."""
    return (
        f"the prompt holds {token[:40]!r}, which this kind of model reads as a command "
        "and not as text. Write it another way."
    )


def _is_text(character: str) -> bool:
    category = unicodedata.category(character)
    if category == "Cs":
        raise InputError("the prompt holds half of a character (a lone surrogate). Type it anew.")
    return category != "Cc" or character in "\n\t"
