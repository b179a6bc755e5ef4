"""FiCoCo-V: the same three steps as FiCoCo-L, inside the vision tower."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.ficoco_l import relations
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.reduction.parts.grouping import original_numbers
from tokviz.reduction.parts.selection import joined_heads, top_k
from tokviz.torch_on_use import torch

WINDOW = 2
"""Rows and columns of the windows in which one token each is penalised."""


def _schedule(n: int, keep: int, layers: int, **options):
    first = min(round(12 * layers / 23), layers - 1)  # LLaVA's features come after 23 of 24 layers
    count = layers - first
    each, more = divmod(n - keep, count)
    left = [n - each * done - min(done, more) for done in range(1, count + 1)]
    return schedules.stages(zip(range(first, layers), left, strict=True), n)


@method(
    "ficoco_v",
    title="FiCoCo-V",
    place="tower",
    kind="both",
    needs=("cls_logits", "q", "k"),
    optional=("grid", "index", "layer"),
    space="pre",
    paper="https://arxiv.org/abs/2411.17686",
    year=2024,
    code="kawhiiiileo/FiCoCo",
    licence="none stated",
    depths=(24,),
    schedule=_schedule,
    differs=(
        "what is removed after the first layer, and the places where removed tokens are added, "
        "follow the paper: the official code loses track of its tokens there",
    ),
)
def ficoco_v(
    signals,
    keep: int,
    *,
    attended: Annotated[float, Range(0, 1, 0.05)] = 0.35,
) -> Reduction:
    """Remove redundant patches layer by layer and add each to those that it is most related to.

    Scores are scaled products of queries and keys, mean over heads, without softmax. Redundant is a
    patch that [CLS] has low products with (`attended`) and that has high ones with all patches,
    both scaled to length 1. In each window of 2 x 2 patches the most redundant one is made more so:
    its score is halved above 0, and doubled below. A removed patch is added to the few patches with
    the highest softmax of its products, in shares that add up to 1, and a patch becomes the mean of
    itself and what is added to it, in these weights. What goes to [CLS], to itself or to a patch
    that is removed too is lost.

    The cut is spread evenly over the layers from layer 12 of 24 on; the official code removes 42
    patches in each. It sorts what stays by score, [CLS] included, and adds removed patches by
    numbers of the order before; scores are carried over from picture to picture. In the first layer
    what is removed, its targets and their shares are the official ones.
    """
    layer, n = int(signals["layer"]) if "layer" in signals else -1, signals.n
    if keep >= n:
        return Reduction.identity(n)
    query, key = signals.at("q", layer), signals.at("k", layer)
    scale = len(query) * query.shape[-1] ** 0.5  # the mean over heads is one product
    logits = ((joined_heads(query) @ joined_heads(key).T) / scale).float().cpu()
    score = importance(signals.at("cls_logits", layer).mean(0).cpu(), logits, attended)
    places = original_numbers(signals).cpu().numpy()
    grid = [int(x) for x in signals["grid"]] if "grid" in signals else [1, int(places.max()) + 1]
    local = most_redundant(score.numpy(), places, grid[0], grid[1])
    score[local] = torch.where(score[local] > 0, score[local] / 2, score[local] * 2)
    gone = top_k(-score, n - keep)
    target, share = relations(logits, gone + 1)
    return averaged(n, gone.numpy(), target - 1, share, score)


def importance(from_cls: torch.Tensor, logits: torch.Tensor, attended: float) -> torch.Tensor:
    """Return [CLS]'s products with the patches minus each patch's own mean product, [n].

    Args:
        from_cls: [n].
        logits: [n + 1, n + 1], [CLS] first.
        attended: weight of the first; the other has 1 minus it.
    """
    unit = torch.nn.functional.normalize
    own = logits[1:, 1:].mean(-1)
    return attended * unit(from_cls, dim=-1) - (1 - attended) * unit(own, dim=-1)


def most_redundant(score: np.ndarray, places: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Return the token with the lowest score in each whole window of the grid.

    Args:
        score: [n].
        places: int [n], raster number of each token in the grid.
        rows: of the grid.
        cols: of the grid.
    """
    row, col = places // cols // WINDOW, places % cols // WINDOW
    whole = (row < rows // WINDOW) & (col < cols // WINDOW)
    window = row * (cols // WINDOW) + col
    order = np.lexsort((score, window))
    order = order[whole[order]]
    return order[np.unique(window[order], return_index=True)[1]]


def averaged(
    n: int, gone: np.ndarray, target: np.ndarray, share: np.ndarray, score: torch.Tensor
) -> Reduction:
    """Return the reduction in which patches that stay are weighted means with what joins them.

    Args:
        n: patches.
        gone: int [r], removed patches.
        target: int [r, k], where they are added; -1 = [CLS].
        share: [r, k].
        score: [n].
    """
    stays = np.setdiff1d(np.arange(n), gone)
    row = np.full(n + 1, -1)  # the last place stands for [CLS]
    row[stays] = np.arange(len(stays))
    to, source = row[target].ravel(), np.repeat(gone, target.shape[1])
    kept = to >= 0
    rows = np.concatenate([np.arange(len(stays)), to[kept]])
    weights = np.concatenate([np.ones(len(stays)), share.ravel()[kept]])
    weights = weights / np.bincount(rows, weights)[rows]
    return Reduction.from_entries(
        rows, np.concatenate([stays, source[kept]]), weights, n, len(stays), stays,
        score=score, order=gone, roles={"redundant": gone},
    )  # fmt: skip
