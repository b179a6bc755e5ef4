"""PruneSID: which few tokens of each direction of the features are no duplicates?"""

import math

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.selection import cls_score
from tokviz.reduction.parts.similarity import cosines


@method(
    "prunesid",
    title="PruneSID",
    place="before",
    tiles="each",
    needs=("feats_pre", "cls_attn"),
    fallbacks={"cls_attn": "recv_attn"},
    code="ZhengyaoFang/PruneSID",
    licence="none stated",
    paper="https://arxiv.org/abs/2603.09480",
    year=2026,
    differs=("the [CLS] state is not added as one of the tokens",),
)
def prunesid(signals, keep: int, *, layer: int = -2) -> Reduction:
    """Group tokens by principal direction, drop near-duplicates in a group, share out the budget.

    The principal directions of the sigmoid of the features, a quarter as many as the budget, each
    take the tokens that weigh most in them. In a group the token with the most [CLS] attention is
    taken again and again, and those whose cosine with it is above budget / 32 times the mean cosine
    of all pairs are put back. Groups share the budget by how many were taken; first those, then
    those put back.

    The official code counts the [CLS] state as one of the tokens; here all are patches, so it is
    the official choice for one token more. It draws random numbers in its decomposition and takes
    equally large groups in any order; here the one is exact, and of such groups the first comes
    first. Without [CLS] the received attention is used.
    """
    states = signals["feats_pre"].float().cpu().numpy()
    score, notes = cls_score(signals, layer)
    group = directions(states, max((keep + 1) // 4, 1))
    kept, taken = choose(group, cosines(signals["feats_pre"]), score.cpu().numpy(), keep + 1)
    return Reduction.select(
        kept, len(group), score=score, order=kept, notes=notes, roles={"no duplicate": taken}
    )


def directions(states: np.ndarray, count: int) -> np.ndarray:
    """Return for each token the principal direction in which it weighs most, int [n]."""
    spread = 1 / (1 + np.exp(-states.astype(np.float64)))  # [n, d]
    spread = spread - spread.mean(1, keepdims=True)
    # left singular vectors over the tokens: [n, directions]
    tokens = np.linalg.svd(spread, full_matrices=False)[0][:, :count]
    return np.abs(tokens).argmax(1)


def choose(
    group: np.ndarray, similarity: np.ndarray, score: np.ndarray, need: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the need - 1 tokens that are kept, and those taken as no duplicates.

    Args:
        group: int [n], direction of each token.
        similarity: [n, n] cosines.
        score: [n], attention.
        need: the budget, the [CLS] state counted as one.
    """
    n = len(group)
    mean = similarity[np.triu_indices(n, 1)].mean() if n > 1 else 0.0
    ranked, taken = [], []
    for name in range(group.max() + 1):
        members = np.flatnonzero(group == name)
        first = without_duplicates(members, similarity, score, need / 32 * mean)
        rest = members[~np.isin(members, first)]
        rest = rest[np.argsort(-score[rest], kind="stable")]
        ranked.append(np.concatenate([first, rest]).astype(np.int64))
        taken.append(len(first))
    sizes, counts = np.array([len(one) for one in ranked]), np.array(taken)
    shares = shared_out(sizes, counts, need)
    kept = np.concatenate([one[:share] for one, share in zip(ranked, shares, strict=True)])
    alone = np.concatenate([one[:count] for one, count in zip(ranked, counts, strict=True)])
    return kept, alone


def without_duplicates(
    members: np.ndarray, similarity: np.ndarray, score: np.ndarray, threshold: float
) -> np.ndarray:
    """Return the members that are taken, best first; each puts back those too similar to it."""
    left, taken = score[members].copy(), []
    while left.max(initial=0) > 0:
        best = int(left.argmax())
        taken.append(members[best])
        left[similarity[members[best], members] > threshold] = 0
        left[best] = 0
    return np.array(taken, np.int64)


def shared_out(sizes: np.ndarray, taken: np.ndarray, need: int) -> np.ndarray:
    """Return how many tokens each group keeps, int [groups]; together need - 1.

    Args:
        sizes: tokens of each group.
        taken: those that are no duplicates.
        need: the budget, the [CLS] state counted as one.
    """
    least = np.minimum(sizes, 1)
    most = np.minimum(np.minimum(sizes, taken), 5 * math.ceil(need / 64))
    while most.sum() < min(need, sizes.sum()):
        most = np.minimum(most + 1, sizes)
    others = max(need - least.sum() - 1, 0)
    # in 32 bits, as the official code: a sum that ends in one half is rounded by its last bit
    part = (taken / max(taken.sum(), 1)).astype(np.float32)
    ends = np.round(np.cumsum(part) * np.float32(others)).astype(int)
    shares = np.minimum(np.diff(ends, prepend=0) + least, most)
    for one in np.argsort(-taken, kind="stable"):
        missing = others + least.sum() - shares.sum()
        shares[one] += min(most[one] - shares[one], max(missing, 0))
    return shares
