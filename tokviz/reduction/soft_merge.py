"""Soft many-to-many: can a patch be divided among several output tokens?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.options import fitted
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import bipartite, schedules
from tokviz.reduction.parts.grouping import token_sizes
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch

ANCHORS = 2


def _schedule(n: int, keep: int, layers: int, **options):
    return schedules.over_all_layers(n, keep, layers, halving=False)


@method(
    "soft_merge",
    title="Soft many-to-many (after Token Transforming)",
    place="tower",
    kind="both",
    needs=("keys", "recv_attn"),
    optional=("sizes", "layer"),
    space="pre",
    paper="https://arxiv.org/abs/2506.05709",
    year=2025,
    code="AuroraZengfh/TokenTransforming",
    licence="MIT",
    verified=False,
    schedule=_schedule,
)
def soft_merge(
    signals,
    keep: int,
    *,
    temperature: Annotated[float, Range(0.001, 1, 0.001)] = 0.05,
    anchors_per_token: Annotated[int, Range(1, 8, 1)] = ANCHORS,
) -> Reduction:
    """Divide every token among its most similar anchors, instead of merging it into one.

    Anchors are the tokens that receive most attention. The other tokens are divided among their
    few most similar anchors (head-mean keys) by a softmax over cosine / temperature; an anchor
    belongs to itself. Rows are normalised with the sizes, so that nothing is lost: temperature
    towards 0 or one anchor per token is plain merging.

    A stand-in: Token Transforming writes every reduction as such a matrix, but its exact matrix,
    temperature and schedule are not public.
    """
    n = signals.n
    if keep >= n:
        return Reduction.identity(n)
    layer = int(signals["layer"]) if "layer" in signals else -1
    score = signals.at("recv_attn", layer).cpu()
    anchors = top_k(score, keep).sort().values
    cosines = bipartite.key_cosines(signals)[:, anchors]
    nearest = torch.sort(cosines, dim=1, descending=True, stable=True)
    why = f"there are {keep} anchors"
    count, notes = fitted("anchors_per_token", anchors_per_token, ANCHORS, keep, why)
    share = (nearest.values[:, :count] / temperature).softmax(1)
    target = nearest.indices[:, :count]
    share[anchors], target[anchors] = 0.0, torch.arange(keep)[:, None]
    share[anchors, 0] = 1.0
    mass = (share * token_sizes(signals).cpu()[:, None]).double().numpy().reshape(-1)
    rows, cols = target.numpy().reshape(-1), np.repeat(np.arange(n), count)
    total = np.bincount(rows, mass, minlength=keep)
    return Reduction.from_entries(
        rows,
        cols,
        mass / total[rows],
        n,
        keep,
        anchors,
        score=score,
        roles={"anchor": anchors},
        notes=notes,
    )
