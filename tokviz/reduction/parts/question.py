"""How similar is a token to the question?"""

from __future__ import annotations

from tokviz.errors import InputError
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch

NO_CLIP_TEXT = "There is no CLIP text encoder: text_llm and feats_post were compared."


def tokens_and_text(signals: Signals) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """Return features of the tokens [n, d] and of the text [m, d] that can be compared.

    Both in CLIP's joint space if it has both; else projected features and the language model's
    input embeddings, with a note.

    Raises:
        InputError: the two differ in width.
    """
    in_clip = "text_clip" in signals and "img_clip" in signals
    names = ("img_clip", "text_clip") if in_clip else ("feats_post", "text_llm")
    tokens, text = (signals[name] for name in names)
    if tokens.shape[1] != text.shape[1]:
        widths = f"{names[1]} has width {text.shape[1]}, {names[0]} {tokens.shape[1]}"
        raise InputError(f"{widths}: they cannot be compared.")
    return tokens, text, () if in_clip else (NO_CLIP_TEXT,)
