"""VASparse's contrast: subtract the logits of the input embedding alone."""

from __future__ import annotations

import math
from typing import Annotated

from tokviz.mitigation.contrasting import plausible
from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import Contrast, EarlyExit, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch

PLAUSIBLE = 0.1
"""Of the second contrast, `relative_top` in the official code."""


@mitigation(
    "vasparse",
    title="VASparse (contrast)",
    kinds=("contrast",),
    paper="https://arxiv.org/abs/2501.06553",
    year=2025,
    code="mengchuang123/VASparse-github",
    licence="none",
    verified=False,
)
def vasparse(
    *, alpha: Annotated[float, Range(0, 1, 0.05)] = 0.1, second_contrast: bool = False
) -> Recipe:
    """Subtract a small part of the logits that the last input embedding gives without any layer.

    z - alpha z_early, where z_early is the embedding times the language model's head, no norm. A
    stand-in for one part of three: token selection and the penalty on sinks are left out, because
    on the default path the code's mask is a random permutation and no penalty is there; and the
    contrast is taken at every token, where the code waits for an external detector to name an
    object. `second_contrast` is what the official scripts do besides, where the detector has
    fired: tokens less probable than a tenth of the best are excluded, and the log-probabilities of
    the same early logits are subtracted in full. Both contrasts were compared with the official
    functions on the logits of whole answers; what was never run is the detector (Grounding DINO
    with its weights), and with it the choice of tokens at which the code contrasts, its beam search
    and its sparse cache. alpha = 0 without the second contrast is the plain answer. It acts on
    every model, but with .1 it seldom changes a word that the model is sure of: the run says at how
    many tokens it did. No second run; extra cost: one product with the head.
    """
    contrast = Contrast(
        EarlyExit(), lambda own, early, step: less_early(own, early, alpha, second_contrast)
    )
    return Recipe(contrast=contrast if alpha > 0 or second_contrast else None)


def less_early(
    logits: torch.Tensor, early: torch.Tensor, alpha: float, second_contrast: bool = False
) -> torch.Tensor:
    """Return logits [v] - alpha early [v].

    Args:
        logits: [v] of the run itself.
        early: [v] of the last input embedding.
        alpha: 0 = do not subtract.
        second_contrast: subtract log-probabilities of the early logits first; -inf where a token is
            not plausible.
    """
    if second_contrast:
        apart = logits.log_softmax(-1) - early.log_softmax(-1)
        logits = apart.masked_fill(~plausible(logits, PLAUSIBLE), -math.inf)
    return logits - alpha * early
