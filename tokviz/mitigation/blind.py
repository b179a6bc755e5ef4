"""Blind: what does the model answer without the picture?"""

from __future__ import annotations

from typing import Annotated

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import Contrast, NoImage, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch


@mitigation(
    "blind",
    title="No picture",
    kinds=("contrast",),
    paper="https://arxiv.org/abs/2403.20330",
    year=2024,
    code="MMStar-Benchmark/MMStar",
    licence="none stated",
    differs=("it is one answer beside the others, where the publication scores whole benchmarks",),
)
def blind(*, share: Annotated[float, Range(0, 1, 0.05)] = 1.0) -> Recipe:
    """Answer from the text alone, as a row beside the others: it mitigates nothing.

    An answer that is the same without the picture says nothing about the picture, nor about what a
    method did to its tokens. The words are those of the prompt without its visual tokens, positions
    renumbered. `share` mixes the probabilities of both runs: 1 = the text alone, 0 = the plain
    answer. The marks around a picture stay in the prompt. Extra cost: one more prefill without the
    picture, and two decoder steps per token.
    """
    contrast = Contrast(NoImage(), lambda own, text, step: mixed(own, text, share))
    return Recipe(contrast=contrast if share > 0 else None)


def mixed(own: torch.Tensor, text: torch.Tensor, share: float) -> torch.Tensor:
    """Return log-probabilities [v] of a mixture of two sets of logits; share = 1 gives the second.

    With share = 1 they are the second logits themselves.
    """
    if share == 1:
        return text
    chances = (1 - share) * own.softmax(-1) + share * text.softmax(-1)
    return chances.clamp(min=1e-38).log()
