"""M3ID: add the image's effect on the next word, with a weight that grows along the answer."""

from __future__ import annotations

import math
from typing import Annotated

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import Contrast, NoImage, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch


@mitigation(
    "m3id",
    title="M3ID",
    kinds=("contrast",),
    paper="https://arxiv.org/abs/2403.14003",
    year=2024,
    verified=False,
)
def m3id(
    *,
    alpha: Annotated[float, Range(0, 1, 0.05)] = 0.3,
    decay: Annotated[float, Range(0, 1, 0.01)] = 0.02,
) -> Recipe:
    """Where the model is unsure, add the image's effect on the next token, more with every token.

    lc + (e^(decay t) - 1)(lc - lu) where the best token has a probability under alpha: lc and lu
    are log-probabilities with and without the image, t counts tokens from 1. A stand-in: the rule
    was read in secondary sources. Short sure answers ("yes") stay as they are, and on a model that
    is sure of every word, as the embedded one is, nothing acts: the run says at how many tokens it
    did. alpha = 0 or
    decay = 0 is the plain answer. Extra cost: a prefill without the image, and two decoder steps
    per token.
    """
    contrast = Contrast(NoImage(), lambda own, text, step: grounded(own, text, step, alpha, decay))
    return Recipe(contrast=contrast if alpha > 0 and decay > 0 else None)


def weight(step: int, decay: float) -> float:
    """Return e^(decay step) - 1."""
    return math.expm1(decay * step)


def grounded(
    logits: torch.Tensor, text: torch.Tensor, step: int, alpha: float, decay: float
) -> torch.Tensor:
    """Return lc + weight (lc - lu) of two log-softmaxes [v], or lc where its best is >= alpha."""
    own = logits.log_softmax(-1)
    if float(own.max().exp()) >= alpha:
        return own
    return own + weight(step, decay) * (own - text.log_softmax(-1))
