"""FasterVLM: is the [CLS] token's attention enough to choose?"""

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.selection import cls_score, top_k


@method(
    "fastervlm",
    title="FasterVLM",
    place="before",
    tiles="each",
    needs=("cls_attn",),
    fallbacks={"cls_attn": "recv_attn"},
    paper="https://arxiv.org/abs/2412.01818v1",
    year=2024,
    code="Theia-4869/FasterVLM",
    licence="Apache-2.0",
)
def fastervlm(signals, keep: int, *, layer: int = -2) -> Reduction:
    """Keep the patches that the [CLS] token attends to most.

    The score is the mean over heads of the [CLS] row of the tower layer that gives the features,
    not renormalised. Paper and official code agree. Towers without [CLS] use received attention,
    which the paper does not define.
    """
    score, notes = cls_score(signals, layer)
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order, notes=notes)
