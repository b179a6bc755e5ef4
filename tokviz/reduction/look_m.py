"""LOOK-M: can evicted visual tokens live on inside the entries that stay?"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.per_head import of_heads
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.cache import (
    ONCE,
    keep_per_head,
    per_key_head,
    recent_first,
)
from tokviz.torch_on_use import torch


@method(
    "look_m",
    title="LOOK-M",
    place="cache",
    kind="both",
    needs=("cache_attn_sum", "cache_keys", "llm_visual_rows", "kv_heads"),
    paper="https://arxiv.org/abs/2406.18139",
    year=2024,
    differs=(ONCE,),
    code="SUSTechBruce/LOOK-M",
    licence="MIT",
    query_aware=True,
)
def look_m(
    signals,
    keep: int,
    *,
    recent: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    merge: Literal["pivot", "none"] = "pivot",
) -> Reduction:
    """Keep all text and the visual tokens with most attention; merge the others into these entries.

    Text comes first, so all of it stays. Visual tokens are ranked per key head by the attention
    that they receive from all rows; a share `recent` of the budget is for the last rows of the
    prompt. Each evicted key is mixed into the most similar key that stays (cosine), text included,
    and its value likewise: the entry becomes the mean of itself and of the midpoints between itself
    and each evicted one ("pivot merge"). With `merge` none they are dropped.

    The official code subtracts 65,516 from scores of visual tokens, which rounds close scores to
    ties; here they are not rounded. Its averaged merge (which reads other tokens than it writes)
    and its weighted one are left out. Query heads that share a key head are averaged, as in
    EffiVLM-Bench. In W, tokens that are mixed into text are in no row.
    """
    rows, total = signals["llm_visual_rows"], signals["cache_attn_sum"].shape[-1]
    score = per_key_head(signals["cache_attn_sum"], int(signals["kv_heads"]))[:, rows]
    ranked = recent_first(score, rows, total - int(recent * keep))
    chosen = keep_per_head(ranked, keep, score)
    held = chosen.heads
    if merge == "none" or keep == signals.n or held is None or held.into is None:
        return chosen
    into, weights, text_row = merged(held.into, signals["cache_keys"], rows)
    return of_heads(into, weights, text_row, score=score.mean(0))


def merged(
    into: np.ndarray, keys: torch.Tensor, rows: torch.Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return into, weights and text_row [g, n] after the pivot merge.

    With c tokens merged into an entry x, it becomes (x + sum of (x + y) / 2) / (1 + c): each y has
    the weight 1 / (2 (1 + c)).
    """
    into, number = into.copy(), rows.cpu().numpy()
    text_row, weights = np.full(into.shape, -1), np.zeros(into.shape, np.float32)
    unit = keys / keys.norm(dim=-1, keepdim=True)
    token_of = np.full(keys.shape[1], -1)
    token_of[number] = np.arange(len(number))
    for head in range(len(into)):
        gone = np.flatnonzero(into[head] < 0)
        stays = np.ones(keys.shape[1], bool)
        stays[number[gone]] = False
        entry = np.flatnonzero(stays)
        similar = unit[head, number[gone]] @ unit[head, entry].T
        target = entry[similar.argmax(-1).cpu().numpy()]
        count = np.bincount(target, minlength=len(token_of))
        weights[head, gone] = 1 / (2 * (1 + count[target]))
        into[head, gone] = token_of[target]
        text_row[head, gone] = np.where(token_of[target] < 0, target, -1)
    return into, weights, text_row
