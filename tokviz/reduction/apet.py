"""ApET: which tokens can a few others not rebuild?"""

from __future__ import annotations

from typing import Annotated

from tokviz.matrix import Reduction
from tokviz.reduction.method import Range, method
from tokviz.reduction.parts.selection import top_k
from tokviz.torch_on_use import torch

RIDGE = 1e-5


@method(
    "apet",
    title="ApET",
    place="before",
    kind="both",
    tiles="each",
    needs=("feats_pre",),
    space="pre",
    paper="https://arxiv.org/abs/2602.19870",
    year=2026,
    code="MaQianKun0/ApET",
    licence="MIT",
    rest="apet_stage",
)
def apet(
    signals,
    keep: int,
    *,
    basis: Annotated[int, Range(1, 64, 1)] = 10,
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
) -> Reduction:
    """Keep the tokens that linear sums of a few basis tokens rebuild worst; merge the others.

    Basis tokens are chosen one after another, each the farthest from those chosen so far; the first
    is drawn by `seed`, as in the official code by its random numbers. The error is the distance of
    a token from its best approximation by them. Of the `keep` tokens with the largest errors the
    last `basis` are overwritten by the basis tokens, in raster order, and keep their own places.
    Each token that is not kept is averaged into the kept one, of those not overwritten, with the
    most similar features.

    It reads neither attention nor the question. The second part, "apet_stage", decides again
    inside the language model; the publication keeps 96 tokens here and 32 there. With a budget that
    the basis would fill, the basis is one token smaller than the budget.
    """
    features = signals["feats_pre"].float()
    return rebuilt(features, keep, basis, seed, by_error=False)


def rebuilt(features: torch.Tensor, keep: int, basis: int, seed: int, by_error: bool) -> Reduction:
    """Return ApET's reduction.

    Args:
        features: [n, d], n > keep.
        keep: output tokens.
        basis: number of basis tokens, at most keep - 1 of them are used.
        seed: of the first basis token.
        by_error: True = basis tokens overwrite kept tokens in the order of their errors, False =
            in raster order.
    """
    n, count = len(features), min(basis, keep - 1)
    if keep >= n:
        return Reduction.identity(n)
    chosen = farthest(features, max(count, 1), seed)
    error = residual(features, features[chosen])
    order = top_k(error, keep)
    own, replaced = order[: keep - count], order[keep - count :]
    if not by_error:
        replaced = replaced.sort().values
    gone = torch.ones(n, dtype=torch.bool)
    gone[order] = False
    gone = gone.nonzero().flatten()
    joins = nearest(features[gone], features[own])
    # [keep] output rows in raster order of their places, [own + gone + basis] entries of W
    places = order.sort().values
    sizes = 1 + torch.bincount(joins, minlength=len(own))
    row_of_own = torch.searchsorted(places, own)
    rows = torch.cat([row_of_own, row_of_own[joins], torch.searchsorted(places, replaced)])
    cols = torch.cat([own, gone, chosen[:count]])
    weights = torch.cat([1 / sizes, 1 / sizes[joins], torch.ones(count)])
    return Reduction.from_entries(
        rows, cols, weights, n, keep, places,
        score=error, order=order, roles={"basis": chosen[:count], "overwritten": replaced},
    )  # fmt: skip


def farthest(features: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Return tokens that lie far from each other, int [count], the first one drawn at random.

    Each next token is the one whose squared distance to the nearest chosen token is largest.
    """
    start = torch.randint(0, len(features), (1,), generator=torch.Generator().manual_seed(seed))
    chosen = [int(start)]
    distance = torch.full((len(features),), 1e10, device=features.device)
    for _ in range(count - 1):
        from_last = ((features - features[chosen[-1]]) ** 2).sum(-1)
        distance = torch.minimum(distance, from_last)
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen)


def residual(features: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Return how far each token [n, d] is from its best sum of basis tokens [k, d], float [n]."""
    gram = basis @ basis.T
    gram = gram + RIDGE * torch.eye(len(basis), device=gram.device)
    weights = torch.linalg.solve(gram, basis @ features.T).T  # [n, k]
    return (features - weights @ basis).norm(dim=-1).cpu()


def nearest(gone: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Return for each removed token [r, d] the most similar of the kept ones [k, d], int [r]."""
    unit = torch.nn.functional.normalize
    return (unit(gone, dim=-1) @ unit(own, dim=-1).T).argmax(1).cpu()
