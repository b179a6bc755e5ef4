"""AgilePruner: attention first, and the more diverse the picture, the wider tokens lie apart."""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.selection import cls_score, top_k
from tokviz.reduction.parts.similarity import unit
from tokviz.torch_on_use import torch

STEP = 0.01


@method(
    "agilepruner",
    title="AgilePruner",
    place="before",
    tiles="each",
    needs=("feats_pre", "cls_attn"),
    fallbacks={"cls_attn": "recv_attn"},
    paper="https://arxiv.org/abs/2603.01236",
    year=2026,
    code="cvsp-lab/AgilePruner",
    licence="Apache-2.0",
    verified=False,
)
def agilepruner(
    signals,
    keep: int,
    *,
    average_rank: Annotated[float | None, Range(1, 4096, 1)] = None,
    largest: Annotated[float, Range(0, 2, 0.01)] = 0.5,
    layer: int = -2,
) -> Reduction:
    """Take tokens by [CLS] attention; each bars those closer to it than a threshold that grows.

    The threshold on the cosine distance is 0.01 times the number of the token in this order times
    the effective rank of the picture's features over the `average_rank` of pictures, at most
    `largest`. A picture with many different things is thinned out more, so that the budget reaches
    farther. Barred tokens follow by attention if the others do not fill the budget.

    A stand-in: the authors' repository has no code yet, so this follows the formula on their
    project page. The average rank and the largest threshold are not given there. Without
    `average_rank` the ratio is 1, which says nothing of the picture.
    """
    features = signals["feats_pre"].float().cpu()
    score, notes = cls_score(signals, layer)
    rank = effective_rank(features)
    ratio = 1.0 if average_rank is None else rank / average_rank
    ranked = top_k(score.cpu(), len(features))
    distance = 1 - unit(features[ranked]) @ unit(features[ranked]).T
    kept = ranked[apart(distance, STEP * ratio, largest, keep)]
    notes = (*notes, f"The effective rank of the features is {rank:.1f}.")
    return Reduction.select(kept, len(features), score=score, order=kept, notes=notes)


def effective_rank(features: torch.Tensor) -> float:
    """Return exp of the entropy of the singular values [n, d], scaled to sum 1; 1 to min(n, d)."""
    values = torch.linalg.svdvals(features.double())
    shares = values / values.sum().clamp(min=1e-30)
    return float(torch.exp(torch.special.entr(shares).sum()))


def apart(distance: torch.Tensor, step: float, largest: float, count: int) -> list[int]:
    """Return places of a ranking [k] whose tokens lie apart, filled up from the front.

    Args:
        distance: [n, n], cosine distances of the tokens in the order of the ranking.
        step: by how much the threshold grows with each token that is taken.
        largest: the threshold's limit.
        count: k.
    """
    barred = torch.zeros(len(distance), dtype=torch.bool)
    taken: list[int] = []
    for place in range(len(distance)):
        if len(taken) < count and not barred[place]:
            taken.append(place)
            barred |= distance[place] < min(step * len(taken), largest)
    rest = [place for place in range(len(distance)) if place not in set(taken)]
    return (taken + rest)[:count]
