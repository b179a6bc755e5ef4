"""PiToMe: protect patches that are unlike all others, and merge groups of similar patches."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import bipartite, schedules
from tokviz.reduction.parts.grouping import merge_labels, original_numbers, token_sizes
from tokviz.reduction.tome import tome
from tokviz.torch_on_use import torch


def energy(
    cosines: torch.Tensor, margin: float, alpha: float = 1.0, variant: str = "code"
) -> torch.Tensor:
    """Return the energy of every token [n]; a token with many similar tokens has a high energy.

    Args:
        cosines: [n, n] between all tokens; the diagonal counts.
        margin: cosine above which two tokens count as similar.
        alpha: weight of cosines below the margin.
        variant: above the margin "code" adds cos - margin, "paper" adds cos.
    """
    above = cosines - margin if variant == "code" else cosines
    below = alpha * torch.expm1(cosines - margin)
    return torch.where(cosines >= margin, above, below).mean(1)


Pairs: TypeAlias = "tuple[torch.Tensor, torch.Tensor, torch.Tensor]"
"""Tokens that are merged away, tokens that they may join, tokens that stay as they are."""


def crowded_pairs(ranked: torch.Tensor, cosines: torch.Tensor, r: int) -> Pairs:
    """Split the 2 r tokens of highest energy alternately; all of the first half merge."""
    return ranked[0 : 2 * r : 2], ranked[1 : 2 * r : 2], ranked[2 * r :]


def all_pairs(ranked: torch.Tensor, cosines: torch.Tensor, r: int) -> Pairs:
    """Split all tokens alternately in energy order; the r most alike to the others merge.

    Args:
        ranked: int64 [n], highest energy first.
        cosines: [n, n].
        r: at most half of n.
    """
    a, b = ranked[::2], ranked[1::2]
    by_likeness = torch.sort(cosines[a][:, b].amax(1), descending=True, stable=True).indices
    return a[by_likeness[:r]], b, a[by_likeness[r:]]


def _schedule(n: int, keep: int, layers: int, **options):
    if keep * 2**layers < n:
        return schedules.over_all_layers(n, keep, layers)  # raises, and says the smallest
    powers = [(layer + 1) / layers for layer in range(layers)]
    return schedules.halved(schedules.geometric(n, keep, powers), n)


@method(
    "pitome",
    title="PiToMe",
    place="tower",
    kind="merge",
    needs=("keys",),
    optional=("sizes", "index", "prefix", "layer", "num_layers"),
    space="pre",
    paper="https://arxiv.org/abs/2405.16148",
    year=2024,
    code="hchautran/PiToMe",
    licence="CC-BY-NC-4.0",
    schedule=_schedule,
)
def pitome(
    signals,
    keep: int,
    *,
    margin: Annotated[float, Range(0, 1, 0.01)] = 0.9,
    alpha: Annotated[float, Range(0, 2, 0.1)] = 1.0,
    variant: Literal["code", "paper"] = "code",
    tome_first: bool = False,
    split: Literal["energy", "all"] = "energy",
) -> Reduction:
    """Merge patches that have many similar patches; patches unlike all others are kept.

    Patches with many similar patches have high energy. To merge r tokens, the 2 r of highest energy
    are split alternately in energy order, and every token of the first half joins its most similar
    token of the second (means weigh tokens by their patches). The margin falls with depth,
    margin * (1 - layer / layers); 0.9 is the value for CLIP. Each layer keeps the same share of its
    tokens, at least half. Output order: protected in energy order, then the second half.

    Similarities are computed in float64 and rounded, energies added in float32. The official code
    does both in float32: where two energies, or two similarities to the second half, differ by less
    than its rounding, it may take the other token (in 0 to 1 % of random trials).

    `split`: "all" is the code's bsm form for the first layers of DeiT and the last of MAE: all
    tokens are split alternately in energy order, and the r pairs that are most alike merge.

    `variant`: the energy above the margin, cos - margin in the code; the paper's form is from a
    secondary source. `tome_first`: ToMe up to the middle layer (0 to 12 of 24), as for CLIP. That
    code also takes plain means and, for other towers, leaves out the sizes in attention.
    """
    n = signals.n
    r = bipartite.check_half(n, keep, "PiToMe")
    layer = int(signals["layer"]) if "layer" in signals else 0
    layers = int(signals["num_layers"]) if "num_layers" in signals else 1
    if r == 0:
        return Reduction.identity(n)
    if tome_first and layer <= (layers + 1) // 2:
        return tome.decide(signals, keep)
    cosines = bipartite.key_cosines(signals)
    energies = energy(cosines, margin * (1 - layer / layers), alpha, variant)
    ranked = torch.sort(energies, descending=True, stable=True).indices
    a, b, protected = (all_pairs if split == "all" else crowded_pairs)(ranked, cosines, r)
    label = torch.empty(n, dtype=torch.long)
    label[protected] = torch.arange(len(protected))
    label[b] = len(protected) + torch.arange(len(b))
    label[a] = len(protected) + cosines[a][:, b].argmax(1)
    return merge_labels(
        label,
        token_sizes(signals),
        original_numbers(signals),
        score=-energies,
        order=a,
        roles={"protected": protected, "merged away": a},
    )
