"""VAR: move attention from sinks to the visual tokens that are no sinks."""

from __future__ import annotations

from typing import Annotated

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, EditContext, Recipe
from tokviz.options import Range
from tokviz.sink_dims import sink_threshold
from tokviz.torch_on_use import torch


@mitigation(
    "var",
    title="VAR",
    kinds=("attention",),
    paper="https://arxiv.org/abs/2503.03321",
    year=2025,
    code="seilk/VisAttnSink",
    licence="Apache-2.0",
)
def var(
    *,
    p: Annotated[float, Range(0, 1, 0.05)] = 0.6,
    rho: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    least_mass: Annotated[float, Range(0, 1, 0.05)] = 0.2,
    tau: Annotated[float | None, Range(0, 1000)] = None,
) -> Recipe:
    """Leave sinks the share p of their attention and move the rest to other visual tokens.

    Visual attention redistribution, only in image-centric heads: at least `least_mass` of a row's
    attention is on the image, and at most `rho` of that on visual sinks (as in the code; the
    paper's rho is 1 minus this). Attention is also moved away from text sinks such as the first
    token. Edited are rows after the image and new rows, from layer 2 on, in layers with a visual
    sink. Sinks are found in the prefill and stay the same. `tau` is the threshold of the sink
    statistic; empty = 0.3125 times the square root of the width, which is the published 20 at 4096.
    As in the code the last layer is edited too; the paper leaves it out. p = 1 changes nothing. A
    model without sink dimensions cannot run it.
    """

    def change(logits: torch.Tensor, context: EditContext) -> torch.Tensor | None:
        sinks = remembered_sinks(context, tau)
        if not (sinks & context.image).any():
            return None
        weights = logits.softmax(-1)
        chosen = image_centric(weights, sinks, context.image, rho, least_mass)
        measured = context.measured
        measured["rows"] = measured.get("rows", 0) + chosen.numel()
        measured["edited_rows"] = measured.get("edited_rows", 0) + int(chosen.sum())
        return redistributed(weights, sinks, context.image, chosen, p)

    return Recipe(AttentionEdit(change, rows="after_image", needs_sinks=True))


def remembered_sinks(context: EditContext, tau: float | None) -> torch.Tensor:
    """Return which keys are sinks, bool [k]: found in the prefill; answer tokens are no sinks.

    With a sliding window the cache holds only the last k rows of prompt and answer.
    """
    if context.prefill and context.phi is not None:
        threshold = sink_threshold(context.width) if tau is None else tau
        context.memory["sinks"] = context.phi > threshold
    found, keys = context.memory["sinks"], len(context.image)
    written = int(context.answer.sum())
    return torch.cat([found, found.new_zeros(written)])[-keys:]


def image_centric(
    weights: torch.Tensor, sinks: torch.Tensor, image: torch.Tensor, rho: float, least_mass: float
) -> torch.Tensor:
    """Return which rows of which heads are image-centric, bool [h, r].

    Args:
        weights: [h, r, k], rows sum to 1.
        sinks: bool [k], text sinks included.
        image: bool [k].
        rho: largest share of the visual attention on visual sinks.
        least_mass: smallest attention on the image.
    """
    visual = (weights * image).sum(-1)
    portion = (weights * (sinks & image)).sum(-1) / visual.clamp_min(1e-12)
    return (visual >= least_mass) & (portion <= rho)


def redistributed(
    weights: torch.Tensor,
    sinks: torch.Tensor,
    image: torch.Tensor,
    chosen: torch.Tensor,
    p: float,
) -> torch.Tensor:
    """Move 1 - p of the attention on sinks to visual non-sinks, in proportion to their attention.

    Args:
        weights: [h, r, k], rows sum to 1 and still do afterwards.
        sinks: bool [k].
        image: bool [k].
        chosen: bool [h, r], rows to edit; of these, rows whose visual non-sinks have no attention
            do not change.
        p: share that sinks keep.
    """
    # every term is [h, r, k] or [h, r, 1]
    takers = weights * (image & ~sinks)
    total = takers.sum(-1, keepdim=True)
    moved = (1 - p) * (weights * sinks).sum(-1, keepdim=True)
    edited = torch.where(sinks, p * weights, weights) + moved * takers / total.clamp_min(1e-12)
    return torch.where(chosen[..., None] & (total > 0), edited, weights)
