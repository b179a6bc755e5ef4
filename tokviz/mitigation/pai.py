"""PAI: pay more attention to the image, and lean away from what the text alone would say."""

from typing import Annotated

import torch

from tokviz.mitigation.contrasting import plausible
from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, Contrast, NoImage, Recipe
from tokviz.options import Range

HIDDEN = -1e30
"""Logits below this belong to keys that may not be seen."""
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
)
def pai(
    *,
    alpha: Annotated[float, Range(0, 1, 0.05)] = 0.2,
    gamma: Annotated[float, Range(1, 3, 0.1)] = 1.1,
    first_layer: Annotated[int, Range(0, 200)] = 2,
) -> Recipe:
    """Raise the last row's attention logits on the image, and contrast with the text alone.

    From `first_layer` on, e becomes e + alpha |e| on visual keys; negative logits are raised too.
    Then gamma weighs the log-probabilities against those of the prompt without its image, which
    runs unedited; tokens under a tenth of the best are out. The paper starts where prior knowledge
    from the text ends; layer 2 and the defaults are the code's (the paper uses alpha .5 for LLaVA).
    alpha = 0 leaves attention alone, gamma = 1 saves the second run. The code's text-only prompt
    drops what wraps an image as well; here only the visual tokens go. Extra cost: one more prefill
    without the image, and two decoder steps per token.
    """
    edit = AttentionEdit(
        lambda logits, place: raised(logits, place.image, alpha).softmax(-1),
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

    gamma = 1 gives lp, whole.
    """
    own, other = logits.log_softmax(-1), text.log_softmax(-1)
    if gamma == 1:
        return own
    mixed = gamma * (own - other) + other
    return mixed.masked_fill(~plausible(own, BETA), -torch.inf)
