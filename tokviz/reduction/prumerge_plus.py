"""LLaVA-PruMerge+: PruMerge, with an even sample of the image beside the outliers."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.prumerge import NEIGHBOURS, attention_and_keys, merge_around, outliers
from tokviz.torch_on_use import torch


@method(
    "prumerge_plus",
    title="PruMerge+",
    place="before",
    kind="merge",
    needs=("q", "k"),
    fallbacks={"q": "cls_attn"},
    optional=("recv_attn",),
    space="pre",
    paper="https://arxiv.org/abs/2403.15388",
    year=2024,
    code="42Shawn/LLaVA-PruMerge",
    licence="Apache-2.0",
    adaptive=True,
    own_count=True,
    published=(
        Published(
            "128 tokens", "another paper's table", {"GQA": 58.2, "POPE": 83.1, "TextVQA": 54.0}
        ),
        Published(
            "64 tokens", "another paper's table", {"GQA": 55.4, "POPE": 75.7, "TextVQA": 52.0}
        ),
    ),
)
def prumerge_plus(
    signals,
    keep: int,
    *,
    count: Literal["outliers", "budget"] = "outliers",
    neighbours: Annotated[int, Range(1, 128)] = NEIGHBOURS,
) -> Reduction:
    """Keep PruMerge's outliers and evenly spaced patches, then merge as PruMerge does.

    With a share r of outliers, every int(int(1 / r) / 3)-th patch is added (about three times as
    many as outliers); the last patch is never added, as in the code. If that is more than the
    budget, evenly spaced ones of them are kept; "budget" adds evenly spaced patches up to it.
    """
    score, keys, notes = attention_and_keys(signals, "code")
    n, room = len(score), max(keep - 1, 1)
    found = max(outliers(score), 1)
    kept = top_k(score, min(found, room)).cpu().numpy()
    if count == "budget":
        spread = np.arange(n)
    else:
        spread = np.arange(0, max(n - 1, 1), max(n // found // 3, 1))
    added = _evenly(np.setdiff1d(spread, kept), room - len(kept))
    centres = torch.as_tensor(np.concatenate([kept, added]))
    roles = {"outlier": kept, "spread": added}
    return merge_around(score, keys, centres, keep, neighbours, False, notes, roles)


def _evenly(tokens: np.ndarray, k: int) -> np.ndarray:
    """Return at most k of the tokens, evenly spaced."""
    if len(tokens) <= k:
        return tokens
    return tokens[np.arange(k) * len(tokens) // max(k, 1)]
