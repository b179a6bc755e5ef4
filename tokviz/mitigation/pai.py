"""PAI: raise attention to the image, and contrast with the answer from the text alone."""

from __future__ import annotations

from typing import Annotated

from tokviz.mitigation.contrasting import plausible
from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, Contrast, NoImage, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch

HIDDEN = -1e30
"""Logits below this belong to masked keys."""
BETA = 0.1


@mitigation(
    "pai",
    title="PAI",
    kinds=("attention", "contrast"),
    paper="https://arxiv.org/abs/2407.21771",
    year=2024,
    differs=(
        "the text-only prompt keeps the marks around the image, which the official code drops",
    ),
    code="LALBJ/PAI",
    licence="MIT",
    published_options={"alpha": (0.2, 0.5)},
)
def pai(
    *,
    alpha: Annotated[float, Range(0, 1, 0.05)] = 0.2,
    gamma: Annotated[float, Range(1, 3, 0.1)] = 1.1,
    first_layer: Annotated[int, Range(0, 200)] = 2,
) -> Recipe:
    """Raise the last row's attention logits on the image, and contrast with the text alone.

    From `first_layer` on, a logit e of a visual key becomes e + alpha |e|, which also raises
    negative logits. Then gamma contrasts the log-probabilities with those of the prompt without its
    image, which runs unedited; tokens less probable than a tenth of the best are excluded. The
    paper starts at the layer where prior knowledge from the text ends; layer 2 and the defaults are
    those of the code (the paper uses alpha 0.5 for LLaVA). alpha = 0 does not edit attention,
    gamma = 1 needs no contrast branch. The code's text-only prompt also drops the markers around an
    image; here only the visual tokens are removed. Extra cost: one more prefill without the image,
    and two decoder steps per token.
    """
    edit = AttentionEdit(
        lambda logits, context: raised(logits, context.image, alpha).softmax(-1),
        first_layer=first_layer,
    )
    contrast = Contrast(NoImage(), lambda own, text, step: guided(own, text, gamma))
    return Recipe(edit if alpha > 0 else None, contrast if gamma > 1 else None)


def raised(logits: torch.Tensor, image: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return logits [..., k] with e + alpha |e| where `image` [k]; hidden keys stay hidden."""
    seen = image & (logits > HIDDEN)
    return torch.where(seen, logits + alpha * logits.abs(), logits)


def guided(logits: torch.Tensor, text: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return gamma (lp - lu) + lu of two log-softmaxes [v], -inf under a tenth of the best.

    gamma = 1 gives lp without any -inf.
    """
    own, other = logits.log_softmax(-1), text.log_softmax(-1)
    if gamma == 1:
        return own
    mixed = gamma * (own - other) + other
    return mixed.masked_fill(~plausible(own, BETA), -torch.inf)
