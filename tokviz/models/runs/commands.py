"""Which special tokens may a user type in a question, and which would break its prompt?

A special token that is none of the prompt's structure is a word for the model, and people type it
on purpose: GLM's switch /nothink (its template looks for it), places <loc0123> of PaliGemma (arXiv
2407.07726, grounded captioning) and <loc_12> of SmolDocling (its model card), <ref> and <box> of
InternVL and MiniCPM-V, <|box_start|> of Qwen2-VL (arXiv 2409.12191). Qwen3's /no_think is plain
text.

All others stay refused: placeholders and marks of pictures, roles and turns, begin and end of a
text, and what is reserved or unknown.
"""

from __future__ import annotations

import re
from typing import Any

from tokviz.errors import InputError
from tokviz.models.answer_text import special_tokens, structure_ids
from tokviz.models.loaded import Loaded
from tokviz.models.runs.chat_template import PLACEHOLDER, render
from tokviz.prompts import check_prompt, is_command

PLACES = ("image", "video", "audio")
"""What processors replace by the tokens of a picture or film, wherever it stands."""
SWITCH = re.compile(r"/[a-z]+(?:_[a-z]+)*")
"""A word behind a slash. A template may write one by itself, when it is asked to."""
OTHER = (
    r"unused|reserved|extra|mask|fim_|[bes]o(?!x)[a-z](?:_|\b)|sep|cls|pad|unk|start|begin|end|"
    r"tool|slice|unit|patch|"  # above: of texts, or of no use
    r"[a-z_]*(?:user|assistant|system|human|role|turn|message|"  # who speaks
    r"image|img|video|audio|vision)"  # what a processor replaces or writes
)
"""What tags hold that are no words, also where neither processor nor template names them."""
WORD = re.compile(
    rf"</?(?!{OTHER})[a-z]+(?:_[a-z]+)*_?\d*>"
    r"|<\|(?:object_ref|box|quad|point)_(?:start|end)\|>"
)
"""A word or a numbered place in the form of a tag. Of the form <|...|>, which vocabularies have for
roles and turns, only those that mark a place."""


def checked(loaded: Loaded, prompt: str) -> str:
    """Return the checked prompt, all of which the model reads as the user's words.

    Some tokenizers look for special tokens in the normalised text, where other letters, or blanks,
    may have become one: the prompt's own tokens say so.

    Raises:
        InputError: see `check_prompt`.
    """
    tokenizer = loaded.tokenizer
    special = commands(loaded, prompt)
    places = (getattr(loaded.processor, f"{kind}_token", None) for kind in PLACES)
    prompt = check_prompt(prompt, [*special.values(), *filter(None, places)])
    special.pop(tokenizer.unk_token_id, None)  # what it has no word for is no command
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    token = next((special[i] for i in ids if i in special), None)
    if token:
        raise InputError(is_command(token))
    return prompt


def commands(loaded: Loaded, prompt: Any) -> dict[int, str]:
    """Return the special tokens that may not be in a prompt: all but those that it may hold."""
    special = special_tokens(loaded.tokenizer)
    text = prompt if isinstance(prompt, str) else ""
    typed = {
        i: token
        for i, token in special.items()
        if token in text and (SWITCH.fullmatch(token) or WORD.fullmatch(token))
    }
    if not typed:
        return special
    fixed = structure_ids(loaded.tokenizer, loaded.processor, loaded.model)
    written = render(loaded, PLACEHOLDER, 1)
    source = str(getattr(loaded.processor, "chat_template", None) or "")
    free = {
        i
        for i, token in typed.items()
        if i not in fixed
        and token not in written
        and (SWITCH.fullmatch(token) or token not in source)
    }
    return {i: token for i, token in special.items() if i not in free}
