"""SCOPE: which salient tokens cover the rest of the image?"""

from typing import Annotated, Literal

import numpy as np

from tokviz.matrix import Reduction
from tokviz.reduction.method import Published, Range, method
from tokviz.reduction.parts.coverage import greedy_cover
from tokviz.reduction.parts.selection import cls_score
from tokviz.reduction.parts.similarity import cosines


@method(
    "scope",
    title="SCOPE",
    place="before",
    tiles="each",
    needs=("feats_pre", "cls_attn"),
    fallbacks={"cls_attn": "recv_attn"},
    space="pre",
    paper="https://arxiv.org/abs/2510.24214",
    year=2025,
    code="kinredon/SCOPE",
    licence="none stated",
    published=(
        Published(
            "192 tokens",
            "re-run in the SIEVE paper",
            {"GQA": 60.1, "MME": 1804, "POPE": 86.4, "TextVQA": 57.7},
        ),
        Published(
            "128 tokens",
            "re-run in the SIEVE paper",
            {"GQA": 59.7, "MME": 1776, "POPE": 86.1, "TextVQA": 57.2},
        ),
        Published(
            "64 tokens",
            "re-run in the SIEVE paper",
            {"GQA": 58.3, "MME": 1698, "POPE": 83.9, "TextVQA": 56.6},
        ),
    ),
)
def scope(
    signals,
    keep: int,
    *,
    alpha: Annotated[float, Range(0, 5, 0.1)] = 1.0,
    combine: Literal["multiply", "add"] = "multiply",
    layer: int = -2,
) -> Reduction:
    """Keep the tokens with the largest (newly covered tokens) x ([CLS] attention ^ alpha).

    A token covers another by the cosine of their features before the projector; negative cosines
    count as 0. [CLS] attention is summed over heads. "add" is a variant of the official code;
    alpha = 0 is plain facility location.
    """
    similarity = np.maximum(cosines(signals["feats_pre"]), 0)
    attention, notes = cls_score(signals, layer)
    heads = signals.at("cls_attn", layer).shape[0] if not notes else 1
    salience = (heads * attention).clamp(min=0).cpu().numpy().astype(np.float64) ** alpha
    how = {"factor": salience} if combine == "multiply" else {"bonus": salience}
    order, gains = greedy_cover(similarity, keep, **how)
    score = np.full(len(similarity), np.nan)
    score[order] = gains
    return Reduction.select(order, len(similarity), score=score, order=order, notes=notes)
