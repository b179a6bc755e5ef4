"""CenterCLIP: is one typical token per cluster enough?"""

from __future__ import annotations

from typing import Annotated, Literal

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts import bipartite, schedules
from tokviz.reduction.parts.grouping import merge_labels, original_numbers, token_sizes
from tokviz.reduction.parts.kmedoids import kmedoids
from tokviz.torch_on_use import torch


def spectral_rows(distances: torch.Tensor, k: int, sigma: float) -> torch.Tensor:
    """Return one unit row per token [n, k] that separates clusters (normalised Laplacian).

    Args:
        distances: [n, n], Euclidean.
        k: clusters.
        sigma: width of the Gaussian that turns distances into affinities.
    """
    affinity = torch.exp(-(distances.double() ** 2) / (2 * sigma**2))
    degree = affinity.sum(1)
    laplacian = torch.diag(degree) - affinity
    laplacian = laplacian / (degree[:, None] * degree[None]).sqrt()
    vectors = torch.linalg.eigh(laplacian).eigenvectors[:, :k]  # smallest eigenvalues first
    largest = vectors.abs().argmax(0)
    vectors = vectors * torch.sign(vectors[largest, torch.arange(k)])  # a sign that is the same
    return bipartite.unit(vectors).float()


def shifted(distances: torch.Tensor) -> torch.Tensor:
    """Return the distances [n, n] shifted below -1, with each token nearest to itself.

    As in the official code. The order of distances stays the same except for float32 rounding,
    which decides which of two tokens is the medoid of their cluster.
    """
    below = distances - distances.max() - 1
    return below - torch.eye(len(below))


def _schedule(n: int, keep: int, layers: int, **options):
    return [schedules.Stage(min(round(7 * layers / 12), layers - 1), keep)]


@method(
    "centerclip",
    title="CenterCLIP",
    training_free=False,
    place="tower",
    kind="both",
    needs=("hidden",),
    optional=("sizes", "index"),
    space="pre",
    paper="https://arxiv.org/abs/2205.00823",
    year=2022,
    differs=(
        "each image is clustered by itself, where the publication clusters those of a video",
        "the model was not trained with it",
    ),
    code="mzhaoshuai/CenterCLIP",
    licence="CC-BY-NC-4.0",
    depths=(12,),
    schedule=_schedule,
    only_with={"sigma": ("clustering", "spectral")},
)
def centerclip(
    signals,
    keep: int,
    *,
    tokens: Literal["medoid", "mean"] = "medoid",
    clustering: Literal["k-medoids", "spectral"] = "k-medoids",
    distance: Literal["euclidean", "cosine"] = "euclidean",
    sigma: Annotated[float, Range(0.1, 20, 0.1)] = 2.0,
) -> Reduction:
    """Cluster the tokens in the middle of the tower and keep one per cluster.

    k-medoids with a deterministic start (the longest state, then always the farthest), once, at
    seven twelfths of the depth. The medoid is kept and the rest of its cluster is dropped, or the
    cluster's mean replaces it. "spectral" clusters the eigenvectors of a normalised Laplacian.

    Published for video in a trained model: tokens of neighbouring frames are clustered together and
    their [CLS] tokens averaged. The clustering itself needs no training. Here each image is
    clustered separately, since the towers process each image alone. The neighbourhood masks of the
    official code are left out. The two tokens of a pair are equally central: in the official code
    and here, float32 rounding decides which is the medoid.
    """
    x = signals["hidden"].cpu()
    rows = x / (x.norm(dim=1, keepdim=True) + 1e-6)
    apart = 1 - rows @ rows.T if distance == "cosine" else torch.cdist(x, x)
    if clustering == "spectral":
        x = spectral_rows(apart, keep, sigma)
        apart = torch.cdist(x, x)
    medoids, cluster = kmedoids(x, shifted(apart), keep)
    if tokens == "medoid":
        return Reduction.select(medoids, len(x), order=medoids, roles={"medoid": medoids})
    return merge_labels(
        cluster,
        token_sizes(signals),
        original_numbers(signals),
        roles={"medoid": medoids},
    )
