"""LVLM_CSP: which few tokens can represent the image in the first layers?"""

from typing import Annotated, Literal

import numpy as np

from tokviz.errors import MissingSignal
from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.selection import best_of, cls_score


@method(
    "lvlm_csp",
    title="LVLM_CSP representatives",
    place="before",
    needs=("cls_attn",),
    fallbacks={"cls_attn": "recv_attn"},
    optional=("segments",),
    positions="keep",
    paper="https://arxiv.org/abs/2504.10854",
    year=2025,
    verified=False,
    adaptive=True,
)
def lvlm_csp(
    signals,
    keep: int,
    *,
    choose: Literal["cls", "uniform", "random", "segments"] = "cls",
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
    layer: int = -2,
) -> Reduction:
    """Keep representatives: by [CLS] attention, every so many tokens, at random, or by segment.

    "uniform" takes token i x floor(n / keep). "segments" gives each coarse segment its share of
    the budget, rounded down, at least one token, best by [CLS] attention; the rest from rounding is
    not used.

    A stand-in: in the paper the other tokens are added again after a few layers, and tokens are
    removed later by the attention of a segmentation token. Its layers are not stated and no code is
    public.
    """
    score, notes = cls_score(signals, layer)
    n, attention = len(score), score.cpu().numpy()
    if choose == "cls":
        order = best_of(attention, np.arange(n), keep)
    elif choose == "uniform":
        order, notes = np.arange(keep) * (n // keep), ()
    elif choose == "random":
        order, notes = np.random.default_rng(seed).permutation(n)[:keep], ()
    else:
        if "segments" not in signals:
            raise MissingSignal("the signal 'segments' is missing: the segment of each token.")
        segment = signals["segments"].cpu().numpy()
        names, size = np.unique(segment, return_counts=True)
        count = segment_quotas(size, keep)
        order = np.concatenate(
            [
                best_of(attention, np.flatnonzero(segment == name), k)
                for name, k in zip(names, count, strict=True)
            ]
        )[:keep]
    return Reduction.select(order, n, score=score, order=order, notes=notes)


def segment_quotas(sizes: np.ndarray, keep: int) -> list[int]:
    """Return max(1, floor(keep x share)) for segments of these sizes."""
    return [max(1, int(keep * size / sizes.sum() + 1e-9)) for size in sizes]
