"""DToP: which tokens are already classified, so that later layers do not need them?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.torch_on_use import torch


def context(probability: torch.Tensor, label: torch.Tensor, count: int) -> torch.Tensor:
    """Return which tokens stay as context, bool [n]: the surest `count` of every class.

    Args:
        probability: [n], how sure each token is.
        label: int64 [n], the class it is sure of.
        count: tokens per class.
    """
    order = np.lexsort((np.arange(len(label)), -probability.numpy(), label.numpy()))
    sorted_label = label.numpy()[order]
    first = np.searchsorted(sorted_label, sorted_label)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - first
    return torch.from_numpy(rank < count)


def decided(
    probability: torch.Tensor, label: torch.Tensor, threshold: float = 0.9, count: int = 5
) -> torch.Tensor:
    """Return which tokens the published rule removes, bool [n].

    A token is removed if its probability is above the threshold and not among the highest of its
    class.
    """
    return (probability > threshold) & ~context(probability, label, count)


def _schedule(n: int, keep: int, layers: int, **options):
    halfway, late = (schedules.in_depth(layer, 12, layers) for layer in (6, 8))
    return schedules.stages([(halfway, (n + keep) // 2), (late, keep)], n)


@method(
    "dtop",
    title="DToP (early exit, with the logit lens)",
    training_free=False,
    place="language_model",
    needs=("llm_lens_prob", "llm_lens_token"),
    paper="https://arxiv.org/abs/2308.01045",
    year=2023,
    code="zbwxp/Dynamic-Token-Pruning",
    licence="BSD-2-Clause",
    positions="keep",
    removes=False,
    effect="bypass",
    verified=False,
    depths=(12,),
    schedule=_schedule,
)
def dtop(
    signals,
    keep: int,
    *,
    threshold: Annotated[float, Range(0, 1, 0.01)] = 0.9,
    context_tokens: Annotated[int, Range(0, 20, 1)] = 5,
) -> Reduction:
    """Let tokens with a sure class skip layers; only undecided tokens pass through them.

    Tokens with the highest probability skip first; the five highest of every class are context and
    skip last. `keep` tokens pass through. The role "decided" marks the tokens that the published
    rule (probability above 0.9, not context) removes, independent of the budget.

    A stand-in: DToP is for segmentation, with trained heads after blocks 6 and 8 of 12. Without
    training the logit lens replaces them: the class is the most probable word at a visual token.
    Tokens that skip the layers are added again afterwards.
    """
    probability, label = signals["llm_lens_prob"].cpu(), signals["llm_lens_token"].cpu()
    stays = context(probability, label, context_tokens)
    order = torch.sort(stays.float() * 2 - probability, descending=True, stable=True).indices
    leaves = decided(probability, label, threshold, context_tokens)
    return Reduction.select(
        order[:keep],
        len(label),
        score=stays.float() * 2 - probability,
        order=order[:keep],
        roles={"context": torch.nonzero(stays), "decided": torch.nonzero(leaves)},
    )
