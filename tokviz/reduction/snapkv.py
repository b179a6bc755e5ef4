"""SnapKV: which tokens do the last rows of the prompt attend to, head by head?"""

from __future__ import annotations

from typing import Annotated, Literal

from tokviz.matrix import Reduction
from tokviz.options import within
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.cache import (
    ONLY_VISUAL,
    keep_per_head,
    per_key_head,
    pooled,
    recent_first,
)
from tokviz.torch_on_use import torch


@method(
    "snapkv",
    title="SnapKV",
    place="cache",
    needs=("cache_attn_window", "llm_visual_rows", "kv_heads"),
    paper="https://arxiv.org/abs/2404.14469",
    year=2024,
    differs=(ONLY_VISUAL,),
    code="FasterDecoding/SnapKV",
    licence="Apache-2.0",
    query_aware=True,
)
def snapkv(
    signals,
    keep: int,
    *,
    window: Annotated[int | None, Range(1, 64, 1)] = None,
    kernel: Annotated[int, Range(1, 15, 2)] = 5,
    pooling: Literal["mean", "max", "none"] = "mean",
) -> Reduction:
    """Keep, in each layer and key head, the tokens that the prompt's last rows attend to most.

    The attention of the last `window` rows to each earlier row is summed and pooled along the
    prompt with `kernel` rows. The last `window` rows stay in any case, so visual tokens among them
    take part of the budget first, the latest before others. By default these are 32 rows, as
    published, but at most half of the budget: short questions leave most of a window to the end of
    the image, and a small budget would go to nothing else. Query heads that share a key head are
    averaged, as in NVIDIA's kvpress and in KVCache-Factory; the authors' code repeats the keys
    and decides per query head, which is the same where no heads are shared.
    """
    score, ranked = observed(signals, window, 32, keep, kernel, pooling)
    return keep_per_head(ranked, keep, score)


def rows_of(window: int | None, published: int, keep: int) -> int:
    """Return the rows of the window: as asked for, or as published but at most half the budget."""
    return min(published, max(keep // 2, 1)) if window is None else window


def observed(
    signals, window: int | None, published: int, keep: int, kernel: int, pooling: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the pooled attention of the last rows to each visual token, and the same with recent.

    Args:
        signals: of one layer.
        window: rows as asked for; None = the default, see `rows_of`.
        published: rows of the publication.
        keep: the budget.
        kernel: rows that are pooled.
        pooling: mean, max or none.

    Raises:
        InputError: the prompt has fewer rows than were asked for.

    Returns:
        The scores [g, n], 0 for tokens of the window; and those to rank by, in which tokens of the
        window come first.
    """
    attention, rows = signals["cache_attn_window"], signals["llm_visual_rows"]
    total = attention.shape[-1]
    there = attention.shape[1]
    if window is not None:
        within("window", window, 1, there, f"the prompt has {there} rows")
    window = min(rows_of(window, published, keep), there)
    attention = attention[:, -window:]
    first = total - attention.shape[1]
    # [h, w, earlier rows] -> [h, earlier rows] -> [g, earlier rows]
    past = per_key_head(attention[..., :first].sum(1), int(signals["kv_heads"]))
    past = torch.nn.functional.pad(pooled(past, kernel, pooling), (0, total - first))
    score = past[:, rows]
    return score, recent_first(score, rows, first)
