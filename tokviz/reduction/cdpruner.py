"""CDPruner: a diverse set in which relevant tokens count more (a conditional DPP)."""

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, method
from tokviz.reduction.parts.question import tokens_and_text
from tokviz.reduction.parts.similarity import cosines, unit

SPENT = 1e-6
"""What is left of a token's squared length, relative to all of it, when it counts as nothing."""


@method(
    "cdpruner",
    title="CDPruner",
    place="before",
    tiles="each",
    needs=("feats_post", "text_clip", "img_clip"),
    fallbacks={"text_clip": "text_llm", "img_clip": "feats_post"},
    paper="https://arxiv.org/abs/2506.10967",
    year=2025,
    code="Theia-4869/CDPruner",
    licence="Apache-2.0",
    query_aware=True,
    published=(
        Published(
            "128 tokens",
            "third-party re-run",
            {"GQA": 59.6, "MME-P": 1426.5, "POPE": 87.5, "TextVQA": 56.1},
        ),
        Published(
            "64 tokens",
            "third-party re-run",
            {"GQA": 58.6, "MME-P": 1403.1, "POPE": 87.5, "TextVQA": 55.1},
        ),
        Published(
            "32 tokens",
            "third-party re-run",
            {"GQA": 56.9, "MME-P": 1371.5, "POPE": 87.7, "TextVQA": 53.2},
        ),
    ),
)
def cdpruner(signals, keep: int, *, negate: bool = True) -> Reduction:
    """Keep the set that spans the largest volume, with each feature as long as it is relevant.

    Relevance is the cosine of CLIP's patch and text embeddings, min-max scaled. The official code
    takes it with a minus sign (`negate`), as CLIP's patches point away from what they show. Without
    CLIP's text encoder the language model's embeddings are compared instead, with a plus sign.
    Volume is det of diag(q) cos(Z) diag(q), grown greedily. A token is picked once; beyond the rank
    of the features the official code repeats some.
    """
    tokens, text, notes = tokens_and_text(signals)
    relevance = (unit(tokens) @ unit(text).T).mean(1).cpu().numpy()
    weight = scaled(-relevance if negate and not notes else relevance)
    similarity = cosines(signals["feats_post"])
    order, _ = largest_volume(weight[:, None] * similarity * weight[None], keep)
    return Reduction.select(order, len(weight), score=weight, order=order, notes=notes)


def scaled(relevance: np.ndarray) -> np.ndarray:
    """Return the relevance [n] min-max scaled, 1e-6 above zero; ones where it is all the same."""
    low, high = relevance.min(), relevance.max()
    if high == low:
        return np.ones_like(relevance)
    return ((relevance - low + 1e-6) / (high - low)).astype(np.float32)


def largest_volume(kernel: np.ndarray, k: int) -> tuple[list[int], list[float]]:
    """Grow a set that greedily maximises the determinant of its part of the kernel.

    Args:
        kernel: [n, n], positive semi-definite.
        k: size of the set.

    Returns:
        The tokens in order of choice, and the factor by which each raised the determinant.
    """
    length = np.diagonal(kernel)
    added = length.copy()
    basis = np.zeros((k, len(kernel)), np.float32)
    order: list[int] = []
    gains: list[float] = []
    for step in range(k):
        token = int(added.argmax())
        order.append(token)
        gains.append(float(added[token]))
        if added[token] > 0:
            projected = basis[:step, token] @ basis[:step]
            basis[step] = (kernel[token] - projected) / np.sqrt(added[token])
            added = added - basis[step] ** 2
            added[added < SPENT * length] = 0
        added[order] = -np.inf
    return order, gains
