"""StreamingLLM: are the first few tokens and the latest ones enough?"""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.cache import ONCE, ONLY_VISUAL, keep_per_head
from tokviz.torch_on_use import torch


@method(
    "streamingllm",
    title="StreamingLLM",
    place="cache",
    needs=("llm_visual_rows", "kv_heads"),
    paper="https://arxiv.org/abs/2309.17453",
    year=2023,
    differs=(
        ONLY_VISUAL,
        ONCE,
        "keys keep the positions at which they were read, the publication counts them in the cache",
    ),
    code="mit-han-lab/streaming-llm",
    licence="MIT",
)
def streamingllm(signals, keep: int, *, sinks: Annotated[int, Range(0, 64, 1)] = 4) -> Reduction:
    """Keep the visual tokens among the first rows of the prompt, and the latest ones.

    The first `sinks` rows take the attention that has nowhere to go. In most prompts they are text,
    which stays here in any case: then the last `keep` visual tokens stay. It reads no attention,
    so that it is a baseline for methods that do. All layers and heads keep the same tokens.
    """
    rows, heads = signals["llm_visual_rows"], int(signals["kv_heads"])
    # the first rows before all others, then the later ones before the earlier ones
    ranked = torch.where(rows < sinks, 2 * rows.max() + 2 - rows, rows).float()
    named = {"sink": torch.nonzero(rows < sinks)[:keep, 0]} if bool((rows < sinks).any()) else {}
    ranked = ranked.expand(heads, -1)
    return keep_per_head(ranked, keep, ranked, roles=named)
