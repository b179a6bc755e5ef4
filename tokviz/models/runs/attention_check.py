"""Can a language model be run with tokviz's attention at all? Asked once, when it is loaded.

Most declare that they run with SDPA, and then they do. The others have something in their attention
that SDPA has not: a soft cap or learned sinks, which tokviz computes, or something that it does not
know. Two rows through the model show which; no picture is needed.
"""

from __future__ import annotations

from typing import Any

import torch

from tokviz.errors import ModelError
from tokviz.models.attention import observed
from tokviz.models.attention_call import AttentionCall
from tokviz.models.loaded import Loaded

SINKS = (
    "This model's attention has learned sinks: they take a part of every row and give nothing, so "
    "attention to all tokens sums to less than 1."
)


def check_attention(loaded: Loaded) -> None:
    """Raise ModelError for a language model whose attention tokviz cannot compute.

    A model with learned sinks gets a note that all its runs carry.
    """
    decoder: Any = loaded.family.decoder(loaded.model)
    usual = getattr(decoder, "_supports_sdpa", True)
    if usual and decoder._can_set_attn_implementation():
        return
    calls: list[AttentionCall] = []
    weight = loaded.model.get_input_embeddings().weight  # type: ignore[operator]
    with loaded.guarded(), observed(calls.append):
        decoder(inputs_embeds=torch.zeros(1, 2, weight.shape[1]).to(weight), use_cache=False)
    if not calls:
        raise ModelError(
            f"the attention of {type(decoder).__name__} is its own code, which tokviz cannot look "
            "into: choose a model whose attention is one of transformers' functions."
        )
    if any(call.sinks is not None for call in calls):
        loaded.notes = (*loaded.notes, SINKS)
