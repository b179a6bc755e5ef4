"""Heads Guided Attention Intervention: middle layers look where their heads agree."""

from __future__ import annotations

from typing import Annotated

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.pai import HIDDEN
from tokviz.mitigation.recipe import AttentionEdit, EditContext, Recipe
from tokviz.options import Range
from tokviz.torch_on_use import torch


@mitigation(
    "middle_heads",
    title="Middle-layer heads",
    kinds=("attention",),
    paper="https://arxiv.org/abs/2411.16724",
    year=2024,
    code="ZhangqiJiang07/middle_layers_indicating_hallucinations",
    licence="none stated",
    depths=(32,),
)
def middle_heads(
    *,
    alpha: Annotated[float, Range(0, 5, 0.05)] = 0.5,
    first_layer: Annotated[int | None, Range(0, 200)] = None,
    last_layer: Annotated[int | None, Range(0, 200)] = None,
) -> Recipe:
    """Raise the last row's logits on the image by what all heads of the layer see there.

    In the middle layers, from `first_layer` to `last_layer`, a logit of a visual key becomes
    e + alpha times the mean over heads of |e|, so a place that many heads look at gains in every
    head. By default these are layers 5 to 18 of 32, as published for LLaVA-1.5-7B, scaled to the
    depth. alpha = 0 is the plain answer. Extra cost: nearly none.
    """

    def change(logits: torch.Tensor, context: EditContext) -> torch.Tensor | None:
        first, last = (
            in_depth(published, context.layers) if asked is None else asked
            for published, asked in ((5, first_layer), (18, last_layer))
        )
        if not first <= context.layer <= last:
            return None
        return agreed(logits, context.image, alpha).softmax(-1)

    edit = AttentionEdit(change, first_layer=first_layer or 0)
    return Recipe(edit if alpha > 0 else None)


def in_depth(published: int, layers: int) -> int:
    """Return a layer of a model with 32 layers, scaled to one with `layers`."""
    return min(round(published * layers / 32), layers - 1)


def agreed(logits: torch.Tensor, image: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return logits [h, r, k] with alpha times the head mean of |e| added where `image` [k]."""
    seen = image & (logits > HIDDEN)
    return torch.where(seen, logits + alpha * logits.abs().mean(0, keepdim=True), logits)
