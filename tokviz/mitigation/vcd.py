"""VCD: contrast with the answer to a noised image."""

from __future__ import annotations

import math
from typing import Annotated

from tokviz.mitigation.contrasting import subtract
from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import Contrast, NoisedImage, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch

STEPS = 1000


@mitigation(
    "vcd",
    title="VCD",
    kinds=("contrast",),
    paper="https://arxiv.org/abs/2311.16922",
    year=2023,
    differs=("the next word is the likeliest one, where the publication samples",),
    code="DAMO-NLP-SG/VCD",
    licence="Apache-2.0",
)
def vcd(
    *,
    alpha: Annotated[float, Range(0, 5, 0.1)] = 1.0,
    beta: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    noise_step: Annotated[int, Range(0, STEPS - 1)] = 500,
    seed: Annotated[int, Range(0, 2**31 - 1)] = 0,
) -> Recipe:
    """Contrast with the answer to a noised image: (1 + alpha) z - alpha z'.

    Visual contrastive decoding. The preprocessed pixels are noised as in step `noise_step` of a
    diffusion of 1,000 steps; tokens less probable than beta times the best are excluded. Published
    scores sample at temperature 1, where the gain is larger; tokviz decodes greedily. With a
    reduction method the noised image goes through the same plan, and the method decides again on
    it. alpha = 0 is the plain answer without excluded tokens. Extra cost: the whole run once more.
    """
    branch = NoisedImage(lambda pixels: noised(pixels, noise_step, seed))
    contrast = Contrast(branch, lambda own, other, step: subtract(own, other, alpha, beta))
    return Recipe(contrast=contrast if alpha > 0 else None)


def kept_signal(step: int) -> float:
    """Return the factor of the image's amplitude (not variance) at a noise step, 0 to 1.

    The square root of the product of 1 - b over the steps up to this one, where b rises from 1e-5
    to 5e-3 along a sigmoid from -6 to 6.
    """
    along = torch.linspace(-6, 6, STEPS, dtype=torch.float64).sigmoid()
    kept = (1 - (along * (0.005 - 1e-5) + 1e-5)).cumprod(0)
    return math.sqrt(float(kept[step]))


def noised(pixels: torch.Tensor, step: int, seed: int) -> torch.Tensor:
    """Mix preprocessed pixels with Gaussian noise; a seed gives the same noise on every device."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(pixels.shape, generator=generator).to(pixels)
    signal = kept_signal(step)
    return signal * pixels + math.sqrt(1 - signal**2) * noise
