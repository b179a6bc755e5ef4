"""IWP: which tokens make up the implicit weights of attention without repeating each other?"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import schedules
from tokviz.torch_on_use import torch

PRUNE = 0.06
"""Share of the depth, early like layer 2 of 32: the published layers are not known."""


def _schedule(n: int, keep: int, layers: int, **options):
    layer = schedules.at_depth("prune", options["prune"], layers, PRUNE)
    return schedules.stages([(layer, keep)], n)


@method(
    "iwp",
    title="IWP",
    place="language_model",
    needs=("llm_keys_before", "llm_values_before"),
    paper="https://arxiv.org/abs/2604.00757",
    year=2026,
    code="jhtwosun/IWP",
    positions="keep",
    verified=False,
    schedule=_schedule,
)
def iwp(
    signals,
    keep: int,
    *,
    prune: Annotated[float, Range(0, 1, 0.01)] = PRUNE,
    magnitude: Annotated[float, Range(0, 1, 0.05)] = 0.5,
) -> Reduction:
    """Keep tokens whose key-value products are large and unlike those of the tokens kept so far.

    Attention is read as a linear layer whose matrix is the sum of one product of value and key per
    token. The size of a token's product is the length of its key times that of its value, and two
    products repeat each other as far as their cosine goes: that of the keys times that of the
    values. Tokens are taken one by one by size and against repetition (maximal marginal relevance),
    mean over heads. That is at the share `prune` of the depth.

    A stand-in: the authors' repository is empty, and only the paper's abstract could be read. Its
    measure for softmax attention, its search in growing chunks and its layers may differ.
    """
    keys, values = signals["llm_keys_before"].float(), signals["llm_values_before"].float()
    # [h, n], size of each token's product in each head; scaled to at most 1
    size = (keys.norm(dim=-1) * values.norm(dim=-1)).mean(0).cpu().numpy()
    size = size / max(size.max(), 1e-30)
    unit = torch.nn.functional.normalize
    keys, values = unit(keys, dim=-1), unit(values, dim=-1)
    order: list[int] = []
    repeated = np.zeros_like(size)
    for _ in range(keep):
        gain = magnitude * size - (1 - magnitude) * repeated
        gain[order] = -np.inf
        order.append(int(gain.argmax()))
        last = order[-1]
        # [h, n] cosines of keys x cosines of values -> mean over heads
        alike = ((keys @ keys[:, last, :, None]) * (values @ values[:, last, :, None])).mean(0)
        repeated = np.maximum(repeated, alike[:, 0].cpu().numpy())
    return Reduction.select(order, len(size), score=size, order=order)
