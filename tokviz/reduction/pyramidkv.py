"""PyramidKV: do early layers need a longer cache than late ones?"""

from typing import Annotated, Literal

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts.cache import ONLY_VISUAL, keep_per_head
from tokviz.reduction.snapkv import observed, rows_of

WINDOW = 8
"""Rows at the end of the prompt that stay, in the authors' runs."""


def layer_budgets(n: int, keep: int, layers: int, window: int, beta: int, exact: bool) -> list[int]:
    """Return the tokens that each layer keeps, falling evenly from the first layer to the last.

    Args:
        n: tokens that compete.
        keep: their mean number per layer.
        layers: of the language model.
        window: rows that stay in any case.
        beta: how much fewer than `keep` the last layer has.
        exact: real steps between layers, so that the mean is `keep`; False = whole steps, rounded
            down, as the official code.
    """
    if n + window < 2 * keep:
        return [keep] * layers
    least = keep / beta if exact else keep // beta
    most = 2 * keep - least
    if most >= n:
        least, most = 2 * keep - n, n
    step = (most - least) / max(layers - 1, 1)
    step = step if exact else int(step)
    return [max(round(most - layer * step), 1) for layer in range(layers)]


def _schedule(n: int, keep: int, layers: int, **options) -> list[Stage]:
    exact = options["variant"] == "paper"
    window = rows_of(options["window"], WINDOW, keep)
    counts = layer_budgets(n, keep, layers, window, options["beta"], exact)
    return [Stage(layer, count) for layer, count in enumerate(counts)]


@method(
    "pyramidkv",
    title="PyramidKV",
    place="cache",
    needs=("cache_attn_window", "llm_visual_rows", "kv_heads"),
    paper="https://arxiv.org/abs/2406.02069",
    year=2024,
    differs=(ONLY_VISUAL,),
    code="Zefan-Cai/KVCache-Factory",
    licence="MIT",
    query_aware=True,
    schedule=_schedule,
)
def pyramidkv(
    signals,
    keep: int,
    *,
    window: Annotated[int | None, Range(1, 64, 1)] = None,
    kernel: Annotated[int, Range(1, 15, 2)] = 7,
    pooling: Literal["mean", "max", "none"] = "max",
    beta: Annotated[int, Range(1, 64, 1)] = 20,
    variant: Literal["paper", "code"] = "paper",
) -> Reduction:
    """Choose as SnapKV does, with a budget that falls from the first layer to the last.

    `keep` is the mean over layers: the last layer keeps keep / beta, the first one 2 keep minus
    that, or all tokens if that is more than there are; the layers between them lie on a line. If
    the budget is more than half of the tokens, every layer keeps the same number. Window (8
    rows, at most half of the budget), kernel and pooling are those of the authors' long-text runs.

    The official code rounds the step between layers down, so that late layers keep more than they
    should and the mean is above the budget (by a fifth for 64 tokens in 32 layers); choose
    variant = code for that. Query heads that share a key head are averaged, its default.
    """
    score, ranked = observed(signals, window, WINDOW, keep, kernel, pooling)
    return keep_per_head(ranked, keep, score)
