"""MemVR: look at the picture once more in the layer where the next word is uncertain."""

from __future__ import annotations

from typing import Annotated

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import Recipe, Retrace
from tokviz.options import Range
from tokviz.torch_on_use import torch

WORDS = 10


@mitigation(
    "memvr",
    title="MemVR",
    kinds=("mlp",),
    paper="https://arxiv.org/abs/2410.03577",
    year=2024,
    code="1zhou-Wang/MemVR",
    licence="Apache-2.0",
    depths=(32,),
)
def memvr(
    *,
    ratio: Annotated[float, Range(0, 1, 0.01)] = 0.1,
    threshold: Annotated[float, Range(0, 1, 0.01)] = 0.75,
    first_layer: Annotated[int | None, Range(0, 200)] = None,
    last_layer: Annotated[int | None, Range(0, 200)] = None,
) -> Recipe:
    """Add the visual tokens to one layer's MLP at steps at which the next word is uncertain.

    Memory-space visual retracing. Behind each layer after `first_layer` and before `last_layer` the
    last row is read out; the first time that the entropy of its ten likeliest words is above
    `threshold` (1 = all ten alike), the next layer's MLP gets the picture: (1 - ratio) of its own
    output and `ratio` of x V'V, scaled to the same mean size, with x the rows and V the projected
    visual tokens that entered the language model. In the prefill all rows of the prompt are x. By
    default the layers are 5 and 16 of 32, as published for LLaVA-1.5-7B, scaled to the depth.
    ratio = 0 is the plain answer. Extra cost:
    a read-out of one row behind up to ten layers.
    """
    retrace = Retrace(first_layer, last_layer, threshold, ratio)
    return Recipe(retrace=retrace if ratio > 0 else None)


def uncertainty(logits: torch.Tensor) -> float:
    """Return the entropy of the ten likeliest words of logits [v], in units of log 10, 0 to 1."""
    chances = logits.float().topk(min(WORDS, logits.shape[-1])).values.softmax(-1)
    return float(torch.special.entr(chances).sum() / torch.log(torch.tensor(float(WORDS))))


def with_picture(
    states: torch.Tensor, output: torch.Tensor, tokens: torch.Tensor, ratio: float
) -> torch.Tensor:
    """Return an MLP's output with the visual tokens mixed in.

    Args:
        states: [..., rows, d], the MLP's input.
        output: [..., rows, d], its own output.
        tokens: [m, d], the visual tokens.
        ratio: share of the tokens, 0 to 1.
    """
    seen = tokens.to(output.device).float()  # with a device_map the layer may be elsewhere
    made = (states.float() @ seen.T) @ seen
    scale = output.float().abs().mean() / made.abs().mean().clamp(min=1e-30)
    return (output.float() * (1 - ratio) + scale * made * ratio).to(output.dtype)
