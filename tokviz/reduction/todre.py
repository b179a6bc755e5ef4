"""ToDRE, stage 1: start at the tower's most important token, then keep the least similar ones."""

from typing import Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.similarity import cosines
from tokviz.reduction.parts.spatial import grid_of


@method(
    "todre",
    title="ToDRE stage 1",
    place="before",
    needs=("feats_post",),
    optional=("cls_attn", "grid"),
    paper="https://arxiv.org/abs/2505.18757",
    year=2025,
    rest="todre_exit",
)
def todre(
    signals, keep: int, *, objective: Literal["max_sum", "k_centre"] = "max_sum", layer: int = -1
) -> Reduction:
    """Keep a pivot and then, one by one, the token least similar to those kept so far.

    The pivot is the patch with the most [CLS] attention in the last layer. "max_sum" (version 2 of
    the paper, Algorithm 1) adds up similarities to the kept tokens, which favours extremes and may
    pick near-duplicates; "k_centre" (abstract of version 1) uses only the most similar one.
    The authors found other pivots to work equally well; without [CLS] it is the centre patch.
    Stage 2, inside the language model, is not part of this method. No code is public.
    """
    similarity = cosines(signals["feats_post"])
    pivot, notes = _pivot(signals, layer)
    order, state = [pivot], similarity[pivot].copy()
    for _ in range(keep - 1):
        state[order] = np.inf
        order.append(int(state.argmin()))
        new = similarity[order[-1]]
        state = state + new if objective == "max_sum" else np.maximum(state, new)
    return Reduction.select(
        order, len(similarity), order=order, roles={"pivot": [pivot]}, notes=notes
    )


def _pivot(signals, layer: int) -> tuple[int, tuple[str, ...]]:
    if "cls_attn" in signals:
        return int(signals.at("cls_attn", layer).mean(0).argmax()), ()
    (rows, cols), notes = grid_of(signals)
    note = "This model has no [CLS] token: the centre patch is the pivot."
    return rows // 2 * cols + cols // 2, (note, *notes)
