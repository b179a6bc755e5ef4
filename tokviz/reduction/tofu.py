"""ToFu: does merging hurt less when the mean keeps the length of its longest member?"""

from __future__ import annotations

from typing import Literal

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts import schedules
from tokviz.reduction.tome import tome
from tokviz.torch_on_use import torch


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.over_all_layers(n, keep, layers, options["schedule"])


@method(
    "tofu",
    title="ToFu (norm-preserving merge)",
    place="tower",
    kind="merge",
    needs=("keys", "hidden"),
    optional=("sizes", "index", "prefix"),
    space="pre",
    paper="https://arxiv.org/abs/2312.01026",
    year=2023,
    verified=False,
    schedule=_schedule,
)
def tofu(
    signals, keep: int, *, schedule: Literal["constant", "decreasing", "increasing"] = "constant"
) -> Reduction:
    """Merge as ToMe does, then scale each mean to the length of its longest member.

    A stand-in: the pooling is that of a third party's comparison code; ToFu's switch between
    pruning in early layers and merging in late ones is not included. Rows of merged tokens sum to
    more than 1, which is intended.
    """
    merged = tome.decide(signals, keep, schedule=schedule)
    hidden = signals["hidden"].cpu()
    means = torch.from_numpy(merged.matrix()) @ hidden
    longest = torch.zeros(merged.m).scatter_reduce(
        0, torch.from_numpy(merged.rows), hidden.norm(dim=1)[merged.cols], "amax"
    )
    stretch = torch.where(
        torch.from_numpy(merged.row_sizes) > 1, longest / means.norm(dim=1).clamp_min(1e-12), 1.0
    )
    return Reduction.from_entries(
        merged.rows,
        merged.cols,
        merged.weights * stretch.numpy()[merged.rows],
        merged.n,
        merged.m,
        merged.position,
        order=merged.order,
        roles=merged.roles,
    )
