"""OTPrune: which tokens have the same distribution as all of them?"""

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.cdpruner import largest_volume
from tokviz.reduction.method import Range, method


@method(
    "otprune",
    title="OTPrune",
    place="before",
    needs=("feats_post",),
    paper="https://arxiv.org/abs/2602.20205",
    year=2026,
    code="xiwenc1/OTPrune",
    licence="Apache-2.0",
)
def otprune(signals, keep: int, *, gamma: Annotated[float, Range(0, 1, 0.001)] = 0.01) -> Reduction:
    """Keep the set whose covariance is nearest to that of all tokens, picked greedily.

    Optimal transport between the kept and all tokens, as two Gaussians, becomes a determinant: the
    volume of I + gamma G G, with G the products of all pairs of tokens. Each column of the features
    is divided by its length over the tokens first, as in the official code. The volume is maximised
    as in CDPruner, one token at a time; the text is not read.
    """
    features = signals["feats_post"].double().cpu().numpy()
    length = np.linalg.norm(features, axis=0)
    features = features / np.where(length > 0, length, 1)
    gram = features @ features.T
    order, _ = largest_volume(np.eye(len(gram)) + gamma * gram @ gram.T, keep)
    return Reduction.select(order, len(gram), order=order, score=first_gain(gram, gamma))


def first_gain(gram: np.ndarray, gamma: float) -> np.ndarray:
    """Return by how much each token alone raises the determinant, [n]."""
    return (1 + gamma * (gram**2).sum(1)).astype(np.float32)
