"""FoPru: keep the tokens, or the whole rows of the grid, that the tower attends to most."""

from __future__ import annotations

from typing import Literal

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.selection import received_score, top_k
from tokviz.reduction.parts.spatial import grid_of
from tokviz.torch_on_use import torch


@method(
    "fopru",
    title="FoPru",
    place="before",
    needs=("recv_attn",),
    fallbacks={"recv_attn": "cls_attn"},
    optional=("grid",),
    paper="https://arxiv.org/abs/2411.14164",
    year=2024,
    verified=False,
)
def fopru(
    signals, keep: int, *, strategy: Literal["rank", "row"] = "rank", layer: int = -2
) -> Reduction:
    """Keep the best tokens of the whole image (rank), or its best rows of tokens (row).

    A stand-in: no official code is public and only a digest of the paper was read. The score is
    the attention that a patch receives in the tower, mean over heads and queries. "row" adds it up
    along each row of the grid and keeps whole rows; the rest of the budget (not specified) goes to
    the best tokens of the next row.
    """
    score, notes = received_score(signals, layer)
    order = top_k(score, keep)
    if strategy == "row":
        (rows, cols), grid_notes = grid_of(signals)
        notes += grid_notes
        rank = torch.empty(rows, dtype=torch.long)
        rank[top_k(score.reshape(rows, cols).sum(1), rows).cpu()] = torch.arange(rows)
        best = top_k(score, len(score)).cpu()
        order = best[torch.sort(rank[best // cols], stable=True).indices][:keep]
    return Reduction.select(order, len(score), score=score, order=order, notes=notes)
