"""Feature norm: are long features the important ones?"""

from tokviz.matrix import Reduction
from tokviz.reduction.method import method
from tokviz.reduction.parts.selection import top_k


@method("norm", title="Feature norm", place="before", needs=("feats_post",))
def norm(signals, keep: int, *, highest: bool = True) -> Reduction:
    """Keep the tokens whose projected features are longest, a baseline.

    Long features are often register-like outliers, so the opposite order (`highest` off) is worth
    trying too.
    """
    length = signals["feats_post"].norm(dim=1)
    score = length if highest else -length
    order = top_k(score, keep)
    return Reduction.select(order, len(score), score=score, order=order)
