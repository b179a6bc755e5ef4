"""What the language model's first layer makes of the prompt, without running the layer."""

from __future__ import annotations

import torch
from torch import nn

from tokviz.errors import MissingSignal
from tokviz.models.families.layer_kinds import layers_without_attention
from tokviz.models.families.parts import attention_of, enter_attention, queries_keys
from tokviz.models.families.state_versions import versions_of

FIRST_LAYER_SIGNALS = ("llm_first_queries", "llm_first_keys")


def first_layer_signals(
    decoder: nn.Module, words: torch.Tensor, tokens: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the words' queries [h, m, d] and the visual tokens' keys [h, n, d], unrotated.

    Args:
        decoder: the text decoder.
        words: [m, d], embeddings of the user's own words.
        tokens: [n, d], the visual tokens as they enter the language model.

    Returns:
        The signals llm_first_queries and llm_first_keys; each key head once per query head.
    """
    if kind := layers_without_attention(decoder).get(0):
        raise MissingSignal(
            f"the language model's first layer is {kind}: it has no queries and keys of attention. "
            "Choose another method."
        )
    layer = decoder.layers[0]  # type: ignore[index]
    attend = attention_of(layer)
    weight = next(attend.parameters())
    rows = torch.cat([words.to(weight), tokens.to(weight)])
    found = queries_keys(attend, enter_attention(layer, versions_of(decoder, rows[None]))[0])
    if found is None:
        raise MissingSignal("this model's attention has one matrix for queries and keys.")
    query, key = found
    key = key.repeat_interleave(len(query) // len(key), 0)
    return {
        "llm_first_queries": query[:, : len(words)].float().to(tokens.device),
        "llm_first_keys": key[:, len(words) :].float().to(tokens.device),
    }
