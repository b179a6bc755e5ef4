"""VASparse's contrast: subtract the logits of the input embedding alone."""

from typing import Annotated

import torch

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import Contrast, EarlyExit, Recipe
from tokviz.options import Range


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
def vasparse(*, alpha: Annotated[float, Range(0, 1, 0.05)] = 0.1) -> Recipe:
    """Subtract a small part of the logits that the last input embedding gives without any layer.

    z - alpha z_early, where z_early is the embedding times the language model's head, no norm. A
    stand-in for one part of three: token selection and the penalty on sinks are left out, because
    on the default path the code's mask is a random permutation and no penalty is there; and the
    contrast is taken at every token, where the code waits for an external detector to name an
    object. alpha = 0 is the plain answer. It acts on every model,
    but with .1 it seldom changes a word that the model is sure of: the run says at how many tokens
    it did. No second run; extra cost: one product with the head.
    """
    contrast = Contrast(EarlyExit(), lambda own, early, step: less_early(own, early, alpha))
    return Recipe(contrast=contrast if alpha > 0 else None)


def less_early(logits: torch.Tensor, early: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return logits [v] - alpha early [v]."""
    return logits - alpha * early
