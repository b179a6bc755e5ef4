"""VL-Cache: how many visual tokens does each layer need for the text after the image?"""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.cache import ONLY_VISUAL, keep_per_head, per_key_head, recent_first
from tokviz.torch_on_use import torch

LEAST = 0.01
"""Smallest share of the tokens that a layer keeps."""


@method(
    "vl_cache",
    title="VL-Cache",
    place="cache",
    needs=("cache_attn_after", "cache_sparsity", "llm_visual_rows", "kv_heads", "layer"),
    paper="https://arxiv.org/abs/2410.23317",
    year=2024,
    differs=(ONLY_VISUAL,),
    code="EffiVLM-Bench/EffiVLM-Bench",
    licence="none stated",
    query_aware=True,
    adaptive=True,
    gradual=True,
)
def vl_cache(
    signals,
    keep: int,
    *,
    recent: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    per_head: bool = True,
    even: bool = False,
) -> Reduction:
    """Give each layer a budget by the sparsity of its attention; keep what the question looks at.

    A layer's share of layers x keep is its density (1 - sparsity) among all layers, at least 1 %
    and at most all of the tokens; `even` gives every layer the same. Tokens are ranked by the
    attention of the text after the image, summed, per key head or with `per_head` off over all
    heads. A part `recent` of the budget is for the last rows of the prompt; the part of it that
    falls on text, which stays here, goes to the other tokens.

    `keep` is the mean over layers; limits may move it. The authors published no code: decisions are
    those of EffiVLM-Bench's implementation.
    """
    n, rows = signals.n, signals["llm_visual_rows"]
    if keep == n:
        return Reduction.identity(n)
    summed = signals["cache_attn_after"]
    total = summed.shape[-1]
    window = max(1, int(total * (keep / n) * recent)) if recent else 0
    last = int((rows >= total - window).sum())
    count = min(layer_count(signals, n, keep, recent * last / max(window, 1), even) + last, n)
    score = per_key_head(summed, int(signals["kv_heads"]))[:, rows]
    score = score if per_head else score.mean(0).expand_as(score)
    return keep_per_head(recent_first(score, rows, total - window), count, score)


def layer_count(signals, n: int, keep: int, for_recent: float, even: bool) -> int:
    """Return how many tokens this layer keeps beside those of the window, at least 1."""
    dense = 1 - signals["cache_sparsity"]
    layers, part = len(dense), 1 - for_recent
    if even or not bool(dense.sum() > 0):
        share = torch.tensor(keep / n * part)
    else:
        share = dense[int(signals["layer"])] / dense.sum() * (keep / n) * part * layers
        share = share.clamp(LEAST * part, 1)
    return max(1, int(share * n))
