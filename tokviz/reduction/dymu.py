"""DyMU: should a simple image be merged more than a complex one?"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts import bipartite, schedules
from tokviz.reduction.parts.grouping import merge_labels, original_numbers, token_sizes


def find_threshold(best_edges: Sequence[torch.Tensor], r: int) -> float:
    """Return the similarity above which r merges per image happen on average.

    Args:
        best_edges: for each calibration image, the best similarity of each of its A tokens.
        r: merges per image that this layer should make on average.

    Returns:
        The largest similarity that is not merged among all images together, at least 0: exactly
        len(best_edges) * r edges lie above it when there are no ties.
    """
    pooled = torch.cat([torch.as_tensor(edges) for edges in best_edges])
    pooled = pooled.sort(descending=True).values
    if not len(pooled):
        raise InputError("no similarities were given to find a threshold from.")
    return max(float(pooled[min(len(best_edges) * r, len(pooled) - 1)]), 0.0)


def _schedule(n: int, keep: int, layers: int, **options):
    if keep == n:  # thresholds alone decide
        return [schedules.Stage(layer, n) for layer in range(layers)]
    return schedules.over_all_layers(n, keep, layers, options["schedule"])


@method(
    "dymu",
    title="DyMU",
    place="tower",
    kind="merge",
    needs=("keys",),
    optional=("sizes", "index", "prefix"),
    space="pre",
    adaptive=True,
    paper="https://arxiv.org/abs/2504.17040",
    year=2025,
    differs=("one threshold serves all layers, where the publication finds one for each",),
    code="MikeWangWZHL/dymu",
    licence="MIT",
    schedule=_schedule,
    published=(
        Published(
            "89 tokens",
            "own paper, Table 2 (mean count per image)",
            {"GQA": 60.8, "MME": 1787, "POPE": 86.3, "TextVQA": 53.1},
        ),
        Published(
            "195 tokens",
            "own paper, Table 2 (mean count per image)",
            {"GQA": 61.7, "MME": 1862, "POPE": 86.6, "TextVQA": 55.1},
        ),
        Published(
            "394 tokens",
            "own paper, Table 2 (mean count per image)",
            {"GQA": 61.9, "MME": 1846, "POPE": 86.8, "TextVQA": 58.0},
        ),
    ),
)
def dymu(
    signals,
    keep: int,
    *,
    threshold: Annotated[float, Range(0, 1, 0.001)] = 1.0,
    schedule: Literal["constant", "decreasing", "increasing"] = "constant",
) -> Reduction:
    """Merge like ToMe, but every edge above a threshold, so that the count follows the image.

    An edge to the most similar odd patch merges when its similarity exceeds the layer's threshold,
    which the authors find once on many images (`find_threshold` in this module). As published there
    is no budget: that is keep = all tokens with a threshold below 1. With a smaller budget the most
    similar edges merge until the budget is met, and also all edges above the threshold.

    Here all layers have the same threshold; the authors use a falling one (0.996 to 0.816 in
    CLIP-L/14-336). Their language model also computes attention as if every patch were still in
    the sequence (virtual unmerging); here each group has the position of its first patch.
    """
    n = signals.n
    edges = bipartite.best_edges(bipartite.key_cosines(signals), bipartite.prefix_of(signals))
    count = bipartite.check_half(n, keep, "DyMU")
    if threshold < 1:  # rounding can lift the similarity of duplicates above 1
        count = max(count, min(int((edges.best > threshold).sum()), n // 2))
    if count == 0:
        return Reduction.identity(n)
    chosen = edges.ranked[:count]
    merged = torch.zeros(len(edges.a), dtype=torch.bool)
    merged[chosen] = True
    return merge_labels(
        edges.label(merged),
        token_sizes(signals),
        original_numbers(signals),
        order=edges.a[chosen],
        roles={"merged away": edges.a[chosen]},
    )
