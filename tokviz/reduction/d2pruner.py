"""D²Pruner: attention without its bias by position, then tokens that are not alike."""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.parts.similarity import unit
from tokviz.torch_on_use import torch

NO_PRIOR = (
    "The mean attention by position over many pictures (llm_attn_prior) was not given, so the bias "
    "by position was not divided out."
)


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.stages([(schedules.at_layer("layer", options["layer"], layers), keep)], n)


@method(
    "d2pruner",
    title="D²Pruner",
    place="language_model",
    needs=("llm_attn_last", "llm_hidden"),
    optional=("llm_attn_prior",),
    paper="https://arxiv.org/abs/2512.19443",
    year=2025,
    query_aware=True,
    positions="keep",
    verified=False,
    schedule=_schedule,
    depths=(32,),
)
def d2pruner(
    signals,
    keep: int,
    *,
    layer: Annotated[int, Range(1, 64, 1)] = 2,
    pivots: Annotated[float, Range(0, 1, 0.05)] = 0.7,
    alike: Annotated[float, Range(-1, 1, 0.01)] = 0.8,
) -> Reduction:
    """Keep the tokens with the most attention for their place, then the best that are not alike.

    A share `pivots` of the budget is the tokens with the highest attention of the last prompt row,
    divided by the mean attention that their places get over many pictures. The others are taken in
    the same order, and each one taken bars the remaining tokens whose cosine with it is above
    `alike`. If none is left before the budget is full, barred tokens follow in order.

    A stand-in: the official code could not be read, so this follows the paper's description and
    another project's copy of its settings. The attention by position was measured by the authors on
    1,000 pictures and is not published here; without the signal llm_attn_prior it is not divided
    out. The paper's second kind of edge, between neighbours on the grid, has weight 0 in its
    setting for general questions and is left out.
    """
    attention = signals["llm_attn_last"].mean(0).cpu()
    prior = signals["llm_attn_prior"].cpu() if "llm_attn_prior" in signals else None
    score = attention if prior is None else attention / (prior + 1e-7)
    ranked = top_k(score, len(score)).tolist()
    first = ranked[: max(int(keep * pivots), 1)]
    others = ranked[len(first) :]
    kept = first + unlike(others, signals["llm_hidden"].cpu(), alike, keep - len(first))
    notes = (NO_PRIOR,) if prior is None else ()
    return Reduction.select(
        kept, len(score), score=score, order=kept, roles={"pivot": first}, notes=notes
    )


def unlike(ranked: list[int], states: torch.Tensor, alike: float, count: int) -> list[int]:
    """Return `count` tokens of a ranking, each of which bars those that are like it.

    Args:
        ranked: tokens, best first.
        states: [n, d].
        alike: cosine above which two tokens are alike.
        count: how many; barred tokens follow in their order if the others do not suffice.
    """
    tokens = torch.tensor(ranked, dtype=torch.long)
    near = unit(states[tokens]) @ unit(states[tokens]).T > alike
    barred = torch.zeros(len(ranked), dtype=torch.bool)
    taken: list[int] = []
    for place in range(len(ranked)):
        if len(taken) < count and not barred[place]:
            taken.append(place)
            barred |= near[place]
    rest = [place for place in range(len(ranked)) if place not in set(taken)]
    return [ranked[place] for place in (taken + rest)[:count]]
