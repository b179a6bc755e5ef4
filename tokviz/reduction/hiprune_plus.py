"""HiPrune++: HiPrune, plus a few tokens that are similar to the question."""

from typing import Annotated

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.hiprune import choose
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.question import tokens_and_text
from tokviz.reduction.parts.selection import top_k
from tokviz.reduction.parts.similarity import unit


@method(
    "hiprune_plus",
    title="HiPrune++",
    place="before",
    tiles="each",
    needs=("recv_attn", "grid", "text_clip", "img_clip"),
    fallbacks={"text_clip": "text_llm", "img_clip": "feats_post"},
    paper="https://arxiv.org/abs/2508.00553",
    year=2025,
    query_aware=True,
    published=(
        Published(
            "192 tokens",
            "own paper, Table 2",
            {"GQA": 60.3, "MME": 1818, "POPE": 86.9, "TextVQA": 57.5},
        ),
        Published(
            "128 tokens",
            "own paper, Table 2",
            {"GQA": 59.0, "MME": 1780, "POPE": 86.4, "TextVQA": 56.0},
        ),
        Published(
            "64 tokens",
            "own paper, Table 2",
            {"GQA": 56.4, "MME": 1767, "POPE": 84.3, "TextVQA": 54.5},
        ),
    ),
)
def hiprune_plus(
    signals,
    keep: int,
    *,
    beta: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    alpha: Annotated[float, Range(0, 1, 0.05)] = 0.1,
    object_layer: int | None = None,
    layer: int = -2,
) -> Reduction:
    """Give most of the budget to HiPrune and the rest to the tokens most like the question.

    Built from the paper's text; no code is public. round(beta * keep) of the tokens that HiPrune
    did not keep are added, those with the highest cosine to the mean text embedding: in CLIP's
    joint space, or without a CLIP text encoder between the language model's input embeddings and
    the projected features.
    """
    like = round(beta * keep)
    if like >= keep:
        first = Reduction.select([], signals.n)
    else:
        first = choose(signals, keep - like, alpha, object_layer, layer, True, False)
    tokens, words, notes = tokens_and_text(signals)
    closeness = unit(tokens) @ unit(words.mean(0))
    best = top_k(closeness, signals.n).cpu().numpy()
    text = best[~np.isin(best, first.kept)][:like]
    order = np.concatenate([first.order if first.order is not None else [], text])
    roles = {**first.roles, "text": text}
    return Reduction.select(
        order, signals.n, score=closeness, order=order, roles=roles, notes=first.notes + notes
    )
