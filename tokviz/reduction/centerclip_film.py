"""CenterCLIP over frames: is one typical token per cluster of a few frames enough?"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.centerclip import shifted
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.frames import frames_of
from tokviz.reduction.parts.kmedoids import kmedoids
from tokviz.reduction.parts.rows import Rows
from tokviz.reduction.parts.shares import even_counts
from tokviz.torch_on_use import torch


@method(
    "centerclip_film",
    title="CenterCLIP over frames",
    training_free=False,
    place="before",
    kind="both",
    needs=("feats_pre", "crops"),
    optional=("tile", "cell", "index"),
    space="pre",
    images="together",
    frames=True,
    several_images=True,
    paper="https://arxiv.org/abs/2205.00823",
    year=2022,
    code="mzhaoshuai/CenterCLIP",
    licence="CC-BY-NC-4.0",
    differs=(
        "tokens are clustered as they leave the tower, where the publication clusters them in its "
        "middle, so that its later layers read the centres",
        "the model was not trained with it",
    ),
)
def centerclip_film(
    signals,
    keep: int,
    *,
    segment: Annotated[int, Range(1, 32, 1)] = 2,
    tokens: Literal["medoid", "mean"] = "medoid",
) -> Reduction:
    """Cluster the tokens of a few neighbouring frames together and keep one per cluster.

    Each `segment` of frames is clustered by k-medoids with a deterministic start (the longest
    feature, then always the farthest), on Euclidean distances. The medoid is kept and the rest of
    its cluster is dropped, or the cluster's mean replaces it. Segments share the budget in
    proportion to their tokens. The authors take two to four frames, and as many clusters as a frame
    has tokens; the last segment may be shorter here.

    "centerclip" clusters each picture by itself, inside the tower. There the towers process each
    picture alone, so that frames can meet only behind it.
    """
    features = signals["feats_pre"].float().cpu()
    number = frames_of(signals) // segment
    own = [np.flatnonzero(number == one) for one in np.unique(number)]
    sizes, rows = np.array([len(one) for one in own]), Rows()
    for members, count in zip(own, even_counts(sizes, keep).tolist(), strict=True):
        if not count:
            continue
        x = features[members]
        medoids, cluster = kmedoids(x, shifted(torch.cdist(x, x)), count)
        for centre, medoid in enumerate(members[medoids.numpy()]):
            joined = members[cluster.numpy() == centre] if tokens == "mean" else medoid[None]
            rows.add(joined, np.full(len(joined), 1 / len(joined)), medoid)
    return rows.reduction(len(features), roles={"medoid": np.array(rows.places)})
