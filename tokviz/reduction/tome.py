"""ToMe: can similar patches be averaged, layer by layer, without training?"""

from __future__ import annotations

from typing import Annotated, Literal

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import bipartite, schedules
from tokviz.reduction.parts.grouping import merge_labels, original_numbers, token_sizes
from tokviz.reduction.signals import Signals
from tokviz.torch_on_use import torch


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.over_all_layers(n, keep, layers, options["schedule"])


@method(
    "tome",
    title="ToMe",
    place="tower",
    kind="merge",
    needs=("keys",),
    optional=("sizes", "index", "prefix"),
    space="pre",
    paper="https://arxiv.org/abs/2210.09461",
    year=2022,
    code="facebookresearch/ToMe",
    licence="CC-BY-NC-4.0",
    schedule=_schedule,
    only_with={"seed": ("matching", "random")},
)
def tome(
    signals,
    keep: int,
    *,
    schedule: Literal["constant", "decreasing", "increasing"] = "constant",
    matching: Literal["alternate", "spaced", "random"] = "alternate",
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
) -> Reduction:
    """Merge every second patch with the most similar of the others, a few in each layer.

    In each layer, after attention: the head-mean keys of patches at even positions ([CLS], at
    position 0, counts) are matched with their most similar patch at odd positions, and the best
    edges are merged into means that weigh tokens by their number of patches. [CLS] never merges.

    The published budget is r, the number merged per layer; here r follows from the number of tokens
    at the end of the tower. A layer can at most halve the tokens.

    `matching`: "spaced" and "random" are the code's two other ways. "spaced" keeps evenly spaced
    tokens (in the code every k-th), "random" draws the tokens that are merged away. Each of the
    others joins the most similar token that is kept. Both count only patches.
    """
    n = signals.n
    r = bipartite.check_half(n, keep, "ToMe")
    if r == 0:
        return Reduction.identity(n)
    if matching != "alternate":
        return _joined(signals, _staying(n, keep, matching, seed))
    edges = bipartite.best_edges(bipartite.key_cosines(signals), bipartite.prefix_of(signals))
    merged = torch.zeros(len(edges.a), dtype=torch.bool)
    chosen = edges.ranked[:r]
    merged[chosen] = True
    return merge_labels(
        edges.label(merged),
        token_sizes(signals),
        original_numbers(signals),
        order=edges.a[chosen],
        roles={"merged away": edges.a[chosen]},
    )


def _staying(n: int, keep: int, matching: str, seed: int) -> torch.Tensor:
    """Return the tokens that others join [keep], ascending."""
    if matching == "spaced":
        return torch.arange(keep) * n // keep
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(n, generator=generator)[:keep].sort().values


def _joined(signals: Signals, staying: torch.Tensor) -> Reduction:
    """Return the reduction in which every other token joins the most similar one that stays."""
    cosines = bipartite.key_cosines(signals)
    leaving = torch.ones(len(cosines), dtype=torch.bool)
    leaving[staying] = False
    label = torch.empty(len(cosines), dtype=torch.long)
    label[staying] = torch.arange(len(staying))
    label[leaving] = cosines[leaving][:, staying].argmax(1)
    gone = torch.nonzero(leaving).flatten()
    return merge_labels(
        label,
        token_sizes(signals),
        original_numbers(signals),
        order=gone,
        roles={"merged away": gone},
    )
