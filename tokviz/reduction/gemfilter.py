"""GemFilter: can early layers find the tokens that a second reading needs?"""

from __future__ import annotations

from typing import Annotated

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch


def pooled(score: torch.Tensor, kernel: int) -> torch.Tensor:
    """Return the mean of each token's neighbourhood in the sequence [n]; missing ones count as 0.

    Args:
        score: [n].
        kernel: odd number of neighbours, the token itself included.
    """
    smooth = torch.nn.functional.avg_pool1d(score[None, None], kernel, 1, kernel // 2)
    return smooth[0, 0, : len(score)]


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.stages([(schedules.in_depth(14, 32, layers), keep)], n)


@method(
    "gemfilter",
    title="GemFilter",
    place="language_model",
    needs=("llm_qk_last",),
    paper="https://arxiv.org/abs/2409.17422",
    year=2024,
    differs=(
        "it chooses among visual tokens alone, where the publication takes all of a long text",
    ),
    code="SalesforceAIResearch/GemFilter",
    licence="Apache-2.0",
    query_aware=True,
    effect="restart",
    depths=(32,),
    schedule=_schedule,
)
def gemfilter(signals, keep: int, *, kernel: Annotated[int, Range(1, 15, 2)] = 5) -> Reduction:
    """Run the prompt to layer 13 of 32, choose tokens, and run it again from layer 0 with those.

    The score is the raw product of the last row's query with the keys, summed over heads and
    averaged over a window of the sequence. The paper says attention, but the code has neither the
    scale nor the softmax, so a strongly negative head can cancel others. The second reading
    starts at layer 0 with renumbered positions. The filter layer is scaled to the depth.

    Published for long texts and 1,024 tokens of any kind; here it chooses among visual tokens
    only, and the text stays.
    """
    if kernel % 2 == 0:
        raise InputError(f"kernel must be odd, so that a token is in its middle; got {kernel}.")
    score = pooled(signals["llm_qk_last"].sum(0), kernel)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
