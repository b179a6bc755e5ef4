"""VTC-CLS: does the [CLS] attention of many layers choose better than that of one?"""

from __future__ import annotations

from tokviz.errors import InputError
from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.selection import cls_score, in_tower, top_k, tower_layers
from tokviz.torch_on_use import torch


@method(
    "vtc_cls",
    title="VTC-CLS",
    place="before",
    needs=("cls_attn",),
    fallbacks={"cls_attn": "recv_attn"},
    space="pre",
    paper="https://arxiv.org/abs/2412.05819",
    year=2024,
    depths=(24,),
    code="THU-MIG/VTC-CLS",
    licence="Apache-2.0",
)
def vtc_cls(signals, keep: int, *, start: int | None = None) -> Reduction:
    """Keep the patches with the most [CLS] attention, summed over the upper layers.

    The sum of head means runs from layer `start` to the second to last; the last layer is left out.
    The official evaluation starts at layer 16 of 24, which is scaled to other depths. The start of
    each budget in the paper is not in its code.
    """
    name = "cls_attn" if "cls_attn" in signals else "recv_attn"
    last = tower_layers(signals, name) - 2
    start = min(in_tower(signals, name, 16), max(last, 0)) if start is None else start
    if not 0 <= start <= max(last, 0):
        raise InputError(f"start must be layer 0 to {max(last, 0)}, got {start}.")
    scored = [cls_score(signals, layer) for layer in range(start, max(last, 0) + 1)]
    score, notes = torch.stack([s for s, _ in scored]).sum(0), scored[-1][1]
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order, notes=notes)
