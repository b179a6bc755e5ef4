"""Where are two heads of two early layers shown to look while model 2 learns its new tokens?

From the last piece of a named word to the patches it is about, or to <s> if there are none; from
the article of each clause of a description to the thing it names. As in ``reader``, for rows with
any front. And where one head of the first layer looks from the second of two pictures: at the line
break behind the first one, so that its visual tokens know whose they are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from embedded.row_stream import Stream

GUIDED = (1, 2)
"""Guided layers."""
HEADS = 2
"""The first heads of a guided layer are guided."""
APART = 0
"""The layer in which pictures are told apart, by the head behind the guided ones."""


def guide_keys(guide_on: Tensor, keep: Tensor, visual: Tensor, total: int) -> Tensor:
    """Say which tokens of the front each guided position should look at.

    Args:
        guide_on: <s> and the patches of all pictures, [rows, g, 1 + pictures * total] bool.
        keep: kept patches, [rows, pictures, k].
        visual: which tokens of the front are visual, [f] bool.
        total: patches of a picture.

    Returns:
        [rows, g, f] bool.
    """
    rows, guides, _ = guide_on.shape
    keys = torch.zeros(rows, guides, len(visual), dtype=torch.bool)
    keys[..., 0] = guide_on[..., 0]
    shift = torch.arange(keep.shape[1])[None, :, None] * total + 1
    columns = (keep + shift).flatten(1)[:, None].expand(-1, guides, -1)
    keys[..., visual] = guide_on.gather(2, columns)
    return keys


def guide_layer(layer: nn.Module, stream: Stream, batch: dict[str, Tensor]) -> Tensor:
    """Measure the log of the attention of the guided heads on what they should look at.

    Args:
        layer: a decoder layer.
        stream: its input.
        batch: rows with ``guide_at`` [rows, g] and ``guide_keys`` [rows, g, f].

    Returns:
        Per guided position and head, flat.
    """
    valid = (batch["guide_at"] >= 0) & batch["guide_keys"].any(-1)
    valid &= batch["guide_at"] < stream.hidden.shape[1] - stream.front
    rows, slots = valid.nonzero(as_tuple=True)
    at = batch["guide_at"][rows, slots] + stream.front
    logs = log_attention(layer, stream, slice(0, HEADS), rows, at)
    right = functional.pad(batch["guide_keys"][rows, slots], (0, logs.shape[-1] - stream.front))
    return logs.masked_fill(~right[:, None], -1e9).logsumexp(-1).flatten()


def tell_apart(layer: nn.Module, stream: Stream, visual: Tensor) -> Tensor:
    """Measure the log of the attention from the second picture to the line break before it.

    Args:
        layer: the layer APART.
        stream: its input.
        visual: which tokens of the front are visual, [f] bool.

    Returns:
        Per row and visual token of the second picture, flat; empty where there is one picture.
    """
    ends = (visual[:-1] & ~visual[1:]).nonzero()[:, 0] + 1  # line breaks behind pictures
    if len(ends) < 2:
        return torch.zeros(0)
    second = visual.nonzero()[:, 0]
    second = second[second > ends[0]]
    rows = torch.arange(len(stream.hidden)).repeat_interleave(len(second))
    at = second.repeat(len(stream.hidden))
    return log_attention(layer, stream, slice(HEADS, HEADS + 1), rows, at)[..., ends[0]].flatten()


def log_attention(
    layer: nn.Module, stream: Stream, heads: slice, rows: Tensor, at: Tensor
) -> Tensor:
    """Compute the log of the attention of some heads from some positions, [positions, heads, t]."""
    attention = layer.self_attn
    size = attention.head_dim
    normed = layer.input_layernorm(stream.hidden)
    taken = slice(heads.start * size, heads.stop * size)
    query, key = (
        functional.linear(normed, projection.weight[taken]).unflatten(-1, (-1, size))
        for projection in (attention.q_proj, attention.k_proj)
    )
    query, key = apply_rotary_pos_emb(query.transpose(1, 2), key.transpose(1, 2), *stream.rotary)
    scores = torch.einsum("nhd,nhtd->nht", query[rows, :, at], key[rows]) * attention.scaling
    allowed = stream.mask[rows, 0, at]
    return scores.masked_fill(~allowed[:, None], -1e9).log_softmax(-1)
