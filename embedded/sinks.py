"""How is attention with nothing to fetch led to <s>, and what is a visual sink told to be?

In large models most heads look at the first token most of the time (attention sinks). Here a
small cost lies on attention that lands anywhere else: a head that fetches something pays it, a
head with nothing to fetch learns to look at <s>. A few bare patches of each picture, those that
lean that way already, are drawn to the same two dimensions and are free as well (visual sinks,
arXiv 2503.03321).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlavaForConditionalGeneration
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from embedded.growth import SINK_DIMS
from embedded.labels import NOTHING

VISUAL_SINKS = 6
"""Bare patches of a picture that are drawn to the sink dimensions."""
LEAN = 6.5
"""RMS-normed value that they shall have there; the largest possible is sqrt(d / 2), 9.8."""


HEIGHT = 120.0
"""What visual sinks carry in the two dimensions at last, so that no layer buries it: the norm of
visual tokens grows to 150 with depth."""


def leaning(features: Tensor) -> Tensor:
    """Measure how far visual tokens lean to the sink, RMS-normed, [..., n] of [..., n, d]."""
    normed = features * features.square().mean(-1, keepdim=True).add(1e-6).rsqrt()
    first, second = SINK_DIMS
    return (normed[..., first] - normed[..., second]) / 2


def visual_sinks(features: Tensor, name: Tensor) -> Tensor:
    """Find the bare patches that lean to the sink most, [pictures, VISUAL_SINKS].

    Args:
        features: all projected tokens, [pictures, n, d].
        name: label of each patch, [pictures, n].
    """
    return (leaning(features) - 100.0 * (name != NOTHING)).topk(VISUAL_SINKS, dim=1).indices


def visual_sink_loss(features: Tensor, sinks: Tensor) -> Tensor:
    """Draw the sinks to the sink dimensions and everything else away from them."""
    lean = leaning(features)
    wanted = torch.zeros_like(lean).scatter(1, sinks, LEAN)
    squares = (lean - wanted).square()
    drawn = squares.gather(1, sinks).mean()
    return (drawn + squares.mean()) / LEAN**2


def massive_loss(features: Tensor, sinks: Tensor) -> Tensor:
    """Draw the sinks to massive activations of HEIGHT, and everything else away from them."""
    first, second = SINK_DIMS
    height = (features[..., first] - features[..., second]) / (2 * HEIGHT)
    wanted = torch.zeros_like(height).scatter(1, sinks, 1.0)
    squares = (height - wanted).square()
    return squares.gather(1, sinks).mean() + squares.mean()


def landing(
    layer: nn.Module, hidden: Tensor, rotary: tuple, mask: Tensor, queries: Tensor, free: Tensor
) -> Tensor:
    """Measure which share of a layer's attention lands where it is free.

    Args:
        layer: a decoder layer.
        hidden: its input, [b, t, d].
        rotary: cosines and sines, [b, t, head].
        mask: where a query may look, [b, 1, t, t] bool.
        queries: positions to look at, [q].
        free: free keys, [b, t] bool.

    Returns:
        Share per row, head and query, [b, h, q].
    """
    attention = layer.self_attn
    normed = layer.input_layernorm(hidden)
    shape = (-1, attention.head_dim)
    cos, sin = rotary
    query = attention.q_proj(normed[:, queries]).unflatten(-1, shape).transpose(1, 2)
    key = attention.k_proj(normed).unflatten(-1, shape).transpose(1, 2)
    query, _ = apply_rotary_pos_emb(query, query, cos[:, queries], sin[:, queries])
    key, _ = apply_rotary_pos_emb(key, key, cos, sin)
    scores = query @ key.mT * attention.scaling
    weights = scores.masked_fill(~mask[:, :, queries], -torch.inf).softmax(-1)
    return (weights * free[:, None, None]).sum(-1)


def word_loss(
    model: LlavaForConditionalGeneration, features: Tensor, words: Tensor, weight: Tensor
) -> Tensor:
    """Let the decoder's own word table name some visual tokens.

    Args:
        model: the LLaVA.
        features: projected tokens, [n, d].
        words: first piece of the name of what covers each, [n].
        weight: how much each counts, [n].
    """
    logits = model.lm_head(model.model.language_model.norm(features))
    losses = functional.cross_entropy(logits, words, reduction="none")
    return (losses * weight).sum() / weight.sum().clamp(min=1e-6)
