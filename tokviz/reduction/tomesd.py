"""tomesd: merge tokens only for attention, and restore all of them afterwards."""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, Stage, method
from tokviz.reduction.parts.destinations import cell_destinations, merge_into
from tokviz.reduction.parts.spatial import grid_of
from tokviz.torch_on_use import torch


def _schedule(n: int, keep: int, layers: int, **options):
    return [Stage(layer, keep) for layer in range(layers)]


@method(
    "tomesd",
    title="tomesd (merge, attend, unmerge)",
    place="tower",
    kind="merge",
    needs=("hidden",),
    optional=("grid", "index"),
    space="pre",
    paper="https://arxiv.org/abs/2303.17604",
    year=2023,
    differs=("it runs in a vision tower, where the publication speeds up diffusion models",),
    code="dbolya/tomesd",
    licence="MIT",
    removes=False,
    effect="unmerge",
    schedule=_schedule,
    only_with={"seed": ("random", True)},
)
def tomesd(
    signals,
    keep: int,
    *,
    cell_rows: Annotated[int, Range(1, 8, 1)] = 2,
    cell_cols: Annotated[int, Range(1, 8, 1)] = 2,
    random: bool = True,
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
) -> Reduction:
    """Merge tokens only for each layer's attention, and copy the result back to all members.

    No token is removed: `keep` is the number inside attention, the same in every layer, and the
    reduction has the groups. One token of every 2 x 2 cell (a random one, or the top left) is a
    destination and is never merged away; the other tokens that are most similar to a destination
    (cosine of the states) join it in a plain mean. The MLP and the residual stream have all tokens.
    Published for diffusion models, where half of the tokens merge.
    """
    grid, notes = grid_of(signals)
    rng = torch.Generator().manual_seed(seed) if random else None
    targets = cell_destinations(grid, (cell_rows, cell_cols), rng)
    return merge_into(signals, keep, targets, "tomesd", notes)
