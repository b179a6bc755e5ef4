"""VMTC: keep tokens by [CLS] attention, and merge clusters of the rest into weighted means."""

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.kmeans import spherical_kmeans
from tokviz.reduction.parts.selection import cls_score, top_k


@method(
    "vmtc",
    title="VMTC",
    place="before",
    kind="both",
    needs=("cls_attn", "feats_post"),
    fallbacks={"cls_attn": "recv_attn"},
    paper="https://arxiv.org/abs/2411.15453",
    year=2024,
    verified=False,
)
def vmtc(
    signals, keep: int, *, merged: Annotated[float, Range(0, 1, 0.05)] = 0.25, layer: int = -2
) -> Reduction:
    """Keep primary tokens by [CLS] attention; merge k-means clusters of the rest by importance.

    A stand-in: no code is public and counts, layers and thresholds are not stated. The share of
    `merged` tokens, the layer and the first centres (evenly spaced, by cosine) are tokviz's choice.
    Output order: primary tokens in raster order, then clusters. CMAI, its second half, masks pairs
    of text and image tokens inside the language model and is not part of this method.
    """
    score, notes = cls_score(signals, layer)
    n, clusters = len(score), round(keep * merged)
    if clusters > keep - 1:
        clusters, notes = keep - 1, (*notes, f"{keep - 1} tokens are merged: one must be primary.")
    primary = np.sort(top_k(score, keep - clusters).cpu().numpy())
    rest = np.setdiff1d(np.arange(n), primary) if clusters else primary[:0]
    label = spherical_kmeans(signals["feats_post"][rest].cpu().numpy(), clusters)
    weight = np.maximum(score.cpu().numpy()[rest].astype(np.float64), 1e-30)
    share = weight / np.bincount(label, weight, minlength=clusters)[label]
    by_weight = np.lexsort((-rest, weight))
    heaviest = np.zeros(clusters, np.int64)
    heaviest[label[by_weight]] = rest[by_weight]
    return Reduction.from_entries(
        np.concatenate([np.arange(len(primary)), len(primary) + label]),
        np.concatenate([primary, rest]),
        np.concatenate([np.ones(len(primary)), share]),
        n, keep, np.concatenate([primary, heaviest]),
        score=score, roles={"primary": primary, "clustered": rest}, notes=notes,
    )  # fmt: skip
