"""Takes the name of a built-in method."""

from tokviz.matrix import Reduction
from tokviz.reduction.method import method


@method("fastv", title="Not FastV", place="before", needs=("feats_post",))
def fastv(signals, keep: int) -> Reduction:
    """Keep the first tokens."""
    return Reduction.select(list(range(keep)), signals.n)
