"""VAR: take attention from sinks and give it to the visual tokens that are none."""

from typing import Annotated

import torch

from tokviz.mitigation.declare import mitigation
from tokviz.mitigation.recipe import AttentionEdit, Place, Recipe
from tokviz.options import Range
from tokviz.sink_dims import sink_threshold


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
    """Let sinks keep the share p of their attention; the rest goes to other visual tokens.

    Visual attention redistribution, in heads that look at the image: at least `least_mass` of a
    row's attention on it, and at most `rho` of that on visual sinks (as in the code; the paper's
    rho is 1 minus this). Text sinks such as the first token give too. Rows after the image and new
    rows, layer 2 on; a layer without a visual sink is left alone. Sinks are found while the prompt
    is read and stay. `tau` is the threshold of the sink statistic; empty = .3125 times the root of
    the width, which is the published 20 at 4096. As in the code the last layer is edited too; the
    paper leaves it out. p = 1 changes nothing. A model without sink dimensions has nothing to
    redistribute, and says so.
    """

    def change(logits: torch.Tensor, place: Place) -> torch.Tensor | None:
        sinks = remembered_sinks(place, tau)
        if not (sinks & place.image).any():
            return None
        weights = logits.softmax(-1)
        chosen = image_centric(weights, sinks, place.image, rho, least_mass)
        told = place.told
        told["rows"] = told.get("rows", 0) + chosen.numel()
        told["edited_rows"] = told.get("edited_rows", 0) + int(chosen.sum())
        return redistributed(weights, sinks, place.image, chosen, p)

    return Recipe(AttentionEdit(change, rows="after_image", needs_sinks=True))


def remembered_sinks(place: Place, tau: float | None) -> torch.Tensor:
    """Return which keys are sinks, bool [k]; found in the prefill, tokens of the answer are none.

    Only the last k rows of the prompt and answer may still be in the cache (sliding windows).
    """
    if place.prefill and place.phi is not None:
        threshold = sink_threshold(place.width) if tau is None else tau
        place.memory["sinks"] = place.phi > threshold
    found, keys = place.memory["sinks"], len(place.image)
    written = int(place.answer.sum())
    return torch.cat([found, found.new_zeros(written)])[-keys:]


def image_centric(
    weights: torch.Tensor, sinks: torch.Tensor, image: torch.Tensor, rho: float, least_mass: float
) -> torch.Tensor:
    """Return which heads and rows look at the image and not only at its sinks, bool [h, r].

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
    """Move 1 - p of the attention on sinks to visual non-sinks, in proportion, where `chosen`.

    Args:
        weights: [h, r, k], rows sum to 1 and still do afterwards.
        sinks: bool [k].
        image: bool [k].
        chosen: bool [h, r]; rows whose visual non-sinks have no attention at all stay as they are.
        p: share that sinks keep.
    """
    takers = weights * (image & ~sinks)
    total = takers.sum(-1, keepdim=True)
    moved = (1 - p) * (weights * sinks).sum(-1, keepdim=True)
    edited = torch.where(sinks, p * weights, weights) + moved * takers / total.clamp_min(1e-12)
    return torch.where(chosen[..., None] & (total > 0), edited, weights)
