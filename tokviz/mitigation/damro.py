"""DAMRO: subtract what the vision tower's outlier tokens alone would say."""

from __future__ import annotations

from typing import Annotated

from tokviz.errors import MissingSignal
from tokviz.mitigation.contrasting import subtract
from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import Contrast, FewTokens, Recipe
from tokviz.options import Range
from tokviz.reduction.parts.selection import single_head_cls
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch

LAYER = -2
"""The tower's second-to-last layer, from which LLaVA takes its features."""


@mitigation(
    "damro",
    title="DAMRO",
    kinds=("contrast",),
    paper="https://arxiv.org/abs/2410.04514",
    year=2024,
    code="coder-gx/DAMRO",
    licence="MIT (README, no file)",
    published_options={"alpha": (0.5, 1.5, 2.0)},
)
def damro(
    *,
    alpha: Annotated[float, Range(0, 5, 0.1)] = 0.5,
    beta: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    top: Annotated[int, Range(1, 1000)] = 10,
) -> Recipe:
    """Contrast with the answer from only the `top` tokens that [CLS] attends to most.

    (1 + alpha) z - alpha z'; tokens less probable than beta times the best are excluded. As in the
    code, the [CLS] attention is computed with all heads joined into one; the paper describes
    ordinary heads. Published alpha: 0.5 for POPE, 1.5 for CHAIR, 2 for MME; 10 tokens for LLaVA.
    With a reduction method, the `top` tokens of each image are chosen among those it kept. Needs a
    tower with a [CLS] token. alpha = 0 is the plain answer. Extra cost: a prefill with few tokens,
    and two decoder steps per token.
    """
    branch = FewTokens(top, outlier_score, ("q", "k", "cls_attn"))
    contrast = Contrast(branch, lambda own, other, step: subtract(own, other, alpha, beta))
    return Recipe(contrast=contrast if alpha > 0 else None)


def outlier_score(signals: Signals) -> torch.Tensor:
    """Return the [CLS] attention to each patch with all heads joined, [n].

    Raises:
        MissingSignal: a tower without a [CLS] token.
    """
    if "cls_attn" not in signals:
        raise MissingSignal("DAMRO needs a vision tower with a [CLS] token; this model has none.")
    return single_head_cls(signals, LAYER)[0]
