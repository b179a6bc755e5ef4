"""VisPruner: half of the budget by [CLS] attention, half for patches unlike all others."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.selection import cls_score, top_k
from tokviz.reduction.parts.similarity import unit
from tokviz.torch_on_use import torch


@method(
    "vispruner",
    title="VisPruner",
    place="before",
    tiles="each",
    needs=("cls_attn", "feats_pre"),
    fallbacks={"cls_attn": "recv_attn"},
    paper="https://arxiv.org/abs/2412.01818",
    year=2025,
    code="Theia-4869/VisPruner",
    licence="Apache-2.0",
    published=(
        Published(
            "128 tokens",
            "third-party re-run",
            {"GQA": 58.2, "MME-P": 1461, "POPE": 84.6, "TextVQA": 57.0},
        ),
        Published(
            "64 tokens",
            "third-party re-run",
            {"GQA": 55.4, "MME-P": 1370, "POPE": 80.4, "TextVQA": 55.8},
        ),
        Published(
            "32 tokens",
            "third-party re-run",
            {"GQA": 52.2, "MME-P": 1271, "POPE": 72.7, "TextVQA": 53.9},
        ),
    ),
)
def vispruner(
    signals,
    keep: int,
    *,
    important: Annotated[float, Range(0, 1, 0.05)] = 0.5,
    step: Annotated[int, Range(1, 64)] = 8,
    layer: int = -2,
) -> Reduction:
    """Keep the patches with most [CLS] attention, then remove similar ones of the others.

    The rest, in order of attention, is split into even and odd places; the `step` even ones that
    are most similar to any odd one are dropped, and so on until the budget is met. The official
    code fails where the rest is odd in number (budgets such as 8, 30 or 62 of 576); here it works.

    The choice is numerically unstable: near-equal similarities change places in the split, so
    float32 and float64, or two devices, may share only 70 to 90 % of the kept patches. On one
    device the products are computed as the official code does, bit for bit, but that code sorts
    without an order for equal similarities, and float32 has some in most images: here the lower
    place comes first. With a stable sort it keeps the same patches as this file; as released it
    did in 90 of 96 trials without duplicate patches, and with duplicates never.
    """
    score, notes = cls_score(signals, layer)
    ranked = top_k(score, len(score)).cpu().numpy()
    first = int(keep * important)
    rest = thinned(ranked[first:], unit(signals["feats_pre"]), keep - first, step)
    order = np.concatenate([ranked[:first], rest])
    roles = {"important": ranked[:first], "diverse": rest}
    return Reduction.select(order, len(score), score=score, order=order, roles=roles, notes=notes)


def thinned(rest: np.ndarray, features: torch.Tensor, k: int, step: int) -> np.ndarray:
    """Return k of the tokens in `rest`, dropping in rounds those that are most like others.

    Every round computes its own product, as the official code does: slices of one large product
    differ in the last bit, which is enough to change the order.

    Args:
        rest: int64 [r], in order of attention.
        features: [n, d], unit rows.
        k: how many to keep.
        step: how many to drop in a round.
    """
    if k == 0:
        return rest[:0]
    while len(rest) > k:
        alive = features[torch.as_tensor(rest, device=features.device)][None]
        even, odd = rest[::2], rest[1::2]
        closest = (alive[:, ::2] @ alive[:, 1::2].transpose(-1, -2)).max(-1).values[0].cpu()
        by_similarity = even[torch.sort(closest, descending=True, stable=True).indices.numpy()]
        dropped = min(step, len(even), len(rest) - k)
        rest = np.concatenate([by_similarity[dropped:], odd])
    return rest
