"""Relevance map: an oracle that keeps the tokens which matter for the known answer."""

from __future__ import annotations

from tokviz.errors import InputError, MissingSignal
from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch


@method(
    "relevance",
    title="Relevance map (oracle)",
    place="before",
    needs=("relevance",),
    fallbacks={"relevance": "llm_attn"},
    optional=("llm_attn_grad", "llm_visual_rows"),
    paper="https://arxiv.org/abs/2506.01097",
    year=2025,
    query_aware=True,
    verified=False,
)
def relevance(signals, keep: int) -> Reduction:
    """Keep the tokens that matter most for the complete model's own answer: an upper bound.

    It uses any map over the tokens. Without one, the map is the rollout of attention x gradient of
    the language model (positive part, mean over heads, layer by layer; last row). That needs a
    forward and a backward pass with all tokens, so it saves nothing. A run supplies the map of the
    analysis "relevance" on the full answer's first eight tokens, and counts its time as time to
    decide. The paper trains a small network to predict this map, which is not part of this method;
    its code is not public and the formula comes from a secondary source.
    """
    notes: tuple[str, ...] = ()
    if "relevance" in signals:
        score = signals["relevance"]
    else:
        score = _visual(signals)
        notes = ("The map was computed from llm_attn and llm_attn_grad by rollout.",)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order, notes=notes)


def rolled_out(attention: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the relevance [t, t] of every row (query) for every column after all layers.

    Args:
        attention: [l, h, t, t].
        gradient: [l, h, t, t], of the logit that is explained.
    """
    relevance = torch.eye(attention.shape[-1], device=attention.device)
    for one, slope in zip(attention, gradient, strict=True):
        relevance = relevance + (one * slope).clamp(min=0).mean(0) @ relevance
    return relevance


def _visual(signals) -> torch.Tensor:
    if "llm_attn_grad" not in signals:
        raise MissingSignal(
            "the signal 'llm_attn_grad' is missing: the map cannot be computed from llm_attn alone."
        )
    if "llm_visual_rows" not in signals:
        raise MissingSignal("the signal 'llm_visual_rows' is missing: rows of the visual tokens.")
    attention, rows = signals["llm_attn"], signals["llm_visual_rows"]
    if attention.shape != signals["llm_attn_grad"].shape or rows.max() >= attention.shape[-1]:
        raise InputError("llm_attn, llm_attn_grad and llm_visual_rows do not fit each other.")
    return rolled_out(attention, signals["llm_attn_grad"])[-1, rows]
