"""TidalDecode: does each new token attend to the same few tokens in all layers?"""

from __future__ import annotations

from tokviz.matrix import Reduction
from tokviz.reduction.method import Stage, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch


def attend(logits: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Return the attention of a decoded row that may attend only to the persistent set.

    Args:
        logits: [..., k], scaled logits.
        kept: int64, keys of the persistent set.
    """
    masked = torch.full_like(logits, float("-inf"))
    masked[..., kept] = logits[..., kept]
    return masked.softmax(-1)


def _schedule(n: int, keep: int, layers: int, **options):
    first = schedules.clamped(3, layers)
    again = schedules.in_depth(14, 32, layers)
    return [Stage(first, keep)] + ([Stage(again, keep)] if again > first else [])


@method(
    "tidaldecode",
    title="TidalDecode",
    place="language_model",
    needs=("llm_attn_last",),
    paper="https://arxiv.org/abs/2410.05076",
    year=2024,
    differs=(
        "one set for all heads, among visual tokens: the official code chooses per head, among all",
    ),
    code="DerrickYLJ/TidalDecode",
    licence="Apache-2.0",
    query_aware=True,
    positions="keep",
    removes=False,
    effect="decode",
    depths=(32,),
    schedule=_schedule,
)
def tidaldecode(signals, keep: int, *, anew: bool = True) -> Reduction:
    """Choose the keys of each new token in one layer and use them in the following layers.

    In decode steps layers 0 and 1 attend to everything, layer 2 chooses the tokens with the highest
    logits, layer 13 of 32 (scaled to the depth) chooses again, and the layers between them attend
    only to the chosen tokens. The prefill uses all tokens and the cache stays complete.

    With `anew` each new token chooses, by its own attention; what is drawn as the decision is the
    choice of the last row of the prompt, and the analysis decode_sets shows the sets by answer
    token. Without it that one choice serves the whole answer. The official accuracy code chooses
    256 tokens per head, among all tokens; here the mean over heads chooses one set of visual
    tokens, as the kernel is described.
    """
    score = signals["llm_attn_last"].mean(0)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
