"""H2O: which tokens have been attended to most by all rows so far, head by head?"""

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.cache import (
    ONCE,
    ONLY_VISUAL,
    keep_per_head,
    per_key_head,
    recent_first,
)


@method(
    "h2o",
    title="H2O",
    place="cache",
    needs=("cache_attn_sum", "llm_visual_rows", "kv_heads"),
    paper="https://arxiv.org/abs/2306.14048",
    year=2023,
    differs=(ONLY_VISUAL, ONCE),
    code="FMInference/H2O",
    licence="none stated",
    query_aware=True,
)
def h2o(signals, keep: int, *, recent: Annotated[float, Range(0, 1, 0.05)] = 0.5) -> Reduction:
    """Keep, in each layer and key head, the tokens with most attention from all rows together.

    The attention that a row receives is summed over all rows of the prompt ("heavy hitters"). A
    share `recent` of the budget is for the last rows of the prompt: visual tokens among them come
    first, the latest before others; where those rows are text, the share goes to heavy hitters.
    Half and half is what the official scripts use. The sum favours early rows, which more rows can
    see. The official code decides for each query head and again for every generated token; query
    heads that share a key head are averaged here.
    """
    rows, total = signals["llm_visual_rows"], signals["cache_attn_sum"].shape[-1]
    score = per_key_head(signals["cache_attn_sum"], int(signals["kv_heads"]))[:, rows]
    return keep_per_head(recent_first(score, rows, total - int(recent * keep)), keep, score)
