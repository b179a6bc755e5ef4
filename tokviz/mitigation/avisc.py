"""AvisC: contrast with what the model says when only tokens that get much attention are left."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from tokviz.mitigation.contrasting import subtract
from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import Contrast, Recipe, ZeroedTokens
from tokviz.options import Range
from tokviz.torch_on_use import torch


@mitigation(
    "avisc",
    title="AvisC",
    kinds=("contrast",),
    paper="https://arxiv.org/abs/2405.17820",
    year=2024,
    differs=("the next word is the likeliest one, where the publication samples",),
    code="sangminwoo/AvisC",
    licence="MIT",
)
def avisc(
    *,
    alpha: Annotated[float, Range(0, 5, 0.1)] = 1.0,
    beta: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    layers: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    deviations: Annotated[float, Range(-5, 5, 0.01)] = 0.99,
) -> Recipe:
    """Contrast with the run on attention's blind tokens alone: (1 + alpha) z - alpha z'.

    Blind tokens get much of the last row's attention whatever is asked. Layers are taken in the
    order of their attention to the image until they have the share `layers` of it; in their mean
    the tokens below the mean plus `deviations` standard deviations become zeros, at the input of
    the language model, and the prompt is read again. Words less probable than beta times the best
    are excluded. alpha = 0 is the plain answer. The attention is that of a prefill of its own with
    the tokens that enter the language model, so a method inside it does not change the choice.
    Published: layers 0.5, deviations 0.99 in the code. Extra cost: two more prefills, and two
    decoder steps per token.
    """
    contrast = Contrast(
        ZeroedTokens(partial(not_blind, gamma=layers, deviations=deviations)),
        lambda own, other, step: subtract(own, other, alpha, beta),
    )
    return Recipe(contrast=contrast if alpha > 0 else None)


def not_blind(attention: torch.Tensor, gamma: float, deviations: float) -> torch.Tensor:
    """Return which tokens become zeros, bool [m].

    Args:
        attention: of the last row to the visual tokens, mean over heads, [l, m].
        gamma: share of all attention to the image that the chosen layers have together.
        deviations: standard deviations above the mean at which a token counts as blind.
    """
    part = attention.sum(1) / attention.sum()
    running = part.sort(descending=True).values.cumsum(0)
    count = min(int((running < gamma).sum()) + 1, len(part))
    mean = attention[part.topk(count).indices].mean(0)
    spread = mean.std() if len(mean) > 1 else mean.new_zeros(())
    return mean < mean.mean() + deviations * spread
