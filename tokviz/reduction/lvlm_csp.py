"""LVLM_CSP: which few tokens can represent the image in the first layers?"""

from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.selection import best_of, cls_score


@method(
    "lvlm_csp",
    title="LVLM_CSP representatives",
    place="before",
    needs=("cls_attn",),
    fallbacks={"cls_attn": "recv_attn"},
    positions="keep",
    paper="https://arxiv.org/abs/2504.10854",
    year=2025,
    verified=False,
    adaptive=True,
    only_with={"seed": ("choose", "random")},
)
def lvlm_csp(
    signals,
    keep: int,
    *,
    choose: Literal["cls", "uniform", "random"] = "cls",
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
    layer: int = -2,
) -> Reduction:
    """Keep representatives: by [CLS] attention, every so many tokens, or at random.

    "uniform" takes token i x floor(n / keep).

    A stand-in: in the paper the others come back after a few layers and tokens are pruned for good
    later, by the attention of a segmentation token. Its layers are not stated, no code is public.
    Its fourth way, a share for each coarse segment of the picture, is left out: which segmenter
    finds them is not said.
    """
    score, notes = cls_score(signals, layer)
    n, attention = len(score), score.cpu().numpy()
    if choose == "cls":
        order = best_of(attention, np.arange(n), keep)
    elif choose == "uniform":
        order, notes = np.arange(keep) * (n // keep), ()
    else:
        order, notes = np.random.default_rng(seed).permutation(n)[:keep], ()
    return Reduction.select(order, n, score=score, order=order, notes=notes)
