"""CDPruner: a diverse set in which relevant tokens count more (a conditional DPP)."""

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, method
from tokviz.reduction.parts.question import tokens_and_text
from tokviz.reduction.parts.similarity import cosines, unit

SPENT = 1e-6
"""A token counts as 0 if less than this share of its squared length is left."""


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
    """Keep the set that spans the largest volume, with features scaled by their relevance.

    Relevance is the cosine of CLIP's patch and text embeddings, min-max scaled. The official code
    uses its negative (`negate`), since CLIP's patches point away from the text that describes them.
    Without CLIP's text encoder the language model's embeddings are compared instead, without the
    minus sign. The volume is det of diag(q) cos(Z) diag(q), maximised greedily. A token is picked
    once; beyond the rank of the features the official code repeats some.
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
    """Return a set that greedily maximises the determinant of its part of the kernel.

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
